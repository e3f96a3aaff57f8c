"""Accounts, their groups, what they are meant to hold, and the sets of positions and holdings.

In `upsert` and `update` an argument that is left out keeps what is stored, and None clears it. Times carry a zone.
"""

import datetime as dt
import uuid
from typing import Any, Self

from markets.services.values import UNSET, given
from msm.api.references import Instant, ReferringRow, Uid
from portfolios.models import Account as AccountModel
from portfolios.models import AccountAllocationModel as AllocationModelModel
from portfolios.models import AccountGroup as GroupModel
from portfolios.models import AccountHoldingsSet as HoldingsSetModel
from portfolios.models import AccountTargetAllocation as TargetAllocationModel
from portfolios.models import PositionSet as PositionSetModel
from portfolios.services import accounts


class AccountGroup(ReferringRow):
    """A group of accounts, known by its name."""

    __model__ = GroupModel
    __required_tables__ = ("AccountGroup",)

    group_name: str
    group_description: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(
        cls, *, group_name: str, group_description: str | None = None, metadata_json: dict[str, Any] | None = None
    ) -> Self:
        """A new group. Raises Conflict when the name is taken."""
        cls._rows()
        return cls._of(
            accounts.create_group(
                group_name=group_name, group_description=group_description, metadata_json=metadata_json
            )
        )

    @classmethod
    def upsert(cls, *, group_name: str, group_description: Any = UNSET, metadata_json: Any = UNSET) -> Self:
        """The group with this name, made or changed."""
        cls._rows()
        fields = given(group_description=group_description, metadata_json=metadata_json)
        return cls._of(accounts.upsert_group(group_name=group_name, **fields).row)

    @classmethod
    def update(cls, uid: Uid, *, group_description: Any = UNSET, metadata_json: Any = UNSET) -> Self:
        """Change a group; its name never changes. Raises NotFound."""
        fields = given(group_description=group_description, metadata_json=metadata_json)
        return cls._of(accounts.update_group(cls._stored(uid), **fields))


class Account(ReferringRow):
    __model__ = AccountModel
    __required_tables__ = ("Account",)
    __references__ = ("account_group",)

    unique_identifier: str
    account_name: str
    is_paper: bool
    account_is_active: bool
    account_group_uid: uuid.UUID | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(
        cls,
        *,
        unique_identifier: str,
        account_name: str,
        is_paper: bool = True,
        account_is_active: bool = False,
        account_group_uid: Uid | None = None,
        metadata_json: dict[str, Any] | None = None,
    ) -> Self:
        """A new account. Raises Conflict when the identifier is taken."""
        cls._rows()
        return cls._of(
            accounts.create_account(
                unique_identifier=unique_identifier,
                account_name=account_name,
                is_paper=is_paper,
                account_is_active=account_is_active,
                account_group_uid=account_group_uid,
                metadata_json=metadata_json,
            )
        )

    @classmethod
    def upsert(
        cls,
        *,
        unique_identifier: str,
        account_name: Any = UNSET,
        is_paper: bool | Any = UNSET,
        account_is_active: bool | Any = UNSET,
        account_group_uid: Any = UNSET,
        metadata_json: Any = UNSET,
    ) -> Self:
        """The account with this identifier, made (then `account_name` is needed) or changed."""
        cls._rows()
        fields = given(
            account_name=account_name,
            is_paper=is_paper,
            account_is_active=account_is_active,
            account_group_uid=account_group_uid,
            metadata_json=metadata_json,
        )
        return cls._of(accounts.upsert_account(unique_identifier=unique_identifier, **fields).row)

    @classmethod
    def update(
        cls,
        uid: Uid,
        *,
        account_name: Any = UNSET,
        is_paper: bool | Any = UNSET,
        account_is_active: bool | Any = UNSET,
        account_group_uid: Any = UNSET,
        metadata_json: Any = UNSET,
    ) -> Self:
        """Change an account; its identifier never changes. Raises NotFound."""
        fields = given(
            account_name=account_name,
            is_paper=is_paper,
            account_is_active=account_is_active,
            account_group_uid=account_group_uid,
            metadata_json=metadata_json,
        )
        return cls._of(accounts.update_account(cls._stored(uid), **fields))


class AccountAllocationModel(ReferringRow):
    """A way of allocating that several accounts may follow, known by its name; it holds no positions itself."""

    __model__ = AllocationModelModel
    __required_tables__ = ("AccountAllocationModel",)

    allocation_model_name: str
    allocation_model_description: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(
        cls,
        *,
        allocation_model_name: str,
        allocation_model_description: str | None = None,
        metadata_json: dict[str, Any] | None = None,
    ) -> Self:
        """A new model. Raises Conflict when the name is taken."""
        cls._rows()
        return cls._of(
            accounts.create_allocation_model(
                allocation_model_name=allocation_model_name,
                allocation_model_description=allocation_model_description,
                metadata_json=metadata_json,
            )
        )

    @classmethod
    def upsert(
        cls, *, allocation_model_name: str, allocation_model_description: Any = UNSET, metadata_json: Any = UNSET
    ) -> Self:
        """The model with this name, made or changed."""
        cls._rows()
        fields = given(allocation_model_description=allocation_model_description, metadata_json=metadata_json)
        return cls._of(accounts.upsert_allocation_model(allocation_model_name=allocation_model_name, **fields).row)

    @classmethod
    def update(cls, uid: Uid, *, allocation_model_description: Any = UNSET, metadata_json: Any = UNSET) -> Self:
        """Change a model; its name never changes. Raises NotFound."""
        fields = given(allocation_model_description=allocation_model_description, metadata_json=metadata_json)
        return cls._of(accounts.update_allocation_model(cls._stored(uid), **fields))


class AccountTargetAllocation(ReferringRow):
    """That an account follows an allocation model; its position sets say with what."""

    __model__ = TargetAllocationModel
    __required_tables__ = ("AccountTargetAllocation",)
    __references__ = ("account", "account_allocation_model")

    unique_identifier: str
    account_uid: uuid.UUID
    account_allocation_model_uid: uuid.UUID
    display_name: str | None
    is_active: bool
    source: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(
        cls,
        *,
        unique_identifier: str,
        account_uid: Uid,
        account_allocation_model_uid: Uid,
        display_name: str | None = None,
        is_active: bool = True,
        source: str | None = None,
        metadata_json: dict[str, Any] | None = None,
    ) -> Self:
        """A new target allocation. Raises Conflict when the identifier is taken."""
        cls._rows()
        return cls._of(
            accounts.create_target_allocation(
                unique_identifier=unique_identifier,
                account_uid=account_uid,
                account_allocation_model_uid=account_allocation_model_uid,
                display_name=display_name,
                is_active=is_active,
                source=source,
                metadata_json=metadata_json,
            )
        )

    @classmethod
    def upsert(
        cls,
        *,
        unique_identifier: str,
        account_uid: Any = UNSET,
        account_allocation_model_uid: Any = UNSET,
        display_name: Any = UNSET,
        is_active: bool | Any = UNSET,
        source: Any = UNSET,
        metadata_json: Any = UNSET,
    ) -> Self:
        """The target allocation with this identifier, made or changed. Raises Conflict for another account's."""
        cls._rows()
        fields = given(
            account_uid=account_uid,
            account_allocation_model_uid=account_allocation_model_uid,
            display_name=display_name,
            is_active=is_active,
            source=source,
            metadata_json=metadata_json,
        )
        return cls._of(accounts.upsert_target_allocation(unique_identifier=unique_identifier, **fields).row)

    @classmethod
    def update(
        cls,
        uid: Uid,
        *,
        account_allocation_model_uid: Any = UNSET,
        display_name: Any = UNSET,
        is_active: bool | Any = UNSET,
        source: Any = UNSET,
        metadata_json: Any = UNSET,
    ) -> Self:
        """Change a target allocation; its account and identifier never change. Raises NotFound."""
        fields = given(
            account_allocation_model_uid=account_allocation_model_uid,
            display_name=display_name,
            is_active=is_active,
            source=source,
            metadata_json=metadata_json,
        )
        return cls._of(accounts.update_target_allocation(cls._stored(uid), **fields))


class PositionSet(ReferringRow):
    """One moment of a target allocation; target positions refer to it."""

    __model__ = PositionSetModel
    __required_tables__ = ("PositionSet",)
    __references__ = ("account_target_allocation",)

    account_target_allocation_uid: uuid.UUID
    position_set_time: dt.datetime
    source: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(
        cls,
        *,
        account_target_allocation_uid: Uid,
        position_set_time: Instant,
        source: str | None = None,
        metadata_json: dict[str, Any] | None = None,
    ) -> Self:
        """A new set. Raises Conflict when the allocation has one at this instant."""
        cls._rows()
        return cls._of(
            accounts.create_position_set(
                account_target_allocation_uid=account_target_allocation_uid,
                position_set_time=position_set_time,
                source=source,
                metadata_json=metadata_json,
            )
        )

    @classmethod
    def upsert(
        cls,
        *,
        account_target_allocation_uid: Uid,
        position_set_time: Instant,
        source: Any = UNSET,
        metadata_json: Any = UNSET,
    ) -> Self:
        """The allocation's set at this instant, made or changed; an instant is the same in every zone."""
        cls._rows()
        saved = accounts.upsert_position_set(
            account_target_allocation_uid=account_target_allocation_uid,
            position_set_time=position_set_time,
            **given(source=source, metadata_json=metadata_json),
        )
        return cls._of(saved.row)

    @classmethod
    def update(cls, uid: Uid, *, source: Any = UNSET, metadata_json: Any = UNSET) -> Self:
        """Change a set; its allocation and time never change. Raises NotFound."""
        fields = given(source=source, metadata_json=metadata_json)
        return cls._of(accounts.update_position_set(cls._stored(uid), **fields))


class AccountHoldingsSet(ReferringRow):
    """One moment of an account; holdings refer to it."""

    __model__ = HoldingsSetModel
    __required_tables__ = ("AccountHoldingsSet",)
    __references__ = ("account",)

    account_uid: uuid.UUID
    time_index: dt.datetime
    source_data_node_uid: uuid.UUID | None

    @classmethod
    def create(cls, *, account_uid: Uid, time_index: Instant, source_data_node_uid: Uid | None = None) -> Self:
        """A new set. Raises Conflict when the account has one at this instant."""
        cls._rows()
        return cls._of(
            accounts.create_holdings_set(
                account_uid=account_uid, time_index=time_index, source_data_node_uid=source_data_node_uid
            )
        )

    @classmethod
    def upsert(cls, *, account_uid: Uid, time_index: Instant, source_data_node_uid: Any = UNSET) -> Self:
        """The account's set at this instant, made or changed; an instant is the same in every zone."""
        cls._rows()
        fields = given(source_data_node_uid=source_data_node_uid)
        return cls._of(accounts.upsert_holdings_set(account_uid=account_uid, time_index=time_index, **fields).row)

    @classmethod
    def update(cls, uid: Uid, *, source_data_node_uid: Any = UNSET) -> Self:
        """Change a set; its account and time never change. Raises NotFound."""
        fields = given(source_data_node_uid=source_data_node_uid)
        return cls._of(accounts.update_holdings_set(cls._stored(uid), **fields))
