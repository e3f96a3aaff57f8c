"""Asset snapshots: each row with a time of its own, a batch whole or not at all, and the latest of each asset."""

import datetime as dt
from types import SimpleNamespace

import pandas as pd
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from markets.data_nodes.snapshots import AssetSnapshot
from markets.exceptions import DuplicateKeys, InvalidInput, ProtectedRow, UnknownIdentifiers
from markets.models import Asset, UpdateStatistic
from markets.models import AssetSnapshot as AssetSnapshotRow
from markets.services import assets, snapshots

pytestmark = pytest.mark.django_db
NOON = dt.datetime(2026, 5, 25, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def registered():
    for name in ("BTC", "ETH", "SOL"):
        assets.create_asset(unique_identifier=name, asset_type="crypto")


def row(asset="BTC", time=NOON, **texts):
    return {"time_index": time, "asset_identifier": asset, **texts}


def stored():
    fields = ("asset_identifier", "time_index", "name", "ticker", "exchange_code", "asset_ticker_group_id")
    return list(AssetSnapshotRow.objects.order_by("asset_identifier", "time_index").values_list(*fields))


# --- the frame -------------------------------------------------------------------------------------------------------
def test_the_frame_is_sorted_and_what_is_omitted_is_empty():
    # when mappings and objects come in any order, with keys of their own
    frame = AssetSnapshot.build_frame(
        [row("ETH", ticker="ETH", venue_specific_properties={}), SimpleNamespace(**row("BTC", NOON - HOUR, name="B"))]
    )
    # then
    assert list(frame.index) == [(pd.Timestamp(NOON - HOUR), "BTC"), (pd.Timestamp(NOON), "ETH")]
    assert str(frame.index.levels[0].dtype) == "datetime64[ns, UTC]"
    assert list(frame.columns) == ["name", "ticker", "exchange_code", "asset_ticker_group_id"]
    assert frame.to_numpy().tolist() == [["B", "", "", ""], ["", "ETH", "", ""]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "There are no snapshots"),
        ([{"asset_identifier": "BTC"}], "Row 0 has no time_index. Each row needs its own"),
        ([row(time=dt.datetime(2026, 5, 25))], "no time zone"),  # noqa: DTZ001
        ([row(time="yesterday")], "is not a time"),
        ([row(time=pd.NaT)], "no time_index"),
        ([row(" ")], "asset_identifier=' '"),
        ([row(7)], "asset_identifier=7"),
        ([row(ticker=7)], "ticker=7"),
        ([row(ticker="a\x00b")], "it takes text"),
        ([row(name="x" * 256)], "at most 255"),
        ([row(time="2026-05-25T00:00:00Z"), row(time="2026-05-25T02:00:00+02:00")], "Row 1 repeats BTC"),
    ],
)
def test_what_is_refused(rows, message):
    with pytest.raises(InvalidInput, match=message):
        AssetSnapshot().set_snapshots(rows)
    assert stored() == []


# --- writing ---------------------------------------------------------------------------------------------------------
def test_a_batch_is_written_and_returned():
    # when
    node = AssetSnapshot().set_snapshots(row(ticker="BTC", name="Bitcoin"))
    frame = node.run(debug_mode=True, force_update=True)
    # then
    assert frame["ticker"].tolist() == ["BTC"]
    assert stored() == [("BTC", NOON, "Bitcoin", "BTC", "", "")]
    assert UpdateStatistic.objects.get().row_count == 1
    assert node.get_df_between_dates()["name"].tolist() == ["Bitcoin"]


def test_a_run_without_rows_says_what_to_call():
    with pytest.raises(InvalidInput, match="set_snapshots"):
        AssetSnapshot().run()


def test_one_stored_key_refuses_the_whole_batch():
    # given
    snapshots.record_snapshots([row("BTC"), row("ETH")])
    before = stored()
    # when the same instant comes in another zone, among new rows
    late = row("ETH", NOON.astimezone(dt.timezone(dt.timedelta(hours=2))), name="other")
    with pytest.raises(DuplicateKeys, match=r"ETH / 2026-05-25T12:00:00Z") as refused:
        snapshots.record_snapshots([row("SOL"), late, row("BTC", NOON + HOUR)])
    # then
    assert "later time_index" in str(refused.value)
    assert stored() == before


def test_a_correction_is_a_row_with_another_time_also_an_earlier_one():
    # given
    snapshots.record_snapshots(row("BTC", name="Bitcoin"))
    # when
    snapshots.record_snapshots([row("BTC", NOON + HOUR, name="Bitcoin!"), row("BTC", NOON - HOUR, name="bit")])
    # then
    assert [item[2] for item in stored()] == ["bit", "Bitcoin", "Bitcoin!"]
    statistic = UpdateStatistic.objects.get()
    assert (statistic.first_time_index, statistic.last_time_index) == (NOON - HOUR, NOON + HOUR)
    assert statistic.row_count == 3


def test_unknown_assets_are_all_named_and_nothing_is_written():
    with pytest.raises(UnknownIdentifiers) as refused:
        snapshots.record_snapshots([row("BTC"), row("nobody"), row("noone")])
    assert refused.value.identifiers == ["nobody", "noone"]
    assert stored() == []


def test_an_asset_with_a_snapshot_cannot_be_deleted():
    # given
    snapshots.record_snapshots(row("BTC"))
    # when
    with pytest.raises(ProtectedRow):
        assets.delete_asset(Asset.objects.get(unique_identifier="BTC"), force=True)
    # then
    assert Asset.objects.filter(unique_identifier="BTC").exists()


# --- the latest ------------------------------------------------------------------------------------------------------
def test_the_latest_of_each_in_the_order_asked_for_in_one_query():
    # given
    snapshots.record_snapshots([row("BTC", ticker="XBT"), row("BTC", NOON + HOUR, ticker="BTC"), row("ETH", name="E")])
    # when
    with CaptureQueriesContext(connection) as captured:
        found = snapshots.asset_reference_details([" SOL ", "BTC", "unknown", "ETH", "BTC"])
    # then
    assert len(captured) == 1
    assert [item.asset_identifier for item in found] == ["SOL", "BTC", "ETH"]
    assert (found[1].ticker, found[1].snapshot_time, found[1].time_index) == ("BTC", NOON + HOUR, NOON + HOUR)
    assert (found[0].snapshot_time, found[0].name, found[0].asset_type) == (None, None, "crypto")
    assert (found[2].name, found[2].ticker) == ("E", None)
    by_uid = snapshots.asset_reference_details_by_uids([str(found[1].asset_uid)])
    assert by_uid == [found[1]]
    assert snapshots.asset_reference_details("BTC", latest_snapshot=False)[0].ticker is None
    assert snapshots.asset_reference_details([]) == []


@pytest.mark.parametrize("value", [" ", 7, None])
def test_a_blank_identifier_is_refused(value):
    with pytest.raises(InvalidInput, match="unique_identifiers holds"):
        snapshots.asset_reference_details([value])


def test_what_is_no_uid_is_refused():
    with pytest.raises(InvalidInput, match="no uid"):
        snapshots.asset_reference_details_by_uids(["x"])
