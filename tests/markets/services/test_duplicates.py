"""Assets that may be one: which groups are found, why and how strong, in pages, and not again once decided."""

import csv
import string
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from markets.exceptions import InvalidInput, UnknownIdentifiers
from markets.models import Asset, Change, DistinctAssets
from markets.services import identifiers
from markets.services.assets import bulk_upsert_assets
from markets.services.duplicates import KINDS, decide_distinct, find_duplicates, forget_distinct
from markets.services.merging import merge_assets, undo_merge
from tests import factories
from tests.rest import population

pytestmark = pytest.mark.django_db
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
SHARE, HERE, THERE = "BBG001S5N8V8", "BBG000B9XRY4", "BBG000B9Y5X2"
PUNCTUATION = string.punctuation.replace("%", "") + " "
WHY = "Looked at both."


def make(identifier: str, *, asset_type: str = "equity", **details: Any) -> Asset:
    made = factories.asset(unique_identifier=identifier, asset_type=asset_type)
    factories.details(made, **{"figi": None, "ticker": None, **details})
    return made


def found(**options: Any) -> list[tuple[str, str, list[str]]]:
    """(reason, what is common, identifiers) of each group of the first page."""
    groups = find_duplicates(**options).groups
    return [(group.kind.reason, "|".join(group.key), [str(asset) for asset in group.assets]) for group in groups]


def test_the_strongest_reason_comes_first() -> None:
    figi = factories.figi()
    make("A", share_class=SHARE, composite=HERE, exchange_code="UQ")
    make("B", share_class=SHARE, composite=HERE, exchange_code="UQ", name="Acme, Inc.")
    make("C", share_class=SHARE, composite=THERE, exchange_code="GR", name="ACME INC")
    make("custom", figi=figi, isin="US0378331005")
    factories.asset(unique_identifier=figi, asset_type="equity")
    identifiers.add_identifier(make("other"), "isin", "US0378331005")
    identifiers.add_identifier(make("x1"), "cusip", "037833100")
    identifiers.add_identifier(make("x2"), "cusip", "037833100")
    make("n1", name="Widget Co")
    make("n2", name="WIDGET-CO.")
    make("n3", name="Widget Co", asset_type="bond")

    assert found() == [
        ("listing", f"{SHARE}|{HERE}|UQ", ["A", "B"]),
        ("figi", figi, sorted([figi, "custom"])),
        ("isin", "US0378331005", ["custom", "other"]),
        ("cusip", "037833100", ["x1", "x2"]),
        ("share_class", SHARE, ["A", "B", "C"]),
        ("name", "WIDGETCO|equity", ["n1", "n2"]),
    ]


def test_listings_in_different_countries_are_normal_and_come_last() -> None:
    make("A", share_class=SHARE, composite=HERE, isin="US0378331005", name="Acme")
    make("B", share_class=SHARE, composite=THERE, isin="US0378331005", name="Acme")
    (group,) = find_duplicates().groups
    assert (group.kind.reason, group.kind.strength) == ("listings", "normal")
    assert [kind.strength for kind in KINDS] == ["certain"] * 2 + ["likely"] * 3 + ["possible", "normal"]


def test_pages_have_each_group_once() -> None:
    for number in range(7):
        for name in "AB":
            make(f"{name}{number}", isin=f"US000000000{number}", name=f"Name {number}")
    wanted = [(kind, f"{number}") for kind in ("isin", "name") for number in range(7)]
    seen, after = [], None
    while True:
        page = find_duplicates(after=after, limit=3)
        seen += [(group.kind.reason, group.key[0][-1]) for group in page.groups]
        after = page.next
        if after is None:
            break
        assert len(page.groups) == 3
    assert seen == wanted
    assert [group.kind.reason for group in find_duplicates(reason="name").groups] == ["name"] * 7


def test_a_decision_is_remembered_for_its_pairs_only() -> None:
    for name in "ABC":
        make(name, isin="US0378331005")
    assert decide_distinct(["A", "B"], reason=WHY) == 1
    assert found() == [("isin", "US0378331005", ["A", "B", "C"])]
    assert decide_distinct(["A", "B", "C"], reason=WHY) == 2
    assert found() == []
    assert decide_distinct(["C", "A"], reason=WHY) == 0
    assert Change.objects.filter(table_name="markets_distinctassets", reason=WHY).count() == 3
    assert forget_distinct(["B", "C"], reason="Looked again.") == 1
    assert found() == [("isin", "US0378331005", ["A", "B", "C"])]


def test_a_merged_pair_is_gone_and_comes_back_when_the_merge_is_undone() -> None:
    first, second = make("A", isin="US0378331005"), make("B", isin="US0378331005")
    merge = merge_assets(second, first, reason=WHY)
    assert found() == []
    undo_merge(merge, reason="No.")
    assert found() == [("isin", "US0378331005", ["A", "B"])]


def test_bad_input_is_refused() -> None:
    make("A")
    for options in (
        {"reason": "colour"},
        {"limit": 0},
        {"limit": 101},
        {"limit": True},
        {"after": []},
        {"after": ["isin"]},
        {"after": ["colour", "x"]},
        {"after": ["isin", "a\x00b"]},
        {"after": ["isin", "x"], "reason": "name"},
    ):
        with pytest.raises(InvalidInput):
            find_duplicates(**options)
    for assets in (["A"], [], ["A", "A"]):
        with pytest.raises(InvalidInput, match="a decision is about 2 to 20"):
            decide_distinct(assets, reason=WHY)
    with pytest.raises(UnknownIdentifiers):
        decide_distinct(["A", "nobody"], reason=WHY)
    with pytest.raises(InvalidInput):
        decide_distinct(["A", factories.asset()], reason=" ")
    assert not DistinctAssets.objects.exists()


def test_real_listings_have_these_duplicates() -> None:
    files = sorted(DATA.glob("financedatabase_equities_*.csv"))
    if not files:
        pytest.skip(f"the listings of FinanceDatabase are not in {DATA}")
    rows = [row for file in files for row in csv.DictReader(file.open(newline="", encoding="utf-8"))]
    bulk_upsert_assets(
        [
            {
                "unique_identifier": row["symbol"],
                "asset_type": "equity",
                "figi": row["figi"] or None,
                "composite": row["composite_figi"] or None,
                "share_class": row["shareclass_figi"] or None,
                "isin": row["isin"] or None,
                "name": row["name"].strip() or None,
                "exchange_code": row["exchange"],
            }
            for row in rows
        ]
    )
    identifiers.record_identifiers(
        [
            identifiers.identifier_row(row["symbol"], "cusip", row["cusip"])
            for row in rows
            if row["cusip"] == "37229T509"
        ],
        source="financedatabase",
    )
    by_name: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        folded = "".join(letter for letter in row["name"].strip() if letter not in PUNCTUATION).upper()
        if folded:
            by_name[folded].append((row["symbol"], row["composite_figi"] or row["exchange"]))
    wanted = {
        name: sorted(symbol for symbol, _ in members)
        for name, members in by_name.items()
        if len(members) > len({market for _, market in members})
    }

    assert {tuple(names) for *_, names in found(reason="listing")} == {
        *(("AGE", "SER"), ("AGIG", "HUSA"), ("NBY", "SDEV"), ("RMED", "VTAK")),
    }
    assert found(reason="share_class") == [("share_class", "BBG001T57RF1", ["GNUS", "TOON"])]
    assert found(reason="cusip") == [("cusip", "37229T509", ["GNUS", "TOON"])]
    assert found(reason="isin") == found(reason="figi") == found(reason="listings") == []
    names: dict[str, list[str]] = {}
    after = None
    while True:
        page = find_duplicates(reason="name", after=after, limit=100)
        names |= {group.key[0]: sorted(map(str, group.assets)) for group in page.groups}
        after = page.next
        if after is None:
            break
    assert names == wanted
    assert len(names) > 100


def test_a_page_of_many_groups_reads_a_part_of_the_details() -> None:
    """The walk over an index ends with the page: of 20,000 assets in pairs it reads some hundreds."""
    population.assets(20_000)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE markets_openfigidetails SET share_class = 'BBS' || lpad((asset_id / 2)::text, 9, '0'), "
            "composite = 'BBC' || lpad((asset_id / 2)::text, 9, '0')"
        )
        cursor.execute("ANALYZE markets_openfigidetails")
    page = find_duplicates(reason="listing", limit=100)
    assert [group.count for group in page.groups] == [2] * 100
    assert page.next is not None
    assert find_duplicates(reason="listing", limit=100, after=page.next).groups[0].key > page.groups[-1].key
