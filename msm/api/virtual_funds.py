"""Virtual funds: slices of an account, each earmarked for one target portfolio."""

import uuid
from typing import Any, Self

from markets.services.values import UNSET, given
from msm.api.references import ReferringRow, Uid
from portfolios.models import VirtualFund as VirtualFundModel
from portfolios.services import virtual_funds


class VirtualFund(ReferringRow):
    __model__ = VirtualFundModel
    __required_tables__ = ("VirtualFund",)
    __references__ = ("account", "target_portfolio", "account_target_allocation")

    unique_identifier: str
    account_uid: uuid.UUID
    target_portfolio_uid: uuid.UUID
    account_target_allocation_uid: uuid.UUID | None

    @classmethod
    def create(
        cls,
        *,
        unique_identifier: str,
        account_uid: Uid,
        target_portfolio_uid: Uid,
        account_target_allocation_uid: Uid | None = None,
    ) -> Self:
        """A new fund. Raises Conflict when the identifier is taken, or a fund of the allocation has the portfolio."""
        cls._rows()
        return cls._of(
            virtual_funds.create_virtual_fund(
                unique_identifier=unique_identifier,
                account_uid=account_uid,
                target_portfolio_uid=target_portfolio_uid,
                account_target_allocation_uid=account_target_allocation_uid,
            )
        )

    @classmethod
    def upsert(
        cls,
        *,
        unique_identifier: str,
        account_uid: Any = UNSET,
        target_portfolio_uid: Any = UNSET,
        account_target_allocation_uid: Any = UNSET,
    ) -> Self:
        """The fund with this identifier, made or changed; omitted keeps, None clears the allocation."""
        cls._rows()
        fields = given(
            account_uid=account_uid,
            target_portfolio_uid=target_portfolio_uid,
            account_target_allocation_uid=account_target_allocation_uid,
        )
        return cls._of(virtual_funds.upsert_virtual_fund(unique_identifier=unique_identifier, **fields).row)

    @classmethod
    def update(
        cls,
        uid: Uid,
        *,
        account_uid: Any = UNSET,
        target_portfolio_uid: Any = UNSET,
        account_target_allocation_uid: Any = UNSET,
    ) -> Self:
        """Change a fund; its identifier never changes. Raises NotFound."""
        fields = given(
            account_uid=account_uid,
            target_portfolio_uid=target_portfolio_uid,
            account_target_allocation_uid=account_target_allocation_uid,
        )
        return cls._of(virtual_funds.update_virtual_fund(cls._stored(uid), **fields))
