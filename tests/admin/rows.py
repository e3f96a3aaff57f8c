"""Rows for the tests of the back-office, ordinary ones and such as a hostile or careless person makes."""

import datetime as dt

import numpy as np
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from markets.models import (
    Asset,
    AssetCategory,
    AssetCategoryMembership,
    AssetType,
    Calendar,
    CalendarSession,
    NodeUpdate,
    OpenFigiDetails,
    StorageNode,
    UpdateStatistic,
)
from markets.services.node_runs import register_node
from portfolios.models import Portfolio, PortfolioValue, PortfolioWeight
from tests.admin.nodes import Closes, Report

HOSTILE = "<script>alert('x')</script>"
LONG = "A_name_without_any_space_" * 9
PASSWORD = "correct horse battery"


def administrator(name: str = "boss") -> User:
    return User.objects.create_superuser(name, password=PASSWORD)


def viewer(name: str = "viewer") -> User:
    """Staff who may look at everything and change nothing."""
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(codename__startswith="view_", content_type__app_label__in=("markets", "portfolios"))
    )
    return user


def assets(number: int = 4, *, prefix: str = "BBG00000000") -> list[Asset]:
    rows = [Asset(unique_identifier=f"{prefix}{place}", asset_type="equity") for place in range(number)]
    AssetType.objects.get_or_create(asset_type="equity", defaults={"display_name": "Equity"})
    Asset.objects.bulk_create(rows)
    OpenFigiDetails.objects.bulk_create(
        OpenFigiDetails(
            asset=row, figi=row.unique_identifier[:12], ticker=f"TCK{place}", name=f"Company number {place}"
        )
        for place, row in enumerate(rows)
    )
    return rows


def hostile_asset() -> Asset:
    row = Asset.objects.create(unique_identifier=f"{HOSTILE}{LONG}"[:255], asset_type="equity")
    OpenFigiDetails.objects.create(asset=row, ticker=HOSTILE, name=f"{HOSTILE} {LONG}"[:255])
    return row


def category(members: list[Asset], name: str = "Technology") -> AssetCategory:
    row = AssetCategory.objects.create(unique_identifier=name.lower()[:255], display_name=name)
    AssetCategoryMembership.objects.bulk_create(AssetCategoryMembership(category=row, asset=asset) for asset in members)
    return row


def calendar(days: int = 10, identifier: str = "XTEST") -> Calendar:
    first = dt.date(2020, 1, 1)
    row = Calendar.objects.create(
        unique_identifier=identifier,
        display_name="Test exchange",
        valid_from=first,
        valid_to=first + dt.timedelta(days=max(days, 1)),
    )
    opens = dt.datetime(2020, 1, 1, 14, 30, tzinfo=dt.UTC)
    CalendarSession.objects.bulk_create(
        CalendarSession(
            calendar=row,
            local_date=first + dt.timedelta(days=day),
            opens_at=opens + dt.timedelta(days=day),
            closes_at=opens + dt.timedelta(days=day, hours=6, minutes=30),
        )
        for day in range(days)
    )
    return row


def priced_node(members: list[Asset], dataset: str = "test-closes", *, days: int = 300, run: bool = True) -> NodeUpdate:
    node = Closes(dataset, [asset.unique_identifier for asset in members], days)
    update = register_node(node)
    if run:
        node.run()
    return update


def report_node(members: list[Asset], dataset: str = "test-report") -> NodeUpdate:
    return register_node(Report(dataset, Closes("test-closes", [asset.unique_identifier for asset in members], 300)))


def failing_node(dataset: str = "test-failing") -> NodeUpdate:
    return register_node(Closes(dataset, ["nobody"], fails=True))


def portfolio(
    members: list[Asset],
    identifier: str = "test-portfolio",
    *,
    sessions: int = 300,
    name: str = "Test portfolio",
    values_node: NodeUpdate | None = None,
) -> Portfolio:
    """A portfolio with stored values and weights that drift apart."""
    row = Portfolio.objects.create(
        unique_identifier=identifier,
        display_name=name,
        commission_fee="0.00018",
        values_node=values_node,
        calendar=Calendar.objects.first(),
    )
    generator = np.random.default_rng(7)
    closes = np.cumprod(1 + generator.normal(0.0004, 0.01, sessions))
    shares = generator.dirichlet(np.ones(len(members)) * 50, sessions) if members else np.empty((sessions, 0))
    start = dt.datetime(2020, 1, 1, 21, tzinfo=dt.UTC)
    times = [start + dt.timedelta(days=day) for day in range(sessions)]
    PortfolioValue.objects.bulk_create(
        PortfolioValue(
            portfolio_identifier=identifier,
            time_index=time,
            close=close,
            period_return=0.0,
            calculated_close=close,
            close_time=time,
            turnover=0.0,
            is_incomplete=place % 100 == 50,
            signal_expired=False,
        )
        for place, (time, close) in enumerate(zip(times, closes.tolist(), strict=True))
    )
    PortfolioWeight.objects.bulk_create(
        PortfolioWeight(
            portfolio_identifier=identifier,
            time_index=time,
            asset_identifier=asset.unique_identifier,
            weight=shares[place, number],
            weight_before=shares[place - 1, number] if place else 0.0,
            price_current=100.0 + number,
            price_is_stale=number == 1,
        )
        for place, time in enumerate(times)
        for number, asset in enumerate(members)
    )
    if times:
        _record_values(identifier, times)
    return row


def _record_values(identifier: str, times: list[dt.datetime]) -> None:
    """What the run of a node would have recorded of stored values."""
    storage, _ = StorageNode.objects.get_or_create(
        storage_hash=PortfolioValue._meta.db_table,
        defaults={
            "node_class": "portfolios.data_nodes.values.PortfolioValues",
            "table_name": PortfolioValue._meta.db_table,
            "is_engine_table": False,
            "index_names": ["time_index", "portfolio_identifier"],
            "key_columns": ["portfolio_identifier", "time_index"],
            "columns": [
                {"column_name": name, "dtype": dtype, "label": "", "description": ""}
                for name, dtype in (("close", "float64"), ("is_incomplete", "bool"))
            ],
        },
    )
    UpdateStatistic.objects.create(
        storage=storage,
        identity=[identifier],
        first_time_index=times[0],
        last_time_index=times[-1],
        row_count=len(times),
    )


def long_ago() -> dt.datetime:
    return timezone.now() - dt.timedelta(seconds=30)
