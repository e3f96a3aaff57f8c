"""Virtual funds as rows: which portfolio a slice of an account is earmarked for.

A field that is left out keeps what is stored; references are uids. Errors: InvalidInput for a wrong value or an unknown
reference, Conflict when the identifier is taken or another fund serves the portfolio in the same allocation.
"""

import uuid
from typing import Any

from django.db import transaction

from markets.exceptions import Conflict, InvalidInput
from markets.services.values import UNSET, Unset, Upserted, clean_identifier
from portfolios.models import Account, AccountTargetAllocation, Portfolio, VirtualFund
from portfolios.services import rows

Uid = uuid.UUID | str


@transaction.atomic
def create_virtual_fund(
    *,
    unique_identifier: str,
    account_uid: Uid,
    target_portfolio_uid: Uid,
    account_target_allocation_uid: Uid | Unset | None = UNSET,
) -> VirtualFund:
    key = {"unique_identifier": clean_identifier(unique_identifier)}
    fields = _fields(account_uid, target_portfolio_uid, account_target_allocation_uid)
    if not VirtualFund.objects.filter(**key).exists():  # a taken identifier is the better message
        _check_allocation(VirtualFund(**key, **fields))
    return rows.create(VirtualFund, key, fields)


@transaction.atomic
def upsert_virtual_fund(
    *,
    unique_identifier: str,
    account_uid: Uid | Unset = UNSET,
    target_portfolio_uid: Uid | Unset = UNSET,
    account_target_allocation_uid: Uid | Unset | None = UNSET,
) -> Upserted[VirtualFund]:
    """The fund with this identifier; a new one needs its account and its target portfolio."""
    key = {"unique_identifier": clean_identifier(unique_identifier)}
    fields = _fields(account_uid, target_portfolio_uid, account_target_allocation_uid)
    stored = VirtualFund.objects.select_for_update(of=("self",)).filter(**key).first()
    if stored is not None or {"account", "target_portfolio"} <= set(fields):
        _check_allocation(_with(stored or VirtualFund(**key), fields))
    needed = {"account": "account_uid", "target_portfolio": "target_portfolio_uid"}
    return rows.upsert(VirtualFund, key, fields, needed=needed)


@transaction.atomic
def update_virtual_fund(
    fund: VirtualFund,
    *,
    account_uid: Uid | Unset = UNSET,
    target_portfolio_uid: Uid | Unset = UNSET,
    account_target_allocation_uid: Uid | Unset | None = UNSET,
) -> VirtualFund:
    """Change what is given. The identifier never changes."""
    fields = _fields(account_uid, target_portfolio_uid, account_target_allocation_uid)
    stored = VirtualFund.objects.select_for_update(of=("self",)).get(pk=fund.pk)
    _check_allocation(_with(stored, fields))
    return rows.change(fund, fields)


def _fields(
    account_uid: Uid | Unset, target_portfolio_uid: Uid | Unset, allocation_uid: Uid | Unset | None
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if not isinstance(account_uid, Unset):
        fields["account"] = rows.referenced(Account, account_uid, field="account_uid")
    if not isinstance(target_portfolio_uid, Unset):
        fields["target_portfolio"] = rows.referenced(Portfolio, target_portfolio_uid, field="target_portfolio_uid")
    if allocation_uid is None:
        fields["account_target_allocation"] = None
    elif not isinstance(allocation_uid, Unset):
        fields["account_target_allocation"] = rows.referenced(
            AccountTargetAllocation, allocation_uid, field="account_target_allocation_uid"
        )
    return fields


def _with(fund: VirtualFund, fields: dict[str, Any]) -> VirtualFund:
    for name, value in fields.items():
        setattr(fund, name, value)
    return fund


def _check_allocation(fund: VirtualFund) -> None:
    """The allocation is one of the fund's own account, and no other fund serves the portfolio in it."""
    allocation = fund.account_target_allocation
    if allocation is None:
        return
    if allocation.account_id != fund.account_id:
        raise InvalidInput(
            f"The target allocation {allocation.unique_identifier} belongs to the account "
            f"{allocation.account.unique_identifier}, the fund to {fund.account.unique_identifier}. Give an allocation "
            "of the fund's account, or none.",
            field="account_target_allocation_uid",
        )
    others = VirtualFund.objects.filter(account_target_allocation=allocation, target_portfolio=fund.target_portfolio)
    other = others.exclude(unique_identifier=fund.unique_identifier).first()
    if other is not None:
        raise Conflict(
            f"The fund {other.unique_identifier} serves the portfolio {fund.target_portfolio.unique_identifier} in the "
            f"allocation {allocation.unique_identifier} already. One fund serves one portfolio in an allocation."
        )
