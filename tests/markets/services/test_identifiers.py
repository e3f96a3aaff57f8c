"""Identifiers with history: written, renamed, reused, and resolved as of any day."""

import csv
import datetime as dt
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction

from markets.engine.identifier_schemes import IdentifierKey
from markets.engine.ticker_maps import read_ticker_map
from markets.exceptions import Conflict, InvalidInput, UnknownIdentifiers
from markets.models import Asset, AssetIdentifier, Change
from markets.services.assets import set_openfigi_details, upsert_asset
from markets.services.identifier_changes import change_identifier, close_identifier
from markets.services.identifier_resolution import DETAILS, Outcome, resolve, resolve_many
from markets.services.identifiers import add_identifier, identifier_row, record_identifiers

MAP_FILE = Path(__file__).resolve().parents[4] / "shared" / "data" / "lean_map_files.csv"
D = dt.date

pytestmark = pytest.mark.django_db


def asset(name: str) -> Asset:
    return upsert_asset(unique_identifier=name).row


def stored() -> list[tuple]:
    rows = AssetIdentifier.objects.order_by("asset__unique_identifier", "scheme", "value", "venue", "valid_from")
    return list(rows.values_list("asset__unique_identifier", "scheme", "value", "venue", "valid_from", "valid_to"))


def test_an_identifier_is_written_once_and_its_change_is_recorded():
    apple = asset("APPLE")
    first = add_identifier(apple, "isin", "us0378331005", source="paste", evidence={"row": 7})
    assert add_identifier(apple, "isin", "US0378331005", source="file").pk == first.pk
    assert stored() == [("APPLE", "isin", "US0378331005", "", None, None)]
    assert (first.source, first.evidence) == ("paste", {"row": 7})
    [change] = Change.objects.filter(table_name="markets_assetidentifier")
    assert (change.row_name, change.owner_uid) == ("APPLE isin US0378331005", apple.uid)
    assert "key_hash" not in change.new


def test_a_ticker_names_one_asset_at_a_time_at_its_venue():
    old, new = asset("OLD"), asset("NEW")
    add_identifier(old, "ticker", "UW", venue="XNYS", valid_from=D(1998, 1, 2), valid_to=D(2001, 1, 1))
    with pytest.raises(Conflict) as caught:
        add_identifier(new, "ticker", "UW", venue="XNYS", valid_from=D(2000, 12, 31))
    assert str(caught.value) == (
        "Ticker UW of NEW (from 2000-12-31) overlaps that of OLD (from 1998-01-02 to before 2001-01-01). Close the "
        "stored one first, or correct the dates. Nothing was written."
    )
    assert len(stored()) == 1
    add_identifier(new, "ticker", "UW", venue="XNYS", valid_from=D(2001, 1, 1))
    add_identifier(new, "ticker", "UW", venue="XNAS", valid_from=D(1999, 1, 1))
    assert len(stored()) == 3


def test_an_isin_may_name_several_listings_but_none_twice():
    first, second = asset("A"), asset("B")
    add_identifier(first, "isin", "US0378331005")
    add_identifier(second, "isin", "US0378331005")
    with pytest.raises(Conflict, match="overlaps that of A"):
        add_identifier(first, "isin", "US0378331005", valid_from=D(2020, 1, 1))
    assert len(stored()) == 2


@pytest.mark.parametrize(
    ("scheme", "value", "venue", "spell", "name"),
    [
        ("ticker", "UW", "XNYS", "'2000-01-01', NULL", "one_asset"),
        ("isin", "US0378331005", "XNYS", "NULL, NULL", "venue"),
        ("ISIN", "US0378331005", "", "NULL, NULL", "scheme"),
        ("isin", " ", "", "NULL, NULL", "value_not_blank"),
        ("cusip", "X", "", "'2000-01-01', '2000-01-01'", "begins_before_end"),
    ],
)
def test_the_database_itself_refuses(scheme, value, venue, spell, name):
    add_identifier(asset("A"), "ticker", "UW", venue="XNYS")
    statement = (
        "INSERT INTO markets_assetidentifier (uid, created_at, updated_at, asset_id, scheme, value, venue, source, "
        f"valid_from, valid_to) VALUES (gen_random_uuid(), now(), now(), %s, %s, %s, %s, '', {spell})"
    )
    with (
        pytest.raises(IntegrityError, match=f"markets_assetidentifier_{name}"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement, [asset("B").pk, scheme, value, venue])
    assert len(stored()) == 1


def test_many_are_written_all_or_none():
    asset("A"), asset("B")
    rows = [identifier_row("A", "cusip", "037833100"), identifier_row("B", "sedol", "B0WNLY7")]
    assert record_identifiers(rows, source="file") == 2
    assert record_identifiers([*rows, identifier_row("A", "figi", "BBG000B9XRY4")], source="file") == 1
    with pytest.raises(UnknownIdentifiers, match="NOBODY, NOWHERE"):
        record_identifiers(
            [identifier_row("A", "isin", "US0378331005")]
            + [identifier_row(name, "isin", "US0378331005") for name in ("NOBODY", "NOWHERE")],
            source="file",
        )
    with pytest.raises(Conflict, match=r"that of A \(from 2020-01-01\) among the same rows"):
        record_identifiers(
            [identifier_row(name, "ticker", "X", valid_from=D(2020, 1, 1)) for name in ("A", "B")], source="file"
        )
    assert len(stored()) == 3


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"valid_from": "2020-13-01"}, "valid_from"),
        ({"valid_from": D(2020, 1, 2), "valid_to": D(2020, 1, 2)}, "valid_to"),
        ({"valid_to": 5}, "valid_to"),
        ({"valid_to": D(1, 1, 1)}, "valid_to"),
        ({"asset_identifier": "A\x00"}, "asset_identifier"),
    ],
)
def test_rows_are_checked_before_anything_is_written(fields, field):
    with pytest.raises(InvalidInput) as caught:
        identifier_row(**({"asset_identifier": "A", "scheme": "ticker", "value": "X"} | fields))
    assert caught.value.field == field


def test_a_rename_ends_one_ticker_and_begins_the_other_on_the_same_day():
    meta = asset("META")
    add_identifier(meta, "ticker", "FB", venue="XNAS", valid_from=D(2012, 5, 18))
    change_identifier(meta, "ticker", "META", venue="XNAS", effective=D(2022, 6, 9), source="exchange notice")
    assert resolve("ticker", "FB", D(2022, 6, 8), venue="XNAS").asset_identifier == "META"
    assert resolve("ticker", "FB", D(2022, 6, 9), venue="XNAS").outcome == Outcome.NOT_FOUND
    assert resolve("ticker", "META", D(2022, 6, 8)).outcome == Outcome.NOT_FOUND
    assert resolve("ticker", "META", D(2022, 6, 9)).asset_identifier == "META"
    with pytest.raises(Conflict, match="has ticker META@XNAS from 2022-06-09 on, which is not before 2021-01-01"):
        change_identifier(meta, "ticker", "MVRS", venue="XNAS", effective=D(2021, 1, 1))
    assert len(stored()) == 2


def test_a_delisting_ends_an_identifier():
    row = add_identifier(asset("A"), "ticker", "TWX", venue="XNYS", valid_from=D(2003, 10, 16))
    close_identifier(row, valid_to=D(2018, 6, 16))
    assert stored()[0][-2:] == (D(2003, 10, 16), D(2018, 6, 16))
    with pytest.raises(InvalidInput, match="is not after valid_from=2003-10-16"):
        close_identifier(row, valid_to=D(2003, 10, 16))


def test_a_time_is_resolved_to_the_intervals_that_hold_in_it_with_the_gaps():
    first, second = asset("FIRST"), asset("SECOND")
    add_identifier(first, "ticker", "X", venue="XNYS", valid_from=D(2000, 1, 1), valid_to=D(2001, 1, 1))
    add_identifier(second, "ticker", "X", venue="XNYS", valid_from=D(2001, 2, 1))
    found = resolve("ticker", "X", (D(2000, 6, 1), D(2001, 6, 1)), venue="XNYS")
    assert found.outcome == Outcome.PARTIAL
    assert [(item.asset_identifier, item.valid_from, item.valid_to) for item in found.intervals] == [
        ("FIRST", D(2000, 1, 1), D(2001, 1, 1)),
        ("SECOND", D(2001, 2, 1), None),
    ]
    assert found.gaps == ((D(2001, 1, 1), D(2001, 1, 31)),)
    assert found.asset_identifier is None
    assert resolve("ticker", "X", (D(2000, 1, 1), D(2000, 12, 31))).asset_identifier == "FIRST"
    assert resolve("ticker", "X", D(1999, 12, 31)).gaps == ((D(1999, 12, 31), D(1999, 12, 31)),)


def test_two_venues_are_ambiguous_without_a_venue():
    add_identifier(asset("A"), "ticker", "X", venue="XNYS")
    add_identifier(asset("B"), "ticker", "X", venue="XLON")
    assert resolve("ticker", "X").outcome == Outcome.AMBIGUOUS
    assert resolve("ticker", "X").asset_identifier is None
    assert resolve("ticker", "X", venue="XLON").asset_identifier == "B"
    assert resolve("ticker", "X", venue="XPAR").outcome == Outcome.NOT_FOUND


def test_what_openfigi_says_of_an_asset_resolves_too_unless_a_dated_row_says_more():
    apple = asset("BBG000B9XRY4")
    set_openfigi_details(apple, figi="BBG000B9XRY4", share_class="BBG001S5N8V8", isin="US0378331005")
    found = resolve("share_class_figi", "BBG001S5N8V8")
    assert (found.outcome, found.asset_identifier) == (Outcome.FOUND, "BBG000B9XRY4")
    assert (found.intervals[0].source, found.intervals[0].asset_uid) == (DETAILS, str(apple.uid))
    add_identifier(apple, "isin", "US0378331005", valid_from=D(1980, 12, 12), source="prospectus")
    assert [item.source for item in resolve("isin", "US0378331005").intervals] == ["prospectus"]
    assert resolve("isin", "US0378331005", D(1980, 12, 11)).outcome == Outcome.NOT_FOUND


def test_many_are_resolved_in_two_queries(django_assert_num_queries):
    asset("A")
    record_identifiers([identifier_row("A", "cusip", "037833100")], source="file")
    keys = [IdentifierKey("cusip", "037833100"), IdentifierKey("figi", "BBG000B9XRY4")] * 200
    with django_assert_num_queries(2):
        found = resolve_many(keys)
    assert [item.outcome for item in found] == [Outcome.FOUND, Outcome.NOT_FOUND] * 200
    assert [item.key for item in found] == keys


@pytest.mark.parametrize(
    "as_of", ["2020-01-01", dt.datetime(2020, 1, 1, tzinfo=dt.UTC), (D(2020, 1, 2), D(2020, 1, 1)), (D(2020, 1, 1),), 5]
)
def test_as_of_is_a_day_or_two(as_of):
    with pytest.raises(InvalidInput) as caught:
        resolve("ticker", "X", as_of)
    assert caught.value.field == "as_of"


def test_the_map_files_of_lean_to_the_day():
    """Every security of the file; renames (UW → WMI → WM) and reuse (GOOG of two share classes) to the day."""
    if not MAP_FILE.is_file():
        pytest.skip("the map files (../shared/data/lean_map_files.csv) are not here")
    with MAP_FILE.open() as file:
        spells = read_ticker_map(file)
    for name in dict.fromkeys(spell.security for spell in spells):
        asset(name)
    rows = [
        identifier_row(
            spell.security,
            "ticker",
            spell.ticker,
            venue=spell.venue,
            valid_from=spell.valid_from,
            valid_to=spell.valid_to,
        )
        for spell in spells
    ]
    assert record_identifiers(rows, source="lean") == len(rows) == 40
    asked = [
        ("UW", "XNYS", D(1998, 7, 16), "WM"),
        ("UW", "XNYS", D(1998, 7, 17), None),
        ("WMI", "XNYS", D(1998, 7, 17), "WM"),
        ("WMI", "XNYS", D(2009, 8, 4), "WM"),
        ("WM", "XNYS", D(2009, 8, 5), "WM"),
        ("GOOG", "XNAS", D(2014, 4, 2), "GOOGL"),
        ("GOOG", "XNAS", D(2014, 4, 3), "GOOG"),
        ("GOOCV", "XNAS", D(2014, 4, 2), "GOOG"),
        ("GOOGL", "XNAS", D(2014, 4, 2), None),
        ("GOOGL", "XNAS", D(2014, 4, 3), "GOOGL"),
        ("QQQ", "XNAS", D(2004, 11, 30), "QQQ"),
        ("QQQ", "XNAS", D(2004, 12, 1), None),
        ("QQQQ", "XNAS", D(2011, 3, 22), "QQQ"),
        ("TWX", "XNYS", D(2018, 6, 15), "TWX"),
        ("TWX", "XNYS", D(2018, 6, 16), None),
        ("AOL", "XNYS", D(2003, 10, 15), "TWX"),
    ]
    assert [(ticker, venue, day, resolve("ticker", ticker, day, venue=venue).asset_identifier)
            for ticker, venue, day, _ in asked] == asked  # fmt: skip
    with MAP_FILE.open() as file:  # and every day that the file itself names
        for row in csv.DictReader(file):
            day = dt.datetime.strptime(row["date"], "%Y%m%d").date()  # noqa: DTZ007
            found = resolve("ticker", row["mapped_symbol"], day)
            assert row["symbol_file"].upper() in {item.asset_identifier for item in found.intervals}
