"""Accounts, their groups, allocation models, target allocations and sets, as rows: made and changed by natural key.

In every function a field that is left out keeps what is stored (or takes its default), and None clears it. References
are uids. Errors: InvalidInput for a wrong value or an unknown reference, Conflict when a key is taken.
"""

import datetime as dt
import uuid
from typing import Any

from markets.exceptions import InvalidInput
from markets.models import RegistryRow
from markets.services.bulk import BulkOutcome, OnError, Rows, bulk_upsert
from markets.services.bulk_stage import Entity, by_name
from markets.services.values import (
    UNSET,
    Unset,
    Upserted,
    as_uid,
    clean_flag,
    clean_identifier,
    clean_object,
    clean_optional_text,
    clean_text,
    given,
)
from portfolios.engine.inputs import instant
from portfolios.models import (
    Account,
    AccountAllocationModel,
    AccountGroup,
    AccountHoldingsSet,
    AccountTargetAllocation,
    PositionSet,
)
from portfolios.services import rows

Uid = uuid.UUID | str
Instant = dt.datetime | str
Metadata = dict[str, Any]
LONGEST_NAME = 100


# --- groups ----------------------------------------------------------------------------------------------------------
def create_group(*, group_name: str, **fields: Any) -> AccountGroup:
    return rows.create(AccountGroup, _named("group_name", group_name), _group_fields(**fields))


def upsert_group(*, group_name: str, **fields: Any) -> Upserted[AccountGroup]:
    return rows.upsert(AccountGroup, _named("group_name", group_name), _group_fields(**fields))


def update_group(group: AccountGroup, **fields: Any) -> AccountGroup:
    return rows.change(group, _group_fields(**fields))


def bulk_upsert_groups(rows: Rows, *, on_error: OnError = "refuse") -> BulkOutcome:
    """Many groups at once, by `group_name`; see `markets.services.bulk`."""
    return bulk_upsert(GROUPS, rows, on_error=on_error)


def _group_fields(
    *, group_description: str | Unset | None = UNSET, metadata_json: Metadata | Unset | None = UNSET
) -> dict[str, Any]:
    return _cleaned(group_description=group_description, metadata_json=metadata_json)


# --- accounts --------------------------------------------------------------------------------------------------------
def create_account(*, unique_identifier: str, account_name: str, **fields: Any) -> Account:
    """A new account: a paper account and inactive, unless told otherwise."""
    key = {"unique_identifier": clean_identifier(unique_identifier)}
    return rows.create(Account, key, _account_fields(account_name=account_name, **fields))


def upsert_account(*, unique_identifier: str, **fields: Any) -> Upserted[Account]:
    """The account with this identifier; a new one needs `account_name`."""
    key = {"unique_identifier": clean_identifier(unique_identifier)}
    return rows.upsert(Account, key, _account_fields(**fields), needed={"account_name": "account_name"})


def update_account(account: Account, **fields: Any) -> Account:
    return rows.change(account, _account_fields(**fields))


def _account_fields(
    *,
    account_name: str | Unset = UNSET,
    is_paper: bool | Unset = UNSET,
    account_is_active: bool | Unset = UNSET,
    account_group_uid: Uid | Unset | None = UNSET,
    metadata_json: Metadata | Unset | None = UNSET,
) -> dict[str, Any]:
    fields = _cleaned(
        account_name=account_name, is_paper=is_paper, account_is_active=account_is_active, metadata_json=metadata_json
    )
    if account_group_uid is None:
        fields["account_group"] = None
    elif not isinstance(account_group_uid, Unset):
        fields["account_group"] = rows.referenced(AccountGroup, account_group_uid, field="account_group_uid")
    return fields


# --- allocation models -----------------------------------------------------------------------------------------------
def create_allocation_model(*, allocation_model_name: str, **fields: Any) -> AccountAllocationModel:
    key = _named("allocation_model_name", allocation_model_name)
    return rows.create(AccountAllocationModel, key, _model_fields(**fields))


def upsert_allocation_model(*, allocation_model_name: str, **fields: Any) -> Upserted[AccountAllocationModel]:
    key = _named("allocation_model_name", allocation_model_name)
    return rows.upsert(AccountAllocationModel, key, _model_fields(**fields))


def update_allocation_model(model: AccountAllocationModel, **fields: Any) -> AccountAllocationModel:
    return rows.change(model, _model_fields(**fields))


def bulk_upsert_allocation_models(rows: Rows, *, on_error: OnError = "refuse") -> BulkOutcome:
    """Many models at once, by `allocation_model_name`; see `markets.services.bulk`."""
    return bulk_upsert(ALLOCATION_MODELS, rows, on_error=on_error)


def _model_fields(
    *, allocation_model_description: str | Unset | None = UNSET, metadata_json: Metadata | Unset | None = UNSET
) -> dict[str, Any]:
    return _cleaned(allocation_model_description=allocation_model_description, metadata_json=metadata_json)


# --- target allocations ----------------------------------------------------------------------------------------------
def create_target_allocation(
    *, unique_identifier: str, account_uid: Uid, account_allocation_model_uid: Uid, **fields: Any
) -> AccountTargetAllocation:
    """A new target allocation: active, unless told otherwise. An account may have several active ones."""
    key = {"unique_identifier": clean_identifier(unique_identifier)}
    account = rows.referenced(Account, account_uid, field="account_uid")
    cleaned = _allocation_fields(account_allocation_model_uid=account_allocation_model_uid, **fields)
    return rows.create(AccountTargetAllocation, key, {"account": account, **cleaned})


def upsert_target_allocation(
    *, unique_identifier: str, account_uid: Uid | Unset = UNSET, **fields: Any
) -> Upserted[AccountTargetAllocation]:
    """The target allocation with this identifier; a new one needs its account and its model.

    Raises Conflict when it belongs to another account: it never moves.
    """
    key = {"unique_identifier": clean_identifier(unique_identifier)}
    cleaned = _allocation_fields(**fields)
    if not isinstance(account_uid, Unset):
        cleaned["account"] = rows.referenced(Account, account_uid, field="account_uid")
    needed = {"account": "account_uid", "account_allocation_model": "account_allocation_model_uid"}
    return rows.upsert(AccountTargetAllocation, key, cleaned, needed=needed, fixed=("account",))


def update_target_allocation(allocation: AccountTargetAllocation, **fields: Any) -> AccountTargetAllocation:
    return rows.change(allocation, _allocation_fields(**fields))


def _allocation_fields(
    *,
    account_allocation_model_uid: Uid | Unset = UNSET,
    display_name: str | Unset | None = UNSET,
    is_active: bool | Unset = UNSET,
    source: str | Unset | None = UNSET,
    metadata_json: Metadata | Unset | None = UNSET,
) -> dict[str, Any]:
    fields = _cleaned(display_name=display_name, is_active=is_active, source=source, metadata_json=metadata_json)
    if not isinstance(account_allocation_model_uid, Unset):
        fields["account_allocation_model"] = rows.referenced(
            AccountAllocationModel, account_allocation_model_uid, field="account_allocation_model_uid"
        )
    return fields


# --- position sets ---------------------------------------------------------------------------------------------------
def create_position_set(
    *, account_target_allocation_uid: Uid, position_set_time: Instant, **fields: Any
) -> PositionSet:
    key = _position_set_key(account_target_allocation_uid, position_set_time)
    return rows.create(PositionSet, key, _position_set_fields(**fields))


def upsert_position_set(
    *, account_target_allocation_uid: Uid, position_set_time: Instant, **fields: Any
) -> Upserted[PositionSet]:
    """The allocation's set at this instant; any spelling of the instant names the same set."""
    key = _position_set_key(account_target_allocation_uid, position_set_time)
    return rows.upsert(PositionSet, key, _position_set_fields(**fields))


def update_position_set(position_set: PositionSet, **fields: Any) -> PositionSet:
    return rows.change(position_set, _position_set_fields(**fields))


def _position_set_key(allocation_uid: Uid, time: Instant) -> dict[str, Any]:
    return {
        "account_target_allocation": rows.referenced(
            AccountTargetAllocation, allocation_uid, field="account_target_allocation_uid"
        ),
        "position_set_time": instant(time, field="position_set_time"),
    }


def _position_set_fields(
    *, source: str | Unset | None = UNSET, metadata_json: Metadata | Unset | None = UNSET
) -> dict[str, Any]:
    return _cleaned(source=source, metadata_json=metadata_json)


# --- holdings sets ---------------------------------------------------------------------------------------------------
def create_holdings_set(*, account_uid: Uid, time_index: Instant, **fields: Any) -> AccountHoldingsSet:
    return rows.create(AccountHoldingsSet, _holdings_set_key(account_uid, time_index), _holdings_set_fields(**fields))


def upsert_holdings_set(*, account_uid: Uid, time_index: Instant, **fields: Any) -> Upserted[AccountHoldingsSet]:
    """The account's set at this instant; any spelling of the instant names the same set."""
    return rows.upsert(AccountHoldingsSet, _holdings_set_key(account_uid, time_index), _holdings_set_fields(**fields))


def update_holdings_set(holdings_set: AccountHoldingsSet, **fields: Any) -> AccountHoldingsSet:
    return rows.change(holdings_set, _holdings_set_fields(**fields))


def _holdings_set_key(account_uid: Uid, time: Instant) -> dict[str, Any]:
    return {
        "account": rows.referenced(Account, account_uid, field="account_uid"),
        "time_index": instant(time, field="time_index"),
    }


def _holdings_set_fields(*, source_data_node_uid: Uid | Unset | None = UNSET) -> dict[str, Any]:
    if isinstance(source_data_node_uid, Unset):
        return {}
    parsed = as_uid(source_data_node_uid)
    if parsed is None and source_data_node_uid is not None:
        raise InvalidInput(
            f"source_data_node_uid is {str(source_data_node_uid)[:60]!r}, which is no uid.",
            field="source_data_node_uid",
        )
    return {"source_data_node_uid": parsed}


# --- fields that several have ----------------------------------------------------------------------------------------
def _named(field: str, value: object) -> dict[str, Any]:
    return {field: " ".join(clean_text(value, field=field, longest=LONGEST_NAME).split())}


def _cleaned(**fields: Any) -> dict[str, Any]:
    """The fields that are given, each cleaned as its name demands."""
    cleaned = given(**fields)
    for name, value in cleaned.items():
        if name in ("is_paper", "account_is_active", "is_active"):
            cleaned[name] = clean_flag(value, field=name)
        elif name == "metadata_json":
            cleaned[name] = clean_object(value, field=name)
        elif name == "account_name":
            cleaned[name] = clean_text(value, field=name, longest=255)
        elif name.endswith("_description"):
            cleaned[name] = clean_optional_text(value, field=name)
        else:
            cleaned[name] = clean_optional_text(value, field=name, longest=255)
    return cleaned


def _known_by_name(model: type[RegistryRow], *, key: str, description: str) -> Entity:
    return Entity(
        noun=str(model._meta.verbose_name),
        model=model,
        key=key,
        clean_key=lambda value: _named(key, value)[key],
        clean=by_name(_cleaned, (description, "metadata_json")),
        defaults={},
        read_only={name: name for name in ("uid", "id", "created_at", "updated_at")},
    )


GROUPS = _known_by_name(AccountGroup, key="group_name", description="group_description")
ALLOCATION_MODELS = _known_by_name(
    AccountAllocationModel, key="allocation_model_name", description="allocation_model_description"
)
