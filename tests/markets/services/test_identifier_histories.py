"""Files that tell the history of identifiers: LEAN's map files and AlgoSeek's master, loaded once and again."""

import datetime as dt
import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from markets.engine.algoseek_sample import FOREVER, SampleSecurity, write_figi_lookup, write_master
from markets.exceptions import InvalidInput
from markets.models import Asset, AssetIdentifier
from markets.services.assets import set_openfigi_details, upsert_asset
from markets.services.identifier_resolution import resolve
from markets.services.identifiers import add_identifier
from markets.services.ticker_histories import load_ticker_history, read_mapping

MAP_FILE = Path(__file__).resolve().parents[4] / "shared" / "data" / "lean_map_files.csv"
HEADER = "symbol_file,date,mapped_symbol,exchange"
FB = [HEADER, "meta,20120518,fb,Q", "meta,20501231,fb,Q"]
META = [HEADER, "meta,20120518,fb,Q", "meta,20220608,fb,Q", "meta,20501231,meta,Q"]
D = dt.date

pytestmark = pytest.mark.django_db


def asset(name: str) -> Asset:
    return upsert_asset(unique_identifier=name).row


def stored(scheme: str = "ticker") -> list[tuple]:
    rows = AssetIdentifier.objects.filter(scheme=scheme).order_by("asset__unique_identifier", "valid_from", "value")
    return list(rows.values_list("asset__unique_identifier", "value", "venue", "valid_from", "valid_to"))


def command(name: str, *arguments: object) -> str:
    out = io.StringIO()
    call_command(name, *map(str, arguments), stdout=out)
    return out.getvalue()


@pytest.mark.skipif(not MAP_FILE.exists(), reason="needs ../shared/data/lean_map_files.csv")
def test_the_real_map_files_are_loaded_and_loading_them_again_changes_nothing(tmp_path: Path) -> None:
    names = {line.split(",")[0].upper() for line in MAP_FILE.read_text().splitlines()[1:]}
    with pytest.raises(CommandError, match=f"Nothing was written: {len(names)} assets are not registered"):
        command("load_ticker_history", MAP_FILE)
    assert stored() == []
    for name in names:
        asset(name)
    said = command("load_ticker_history", MAP_FILE)
    assert said.splitlines()[-1] == f"{len(stored())} added, 0 changed, 0 kept, 0 assets unknown, 0 conflicts"
    first = stored()
    body = json.loads(command("load_ticker_history", MAP_FILE, "--json"))
    assert (body["added"], body["changed"], body["kept"], body["written"]) == (0, 0, len(first), True)
    assert stored() == first
    for ticker, day, name in (
        ("GOOG", D(2014, 4, 2), "GOOGL"),
        ("GOOG", D(2014, 4, 3), "GOOG"),
        ("GOOCV", D(2014, 4, 2), "GOOG"),
        ("NB", D(1998, 9, 30), "BAC"),
        ("BAC", D(1998, 10, 1), "BAC"),
        ("AOL", D(2003, 10, 15), "TWX"),
        ("TWX", D(2003, 10, 16), "TWX"),
        ("TWX", D(2001, 1, 11), "TWX.1"),
        ("TWX", D(2018, 6, 16), None),
        ("VXX", D(2019, 1, 29), "VXX.1"),
        ("VXX", D(2019, 5, 2), "VXX"),
        ("FB", D(2003, 3, 28), "FB.1"),
        ("FB", D(2012, 5, 18), "FB"),
    ):
        assert resolve("ticker", ticker, day).asset_identifier == name, (ticker, day)


def test_a_later_file_ends_what_has_ended_and_begins_the_other() -> None:
    asset("META")
    assert load_ticker_history(FB).added == 1
    loaded = load_ticker_history(META)
    assert (loaded.added, loaded.changed, loaded.kept) == (1, 1, 0)
    assert stored() == [
        ("META", "FB", "XNAS", D(2012, 5, 18), D(2022, 6, 9)),
        ("META", "META", "XNAS", D(2022, 6, 9), None),
    ]
    # when an old file is loaded again by mistake, what a later one added stays
    assert load_ticker_history(FB).changed == 1
    assert stored()[0] == ("META", "FB", "XNAS", D(2012, 5, 18), None)
    assert load_ticker_history(META).changed == 1


def test_what_another_source_says_otherwise_is_a_conflict_and_nothing_is_written() -> None:
    add_identifier(asset("META"), "ticker", "FB", venue="XNAS", valid_from=D(2012, 5, 18), source="exchange")
    loaded = load_ticker_history(META)
    assert (loaded.is_refused, loaded.written, loaded.unknown) == (True, False, ())
    assert loaded.conflicts == (
        "Ticker FB of META (from 2012-05-18 to before 2022-06-09) overlaps that of META (from 2012-05-18)",
    )
    assert stored() == [("META", "FB", "XNAS", D(2012, 5, 18), None)]


def test_a_ticker_passes_from_one_asset_to_another_in_one_load() -> None:
    asset("OLD"), asset("NEW")
    load_ticker_history([HEADER, "old,20000103,x,N", "old,20501231,x,N"])
    file = [HEADER, "new,20100104,x,N", "new,20501231,x,N", "old,20000103,x,N", "old,20091231,x,N"]
    loaded = load_ticker_history(file, skip_unknown=True)
    assert (loaded.added, loaded.changed) == (1, 1)
    assert stored() == [
        ("NEW", "X", "XNYS", D(2010, 1, 4), None),
        ("OLD", "X", "XNYS", D(2000, 1, 3), D(2010, 1, 1)),
    ]


def test_a_mapping_names_the_assets_and_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    asset("BBG000MM2P62"), asset("lower")
    (tmp_path / "map.csv").write_text("\n".join([*META, "lower,20000103,l,N", "lower,20501231,l,N"]))
    (tmp_path / "names.csv").write_text("symbol_file,asset_identifier\nmeta,BBG000MM2P62\n")
    arguments = (tmp_path / "map.csv", "--mapping", tmp_path / "names.csv")
    said = command("load_ticker_history", *arguments, "--dry-run")
    assert said == "3 added, 0 changed, 0 kept, 0 assets unknown, 0 conflicts; dry run, nothing written\n"
    assert stored() == []
    command("load_ticker_history", *arguments, "--source", "map")
    assert [row[:2] for row in stored()] == [("BBG000MM2P62", "FB"), ("BBG000MM2P62", "META"), ("lower", "L")]
    assert set(AssetIdentifier.objects.values_list("source", flat=True)) == {"map"}


def test_the_rest_is_loaded_without_the_unknown_ones_each_of_which_is_listed(tmp_path: Path) -> None:
    asset("META")
    (tmp_path / "map.csv").write_text(
        "\n".join([*META, "b,20000103,b,N", "b,20501231,b,N", "a,20000103,a,N", "a,20501231,a,N"])
    )
    said = command("load_ticker_history", tmp_path / "map.csv", "--skip-unknown")
    assert said.splitlines() == [
        "unknown: A",
        "unknown: B",
        "2 added, 0 changed, 0 kept, 2 assets unknown, 0 conflicts",
    ]
    assert len(stored()) == 2


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["a,b"], "it needs symbol_file, asset_identifier"),
        (["symbol_file,asset_identifier", ",X"], "Row 2 of the mapping: symbol_file must not be blank"),
        (["symbol_file,asset_identifier", "a,"], "Row 2 of the mapping: asset_identifier must not be blank"),
        (["symbol_file,asset_identifier", "a,X", "A,Y"], "Row 3 of the mapping: A is X already, not Y"),
    ],
)
def test_a_wrong_mapping_is_told_with_its_row(lines: list[str], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read_mapping(lines)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"symbol_file,date,mapped_symbol,exchange\na,1,b,N\n"])
def test_a_file_that_is_none_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(InvalidInput):
        command("load_ticker_history", tmp_path / "x.csv")
    (tmp_path / "x.csv.gz").write_bytes(content)
    with pytest.raises(InvalidInput):
        command("load_ticker_history", tmp_path / "x.csv.gz")
    assert stored() == []


ALCOA, HOWMET, META_FIGI = "BBG000B9WH86", "BBG00DYNJGH9", "BBG000MM2P62"
AA = SampleSecurity(
    33008,
    ("AA@19990104:20161031", "ARNC@20161101:20200331", f"HWM@20200401:{FOREVER}"),
    "Howmet",
    f"{ALCOA}; {ALCOA}; {HOWMET}",
    "NYSE",
)
FACEBOOK = SampleSecurity(
    40025, ("FB@20120518:20220608", f"META@20220609:{FOREVER}"), "Meta", META_FIGI, isin="US30303M1027"
)
WRONG = SampleSecurity(40099, ("ZZZ",), "Elsewhere", "BBG000BLNNH6", "Mars Exchange", isin="US4592001015")


def test_a_master_s_names_are_recorded_with_their_days_and_venues(tmp_path: Path) -> None:
    for name in (ALCOA, HOWMET, "own-meta"):
        asset(name)
    set_openfigi_details(Asset.objects.get(unique_identifier="own-meta"), figi=META_FIGI)
    master = write_master(tmp_path / "master.csv", [AA, FACEBOOK])
    lookup = write_figi_lookup(tmp_path / "lookup.csv", [AA, FACEBOOK])
    said = command("load_algoseek_identifiers", master, "--figi-lookup", lookup)
    assert said == "9 added, 0 changed, 0 kept, 0 assets unknown, 0 conflicts\n"
    assert stored() == [
        (ALCOA, "AA", "XNYS", D(1999, 1, 4), D(2016, 11, 1)),
        (HOWMET, "ARNC", "XNYS", D(2016, 11, 1), D(2020, 4, 1)),
        (HOWMET, "HWM", "XNYS", D(2020, 4, 1), None),
        ("own-meta", "FB", "XNAS", D(2012, 5, 18), D(2022, 6, 9)),
        ("own-meta", "META", "XNAS", D(2022, 6, 9), None),
    ]
    assert stored("algoseek_secid") == [
        (ALCOA, "33008", "", D(1999, 1, 4), D(2016, 11, 1)),
        (HOWMET, "33008", "", D(2016, 11, 1), None),
        ("own-meta", "40025", "", D(1999, 1, 4), None),
    ]
    assert stored("isin") == [("own-meta", "US30303M1027", "", D(1999, 1, 4), None)]
    assert resolve("algoseek_secid", "33008", D(2016, 10, 31)).asset_identifier == ALCOA
    said = command("load_algoseek_identifiers", master, "--figi-lookup", lookup)
    assert said == "0 added, 0 changed, 9 kept, 0 assets unknown, 0 conflicts\n"


def test_what_cannot_be_told_apart_or_is_wrong_is_listed_not_guessed(tmp_path: Path) -> None:
    for name in (ALCOA, HOWMET, "BBG000BLNNH6"):
        asset(name)
    master = write_master(tmp_path / "master.csv", [AA, WRONG, FACEBOOK])
    with pytest.raises(CommandError, match="1 assets are not registered"):
        command("load_algoseek_identifiers", master)
    assert not AssetIdentifier.objects.exists()
    said = command("load_algoseek_identifiers", master, "--skip-unknown").splitlines()
    assert said == [
        "fault: line 3: ISIN='US4592001015' of SecId 40099: its check digit is wrong",
        "undated: SecId 33008 has several FIGIs; name --figi-lookup",
        "exchange: Mars Exchange has no market identifier code here",
        f"unknown: {META_FIGI}",
        "4 added, 0 changed, 0 kept, 1 assets unknown, 0 conflicts",
    ]
    assert stored() == [("BBG000BLNNH6", "ZZZ", "", D(1999, 1, 4), None)]
    assert stored("isin") == []
    assert [row[0] for row in stored("algoseek_secid")] == [ALCOA, "BBG000BLNNH6", HOWMET]


def test_a_ticker_that_another_asset_has_is_told_and_left_out_when_asked(tmp_path: Path) -> None:
    asset(META_FIGI)
    add_identifier(asset("OTHER"), "ticker", "META", venue="XNAS", valid_from=D(2021, 6, 30), source="exchange")
    master = write_master(tmp_path / "master.csv", [FACEBOOK])
    with pytest.raises(CommandError, match="1 identifiers are in the way"):
        command("load_algoseek_identifiers", master)
    assert len(stored()) == 1
    said = command("load_algoseek_identifiers", master, "--skip-conflicts").splitlines()
    assert said[0] == (
        f"conflict: Ticker META of {META_FIGI} (from 2022-06-09) overlaps that of OTHER (from 2021-06-30)"
    )
    assert [row[:2] for row in stored()] == [(META_FIGI, "FB"), ("OTHER", "META")]
