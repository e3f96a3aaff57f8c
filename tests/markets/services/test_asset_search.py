"""The one search of assets: what each kind of match finds, bounds, and texts that mean harm."""

from typing import Any

import pytest

from markets.models import Asset
from markets.services import asset_search
from markets.services.asset_search import find_assets, matching_assets
from tests import factories
from tests.rest import population

pytestmark = pytest.mark.django_db


@pytest.fixture
def known() -> None:
    apple = factories.asset(unique_identifier="BBG000B9XRY4", asset_type="equity")
    factories.details(
        apple,
        figi="BBG000B9XRY4",
        composite="BBG000B9Y5X2",
        share_class="BBG001S5N8V8",
        isin="US0378331005",
        ticker="AAPL",
        name="APPLE INC",
    )
    machines = factories.asset(unique_identifier="custom-ibm", asset_type="fund")
    factories.details(machines, figi=None, ticker="IBM", name="Intl. Business Machines Corp")
    factories.details(factories.asset(unique_identifier="O'Neil_50%"), figi=None, ticker="o'n", name="O'Neil & Söhne A")
    factories.asset(unique_identifier="bare")


def found(text: str, **filters: Any) -> list[str]:
    rows = Asset.objects.filter(**filters) if filters else Asset.objects.all()
    return sorted(matching_assets(rows, text).values_list("unique_identifier", flat=True))


APPLE, MACHINES, NEIL = "BBG000B9XRY4", "custom-ibm", "O'Neil_50%"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("bbg000b9", [APPLE]),
        ("CUSTOM", [MACHINES]),
        ("aap", [APPLE]),
        ("O'N", [NEIL]),
        ("apple", [APPLE]),
        (" Apple  ", [APPLE]),
        ("BBG000B9Y5X2", [APPLE]),
        ("bbg001s5n8v8", [APPLE]),
        ("us0378331005", [APPLE]),
        ("US03783310", []),
        ("machines", [MACHINES]),
        ("mach busi", [MACHINES]),
        ("corp", [MACHINES]),
        ("ma", []),
        ("a söh", [NEIL]),
        ("SÖHNE", [NEIL]),
        ("usiness", []),
        ("o'neil_5", [NEIL]),
        ("o'neil_50%", [NEIL]),
        ("%", []),
        ("_", []),
        ("b", [APPLE, "bare"]),
        ("nothing", []),
    ],
)
def test_what_is_found(text: str, names: list[str], known: None) -> None:
    assert found(text) == sorted(names)


def test_no_text_leaves_the_rows_as_they_are(known: None) -> None:
    for text in ("", "  ", "\x00", " \x00 "):
        assert len(found(text)) == 4


@pytest.mark.parametrize(
    "text",
    [
        *(
            "'",
            "''",
            "' apple'",
            "\\",
            "a\\",
            "\\'",
            "&",
            "|",
            "!",
            "(",
            ":*",
            "a:*b",
            "a & b",
            "!apple",
            "<->",
            "a <2> b",
        ),
        *(
            "*",
            "%%",
            "\ud800",
            "x" * 100_000,
            "x " * 10_000,
            "ß",
            "İ",
            "\u202e",
            "😀",
            "'; DROP TABLE markets_asset; --",
        ),
    ],
)
def test_hostile_texts_find_nothing_wrong(text: str, known: None) -> None:
    assert set(found(text)) <= {APPLE, MACHINES, NEIL, "bare"}
    assert Asset.objects.count() == 4


def test_words_are_sought_beside_what_is_no_word(known: None) -> None:
    assert found("& business '") == found("machines : corp") == [MACHINES]


def test_each_kind_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asset_search, "MOST_MATCHES", 20)
    population.assets(100)
    everything = find_assets(Asset.objects.all(), "a")
    assert (len(everything.ids) < 100, everything.is_whole) == (True, False)
    both = find_assets(Asset.objects.filter(unique_identifier__lt="A0000020"), "a")
    assert both.is_whole, "the kinds are bounded one by one"
    few = find_assets(Asset.objects.all(), "a000001")
    assert (len(few.ids), few.is_whole) == (10, True)
    assert few.ids == list(
        Asset.objects.filter(unique_identifier__startswith="A000001").order_by("pk").values_list("pk", flat=True)
    )


def test_the_bound_is_of_the_rows_that_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asset_search, "MOST_MATCHES", 20)
    population.assets(2_000)
    assert found("a", asset_type="rare") == ["A0001000", "A0002000"]
    assert found("machines", asset_type="rare") == ["A0001000", "A0002000"]
    assert found("machines", unique_identifier="A0000007") == ["A0000007"]


def test_one_query_whatever_is_found(django_assert_num_queries: Any, known: None) -> None:
    for text in ("a", "apple inc", "US0378331005", "nothing"):
        with django_assert_num_queries(1):
            find_assets(Asset.objects.all(), text)
