"""Merging assets: everything that refers to one refers to the other, told before, recorded, and taken back."""

import datetime as dt

import pytest

from markets.exceptions import Conflict, InvalidInput, MergedAsset, NotFound
from markets.models import (
    Asset,
    AssetCategoryMembership,
    AssetIdentifier,
    AssetMerge,
    Bond,
    Change,
    CurrencySpot,
    OpenFigiDetails,
    PendingResolution,
)
from markets.services import assets, categories, identifiers
from markets.services.figi_registration import register_asset_from_figi
from markets.services.identifier_resolution import resolve
from markets.services.merging import active_merge, kept_asset, merge_assets, merge_impact, undo_merge
from markets.services.merging.references import RULES, unruled_references
from tests import factories
from tests.markets.services.merging import states

pytestmark = pytest.mark.django_db
UTC = dt.UTC
WHY = "The same share, entered twice."


def day(number: int) -> dt.datetime:
    return dt.datetime(2026, 1, number, tzinfo=UTC)


def pair(**fields: object) -> tuple[Asset, Asset]:
    kept = factories.asset(unique_identifier="KEPT", **fields)
    return kept, factories.asset(unique_identifier="DROPPED", **fields)


def spells(asset: Asset) -> list[tuple[str, dt.datetime, dt.datetime | None]]:
    rows = AssetCategoryMembership.objects.filter(asset=asset).order_by("category__unique_identifier", "valid_from")
    return list(rows.values_list("category__unique_identifier", "valid_from", "valid_to"))


def test_a_rule_says_what_becomes_of_every_foreign_key_to_an_asset() -> None:
    assert unruled_references() == []
    assert len(RULES) == 19


def test_a_key_that_nobody_ruled_on_refuses_the_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, dropped = pair()
    factories.pending_resolution(dropped)
    monkeypatch.delitem(RULES, "markets.pendingresolution.asset")
    with pytest.raises(Conflict, match="1 waiting for OpenFIGI refer to DROPPED, and nothing says how to merge those"):
        merge_assets(dropped, kept, reason=WHY)
    assert not AssetMerge.objects.exists()


def test_what_refers_to_the_dropped_asset_refers_to_the_kept_one() -> None:
    kept, dropped = pair(asset_type="currency")
    bond = factories.bond(currency_asset=dropped)
    future = factories.future(settlement_asset=dropped)
    spot = factories.currency_spot(base_currency=dropped)
    waiting = factories.pending_resolution(dropped)

    merge = merge_assets(dropped, kept, reason=WHY)

    assert Bond.objects.get(pk=bond.pk).currency_asset == kept
    future.refresh_from_db()
    assert (future.settlement_asset, future.margin_asset) == (kept, kept)
    assert CurrencySpot.objects.get(pk=spot.pk).base_currency == kept
    assert PendingResolution.objects.get(pk=waiting.pk).asset == kept
    dropped.refresh_from_db()
    assert dropped.merged_into == kept
    assert active_merge(dropped) == merge
    assert {item["key"]: item["moved"] for item in merge.record["items"]} == {
        "markets.bond.currency_asset": 1,
        "markets.future.settlement_asset": 1,
        "markets.future.margin_asset": 1,
        "markets.currencyspot.base_currency": 1,
        "markets.pendingresolution.asset": 1,
    }


def test_the_impact_says_what_the_merge_does_and_writes_nothing() -> None:
    kept, dropped = pair(asset_type="currency")
    factories.bond(currency_asset=dropped)
    factories.category(kept, dropped)
    before = states.everything()

    impact = merge_impact(dropped, kept)

    assert states.everything() == before
    assert impact.can_merge
    merge = merge_assets(dropped, kept, reason=WHY)
    assert [(item.key, item.moved, item.joined) for item in impact.items] == [
        (item["key"], item["moved"], item["joined"]) for item in merge.record["items"]
    ]


def test_overlapping_spells_are_joined_and_others_move() -> None:
    kept, dropped = pair()
    index, other = factories.category(unique_identifier="a"), factories.category(unique_identifier="b")
    for owner, where, first, last in (
        (kept, index, 3, 6),
        (kept, index, 10, 12),
        (dropped, index, 1, 4),
        (dropped, index, 5, 8),
        (dropped, index, 8, 10),
        (dropped, other, 1, None),
    ):
        AssetCategoryMembership.objects.create(
            asset=owner, category=where, valid_from=day(first), valid_to=day(last) if last else None
        )
    before = states.everything()

    merge = merge_assets(dropped, kept, reason=WHY)

    assert spells(kept) == [
        ("a", day(1), day(8)),
        ("a", day(8), day(10)),
        ("a", day(10), day(12)),
        ("b", day(1), None),
    ]
    assert spells(dropped) == []
    undo_merge(merge, reason="They are two.")
    assert states.differing(before, states.everything()) == {}


def test_details_are_filled_and_no_figi_is_lost() -> None:
    kept, dropped = pair()
    mine, theirs, named = factories.figi(), factories.figi(), factories.figi()
    factories.details(kept, figi=mine, ticker="KEEP", name=None, isin=None)
    factories.details(dropped, figi=theirs, ticker="DROP", name="Dropped Inc", isin="US0378331005")
    again = factories.asset(unique_identifier=named)

    merge = merge_assets(dropped, kept, reason=WHY)
    merge_assets(again, kept, reason=WHY)

    details = OpenFigiDetails.objects.get(asset=kept)
    assert (details.figi, details.ticker, details.name, details.isin) == (mine, "KEEP", "Dropped Inc", "US0378331005")
    assert not OpenFigiDetails.objects.filter(asset__in=[dropped, again]).exists()
    for figi in (mine, theirs, named):
        assert resolve("figi", figi).asset_identifier == "KEPT"
        assert register_asset_from_figi(figi) == kept
    assert Asset.objects.count() == 3
    undo_merge(merge, reason="They are two.")
    assert OpenFigiDetails.objects.get(asset=dropped).figi == theirs
    assert OpenFigiDetails.objects.get(asset=kept).name is None
    assert not AssetIdentifier.objects.filter(value=theirs).exists()


def test_identifiers_move_and_overlapping_ones_are_joined() -> None:
    kept, dropped = pair()
    identifiers.add_identifier(kept, "isin", "US0378331005", valid_from=dt.date(2020, 1, 1))
    identifiers.add_identifier(dropped, "isin", "US0378331005", valid_from=dt.date(2010, 1, 1))
    identifiers.add_identifier(dropped, "ticker", "AAPL", venue="XNAS")
    before = states.everything()

    merge = merge_assets(dropped, kept, reason=WHY)

    rows = AssetIdentifier.objects.order_by("scheme").values_list("asset", "scheme", "valid_from", "valid_to")
    assert list(rows) == [(kept.pk, "isin", dt.date(2010, 1, 1), None), (kept.pk, "ticker", None, None)]
    undo_merge(merge, reason="They are two.")
    assert states.differing(before, states.everything()) == {}


def test_terms_move_to_an_asset_without_and_its_empty_type_is_filled() -> None:
    kept = factories.asset(unique_identifier="KEPT")
    bond = factories.bond(asset=factories.asset(unique_identifier="DROPPED", asset_type="bond"))
    before = states.everything()

    merge = merge_assets(bond.asset, kept, reason=WHY)

    assert Bond.objects.get().asset == kept
    kept.refresh_from_db()
    assert kept.asset_type == "bond"
    undo_merge(merge, reason="They are two.")
    assert states.differing(before, states.everything()) == {}


def test_equal_terms_are_joined_and_differing_ones_refused() -> None:
    first = factories.bond()
    same = factories.bond(issuer=first.issuer, currency_asset=first.currency_asset)
    other = factories.bond(issuer=first.issuer, currency_asset=first.currency_asset, maturity_date=dt.date(2040, 1, 1))
    future = factories.future()

    merge_assets(same.asset, first.asset, reason=WHY)

    assert not Bond.objects.filter(pk=same.pk).exists()
    with pytest.raises(Conflict, match="Both have the terms of a bond, which differ in maturity date"):
        merge_assets(other.asset, first.asset, reason=WHY)
    with pytest.raises(Conflict, match="of the type bond, cannot have"):
        merge_assets(future.asset, first.asset, reason=WHY)
    assert Bond.objects.filter(pk=other.pk).exists()
    assert AssetMerge.objects.count() == 1


def test_currencies_that_would_pair_with_themselves_are_refused() -> None:
    kept, dropped = pair(asset_type="currency")
    factories.currency_spot(base_currency=kept, quote_currency=dropped)
    with pytest.raises(Conflict, match="would be a pair of KEPT with itself"):
        merge_assets(dropped, kept, reason=WHY)
    euro = factories.currency()
    third = factories.currency()
    factories.currency_spot(base_currency=kept, quote_currency=euro)
    factories.currency_spot(base_currency=third, quote_currency=euro)
    with pytest.raises(Conflict, match="would be one pair"):
        merge_assets(third, kept, reason=WHY)
    with pytest.raises(Conflict, match="KEEP is no currency"):
        merge_assets(dropped, factories.asset(unique_identifier="KEEP", asset_type="equity"), reason=WHY)
    assert not AssetMerge.objects.exists()


def test_a_chain_is_followed_and_never_a_circle() -> None:
    first, second, third = (factories.asset(unique_identifier=name) for name in "ABC")
    one = merge_assets(first, second, reason=WHY)
    two = merge_assets(second, third, reason=WHY)
    first.refresh_from_db()
    assert kept_asset(first) == third
    for dropped, kept, told in (
        (third, first, "A was itself merged into C"),
        (first, third, "A was merged into C already"),
        (third, third, "C is the same asset"),
    ):
        with pytest.raises(Conflict, match=told):
            merge_assets(dropped, kept, reason=WHY)
    with pytest.raises(Conflict, match=r"B was itself merged into C since\. Undo that merge first"):
        undo_merge(one, reason="No.")
    undo_merge(two, reason="No.")
    undo_merge(one, reason="No.")
    assert not Asset.objects.filter(merged_into__isnull=False).exists()
    with pytest.raises(Conflict, match="was undone on"):
        undo_merge(one, reason="No.")


def test_nothing_is_written_to_a_merged_asset_and_the_message_names_the_kept_one() -> None:
    kept, dropped = pair()
    stale = Asset.objects.get(pk=dropped.pk)
    merge_assets(dropped, kept, reason=WHY)
    category = factories.category()
    before = states.everything()
    attempts = [
        lambda: assets.update_asset(stale, asset_type="bond"),
        lambda: assets.upsert_asset(unique_identifier="DROPPED", asset_type="bond"),
        lambda: assets.delete_asset(stale),
        lambda: assets.set_openfigi_details(stale, ticker="T"),
        lambda: categories.append_members(category, ["DROPPED"]),
        lambda: identifiers.add_identifier(stale, "isin", "US0378331005"),
    ]
    for attempt in attempts:
        with pytest.raises(MergedAsset, match="DROPPED was merged into KEPT"):
            attempt()
    outcome = assets.bulk_upsert_assets([{"unique_identifier": "DROPPED"}], on_error="skip")
    assert [fault.reason for fault in outcome.rejections] == [
        "DROPPED was merged into KEPT. Name that one, or undo the merge."
    ]
    assert states.everything() == before


def test_undoing_is_refused_when_what_was_moved_changed_since() -> None:
    kept, dropped = pair(asset_type="currency")
    bond = factories.bond(currency_asset=dropped)
    merge = merge_assets(dropped, kept, reason=WHY)
    Bond.objects.filter(pk=bond.pk).update(status="MATURED")
    other = factories.currency()
    Bond.objects.filter(pk=bond.pk).update(currency_asset=other)
    before = states.everything()
    with pytest.raises(Conflict, match="of the bonds that it wrote, 1 was changed or deleted since"):
        undo_merge(merge, reason="They are two.")
    assert states.everything() == before
    Bond.objects.filter(pk=bond.pk).update(currency_asset=kept)
    undo_merge(merge, reason="They are two.")
    assert Bond.objects.get(pk=bond.pk).currency_asset == dropped
    assert Bond.objects.get(pk=bond.pk).status == "MATURED"  # what others changed beside it stays


def test_every_moved_row_is_recorded_with_the_reason() -> None:
    kept, dropped = pair()
    factories.category(dropped)
    factories.details(dropped)
    last = Change.objects.order_by("id").values_list("id", flat=True).last()
    merge = merge_assets(dropped, kept, reason=WHY)
    found = Change.objects.filter(id__gt=last)
    assert set(found.values_list("reason", flat=True)) == {WHY}
    tables = set(found.values_list("table_name", flat=True))
    assert tables == {
        *("markets_asset", "markets_assetcategorymembership", "markets_openfigidetails", "markets_assetmerge"),
    }
    last = Change.objects.order_by("id").values_list("id", flat=True).last()
    undo_merge(merge, reason="They are two.")
    assert set(Change.objects.filter(id__gt=last).values_list("reason", flat=True)) == {"They are two."}


def test_bad_input_is_refused() -> None:
    kept, dropped = pair()
    for reason in ("", "  ", "x" * 501, None, "a\x00b"):
        with pytest.raises(InvalidInput):
            merge_assets(dropped, kept, reason=reason)  # type: ignore[arg-type]
    for rows in ("", "drop", None, 3):
        with pytest.raises(InvalidInput, match="rows="):
            merge_assets(dropped, kept, reason=WHY, rows=rows)  # type: ignore[arg-type]
    Asset.objects.filter(pk=dropped.pk).delete()
    with pytest.raises(NotFound):
        merge_assets(dropped, kept, reason=WHY)
    assert not AssetMerge.objects.exists()
