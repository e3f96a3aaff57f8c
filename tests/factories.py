"""Rows for tests, made in one line each."""

import datetime as dt
import itertools
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pandas as pd
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.utils import timezone

from markets.engine.identifiers import figi_check_digit
from markets.models import (
    AccessToken,
    Asset,
    AssetCategory,
    AssetCategoryMembership,
    AssetIdentifier,
    AssetMerge,
    AssetType,
    Bond,
    Calendar,
    CalendarDate,
    CalendarEvent,
    CalendarSession,
    CurrencySpot,
    FigiAnswer,
    FreshnessPolicy,
    Future,
    HomeMarketPolicy,
    Index,
    IndexType,
    Issuer,
    Job,
    NodeRun,
    NodeUpdate,
    OpenFigiDetails,
    PendingResolution,
    RememberedDecision,
    Resolution,
    ResolutionItem,
    RunStatus,
    StorageNode,
    UpdateStatistic,
)
from markets.services.calendars import create_from_pandas_calendar
from markets.services.freshness_policies import set_policy
from markets.services.index_values import write_index_values
from markets.services.merging import merge_assets
from portfolios.models import (
    Account,
    AccountAllocationModel,
    AccountGroup,
    AccountHoldingsSet,
    AccountTargetAllocation,
    Portfolio,
    PositionSet,
    VirtualFund,
)

_number = itertools.count(1)


def number() -> int:
    return next(_number)


def figi(serial: int | None = None) -> str:
    """A well-formed FIGI."""
    body = f"BBG{(serial or number()):08d}"
    return body + figi_check_digit(body)


def user(*permissions: str, **fields: Any) -> Any:
    """A user with these permissions, `app.codename` each."""
    made = get_user_model().objects.create_user(f"user-{number()}", **fields)
    for permission in permissions:
        app, _, codename = permission.partition(".")
        made.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return made


def person(role: str | None = None, **fields: Any) -> Any:
    """Staff in one of the groups that the migrations make, or in none."""
    row = user(is_staff=True, **fields)
    if role is not None:
        if not Group.objects.exists():  # a test with transactions of its own has emptied all tables
            for migration in ("markets.migrations.0007_groups", "portfolios.migrations.0004_groups"):
                import_module(migration).grants(apps, SimpleNamespace(connection=connection))
        row.groups.add(Group.objects.get(name=role))
    return row


def token(owner: Any, **fields: Any) -> str:
    return AccessToken.objects.create(owner, **fields)[1]


def asset_type(**fields: Any) -> AssetType:
    return AssetType.objects.create(**{"asset_type": f"kind_{number()}", **fields})


def asset(**fields: Any) -> Asset:
    return Asset.objects.create(**{"unique_identifier": f"ASSET-{number():05d}", **fields})


def details(owner: Asset, **fields: Any) -> OpenFigiDetails:
    return OpenFigiDetails.objects.create(asset=owner, **{"figi": figi(), "ticker": "TICK", **fields})


def pending_resolution(owner: Asset | None = None, **fields: Any) -> PendingResolution:
    return PendingResolution.objects.create(
        asset=owner or asset(), **{"scheme": "figi", "value": figi(), "requested_at": timezone.now(), **fields}
    )


CANDIDATE = "BBG000B9XRY4"  # the composite in the US that `figi_answer` gives
OTHER_CANDIDATE = "BBG000BLNNH6"  # the one in Germany


def figi_answer(**fields: Any) -> FigiAnswer:
    """Two composites of one share class: a choice."""
    shared = {"shareClassFIGI": "BBG001S5N8V8", "marketSector": "Equity", "securityType2": "Common Stock"}
    rows = [
        {"figi": figi_, "compositeFIGI": figi_, "exchCode": code, "ticker": ticker, "name": "CANDIDATE INC", **shared}
        for figi_, code, ticker in ((CANDIDATE, "US", "CAND"), (OTHER_CANDIDATE, "GR", "CND"))
    ]
    value = f"T{number()}"
    return FigiAnswer.objects.create(
        **{
            "job_hash": f"{number():064d}",
            "job": {"idType": "TICKER", "idValue": value},
            "outcome": "found",
            "rows": rows,
            "asked_at": timezone.now(),
            **fields,
        }
    )


def resolution(**fields: Any) -> Resolution:
    return Resolution.objects.create(**{"title": f"List {number()}", "source": "desk", "lines": 1, **fields})


def resolution_item(owner: Resolution | None = None, **fields: Any) -> ResolutionItem:
    """A ticker of the list; one that is to be decided has an answer with two candidates."""
    serial = number()
    if fields.get("status") == "review":
        fields = {"answer": figi_answer(), "message": "2 candidates: 2 composites.", **fields}
    text = f"T{serial}"
    return ResolutionItem.objects.create(
        resolution=owner or resolution(), **{"line": serial, "text": text, "scheme": "ticker", "value": text, **fields}
    )


def home_market(**fields: Any) -> HomeMarketPolicy:
    return HomeMarketPolicy.objects.create(**{"source": f"source-{number()}", "exchange_codes": ["GR"], **fields})


def remembered_decision(**fields: Any) -> RememberedDecision:
    return RememberedDecision.objects.create(
        **{"scheme": "ticker", "value": f"T{number()}", "source": "desk", "figi": CANDIDATE, **fields}
    )


def asset_identifier(owner: Asset | None = None, **fields: Any) -> AssetIdentifier:
    """A ticker that its asset had in the year 2025."""
    days = {"valid_from": dt.date(2025, 1, 1), "valid_to": dt.date(2026, 1, 1)}
    return AssetIdentifier.objects.create(
        asset=owner or asset(), **{"scheme": "ticker", "value": f"T{number()}", "venue": "XNYS", **days, **fields}
    )


def merge(dropped: Asset | None = None, kept: Asset | None = None) -> AssetMerge:
    return merge_assets(dropped or asset(), kept or asset(), reason="They are one.")


def category(*members: Asset, **fields: Any) -> AssetCategory:
    serial = number()
    made = AssetCategory.objects.create(
        **{"unique_identifier": f"category-{serial:05d}", "display_name": f"Category {serial:05d}", **fields}
    )
    AssetCategoryMembership.objects.bulk_create(
        [AssetCategoryMembership(category=made, asset=member) for member in members]
    )
    return made


def calendar(*days: dt.date, **fields: Any) -> Calendar:
    """A calendar of 2026 with a session from 14:30 to 21:00 UTC on each of the days."""
    made = Calendar.objects.create(
        **{
            "unique_identifier": f"CALENDAR-{number():05d}",
            "display_name": "A calendar",
            "valid_from": dt.date(2026, 1, 1),
            "valid_to": dt.date(2026, 12, 31),
            **fields,
        }
    )
    CalendarSession.objects.bulk_create(
        [
            CalendarSession(
                calendar=made,
                local_date=day,
                opens_at=dt.datetime.combine(day, dt.time(14, 30), dt.UTC),
                closes_at=dt.datetime.combine(day, dt.time(21), dt.UTC),
            )
            for day in days
        ]
    )
    return made


def market_calendar(**fields: Any) -> Calendar:
    """A calendar of the market 24/7, with one session."""
    values = {
        "source_identifier": "24/7",
        "unique_identifier": f"market-{number()}",
        "display_name": "Always",
        "valid_from": dt.date(2026, 5, 25),
        "valid_to": dt.date(2026, 5, 25),
    }
    return create_from_pandas_calendar(**(values | fields)).calendar


def storage(**fields: Any) -> StorageNode:
    serial = number()
    return StorageNode.objects.create(
        **{
            "storage_hash": f"storage_{serial}",
            "identifier": f"table-{serial:05d}",
            "node_class": "somewhere.Node",
            "table_name": f"dn_storage_{serial}",
            "index_names": ["time_index", "asset_identifier"],
            "key_columns": ["asset_identifier", "time_index"],
            **fields,
        }
    )


def node_update(**fields: Any) -> NodeUpdate:
    return NodeUpdate.objects.create(
        **{
            "update_hash": f"update_{number()}",
            "node_class": "somewhere.Node",
            "build_configuration": {"node": "somewhere.Node", "arguments": {}},
            **({} if "storage" in fields else {"storage": storage()}),
            **fields,
        }
    )


def node_run(update: NodeUpdate, **fields: Any) -> NodeRun:
    now = timezone.now()
    return NodeRun.objects.create(
        **{
            "node_update": update,
            "status": RunStatus.SUCCEEDED,
            "started_at": now,
            "finished_at": now,
            "rows_written": 3,
            **fields,
        }
    )


def statistic(table: StorageNode, owner: Asset, **fields: Any) -> UpdateStatistic:
    return UpdateStatistic.objects.create(
        **{
            "storage": table,
            "identity": [owner.unique_identifier],
            "asset": owner,
            "first_time_index": dt.datetime(2026, 1, 2, 21, tzinfo=dt.UTC),
            "last_time_index": dt.datetime(2026, 1, 9, 21, tzinfo=dt.UTC),
            "row_count": 6,
            **fields,
        }
    )


def job(**fields: Any) -> Job:
    return Job.objects.create(**{"kind": "run_node", "title": "Run it", "queued_at": timezone.now(), **fields})


def freshness_policy(update: NodeUpdate, **fields: Any) -> FreshnessPolicy:
    return set_policy(update, **({"rule": "every", "every": 1, "every_unit": "days"} | fields))


def portfolio(**fields: Any) -> Portfolio:
    return Portfolio.objects.create(**{"unique_identifier": f"portfolio-{number():05d}", **fields})


def issuer(**fields: Any) -> Issuer:
    return Issuer.objects.create(
        **{"unique_identifier": f"issuer-{number():05d}", "display_name": "An issuer", **fields}
    )


def index_type(**fields: Any) -> IndexType:
    return IndexType.objects.create(**{"index_type": f"kind_{number()}", **fields})


def index(**fields: Any) -> Index:
    return Index.objects.create(
        **{"unique_identifier": f"INDEX-{number():05d}", "index_type": "equity", "display_name": "An index", **fields}
    )


def index_values(owner: Index | None = None) -> Index:
    """An index with two daily values."""
    owner = owner or index()
    times = pd.DatetimeIndex(["2026-01-02T21:00:00Z", "2026-01-05T21:00:00Z"], name="time_index")
    frame = pd.DataFrame({"index_identifier": owner.unique_identifier, "value": [5.25, 5.5]}, index=times)
    write_index_values(frame, cadence="1d")
    return owner


def currency(**fields: Any) -> Asset:
    return asset(**{"asset_type": "currency", **fields})


def currency_spot(**fields: Any) -> CurrencySpot:
    values = {"asset": None, "base_currency": None, "quote_currency": None, **fields}
    values["asset"] = values["asset"] or asset(asset_type="currency_spot")
    for name in ("base_currency", "quote_currency"):
        values[name] = values[name] or currency()
    return CurrencySpot.objects.get(pk=CurrencySpot.objects.create(**values).pk)


def bond(**fields: Any) -> Bond:
    values = {"issue_date": dt.date(2026, 5, 27), "maturity_date": dt.date(2031, 5, 27), "status": "ACTIVE", **fields}
    values.setdefault("asset", None)
    values["asset"] = values["asset"] or asset(asset_type="bond")
    values["issuer"] = values.get("issuer") or issuer()
    values["currency_asset"] = values.get("currency_asset") or currency()
    return Bond.objects.get(pk=Bond.objects.create(**values).pk)


def future(**fields: Any) -> Future:
    values = {
        "kind": "EXPIRING",
        "quote_unit": "INDEX_POINT",
        "settlement_model": "LINEAR",
        "settlement_method": "CASH",
        "contract_size": 50,
        "contract_unit": "INDEX_POINT",
        "expires_at": dt.datetime(2026, 12, 18, 22, tzinfo=dt.UTC),
        **fields,
    }
    values["asset"] = values.get("asset") or asset(asset_type="future")
    values["underlying_index"] = values.get("underlying_index") or index()
    money = values.get("settlement_asset") or currency()
    values |= {"settlement_asset": money, "margin_asset": values.get("margin_asset") or money}
    return Future.objects.get(pk=Future.objects.create(**values).pk)


def calendar_date(owner: Calendar | None = None, **fields: Any) -> CalendarDate:
    return CalendarDate.objects.create(
        calendar=owner or calendar(), **{"local_date": dt.date(2026, 1, 1), "is_holiday": True, **fields}
    )


def calendar_event(owner: Calendar | None = None, **fields: Any) -> CalendarEvent:
    return CalendarEvent.objects.create(
        calendar=owner or calendar(),
        **{"event_date": dt.date(2026, 12, 18), "event_type": "EXPIRY", "event_label": f"event {number()}", **fields},
    )


MOMENT = dt.datetime(2026, 5, 25, tzinfo=dt.UTC)


def account_group(**fields: Any) -> AccountGroup:
    return AccountGroup.objects.create(**{"group_name": f"Group {number():05d}", **fields})


def account(**fields: Any) -> Account:
    serial = number()
    return Account.objects.create(
        **{"unique_identifier": f"account-{serial:05d}", "account_name": f"Account {serial:05d}", **fields}
    )


def allocation_model(**fields: Any) -> AccountAllocationModel:
    return AccountAllocationModel.objects.create(**{"allocation_model_name": f"Model {number():05d}", **fields})


def target_allocation(**fields: Any) -> AccountTargetAllocation:
    return AccountTargetAllocation.objects.create(
        **{
            "unique_identifier": f"allocation-{number():05d}",
            **({} if "account" in fields else {"account": account()}),
            **({} if "account_allocation_model" in fields else {"account_allocation_model": allocation_model()}),
            **fields,
        }
    )


def position_set(**fields: Any) -> PositionSet:
    owner = fields.pop("account_target_allocation", None) or target_allocation()
    return PositionSet.objects.create(**{"account_target_allocation": owner, "position_set_time": MOMENT, **fields})


def holdings_set(**fields: Any) -> AccountHoldingsSet:
    owner = fields.pop("account", None) or account()
    return AccountHoldingsSet.objects.create(**{"account": owner, "time_index": MOMENT, **fields})


def virtual_fund(**fields: Any) -> VirtualFund:
    return VirtualFund.objects.create(
        **{
            "unique_identifier": f"fund-{number():05d}",
            **({} if "account" in fields else {"account": account()}),
            **({} if "target_portfolio" in fields else {"target_portfolio": portfolio()}),
            **fields,
        }
    )
