"""Virtual funds: slices of an account, each earmarked for one target portfolio."""

import uuid
from typing import Self, TypedDict, Unpack

from msm.api.payloads import Payload, Services
from msm.api.references import ReferringRow
from msm.api.rows import Uid
from portfolios.models import VirtualFund as VirtualFundModel
from portfolios.services import virtual_funds


class VirtualFundFields(TypedDict, total=False):
    unique_identifier: str
    account_uid: Uid
    target_portfolio_uid: Uid
    account_target_allocation_uid: Uid | None


class VirtualFund(ReferringRow):
    __model__ = VirtualFundModel
    __required_tables__ = ("VirtualFund",)
    __writable__ = VirtualFundFields
    __services__ = Services(
        create=virtual_funds.create_virtual_fund,
        upsert=virtual_funds.upsert_virtual_fund,
        update=virtual_funds.update_virtual_fund,
    )
    __references__ = ("account", "target_portfolio", "account_target_allocation")

    unique_identifier: str
    account_uid: uuid.UUID
    target_portfolio_uid: uuid.UUID
    account_target_allocation_uid: uuid.UUID | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[VirtualFundFields]) -> Self:
        """A new fund. Raises Conflict when the identifier is taken, or a fund of the allocation has the portfolio."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[VirtualFundFields]) -> Self:
        """The fund with this identifier, made or changed; omitted keeps, None clears the allocation."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[VirtualFundFields]) -> Self:
        """Change a fund; its identifier never changes. Raises NotFound."""
        return cls._update(uid, payload, fields)
