"""Types of many assets at once: the same refusals as for one, in as many queries for many as for few."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from markets.exceptions import Conflict, InvalidInput
from markets.models import Asset, AssetType
from markets.services import assets, deletion
from markets.services.type_changes import change_asset_types, plan_type_change
from tests import factories

pytestmark = pytest.mark.django_db


def test_what_cannot_change_is_told_and_the_rest_changes() -> None:
    # given
    spot, plain = factories.currency_spot(), factories.asset(asset_type="equity")
    done = factories.asset(asset_type="fund")
    chosen = [spot.asset, spot.base_currency, spot.quote_currency, plain, done]
    ids = [row.pk for row in chosen]
    # when
    planned = plan_type_change(ids, asset_type=" Fund ")
    # then nothing is written
    assert (planned.asset_type, planned.changed, planned.kept) == ("fund", 1, 1)
    assert Asset.objects.get(pk=plain.pk).asset_type == "equity"
    assert not AssetType.objects.filter(asset_type="fund").exists()
    # when
    change = change_asset_types(ids, asset_type="fund")
    # then
    assert change == planned
    assert set(change.refused) == {row.unique_identifier for row in chosen[:3]}
    assert f"is the currency of the currency spot {spot.asset}" in change.refused[str(spot.base_currency)]
    assert Asset.objects.filter(pk__in=ids, asset_type="fund").count() == 2
    assert AssetType.objects.filter(asset_type="fund").exists()
    # and one asset alone is refused in the same words
    with pytest.raises(Conflict) as refused:
        assets.update_asset(spot.asset, asset_type="fund")
    assert str(refused.value) == change.refused[str(spot.asset)]


def test_many_cost_as_many_queries_as_few() -> None:
    def queries(number: int) -> int:
        ids = [factories.asset(asset_type="currency").pk for _ in range(number)]
        with CaptureQueriesContext(connection) as captured:
            change_asset_types(ids, asset_type=f"kind_of_{number}")
        return len(captured)

    assert queries(2) == queries(40)


def test_a_key_that_is_none_changes_nothing() -> None:
    row = factories.asset(asset_type="equity")
    with pytest.raises(InvalidInput):
        change_asset_types([row.pk], asset_type="a\x00b")
    assert Asset.objects.get(pk=row.pk).asset_type == "equity"
    assert change_asset_types([], asset_type="equity").changed == 0


def test_the_impact_of_many_is_the_sum_of_each_in_as_many_queries() -> None:
    issuers = [factories.issuer() for _ in range(3)]
    for number, issuer in enumerate(issuers):
        for _ in range(number):
            factories.bond(issuer=issuer)
    alone = [deletion.delete_impact(issuer) for issuer in issuers]
    with CaptureQueriesContext(connection) as one:
        deletion.delete_impact(issuers[0])
    with CaptureQueriesContext(connection) as many:
        together = deletion.delete_impact(*issuers)
    assert together.blocking_count == sum(impact.blocking_count for impact in alone) == 3
    assert (together.identifier, together.uid, together.can_delete) == ("3 issuers", "", False)
    assert len(one) == len(many)
