"""One instrument among many: chosen where it is plain, left to a person where it is not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from markets.engine.figi_choice import HomeMarkets, choose, tree_of
from markets.openfigi.answers import FigiRow, read_mapping
from markets.openfigi.fake.universe import security

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "data" / "openfigi"
US = HomeMarkets(("US",))
NOWHERE = HomeMarkets()


def row(figi: str, composite: str | None, share_class: str | None, exchange: str = "US") -> FigiRow:
    return FigiRow(figi=figi, composite=composite, share_class=share_class, exchange_code=exchange)


LISTINGS = [
    row("C-US", "C-US", "S"),
    row("V-UN", "C-US", "S", "UN"),
    row("C-GR", "C-GR", "S", "GR"),
    row("V-GY", "C-GR", "S", "GY"),
]


def test_the_row_of_the_figi_that_was_asked_for_is_the_choice():
    assert choose(LISTINGS, NOWHERE, asked_figi="V-GY").figi == "V-GY"


def test_a_single_candidate_is_the_choice():
    assert (choose(LISTINGS[:1], NOWHERE).figi, choose(LISTINGS[:1] * 3, NOWHERE).figi) == ("C-US", "C-US")


def test_of_several_composites_the_home_market_decides_in_its_order():
    assert choose(LISTINGS, US).figi == "C-US"
    assert choose(LISTINGS, HomeMarkets(("LN", "GR", "US"))).figi == "C-GR"


def test_without_a_home_market_several_composites_are_for_a_person():
    found = choose(LISTINGS, NOWHERE)
    assert (found.figi, found.reason) == (None, "2 composites")
    found = choose(LISTINGS, HomeMarkets(("LN", "FP")))
    assert (found.figi, found.reason) == (None, "2 composites, none of them in LN or FP")


def test_the_only_composite_needs_no_home_market():
    assert choose(LISTINGS[:2], NOWHERE).figi == "C-US"


def test_several_share_classes_are_for_a_person_whatever_the_home_market():
    other = [replace(item, share_class="T", figi=f"T{item.figi}") for item in LISTINGS]
    found = choose([*LISTINGS, *other], US)
    assert (found.figi, found.reason) == (None, "2 share classes")


def test_rows_without_a_share_class_are_left_aside_where_the_others_agree():
    assert choose([*LISTINGS, row("X", None, None, "X1")], US).figi == "C-US"


def test_rows_without_any_composite_are_for_a_person():
    found = choose([row("A", None, None, "TRACE"), row("B", None, None, "LUX")], US)
    assert (found.figi, found.reason) == (None, "2 rows without a composite")


def test_venues_of_a_composite_whose_own_row_is_missing():
    assert choose([LISTINGS[1]], NOWHERE).figi == "V-UN"
    venues = [LISTINGS[1], row("V-UA", "C-US", "S", "UA")]
    assert choose(venues, US) == choose(venues, NOWHERE)
    assert choose(venues, US).reason == "2 venues, without the row of their composite"


def test_no_rows_are_no_choice():
    assert choose([], US).figi is None


def test_a_tree_has_share_classes_composites_and_venues():
    [share_class] = tree_of(LISTINGS)
    assert (share_class.figi, share_class.number_of_rows) == ("S", 4)
    assert [(item.figi, [row.figi for row in item.rows]) for item in share_class.composites] == [
        ("C-US", ["C-US", "V-UN"]),
        ("C-GR", ["C-GR", "V-GY"]),
    ]


@pytest.mark.parametrize(
    ("name", "share_class", "composite"),
    [
        ("mapping_isin_ibm_many", "BBG001S5S399", "BBG000BLNNH6"),
        ("mapping_ticker_ibm_common", "BBG001S5S399", "BBG000BLNNH6"),
    ],
)
def test_recorded_answers_with_many_rows(name, share_class, composite):
    """The one right composite with the home market, a person without it."""
    path = RECORDED / f"{name}.json"
    if not path.is_file():
        pytest.skip("the recorded answers (../shared/data/openfigi) are not here")
    [answer] = read_mapping(json.loads(path.read_text())["response"]["body"], 1)
    assert len(answer.rows) == 12
    assert {item.share_class for item in answer.rows} == {share_class}
    assert choose(answer.rows, US).figi == composite
    several = len({item.composite for item in answer.rows}) > 1
    assert (choose(answer.rows, NOWHERE).figi is None) == several


@pytest.mark.parametrize("number", range(1, 60))
def test_made_up_securities_have_one_home_composite(number):
    rows = [FigiRow(figi=r["figi"], composite=r["compositeFIGI"], share_class=r["shareClassFIGI"],
                    exchange_code=r["exchCode"]) for r in security(number)]  # fmt: skip
    chosen = choose(rows, HomeMarkets(("US", "GR")))
    assert chosen.figi in {item.composite for item in rows}
