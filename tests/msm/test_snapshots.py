"""How an asset was named and listed, from a script."""

import datetime as dt

import pytest

import msm
from markets.exceptions import InvalidInput, NotFound
from msm import runtime
from msm.api.assets import Asset
from msm.data_nodes.assets import AssetSnapshot

pytestmark = pytest.mark.django_db
NOON = dt.datetime(2026, 5, 25, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def test_the_latest_snapshot_of_an_asset_and_its_history(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(runtime, "_runtime", None)
    msm.start_engine(models=["Asset"])
    btc = Asset.upsert(unique_identifier="BTC", asset_type="crypto")
    assert btc.get_latest_snapshot().ticker is None
    assert list(btc.get_snapshots().columns) == ["name", "ticker", "exchange_code", "asset_ticker_group_id"]
    assert btc.get_snapshots().index.names == ["time_index", "asset_identifier"]
    # when
    rows = [
        {"time_index": NOON, "asset_identifier": "BTC", "ticker": "XBT"},
        {"time_index": NOON + HOUR, "asset_identifier": "BTC", "ticker": "BTC", "name": "Bitcoin"},
    ]
    AssetSnapshot().set_snapshots(rows).run()
    # then
    latest = btc.get_latest_snapshot()
    assert (latest.asset_uid, latest.time_index, latest.ticker, latest.name) == (btc.uid, NOON + HOUR, "BTC", "Bitcoin")
    assert btc.get_latest_snapshot(as_of=NOON).ticker == "XBT"
    assert btc.get_latest_snapshot(as_of=NOON - HOUR).time_index is None
    assert btc.get_snapshots()["ticker"].tolist() == ["XBT", "BTC"]
    assert btc.get_snapshots(start_date=NOON + HOUR)["ticker"].tolist() == ["BTC"]
    with pytest.raises(InvalidInput, match="as_of=2026-05-25T12:00:00 has no time zone"):
        btc.get_latest_snapshot(as_of=NOON.replace(tzinfo=None))


def test_an_asset_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_runtime", None)
    msm.start_engine(models=["Asset"])
    gone = Asset.upsert(unique_identifier="GONE")
    Asset.delete(gone.uid)
    with pytest.raises(NotFound, match="any more"):
        gone.get_latest_snapshot()
