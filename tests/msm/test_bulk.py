"""bulk_upsert of the row classes."""

from typing import Any

import pandas as pd
import pytest

import msm
from markets.exceptions import InvalidInput, RejectedRows
from markets.models import Asset as AssetModel
from msm import runtime
from msm.api.assets import Asset, AssetCategory, AssetCategoryMembership, AssetType
from msm.api.calendars import Calendar

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
