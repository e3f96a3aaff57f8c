"""Bulk upsert of each kind of rows but assets: its key, its defaults and its own rules."""

import datetime as dt
from typing import Any

import pytest

from markets.exceptions import RejectedRows
from markets.models import AssetCategory, AssetType, Calendar, Index, IndexType, Issuer
from markets.services import asset_types, bulk, calendars, categories, index_types, indices, issuers
from portfolios.models import AccountGroup
from portfolios.services import accounts
from tests import factories

pytestmark = pytest.mark.django_db


def told(outcome: bulk.BulkOutcome) -> list[tuple[Any, ...]]:
    return [(row.key, row.outcome, row.field) for row in outcome.rows()]


def test_asset_types() -> None:
    asset_types.upsert_asset_type(asset_type="bond", display_name="Bond", description="Why", metadata_json={"a": 1})
    outcome = asset_types.bulk_upsert_asset_types(
        [
            {"asset_type": "Currency Spot", "metadata_json": {"b": [1, None]}},
            {"asset_type": " BOND ", "description": None},
            {"asset_type": "currency_spot"},
            {"asset_type": "future", "metadata_json": "x"},
        ],
        on_error="skip",
    )
    assert told(outcome) == [
        ("currency_spot", "created", None),
        ("bond", "updated", None),
        ("currency_spot", "rejected", "asset_type"),
        ("future", "rejected", "metadata_json"),
    ]
    found = AssetType.objects.values_list("asset_type", "display_name", "description", "metadata_json")
    assert list(found) == [("bond", "Bond", None, {"a": 1}), ("currency_spot", None, None, {"b": [1, None]})]
    assert asset_types.bulk_upsert_asset_types([{"asset_type": "bond", "metadata_json": {"a": 1.0}}]).unchanged == 1


def test_categories_are_named_as_their_identifier_and_keep_their_members() -> None:
    kept = factories.category(factories.asset(), unique_identifier="kept", display_name="Kept")
    rows = [{"unique_identifier": "kept", "description": "Why"}, {"unique_identifier": "new"}]
    assert categories.bulk_upsert_categories(rows).counts == {"created": 1, "updated": 1, "unchanged": 0, "rejected": 0}
    found = AssetCategory.objects.values_list("unique_identifier", "display_name", "description")
    assert list(found) == [("kept", "Kept", "Why"), ("new", "new", None)]
    assert kept.assets.count() == 1
    with pytest.raises(RejectedRows, match="display_name must be text"):
        categories.bulk_upsert_categories([{"unique_identifier": "kept", "display_name": None}])


def test_calendars_keep_their_sessions_inside_their_horizon() -> None:
    stored = factories.calendar(dt.date(2026, 1, 2), dt.date(2026, 3, 5), unique_identifier="STORED")
    rows: list[dict[str, Any]] = [
        {"unique_identifier": "STORED", "valid_to": "2026-02-01"},
        {"unique_identifier": "NEW", "display_name": "New", "valid_from": "2026-01-01", "valid_to": "2026-12-31"},
        {"unique_identifier": "SHORT", "display_name": "x", "valid_from": "2026-01-01"},
        {"unique_identifier": "REVERSED", "display_name": "x", "valid_from": "2026-01-02", "valid_to": "2026-01-01"},
        {"unique_identifier": "ZONE", "display_name": "x", "timezone": "Nowhere"},
    ]
    outcome = calendars.bulk_upsert_calendars(rows, on_error="skip")
    assert [(fault.row, fault.field) for fault in outcome.rejections] == [
        *((0, "valid_to"), (2, "valid_to"), (3, "valid_to"), (4, "timezone"))
    ]
    assert outcome.rejections[0].reason.startswith("STORED has a session on 2026-03-05, outside of 2026-01-01 to")
    assert Calendar.objects.values_list("calendar_type", "timezone", "source").get(unique_identifier="NEW") == (
        *("TRADING", "UTC", None),
    )
    outcome = calendars.bulk_upsert_calendars(
        [{"unique_identifier": "STORED", "valid_to": dt.date(2026, 4, 1), "calendar_type": "settle ment"}]
    )
    assert outcome.updated == 1
    stored.refresh_from_db()
    assert (stored.valid_from, stored.valid_to, stored.calendar_type) == (
        *(dt.date(2026, 1, 1), dt.date(2026, 4, 1), "SETTLE_MENT"),
    )


def test_issuers() -> None:
    issuers.upsert_issuer(unique_identifier="KEPT", display_name="Kept", metadata_json={"a": 1})
    outcome = issuers.bulk_upsert_issuers(
        [
            {"unique_identifier": "NEW", "display_name": "  New   York "},
            {"unique_identifier": "KEPT", "metadata_json": None},
            {"unique_identifier": "NAMELESS"},
            {"unique_identifier": "BLANK", "display_name": " "},
            {"unique_identifier": "KEPT", "display_name": "Twice"},
        ],
        on_error="skip",
    )
    assert told(outcome) == [
        ("NEW", "created", None),
        ("KEPT", "updated", None),
        ("NAMELESS", "rejected", "display_name"),
        ("BLANK", "rejected", "display_name"),
        ("KEPT", "rejected", "unique_identifier"),
    ]
    found = Issuer.objects.values_list("unique_identifier", "display_name", "metadata_json")
    assert list(found) == [("KEPT", "Kept", None), ("NEW", "New York", None)]
    assert issuers.bulk_upsert_issuers([{"unique_identifier": "NEW", "display_name": "New York"}]).unchanged == 1


def test_index_types() -> None:
    index_types.upsert_index_type(index_type="equity", display_name="Equity")
    outcome = index_types.bulk_upsert_index_types([{"index_type": " EQUITY "}, {"index_type": "Interest Rate"}])
    assert told(outcome) == [("equity", "unchanged", None), ("interest_rate", "created", None)]
    found = IndexType.objects.values_list("index_type", "display_name")
    assert list(found) == [("equity", "Equity"), ("interest_rate", None)]


def test_indices_need_a_type_and_a_name_and_register_their_types() -> None:
    index_types.upsert_index_type(index_type="equity", display_name="Equity")
    rows: list[dict[str, Any]] = [
        {"unique_identifier": "SPX", "index_type": "Equity", "display_name": "S&P 500", "provider": "S&P"},
        {"unique_identifier": "SOFR", "index_type": "Interest Rate", "display_name": "SOFR", "value_format": "PERCENT"},
        {"unique_identifier": "TYPELESS", "display_name": "x"},
        {"unique_identifier": "ODD", "index_type": "equity", "display_name": "x", "calculation_method": "guess"},
    ]
    with pytest.raises(RejectedRows, match="2 of 4 index rows are refused"):
        indices.bulk_upsert_indices(rows)
    assert not Index.objects.exists()
    outcome = indices.bulk_upsert_indices(rows, on_error="skip")
    assert told(outcome) == [
        ("SPX", "created", None),
        ("SOFR", "created", None),
        ("TYPELESS", "rejected", "index_type"),
        ("ODD", "rejected", "calculation_method"),
    ]
    found = Index.objects.values_list(
        "unique_identifier", "index_type", "provider", "calculation_method", "value_format"
    )
    assert list(found) == [
        ("SOFR", "interest_rate", None, "custom", "percent"),
        ("SPX", "equity", "S&P", "custom", "decimal"),
    ]
    assert list(IndexType.objects.values_list("index_type", "display_name")) == [
        ("equity", "Equity"),
        ("interest_rate", None),
    ]
    third = indices.bulk_upsert_indices([{"unique_identifier": "SPX", "provider": None}, {"unique_identifier": "SOFR"}])
    assert told(third) == [("SPX", "updated", None), ("SOFR", "unchanged", None)]
    assert Index.objects.values_list("display_name", "provider").get(unique_identifier="SPX") == ("S&P 500", None)


def test_calendars_keep_their_dates_and_events_inside_their_horizon() -> None:
    stored = factories.calendar(dt.date(2026, 1, 2), unique_identifier="STORED")
    factories.calendar_event(stored, event_date=dt.date(2026, 6, 1))
    factories.calendar_event(stored, event_date=None)
    outcome = calendars.bulk_upsert_calendars(
        [{"unique_identifier": "STORED", "valid_to": "2026-05-31"}], on_error="skip"
    )
    assert [(fault.field, fault.reason.partition(" Delete")[0]) for fault in outcome.rejections] == [
        ("valid_to", "STORED has an event on 2026-06-01, outside of 2026-01-01 to 2026-05-31.")
    ]
    stored.events.all().delete()
    factories.calendar_date(stored, local_date=dt.date(2026, 6, 2))
    outcome = calendars.bulk_upsert_calendars(
        [{"unique_identifier": "STORED", "valid_to": "2026-05-31"}], on_error="skip"
    )
    assert "has a date on 2026-06-02" in outcome.rejections[0].reason
    assert calendars.bulk_upsert_calendars([{"unique_identifier": "STORED", "valid_to": "2026-06-02"}]).updated == 1


def test_account_groups_and_allocation_models() -> None:
    groups = [{"group_name": "  Prop   desk "}, {"group_name": "x" * 101}]
    outcome = accounts.bulk_upsert_groups(groups, on_error="skip")
    assert told(outcome) == [("Prop desk", "created", None), (None, "rejected", "group_name")]
    assert accounts.bulk_upsert_groups([{"group_name": "Prop desk", "group_description": "Why"}]).updated == 1
    assert AccountGroup.objects.values_list("group_name", "group_description").get() == ("Prop desk", "Why")
    models = [{"allocation_model_name": "60/40", "metadata_json": {"a": 1}}]
    assert accounts.bulk_upsert_allocation_models(models).created == 1
    assert accounts.bulk_upsert_allocation_models(models).unchanged == 1
