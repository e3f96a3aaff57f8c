"""bulk_upsert of the row classes."""

import datetime as dt
from typing import Any

import pandas as pd
import pytest

import msm
from markets.exceptions import InvalidInput, RejectedRows
from markets.models import Asset as AssetModel
from msm import runtime
from msm.api.assets import Asset, AssetCategory, AssetCategoryMembership, AssetType
from msm.api.calendars import Calendar
from msm.api.derivatives import Future
from msm.api.instrument_rows import Bond, CurrencySpot
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    monkeypatch.setattr(runtime, "_runtime", None)
    msm.start_engine(models=["AssetType", "Asset", "AssetCategory", "Calendar"])


def test_rows_frames_and_what_was_read() -> None:
    outcome = Asset.bulk_upsert([{"unique_identifier": "A", "asset_type": "Crypto"}, {"unique_identifier": "B"}])
    assert (outcome.created, len(outcome)) == (2, 2)
    frame = pd.DataFrame({"unique_identifier": ["A", "B", "C"], "ticker": ["AA", None, "CC"]})
    assert Asset.bulk_upsert(frame).counts == {"created": 1, "updated": 1, "unchanged": 1, "rejected": 0}
    rows = Asset.filter()
    assert Asset.bulk_upsert(rows).unchanged == 3
    assert Asset.bulk_upsert(row for row in rows).unchanged == 3
    assert [row.asset_type for row in rows] == ["crypto", None, None]


def test_the_other_row_classes() -> None:
    assert AssetType.bulk_upsert([{"asset_type": "bond", "display_name": "Bond"}]).created == 1
    assert AssetType.bulk_upsert(AssetType.filter()).unchanged == 1
    assert AssetCategory.bulk_upsert([{"unique_identifier": "core"}]).created == 1
    horizon = {"valid_from": "2026-01-01", "valid_to": "2026-12-31"}
    rows = [{"unique_identifier": "MINE", "display_name": "Mine", **horizon}]
    assert Calendar.bulk_upsert(rows).created == 1
    assert Calendar.bulk_upsert(Calendar.filter()).unchanged == 1
    with pytest.raises(NotImplementedError, match="AssetCategoryMembership has no bulk_upsert"):
        AssetCategoryMembership.bulk_upsert([])


def test_a_wrong_row_refuses_all_unless_it_is_skipped() -> None:
    rows = [{"unique_identifier": "A"}, {"unique_identifier": "B", "asset_type": 5}]
    with pytest.raises(RejectedRows, match="1 of 2 asset rows are refused"):
        Asset.bulk_upsert(rows)
    assert not AssetModel.objects.exists()
    outcome = Asset.bulk_upsert(rows, on_error="skip")
    assert [(row.key, row.outcome, row.field) for row in outcome.rows()] == [
        ("A", "created", None),
        ("B", "rejected", "asset_type"),
    ]


@pytest.mark.parametrize("rows", ["A", {"unique_identifier": "A"}, None])
def test_what_is_no_list_is_refused(rows: Any) -> None:
    with pytest.raises(InvalidInput, match="rows must be a list"):
        Asset.bulk_upsert(rows)


def test_bonds_futures_and_currency_spots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_runtime", None)
    msm.start_engine(models=["AssetType", "IndexType", "Bond", "Future", "CurrencySpot"])
    issuer, index = factories.issuer(), factories.index()
    euro, dollar = factories.currency(), factories.currency()
    bond = {
        "unique_identifier": "BOND",
        "issuer_uid": issuer.uid,
        "currency_asset_uid": str(euro.uid),
        "issue_date": "2026-05-27",
        "maturity_date": "2031-05-27",
        "status": "active",
    }
    frame = pd.DataFrame([bond, {**bond, "unique_identifier": "PERPETUAL", "maturity_date": None}])
    assert Bond.bulk_upsert(frame).created == 2
    found = [(row.unique_identifier, row.asset_type, row.maturity_date, row.status) for row in Bond.filter()]
    assert found == [("BOND", "bond", dt.date(2031, 5, 27), "ACTIVE"), ("PERPETUAL", "bond", None, "ACTIVE")]
    pair = {"unique_identifier": "PAIR", "base_currency_uid": euro.uid, "quote_currency_uid": dollar.uid}
    assert CurrencySpot.bulk_upsert([pair]).created == 1
    future = {
        "unique_identifier": "FUTURE",
        "kind": "PERPETUAL",
        "underlying_index_uid": index.uid,
        "quote_unit": "USD",
        "settlement_asset": dollar.uid,
        "margin_asset": euro.uid,
        "settlement_model": "linear",
        "settlement_method": "cash",
        "contract_size": "0.001",
        "contract_unit": "BTC",
    }
    assert Future.bulk_upsert([future]).created == 1
    (row,) = Future.filter()
    assert (row.settlement_asset, row.margin_asset, str(row.contract_size)) == (
        *(dollar.uid, euro.uid, "0.001000000000000000"),
    )
    for kind in (Bond, CurrencySpot, Future):
        rows = kind.filter()
        assert kind.bulk_upsert(rows).unchanged == len(rows) > 0
    with pytest.raises(RejectedRows, match="1 of 1 future row"):
        Future.bulk_upsert([{"unique_identifier": "FUTURE", "kind": "EXPIRING"}])
