"""AlgoSeek's security master as a node: FIGIs registered, rows rebuilt, on generated files over real FIGIs."""

import csv
from pathlib import Path

import pandas as pd
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydantic import ValidationError

from markets.data_nodes.access import APIDataNode
from markets.data_nodes.algoseek.daily import AlgoSeekDailyBars, AlgoSeekDailyConfiguration
from markets.data_nodes.algoseek.master import (
    AlgoSeekSecMasDEM,
    AlgoSeekSecurityMaster,
    AlgoSeekSecurityMasterConfiguration,
    load_security_master,
)
from markets.data_nodes.configuration import build_node, encode_node
from markets.engine.algoseek_master import COLUMNS
from markets.engine.algoseek_sample import (
    SECURITIES,
    SampleSecurity,
    write_master,
    write_rows,
)
from markets.engine.identifiers import figi_fault
from markets.exceptions import ColumnContractError, InvalidInput
from markets.models import Asset, NodeRun, OpenFigiDetails, PendingResolution, StorageNode
from markets.services.assets import set_openfigi_details
from tests.markets.data_nodes.algoseek_files import (
    ALCOA,
    APPLE,
    HOWMET,
    QQQ,
    SAMPLES,
    STAMP,
    identifiers,
    log_of,
)
from tests.markets.data_nodes.nodes import recount, statistics, stored

pytestmark = pytest.mark.django_db
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def master(tmp_path: Path) -> Path:
    return write_master(tmp_path / "master.csv", SAMPLES)


def test_the_master_has_a_row_for_each_figi(master: Path) -> None:
    # when
    node = AlgoSeekSecurityMaster(csv_path=str(master), is_demo=False)
    frame = node.run()
    # then
    assert frame.index.names == ["time_index", "asset_identifier"]
    assert list(frame.index) == [(STAMP, name) for name in (ALCOA, HOWMET, APPLE, QQQ, "BBG000C0D2G9", "BBG007SRSSN7")]
    assert pd.Timestamp(node.OFFSET_START) + pd.Timedelta(minutes=1) == STAMP
    assert list(frame.columns) == [*(name.lower() for name in COLUMNS), "latest_figi"]
    rows = frame.droplevel(0)
    assert rows.loc[ALCOA, "latest_figi"] == rows.loc[HOWMET, "latest_figi"] == HOWMET
    assert rows.loc[ALCOA, "figi"] == "BBG000B9WH86; BBG000B9WH86; BBG00DYNJGH9; BBG00DYNJGH9"
    assert (rows.loc[ALCOA, "tickers"], rows.loc[ALCOA, "secid"]) == ("AA; ARNC; HWM", "33008")
    assert rows["sedol"].isna().all()
    storage = node.get_storage()
    assert (storage.identifier, {column["dtype"] for column in storage.columns}) == (
        "algoseek_security_master",
        {"string"},
    )
    assert Asset.objects.count() == PendingResolution.objects.count() == 6
    assert OpenFigiDetails.objects.get(figi=HOWMET).ticker == "HWM"
    assert set(PendingResolution.objects.values_list("source", flat=True)) == {f"AlgoSeek security master {master}"}
    read = APIDataNode.build_from_identifier("algoseek_security_master").get_df_between_dates(columns=["secid"])
    assert read.droplevel(0)["secid"].to_dict()[QQQ] == "551883"


def test_the_same_master_again_changes_nothing(master: Path) -> None:
    AlgoSeekSecurityMaster(master).run()
    node = AlgoSeekSecurityMaster(master)
    before = stored(node)
    node.run()
    assert (node.last_run.status, node.last_run.rows_written, node.last_run.rows_returned) == ("up_to_date", 0, 6)
    assert stored(node) == before
    assert statistics(node) == recount(node)
    assert Asset.objects.count() == PendingResolution.objects.count() == 6


def test_a_corrected_master_is_written_over_and_what_left_goes(master: Path, caplog: pytest.LogCaptureFixture) -> None:
    AlgoSeekSecurityMaster(master).run()
    # given a file with another name for Apple, a new FIGI, and without the last SecId
    changed = SampleSecurity(33449, ("AAPL",), "Apple Incorporated", APPLE)
    write_master(master, [SAMPLES[0], changed, SAMPLES[2], SECURITIES[4]])
    # when
    node = AlgoSeekSecurityMaster(master)
    node.run()
    # then
    rows = node.get_df_between_dates().droplevel(0)
    assert sorted(rows.index) == sorted([ALCOA, HOWMET, APPLE, QQQ, "BBG000BPH459"])
    assert rows.loc[APPLE, "name"] == "Apple Incorporated"
    assert node.last_run.rows_written == 2, "equal rows are left alone"
    assert statistics(node) == recount(node)
    assert "2 FIGIs (BBG000C0D2G9, BBG007SRSSN7) are no longer in" in log_of(node)
    assert Asset.objects.filter(unique_identifier="BBG000C0D2G9").exists(), "the asset itself stays"


def test_a_wrong_master_writes_and_registers_nothing(master: Path) -> None:
    AlgoSeekSecurityMaster(master).run()
    write_master(
        master, [SampleSecurity(1, ("A",), "A", "BBG000BPH459"), SampleSecurity(2, ("B",), "B", "BBG000BPH450")]
    )
    node = AlgoSeekSecurityMaster(master)
    with pytest.raises(
        InvalidInput, match=r"line 3: FIGI='BBG000BPH450' is no FIGI: its check digit is 0 where 9 is due"
    ):
        node.run()
    assert len(stored(node)) == 6
    assert not Asset.objects.filter(unique_identifier="BBG000BPH459").exists()
    assert NodeRun.objects.order_by("id").last().status == "failed"
    write_master(master, [SampleSecurity(1, ("A",), "A", "")])
    with pytest.raises(InvalidInput, match="has 1 rows and no FIGI in any"):
        AlgoSeekSecurityMaster(master).run()
    assert len(stored(node)) == 6


def test_a_new_column_is_refused_once_the_table_is_there(master: Path) -> None:
    AlgoSeekSecurityMaster(master).run()
    rows = list(csv.DictReader(master.open()))
    write_rows(master, [*COLUMNS, "ASID"], [row | {"ASID": "1"} for row in rows])
    with pytest.raises(ColumnContractError, match="not in the table: asid"):
        AlgoSeekSecurityMaster(master).run()
    node = AlgoSeekSecurityMaster(master, is_demo=True)
    node.run()
    assert node.get_df_between_dates()["asid"].tolist() == ["1"] * 6
    assert node.get_storage().identifier == "algoseek_security_master_DEMO"


def test_an_asset_that_has_the_figi_in_its_details_is_the_one(master: Path) -> None:
    mine = Asset.objects.create(unique_identifier="MY APPLE")
    set_openfigi_details(mine, figi=APPLE)
    node = AlgoSeekSecurityMaster(master)
    node.run()
    assert "MY APPLE" in identifiers(node)
    assert APPLE not in identifiers(node)
    assert Asset.objects.filter(unique_identifier=APPLE).count() == 0


def test_two_figis_of_one_asset_are_refused(master: Path) -> None:
    one = Asset.objects.create(unique_identifier=ALCOA)
    set_openfigi_details(one, figi=HOWMET)
    with pytest.raises(InvalidInput, match=f"the FIGIs {ALCOA} and {HOWMET} are both of the asset {ALCOA}"):
        AlgoSeekSecurityMaster(master).run()


def test_the_path_is_no_part_of_the_table_and_both_forms_are_one_node(tmp_path: Path, master: Path) -> None:
    node = AlgoSeekSecurityMaster(csv_path=str(master), is_demo=False)
    same = AlgoSeekSecurityMaster(AlgoSeekSecurityMasterConfiguration(csv_path=str(master)))
    elsewhere = AlgoSeekSecurityMaster(csv_path=str(tmp_path / "other.csv"), is_demo=False)
    demo = AlgoSeekSecurityMaster(csv_path=str(master), is_demo=True)
    assert (node.storage_hash, node.update_hash) == (same.storage_hash, same.update_hash)
    assert node.storage_hash == elsewhere.storage_hash
    assert node.update_hash != elsewhere.update_hash
    assert node.storage_hash != demo.storage_hash
    tutorial = AlgoSeekSecMasDEM(csv_path=str(master), is_demo=False)
    assert (tutorial.storage_hash, tutorial.update_hash) == (node.storage_hash, node.update_hash)
    assert build_node(encode_node(node)).update_hash == node.update_hash
    bars = AlgoSeekDailyBars(daily_dir="d", security_master_path=str(master), is_demo=True, figi_policy="latest")
    assert build_node(encode_node(bars)).update_hash == bars.update_hash
    settings = AlgoSeekDailyConfiguration(
        daily_dir="d", security_master_path=str(master), is_demo=True, figi_policy="latest", rows_per_run=7
    )
    assert AlgoSeekDailyBars(configuration=settings).update_hash == bars.update_hash
    with pytest.raises(InvalidInput, match="Give the configuration or security_master_path, not both"):
        AlgoSeekDailyBars(settings, "x")
    for wrong in ({"figi_policy": "first"}, {"price_adjustment": "split"}, {"rows_per_run": 0}, {"daily_dir": ""}):
        with pytest.raises(ValidationError):
            AlgoSeekDailyBars(**{"daily_dir": "d", "security_master_path": "m"} | wrong)
    with pytest.raises(ValidationError, match="csv_path"):
        AlgoSeekSecurityMaster()


def test_what_is_read_from_a_file_without_storing_it(master: Path) -> None:
    frame = load_security_master(master)
    assert frame["unique_identifier"].tolist()[:3] == [ALCOA, HOWMET, APPLE]
    assert not StorageNode.objects.exists()
    assert not Asset.objects.exists()


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
def test_real_figis_in_batches_of_five_hundred(tmp_path: Path) -> None:
    """The master is generated; its FIGIs are those of FinanceDatabase, of which wrong ones are left out."""
    figis: dict[str, str] = {}
    for path in sorted(DATA.glob("financedatabase_equities_*.csv")):
        for row in csv.DictReader(path.open(encoding="utf-8")):
            for name in ("figi", "composite_figi", "shareclass_figi"):
                if row.get(name) and figi_fault(row[name]) is None:
                    figis.setdefault(row[name], row["symbol"])
    chosen = list(figis.items())
    assert len(chosen) > 1_200, "fewer real FIGIs than there were"
    pairs = [chosen[place : place + 2] for place in range(0, len(chosen), 2)]
    path = write_master(
        tmp_path / "master.csv",
        [
            SampleSecurity(60_000 + place, (pair[0][1].replace(";", ""),), f"Generated {place}", ";".join(dict(pair)))
            for place, pair in enumerate(pairs)
        ],
    )
    # when
    with CaptureQueriesContext(connection) as queries:
        AlgoSeekSecurityMaster(path).run()
    # then
    statements = [str(query["sql"]) for query in queries]
    inserts = [text for text in statements if text.startswith('INSERT INTO "markets_asset" ')]
    assert len(inserts) == -(-len(chosen) // 500)
    assert Asset.objects.count() == PendingResolution.objects.count() == len(chosen)
    assert len(queries) < len(inserts) * 25 + 60, "the queries grow by the batch"
