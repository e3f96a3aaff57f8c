"""Universes at a point in time: spells are written as they were, and membership is read as of any instant."""

import csv
import datetime as dt
import json
import uuid
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from markets.exceptions import InvalidInput, UnknownIdentifiers
from markets.models import Asset, AssetCategory, AssetCategoryMembership
from markets.services import categories, universes
from tests import factories

pytestmark = pytest.mark.django_db
UTC = dt.UTC
SP500 = Path(__file__).resolve().parents[4] / "shared" / "data" / "sp500_ticker_start_end.csv"


def named(*names: str) -> list[Asset]:
    return [factories.asset(unique_identifier=name) for name in names]


def members(category: AssetCategory, as_of: Any = None) -> list[str]:
    return [row.unique_identifier for row in categories.members_of(category, as_of=as_of)]


def spells(category: AssetCategory) -> list[tuple[str, str, str | None]]:
    rows = category.memberships.select_related("asset").order_by("asset__unique_identifier", "valid_from")
    return [
        (row.asset.unique_identifier, f"{row.valid_from:%Y-%m-%d}", row.valid_to and f"{row.valid_to:%Y-%m-%d}")
        for row in rows
    ]


# --- the verbs -------------------------------------------------------------------------------------------------------
def test_the_verbs_begin_and_end_spells_from_now_on() -> None:
    one, two, three = named("one", "two", "three")
    category = factories.category()
    moments = []
    for wanted in ([one, two], [two, three], [one]):
        categories.replace_members(category, wanted)
        moments.append(AssetCategoryMembership.objects.latest("valid_from").valid_from)
    assert [members(category, moment) for moment in moments] == [["one", "two"], ["three", "two"], ["one"]]
    assert members(category, moments[0] - dt.timedelta(microseconds=1)) == []
    assert members(category) == members(category, moments[2]) == ["one"]
    assert category.memberships.count() == 4
    assert category.memberships.filter(asset=one).count() == 2


def test_an_announced_spell_begins_when_its_asset_is_added_and_is_withdrawn_when_it_is_removed() -> None:
    one, two, three = named("one", "two", "three")
    category = factories.category()
    announced = [(one, "2150-01-01", "2160-01-01"), (two, "2150-01-01", None), (three, "2150-01-01", None)]
    universes.register_spells(category, announced)
    assert (members(category), members(category, "2155-01-01")) == ([], ["one", "three", "two"])
    assert categories.append_members(category, [one]).added == 1
    assert categories.remove_members(category, [two]).removed == 0
    assert (members(category), members(category, "2155-01-01")) == (["one"], ["one", "three"])
    assert members(category, "2165-01-01") == ["three"]
    assert categories.replace_members(category, [one]).kept == 1
    assert members(category, "2165-01-01") == []


def test_a_spell_that_ends_when_it_begins_is_not_kept() -> None:
    (one,) = named("one")
    category = factories.category()
    moment = dt.datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(IntegrityError, match="begins_before_end"), transaction.atomic():
        AssetCategoryMembership.objects.create(category=category, asset=one, valid_from=moment, valid_to=moment)
    change = universes.register_spells(category, [(one, "2020-01-01", "2020-01-01")])
    assert (change, spells(category)) == (universes.SpellChange(), [])


def test_the_database_refuses_overlaps_of_one_asset_in_one_category() -> None:
    one, two = named("one", "two")
    category, other = factories.category(), factories.category()

    def spell(owner: AssetCategory, asset: Asset, start: int, end: int | None) -> None:
        with transaction.atomic():
            AssetCategoryMembership.objects.create(
                category=owner,
                asset=asset,
                valid_from=dt.datetime(start, 1, 1, tzinfo=UTC),
                valid_to=end and dt.datetime(end, 1, 1, tzinfo=UTC),
            )

    spell(category, one, 2010, 2015)
    spell(category, one, 2015, None)
    spell(category, two, 2010, 2015)
    spell(other, one, 2010, 2015)
    for start, end in ((2014, 2016), (2016, None), (2009, 2011), (2011, 2012), (2000, None)):
        with pytest.raises(IntegrityError, match="markets_assetcategorymembership_no_overlap"):
            spell(category, one, start, end)
    assert AssetCategoryMembership.objects.count() == 4


# --- spells ----------------------------------------------------------------------------------------------------------
def test_spells_replace_those_of_the_named_assets_only() -> None:
    one, two, three = named("one", "two", "three")
    category = factories.category()
    first = universes.register_spells(
        category, [("one", "2010-01-01", "2012-01-01"), (one.uid, "2014-01-01", None), (two, "2011-01-01", None)]
    )
    assert first == universes.SpellChange(added=3)
    stamp = category.updated_at
    again = universes.register_spells(
        category, [(str(one.uid), dt.date(2014, 1, 1), None), (one.pk, dt.date(2010, 1, 1), "2012-01-01T00:00:00Z")]
    )
    assert (again, category.updated_at) == (universes.SpellChange(kept=2), stamp)
    kept = category.memberships.get(asset=one, valid_to=None).uid
    change = universes.register_spells(
        category, [(one, "2014-01-01", "2015-01-01"), (one, "2016-01-01", None), (three, "2013-01-01", None)]
    )
    assert change == universes.SpellChange(added=2, changed=1, removed=1)
    assert spells(category) == [
        ("one", "2014-01-01", "2015-01-01"),
        ("one", "2016-01-01", None),
        ("three", "2013-01-01", None),
        ("two", "2011-01-01", None),
    ]
    assert category.memberships.filter(uid=kept, asset=one).exists()
    assert category.updated_at > stamp


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([("one", "2010-01-01", "2012-01-01"), ("one", "2011-12-31", None)], "1 spell of one asset overlap"),
        ([("one", "2010-01-01", None), ("one", "2011-12-31", None)], "1 spell of one asset overlap"),
        ([("one", "2010-01-01", None), ("one", "2010-01-01", None)], "1 spell of one asset overlap"),
        ([("one", "2012-01-01", "2010-01-01")], r"spells\[0\] ends .* before it begins"),
        ([("one", "2012-01-01T00:00:00", None)], "has no time zone"),
        ([("one", dt.datetime(2012, 1, 1), None)], "has no time zone"),  # noqa: DTZ001
        ([("one", "junk", None)], r"spells\[0\]\.valid_from='junk' is neither a date nor a time"),
        ([("one", None, None)], "must be a date"),
        ([("one", "2300-01-01", None)], "between 1900-01-01 and 2199-12-31"),
        ([("one", dt.datetime(2300, 1, 1, tzinfo=UTC), None)], "between 1900-01-01 and 2199-12-31"),
        ([("one", "2012-01-01")], r"spells\[0\] must be \(asset, valid_from, valid_to\)"),
        (["one"], r"spells\[0\] must be"),
        ([(None, "2012-01-01", None)], r"assets\[0\] is neither"),
        ([("two", "2012-01-01", None), ("nobody", "2012-01-01", None)], "nobody"),
    ],
)
def test_wrong_spells_change_nothing(bad: Any, message: str) -> None:
    named("one", "two")
    category = factories.category()
    universes.register_spells(category, [("one", "2000-01-01", None)])
    with pytest.raises(InvalidInput, match=message):
        universes.register_spells(category, bad)
    assert spells(category) == [("one", "2000-01-01", None)]


def test_unknown_assets_are_all_named() -> None:
    unknown = uuid.uuid4()
    with pytest.raises(UnknownIdentifiers) as refused:
        universes.register_spells(factories.category(), [("x", "2012-01-01", None), (unknown, "2012-01-01", None)])
    assert refused.value.identifiers == sorted(["x", str(unknown)])


# --- the command -----------------------------------------------------------------------------------------------------
FILE = """ticker,start_date,end_date
AA,2010-01-04,2012-01-03
AA,2015-01-02,
BB,2011-01-03,
ZZ,2010-01-04,2014-01-02
ZZ,2014-01-02,
"""


def load(*arguments: str) -> str:
    out = StringIO()
    call_command("register_universe", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "universe.csv"
    path.write_text(FILE)
    return path


def test_unknown_tickers_are_listed_and_nothing_is_written(file: Path) -> None:
    named("AA", "BB")
    out = StringIO()
    with pytest.raises(CommandError, match=r"^1 unknown name: nothing was written\. Register those assets first"):
        call_command("register_universe", "mine", str(file), stdout=out)
    assert out.getvalue() == (
        "unknown: ZZ (lines 5, 6)\nmine: 5 spells read, 2 assets known, 1 names unknown; nothing written\n"
    )
    assert not AssetCategory.objects.exists()


def test_the_rest_is_loaded_when_told_and_again_changes_nothing(file: Path) -> None:
    named("AA")
    factories.details(factories.asset(unique_identifier="BBG000000001"), ticker="BB")
    begin = "unknown: ZZ (lines 5, 6)\nmine: 5 spells read, 2 assets known, 1 names unknown; "
    counts = "3 added, 0 changed, 0 removed, 0 kept; 2 members now"
    assert load("mine", str(file), "--skip-unknown", "--dry-run") == f"{begin}{counts}; dry run, nothing written\n"
    assert not AssetCategory.objects.exists()
    assert load("mine", str(file), "--skip-unknown") == f"{begin}{counts}\n"
    category = AssetCategory.objects.get(unique_identifier="mine")
    assert spells(category) == [
        ("AA", "2010-01-04", "2012-01-03"),
        ("AA", "2015-01-02", None),
        ("BBG000000001", "2011-01-03", None),
    ]
    before = list(category.memberships.order_by("pk").values())
    body = json.loads(load("mine", str(file), "--skip-unknown", "--json"))
    assert body == {
        "category": "mine",
        "uid": str(category.uid),
        "created": False,
        "written": True,
        "rows": 5,
        "assets": 2,
        "empty": 0,
        "unknown": [{"name": "ZZ", "lines": [5, 6]}],
        "added": 0,
        "changed": 0,
        "removed": 0,
        "kept": 3,
        "members_now": 2,
        "ignored_columns": [],
    }
    assert list(category.memberships.order_by("pk").values()) == before
    assert AssetCategory.objects.get().updated_at == category.updated_at


def test_a_dry_run_on_a_loaded_category_writes_nothing(file: Path) -> None:
    named("AA", "BB", "ZZ")
    load("mine", str(file))
    category = AssetCategory.objects.get()
    categories.remove_members(category, ["ZZ"])
    before = list(category.memberships.order_by("pk").values())
    assert "0 added, 1 changed, 0 removed, 4 kept; 3 members now; dry run" in load("mine", str(file), "--dry-run")
    assert list(category.memberships.order_by("pk").values()) == before
    assert members(category) == ["AA", "BB"]


def test_an_ambiguous_ticker_is_refused_with_its_assets(file: Path) -> None:
    named("AA", "BB", "ZZ")
    for name in ("LISTING-1", "LISTING-2"):
        factories.details(factories.asset(unique_identifier=name), ticker="BB")
    with pytest.raises(InvalidInput, match=r"1 ticker name several assets: BB \(BB, LISTING-1, LISTING-2\)\."):
        load("mine", str(file), "--skip-unknown")
    assert not AssetCategory.objects.exists()


@pytest.mark.parametrize("column", ["identifier", "asset_identifier", "unique_identifier", "figi"])
def test_parquet_by_identifier_with_dates_and_other_columns(column: str, tmp_path: Path) -> None:
    named("AA", "BB")
    path = tmp_path / "universe.parquet"
    table = pa.table(
        {
            column: ["AA", "BB"],
            "start_date": pa.array([dt.date(2010, 1, 4), dt.date(2011, 1, 3)]),
            "end_date": pa.array([dt.datetime(2012, 1, 3), None], pa.timestamp("ns")),  # noqa: DTZ001
            "note": ["x", "y"],
        }
    )
    pq.write_table(table, path)
    assert load("mine", str(path)).startswith("ignored columns: note\nmine: 2 spells read, 2 assets known, 0 names")
    assert spells(AssetCategory.objects.get()) == [("AA", "2010-01-04", "2012-01-03"), ("BB", "2011-01-03", None)]


HEADER = "ticker,start_date,end_date\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column ticker, start_date, end_date"),
        (HEADER, "has a header and no rows"),
        ("ticker,start_date\nAA,2010-01-01\n", "lacks the column end_date"),
        ("symbol,start_date,end_date\nAA,2010-01-01,\n", r"lacks the column ticker\. It has symbol, start_date"),
        ("ticker,figi,start_date,end_date\nAA,AA,2010-01-01,\n", "names assets by ticker and by figi: keep one"),
        ("ticker,start_date,start_date,end_date\n", "has the column start_date twice"),
        (f"{HEADER}AA,2010-01-01\n,,\n", "2 wrong rows: line 2: 2 cells under 3 columns; line 3: no asset is named"),
        (f"{HEADER}AA,,\n", "line 2: start_date is empty"),
        (f"{HEADER}AA,04/01/2010,\n", "start_date '04/01/2010' is no date such as 2026-01-31"),
        (f"{HEADER}AA,2010-01-04T00:00:00Z,\n", "is no date such as"),
        (f"{HEADER}AA,2010-01-04,NaT\n", "end_date 'NaT' is no date"),
        (f"{HEADER}AA,2010-01-04,2009-01-01\n", "end_date 2009-01-01 is before start_date 2010-01-04"),
        (f"{HEADER}AA,1800-01-01,\n", "must lie between 1900-01-01 and 2199-12-31"),
        (f"{HEADER}AA,2010-01-04,\nAA,2011-01-04,\n", "line 2: AA from .* to open and line 3: AA from 2011-01-04"),
        (f"{HEADER}A\x00A,2010-01-04,\n", "ticker holds a NUL character"),
        (f'{HEADER}"AA,2010-01-04,\n', "cannot be read"),
    ],
)
def test_wrong_files_are_refused_by_line_and_nothing_is_written(text: str, message: str, tmp_path: Path) -> None:
    named("AA")
    path = tmp_path / "universe.csv"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        load("mine", str(path), "--skip-unknown")
    assert not AssetCategory.objects.exists()


def test_files_that_are_none(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 but not really")
    latin = tmp_path / "latin.csv"
    latin.write_bytes(HEADER.encode() + "Ä,2010-01-01,\n".encode("latin-1"))
    text = tmp_path / "universe.txt"
    text.write_text(HEADER)
    for path, message in (
        (tmp_path / "missing.csv", "does not exist"),
        (tmp_path, "is a directory"),
        (broken, "cannot be read"),
        (latin, "is not UTF-8 text"),
        (text, "is neither .csv, .csv.gz nor .parquet"),
    ):
        with pytest.raises(InvalidInput, match=message):
            load("mine", str(path))
    with pytest.raises(InvalidInput, match="category must not be blank"):
        load(" ", str(text))


# --- the real file ---------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not SP500.exists(), reason="the shared data set sp500_ticker_start_end.csv is not here")
def test_the_sp_500_as_of_any_date_equals_a_recount_of_the_file() -> None:
    with SP500.open() as stream:
        rows = list(csv.DictReader(stream))
    Asset.objects.bulk_create(Asset(unique_identifier=name) for name in {row["ticker"] for row in rows})
    body = json.loads(load("sp500", str(SP500), "--json"))
    assert (body["rows"], body["assets"], body["added"], body["unknown"]) == (1230, 1181, 1230, [])
    assert body["members_now"] == 503
    category = AssetCategory.objects.get(unique_identifier="sp500")
    assert len(categories.members_of(category)) == 503
    sizes = {"1996-01-02": 487, "2000-01-03": 491, "2010-06-30": 499, "2020-01-02": 505, "2024-09-23": 503}
    for day in [*sizes, "1996-01-01", "1997-01-15", "2015-03-22", "2015-03-23", "2017-06-18", "2017-06-19"]:
        recount = sorted(
            row["ticker"] for row in rows if row["start_date"] <= day and (not row["end_date"] or day < row["end_date"])
        )
        assert members(category, day) == recount, day
        assert len(recount) == sizes.get(day, len(recount))
    assert "AAL" not in members(category, "2014-01-02")
    again = json.loads(load("sp500", str(SP500), "--json"))
    assert (again["added"], again["changed"], again["removed"], again["kept"]) == (0, 0, 0, 1230)
