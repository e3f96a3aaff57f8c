"""Merges at the same moment, and merges that are killed: one of them, or none."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from markets.exceptions import Conflict
from markets.models import Asset, AssetMerge
from markets.services.merging import merge_assets, merge_impact
from markets.services.merging import merges as service
from tests import factories
from tests.markets.services.merging import states

pytestmark = pytest.mark.django_db(transaction=True)
WHY = "The same share, entered twice."


def test_of_two_merges_of_one_asset_one_wins() -> None:
    first, second, dropped = (factories.asset(unique_identifier=name) for name in "ABC")
    factories.category(dropped)

    def merge(kept: Asset) -> str:
        try:
            merge_assets(dropped, kept, reason=WHY)
        except Conflict as error:
            return str(error)
        finally:
            connection.close()
        return "merged"

    with ThreadPoolExecutor(2) as pool:
        told = sorted(pool.map(merge, [first, second]), key=len)

    assert told[0] == "merged"
    assert "C was merged into" in told[1]
    assert AssetMerge.objects.count() == 1
    dropped.refresh_from_db()
    assert dropped.merged_into == AssetMerge.objects.get().kept


def test_two_that_are_merged_into_each_other_end_as_one_redirect() -> None:
    first, second = (factories.asset(unique_identifier=name) for name in "AB")

    def merge(pair: tuple[Asset, Asset]) -> str:
        try:
            merge_assets(*pair, reason=WHY)
        except Conflict as error:
            return str(error)
        finally:
            connection.close()
        return "merged"

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(merge, [(first, second), (second, first)]))

    assert told.count("merged") == 1
    assert Asset.objects.filter(merged_into__isnull=False).count() == 1


def test_a_connection_that_dies_in_the_middle_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, dropped = factories.asset(unique_identifier="A"), factories.asset(unique_identifier="B")
    factories.category(dropped)
    factories.details(dropped)
    before = states.everything()
    plan = service._plan

    def cut_before_the_last(*arguments: object) -> object:
        impact, parts = plan(*arguments)  # type: ignore[arg-type]

        def die(steps: object) -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

        parts[-1].apply = die
        return impact, parts

    monkeypatch.setattr(service, "_plan", cut_before_the_last)
    with pytest.raises(Exception, match=r"terminat|closed"):
        merge_assets(dropped, kept, reason=WHY)
    connection.close()
    monkeypatch.undo()

    assert states.everything() == before
    assert merge_impact(dropped, kept).can_merge
    merge_assets(dropped, kept, reason=WHY)
