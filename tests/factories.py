"""Rows for tests, made in one line each."""

import datetime as dt
import itertools
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.utils import timezone

from markets.engine.identifiers import figi_check_digit
from markets.models import (
    AccessToken,
    Asset,
    AssetCategory,
    AssetCategoryMembership,
    AssetType,
    Calendar,
    CalendarSession,
    Job,
    NodeRun,
    NodeUpdate,
    OpenFigiDetails,
    RunStatus,
    StorageNode,
    UpdateStatistic,
)
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


def token(owner: Any, **fields: Any) -> str:
    return AccessToken.objects.create(owner, **fields)[1]


def asset_type(**fields: Any) -> AssetType:
    return AssetType.objects.create(**{"asset_type": f"kind_{number()}", **fields})


def asset(**fields: Any) -> Asset:
    return Asset.objects.create(**{"unique_identifier": f"ASSET-{number():05d}", **fields})


def details(owner: Asset, **fields: Any) -> OpenFigiDetails:
    return OpenFigiDetails.objects.create(asset=owner, **{"figi": figi(), "ticker": "TICK", **fields})


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


def portfolio(**fields: Any) -> Portfolio:
    return Portfolio.objects.create(**{"unique_identifier": f"portfolio-{number():05d}", **fields})


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
