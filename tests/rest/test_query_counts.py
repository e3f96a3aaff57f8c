"""Lists and pages take a number of queries that does not depend on how many rows they show."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from rest_framework.test import APIClient

from markets.models import AssetSnapshot
from tests import factories
from tests.rest.base import ROOT

NOON = dt.datetime(2026, 5, 25, 12, tzinfo=dt.UTC)


def _assets(count: int) -> None:
    for _ in range(count):
        factories.details(factories.asset())


def _categories(count: int) -> None:
    for _ in range(count):
        factories.category(factories.asset(), factories.asset())


def _nodes(count: int) -> None:
    for _ in range(count):
        update = factories.node_update()
        factories.node_run(update)
        factories.node_run(update)
        factories.statistic(update.storage, factories.asset())


def _jobs(count: int) -> None:
    for _ in range(count):
        factories.job(requested_by=factories.user())


def _portfolios(count: int) -> None:
    for _ in range(count):
        factories.portfolio(
            calendar=factories.calendar(),
            values_node=factories.node_update(),
            signal_weights_node=factories.node_update(),
        )


def _account_rows(count: int) -> None:
    for _ in range(count):
        account = factories.account(account_group=factories.account_group())
        allocation = factories.target_allocation(account=account)
        factories.position_set(account_target_allocation=allocation)
        factories.holdings_set(account=account)
        factories.virtual_fund(account=account, account_target_allocation=allocation)


def _terms(count: int) -> None:
    for _ in range(count):
        factories.currency_spot()
        factories.bond()
        factories.future()


def _snapshots(count: int) -> None:
    AssetSnapshot.objects.bulk_create(
        AssetSnapshot(asset_identifier=factories.asset().unique_identifier, time_index=NOON) for _ in range(count)
    )


# Two of the queries are the session and the user; the count and the page are the rest. A DataNode adds its latest runs;
# a search or a substring the transaction with its time limit (three), a search of assets also what it finds.
CASES: list[tuple[str, Callable[[int], None], int]] = [
    ("asset/", _assets, 4),
    ("asset/?search=tick&ordering=-created_at", _assets, 8),
    ("asset/?unique_identifier__contains=a", _assets, 7),
    ("asset/?cursor=", _assets, 4),
    ("asset-snapshot/", _snapshots, 4),
    ("asset-snapshot/?as_of=2026-05-25", _snapshots, 4),
    ("asset-type/", lambda count: [factories.asset_type() for _ in range(count)] and None, 4),
    ("asset-category/", _categories, 4),
    ("calendar/", lambda count: [factories.calendar(dt.date(2026, 1, 2)) for _ in range(count)] and None, 4),
    ("issuer/", lambda count: [factories.issuer() for _ in range(count)] and None, 4),
    ("issuer/?search=i", lambda count: [factories.issuer() for _ in range(count)] and None, 7),
    ("index/", lambda count: [factories.index() for _ in range(count)] and None, 4),
    ("index-type/", lambda count: [factories.index_type() for _ in range(count)] and None, 4),
    ("currency-spot/", _terms, 4),
    ("bond/", _terms, 4),
    ("future/", _terms, 4),
    ("data-node/", _nodes, 5),
    ("job/", _jobs, 4),
    ("portfolio/", _portfolios, 4),
    ("account/", _account_rows, 4),
    ("account-group/", _account_rows, 4),
    ("account-allocation-model/", _account_rows, 4),
    ("account-target-allocation/", _account_rows, 4),
    ("position-set/", _account_rows, 4),
    ("account-holdings-set/", _account_rows, 4),
    ("virtualfund/", _account_rows, 4),
]


@pytest.fixture
def client(db: None) -> APIClient:
    client = APIClient()
    user = factories.user()
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    user.is_superuser = True
    user.save()
    client.force_login(user)
    return client


@pytest.mark.parametrize(("path", "fill", "queries"), CASES, ids=[case[0] for case in CASES])
def test_lists(
    path: str, fill: Callable[[int], None], queries: int, client: APIClient, django_assert_num_queries: Any
) -> None:
    fill(3)
    with django_assert_num_queries(queries):
        assert client.get(ROOT + path).json()["count"] == 3
    fill(27)
    with django_assert_num_queries(queries):
        body = client.get(ROOT + path).json()
    assert (body["count"], len(body["results"])) == (30, 30)


def test_category_detail_and_members(client: APIClient, django_assert_num_queries: Any) -> None:
    for size in (3, 30):
        category = factories.category(*(factories.asset() for _ in range(size)))
        with django_assert_num_queries(3):
            assert client.get(f"{ROOT}asset-category/{category.uid}/").json()["number_of_assets"] == size
        with django_assert_num_queries(5):
            assert client.get(f"{ROOT}asset/?categories__uid={category.uid}").json()["count"] == size


def test_calendar_sessions(client: APIClient, django_assert_num_queries: Any) -> None:
    for size in (3, 30):
        days = [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(size)]
        calendar = factories.calendar(*days)
        with django_assert_num_queries(5):
            assert client.get(f"{ROOT}calendar/{calendar.uid}/sessions/").json()["count"] == size


def test_calendar_dates_and_events(client: APIClient, django_assert_num_queries: Any) -> None:
    for size in (3, 30):
        days = [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(size)]
        calendar = factories.calendar(*days)
        for day in days:
            factories.calendar_date(calendar, local_date=day)
            factories.calendar_event(calendar, event_date=day)
        for name in ("dates", "events"):
            with django_assert_num_queries(5):
                assert client.get(f"{ROOT}calendar/{calendar.uid}/{name}/").json()["count"] == size


def test_statistics_and_runs_of_a_node(client: APIClient, django_assert_num_queries: Any) -> None:
    for size in (3, 30):
        update = factories.node_update()
        for _ in range(size):
            factories.node_run(update)
            factories.statistic(update.storage, factories.asset())
        for name, queries in (("statistics", 6), ("runs", 5)):
            with django_assert_num_queries(queries):
                path = f"{ROOT}data-node/{update.update_hash}/{name}/"
                assert client.get(path).json()["count"] == size


def test_changing_members_takes_as_many_queries_for_few_as_for_many(
    client: APIClient, django_assert_max_num_queries: Any
) -> None:
    category = factories.category()
    for size in (3, 300):
        uids = [str(factories.asset().uid) for _ in range(size)]
        with django_assert_max_num_queries(14):
            response = client.post(
                f"{ROOT}asset-category/{category.uid}/append-assets/", {"assets": uids}, format="json"
            )
        assert response.json()["added"] == size
