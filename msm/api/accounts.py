"""Accounts, their groups, what they are meant to hold, and the sets of positions and holdings.

In `upsert` and `update` a field that is left out keeps what is stored, and None clears it. Times carry a zone.
"""

import datetime as dt
import uuid
from typing import Any, Self, TypedDict, Unpack

from msm.api.payloads import Payload, Services
from msm.api.references import Instant, ReferringRow
from msm.api.rows import Uid
from portfolios.models import Account as AccountModel
from portfolios.models import AccountAllocationModel as AllocationModelModel
from portfolios.models import AccountGroup as GroupModel
from portfolios.models import AccountHoldingsSet as HoldingsSetModel
from portfolios.models import AccountTargetAllocation as TargetAllocationModel
from portfolios.models import PositionSet as PositionSetModel
from portfolios.services import accounts


class AccountGroupFields(TypedDict, total=False):
    group_name: str
    group_description: str | None
    metadata_json: dict[str, Any] | None


class AccountGroup(ReferringRow):
    """A group of accounts, known by its name."""

    __model__ = GroupModel
    __required_tables__ = ("AccountGroup",)
    __writable__ = AccountGroupFields
    __fixed__ = ("group_name",)
    __services__ = Services(
        create=accounts.create_group,
        upsert=accounts.upsert_group,
        update=accounts.update_group,
        bulk_upsert=accounts.bulk_upsert_groups,
    )

    group_name: str
    group_description: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[AccountGroupFields]) -> Self:
        """A new group. Raises Conflict when the name is taken."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[AccountGroupFields]) -> Self:
        """The group with this name, made or changed."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[AccountGroupFields]) -> Self:
        """Change a group; its name never changes. Raises NotFound."""
        return cls._update(uid, payload, fields)


class AccountFields(TypedDict, total=False):
    unique_identifier: str
    account_name: str
    is_paper: bool
    account_is_active: bool
    account_group_uid: Uid | None
    metadata_json: dict[str, Any] | None


class Account(ReferringRow):
    __model__ = AccountModel
    __required_tables__ = ("Account",)
    __writable__ = AccountFields
    __services__ = Services(
        create=accounts.create_account,
        upsert=accounts.upsert_account,
        update=accounts.update_account,
    )
    __references__ = ("account_group",)

    unique_identifier: str
    account_name: str
    is_paper: bool
    account_is_active: bool
    account_group_uid: uuid.UUID | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[AccountFields]) -> Self:
        """A new account: a paper account and inactive, unless told. Raises Conflict when the identifier is taken."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[AccountFields]) -> Self:
        """The account with this identifier, made (then `account_name` is needed) or changed."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[AccountFields]) -> Self:
        """Change an account; its identifier never changes. Raises NotFound."""
        return cls._update(uid, payload, fields)


class AllocationModelFields(TypedDict, total=False):
    allocation_model_name: str
    allocation_model_description: str | None
    metadata_json: dict[str, Any] | None


class AccountAllocationModel(ReferringRow):
    """A way of allocating that several accounts may follow, known by its name; it holds no positions itself."""

    __model__ = AllocationModelModel
    __required_tables__ = ("AccountAllocationModel",)
    __writable__ = AllocationModelFields
    __fixed__ = ("allocation_model_name",)
    __services__ = Services(
        create=accounts.create_allocation_model,
        upsert=accounts.upsert_allocation_model,
        update=accounts.update_allocation_model,
        bulk_upsert=accounts.bulk_upsert_allocation_models,
    )

    allocation_model_name: str
    allocation_model_description: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[AllocationModelFields]) -> Self:
        """A new model. Raises Conflict when the name is taken."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[AllocationModelFields]) -> Self:
        """The model with this name, made or changed."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[AllocationModelFields]) -> Self:
        """Change a model; its name never changes. Raises NotFound."""
        return cls._update(uid, payload, fields)


class TargetAllocationFields(TypedDict, total=False):
    unique_identifier: str
    account_uid: Uid
    account_allocation_model_uid: Uid
    display_name: str | None
    is_active: bool
    source: str | None
    metadata_json: dict[str, Any] | None


class AccountTargetAllocation(ReferringRow):
    """That an account follows an allocation model; its position sets say with what."""

    __model__ = TargetAllocationModel
    __required_tables__ = ("AccountTargetAllocation",)
    __writable__ = TargetAllocationFields
    __fixed__ = ("unique_identifier", "account_uid")
    __services__ = Services(
        create=accounts.create_target_allocation,
        upsert=accounts.upsert_target_allocation,
        update=accounts.update_target_allocation,
    )
    __references__ = ("account", "account_allocation_model")

    unique_identifier: str
    account_uid: uuid.UUID
    account_allocation_model_uid: uuid.UUID
    display_name: str | None
    is_active: bool
    source: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[TargetAllocationFields]) -> Self:
        """A new target allocation, active unless told otherwise. Raises Conflict when the identifier is taken."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[TargetAllocationFields]) -> Self:
        """The target allocation with this identifier, made or changed. Raises Conflict for another account's."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[TargetAllocationFields]) -> Self:
        """Change a target allocation; its account and identifier never change. Raises NotFound."""
        return cls._update(uid, payload, fields)


class PositionSetFields(TypedDict, total=False):
    account_target_allocation_uid: Uid
    position_set_time: Instant
    source: str | None
    metadata_json: dict[str, Any] | None


class PositionSet(ReferringRow):
    """One moment of a target allocation; target positions refer to it."""

    __model__ = PositionSetModel
    __required_tables__ = ("PositionSet",)
    __writable__ = PositionSetFields
    __fixed__ = ("account_target_allocation_uid", "position_set_time")
    __services__ = Services(
        create=accounts.create_position_set,
        upsert=accounts.upsert_position_set,
        update=accounts.update_position_set,
    )
    __references__ = ("account_target_allocation",)

    account_target_allocation_uid: uuid.UUID
    position_set_time: dt.datetime
    source: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[PositionSetFields]) -> Self:
        """A new set. Raises Conflict when the allocation has one at this instant."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[PositionSetFields]) -> Self:
        """The allocation's set at this instant, made or changed; an instant is the same in every zone."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[PositionSetFields]) -> Self:
        """Change a set; its allocation and time never change. Raises NotFound."""
        return cls._update(uid, payload, fields)


class HoldingsSetFields(TypedDict, total=False):
    account_uid: Uid
    time_index: Instant
    source_data_node_uid: Uid | None


class AccountHoldingsSet(ReferringRow):
    """One moment of an account; holdings refer to it."""

    __model__ = HoldingsSetModel
    __required_tables__ = ("AccountHoldingsSet",)
    __writable__ = HoldingsSetFields
    __fixed__ = ("account_uid", "time_index")
    __services__ = Services(
        create=accounts.create_holdings_set,
        upsert=accounts.upsert_holdings_set,
        update=accounts.update_holdings_set,
    )
    __references__ = ("account",)

    account_uid: uuid.UUID
    time_index: dt.datetime
    source_data_node_uid: uuid.UUID | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[HoldingsSetFields]) -> Self:
        """A new set. Raises Conflict when the account has one at this instant."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[HoldingsSetFields]) -> Self:
        """The account's set at this instant, made or changed; an instant is the same in every zone."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[HoldingsSetFields]) -> Self:
        """Change a set; its account and time never change. Raises NotFound."""
        return cls._update(uid, payload, fields)
