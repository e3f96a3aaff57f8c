"""Assets and asset types through their services."""

import threading
from typing import Any

import pytest
from django.db import connection

from markets.exceptions import Conflict, InvalidInput, ProtectedRow
from markets.models import Asset, AssetCategory, AssetType, OpenFigiDetails
from markets.services import asset_types, assets, deletion
from markets.services.values import UNSET
from tests import factories

pytestmark = pytest.mark.django_db
AAPL = "BBG000B9XRY4"


def test_create_registers_an_unknown_type_without_a_name() -> None:
    asset = assets.create_asset(unique_identifier=" BTC/USDT ", asset_type="Crypto")
    assert (asset.unique_identifier, asset.asset_type, asset.is_custom_by_organization) == ("BTC/USDT", "crypto", True)
    assert AssetType.objects.values_list("asset_type", "display_name").get() == ("crypto", None)


def test_a_named_type_keeps_its_name() -> None:
    asset_types.upsert_asset_type(asset_type="crypto", display_name="Crypto assets")
    assets.create_asset(unique_identifier="BTC", asset_type="crypto")
    asset_types.ensure_asset_type("Crypto", display_name="Other")
    assert AssetType.objects.get().display_name == "Crypto assets"


def test_create_twice_is_a_conflict_that_registers_nothing() -> None:
    assets.create_asset(unique_identifier="BTC")
    with pytest.raises(Conflict, match="An asset 'BTC' exists already"):
        assets.create_asset(unique_identifier="BTC", asset_type="other")
    assert not AssetType.objects.exists()


def test_upsert_writes_what_is_given() -> None:
    first = assets.upsert_asset(unique_identifier="BTC", asset_type="crypto", is_custom_by_organization=False)
    second = assets.upsert_asset(unique_identifier="BTC")
    assert (first.created, second.created, second.row.uid) == (True, False, first.row.uid)
    assert (second.row.asset_type, second.row.is_custom_by_organization) == ("crypto", False)
    assert assets.upsert_asset(unique_identifier="BTC", asset_type=None).row.asset_type is None
    assert Asset.objects.get().asset_type is None
    assert assets.upsert_asset(unique_identifier="ETH").row.is_custom_by_organization is True


def test_an_upsert_that_changes_nothing_writes_nothing() -> None:
    before = assets.upsert_asset(unique_identifier="BTC", asset_type="crypto").row.updated_at
    assets.upsert_asset(unique_identifier="BTC", asset_type="Crypto")
    assert Asset.objects.get().updated_at == before


def test_an_update_writes_over_what_another_wrote_meanwhile() -> None:
    stale = assets.create_asset(unique_identifier="BTC", asset_type="crypto")
    Asset.objects.update(asset_type="equity")
    assert assets.update_asset(stale, asset_type="crypto").asset_type == "crypto"
    assert Asset.objects.get().asset_type == "crypto"


def test_an_update_of_a_type_returns_what_is_stored_now() -> None:
    stale = asset_types.create_asset_type(asset_type="crypto")
    AssetType.objects.update(description="Coins")
    assert asset_types.update_asset_type(stale, display_name="Crypto").description == "Coins"
    assert AssetType.objects.values_list("display_name", "description").get() == ("Crypto", "Coins")


def test_deleting_an_asset_touches_the_categories_it_leaves() -> None:
    asset = factories.asset()
    left, other = factories.category(asset), factories.category()
    assets.delete_asset(asset)
    assert AssetCategory.objects.get(pk=left.pk).updated_at > left.updated_at
    assert AssetCategory.objects.get(pk=other.pk).updated_at == other.updated_at


@pytest.mark.parametrize("bad", [{"asset_type": " "}, {"is_custom_by_organization": "yes"}, {"asset_type": 5}])
def test_a_bad_change_writes_nothing(bad: dict[str, Any]) -> None:
    asset = assets.create_asset(unique_identifier="BTC", asset_type="crypto")
    with pytest.raises(InvalidInput):
        assets.update_asset(asset, **bad)
    assert Asset.objects.get().asset_type == "crypto"


def test_details_are_set_and_cleared() -> None:
    asset = assets.create_asset(unique_identifier="x")
    details = assets.set_openfigi_details(asset, figi=AAPL.lower(), ticker=" AAPL ", raw_payload={"figi": AAPL})
    assert (details.figi, details.ticker, details.raw_payload) == (AAPL, "AAPL", {"figi": AAPL})
    assets.set_openfigi_details(asset, name="APPLE INC", ticker=None)
    assert OpenFigiDetails.objects.values_list("figi", "ticker", "name").get() == (AAPL, None, "APPLE INC")
    before = Asset.objects.get().updated_at
    assert assets.clear_openfigi_details(asset) is True
    assert assets.clear_openfigi_details(asset) is False
    assert Asset.objects.get().updated_at > before


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"figi": "BBG000B9XRY5"}, "figi", "its check digit is 5 where 4 is due"),
        ({"composite": "nonsense"}, "composite", "it has 8 characters, not 12"),
        ({"ticker": "x" * 51}, "ticker", "at most 50"),
        ({"name": "a\x00"}, "name", "NUL"),
        ({"metadata_text": "\x00"}, "metadata_text", "NUL"),
        ({"raw_payload": [1]}, "raw_payload", "JSON object"),
        ({"nonsense": 1}, "nonsense", "no field nonsense"),
        ({"asset": None}, "asset", "no field asset"),
    ],
)
def test_bad_details_write_nothing(fields: dict[str, Any], field: str, text: str) -> None:
    asset = assets.create_asset(unique_identifier="x")
    with pytest.raises(InvalidInput, match=text) as refused:
        assets.set_openfigi_details(asset, **{"isin": "US0378331005", **fields})
    assert refused.value.field == field
    assert not OpenFigiDetails.objects.exists()


def test_a_figi_belongs_to_one_asset() -> None:
    one, two = (assets.create_asset(unique_identifier=name) for name in ("one", "two"))
    assets.set_openfigi_details(one, figi=AAPL)
    with pytest.raises(Conflict, match=f"The FIGI {AAPL} belongs to the asset one"):
        assets.set_openfigi_details(two, figi=AAPL)
    assert OpenFigiDetails.objects.count() == 1
    assets.set_openfigi_details(one, figi=AAPL, ticker="AAPL")


def test_deleting_takes_details_and_memberships_along() -> None:
    asset, other = factories.asset(), factories.asset()
    factories.details(asset)
    category = factories.category(asset, other)
    impact = assets.asset_delete_impact(asset)
    assert impact.can_delete
    assert {item.key: item.count for item in impact.relationships if item.count} == {
        "markets.openfigidetails.asset": 1,
        "markets.assetcategorymembership.asset": 1,
    }
    assert {item.effect for item in impact.relationships} == {"cascade_delete", "informational"}
    assets.delete_asset(asset)
    assert list(category.assets.all()) == [other]


def test_an_asset_with_data_stays_even_by_force() -> None:
    asset, table = factories.asset(is_custom_by_organization=False), factories.storage()
    factories.statistic(table, asset)
    with pytest.raises(ProtectedRow, match=rf"has data in {table.identifier} \(6 rows\)"):
        assets.delete_asset(asset, force=True)
    assert Asset.objects.filter(pk=asset.pk).exists()


def test_a_public_asset_needs_force() -> None:
    asset = factories.asset(is_custom_by_organization=False)
    with pytest.raises(ProtectedRow, match="public master"):
        assets.delete_asset(asset)
    assets.delete_asset(asset, force=True)
    assert not Asset.objects.exists()


def test_types_in_use_stay() -> None:
    row = asset_types.create_asset_type(asset_type="Bond")
    factories.asset(asset_type="bond")
    factories.asset(asset_type="bond")
    with pytest.raises(ProtectedRow, match="The asset type bond is used by 2 assets"):
        asset_types.delete_asset_type(row)
    impact = asset_types.asset_type_delete_impact(row)
    assert (impact.can_delete, impact.blocking_count, impact.identifier) == (False, 2, "bond")
    with pytest.raises(Conflict):
        asset_types.create_asset_type(asset_type=" BOND ")


def test_unset_keeps_none_clears() -> None:
    asset_types.upsert_asset_type(asset_type="bond", display_name="Bond", description="d")
    row = asset_types.upsert_asset_type(asset_type="bond", display_name=UNSET, description=None).row
    assert (row.display_name, row.description) == ("Bond", None)


def test_impact_reaches_through_cascades() -> None:
    update = factories.node_update()
    factories.node_run(update)
    portfolio = factories.portfolio(values_node=update)
    impact = deletion.delete_impact(update)
    assert not impact.can_delete
    assert {item.key: (item.count, item.effect) for item in impact.relationships if item.count} == {
        "markets.noderun.node_update": (1, "cascade_delete"),
        "portfolios.portfolio.values_node": (1, "blocks_delete"),
    }
    with pytest.raises(ProtectedRow, match=r"is used by 1 of portfolios\. Delete or change those first\."):
        deletion.delete(update)
    portfolio.delete()
    assert deletion.delete(update)["markets.NodeUpdate"] == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_upserts_end_with_one_row() -> None:
    created: list[bool] = []
    barrier = threading.Barrier(4)

    def work() -> None:
        try:
            barrier.wait()
            created.append(assets.upsert_asset(unique_identifier="BTC", asset_type="crypto").created)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(created) == [False, False, False, True]
    assert Asset.objects.count() == AssetType.objects.count() == 1
