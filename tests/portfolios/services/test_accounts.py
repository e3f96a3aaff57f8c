"""Accounts and what hangs on them, as rows: upsert by key, clear by None, never move, and the delete matrix."""

import datetime as dt
import threading
import uuid
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from markets.exceptions import Conflict, InvalidInput, ProtectedRow
from markets.services import deletion
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
from portfolios.services import accounts, portfolios, virtual_funds
from tests import factories

pytestmark = pytest.mark.django_db
NOWHERE = uuid.UUID("00000000-0000-7000-8000-000000000000")


# --- accounts --------------------------------------------------------------------------------------------------------
def test_an_account_has_defaults_and_keeps_what_is_left_out() -> None:
    group = factories.account_group()
    made = accounts.upsert_account(unique_identifier=" main ", account_name=" Main ")
    assert made.created
    row = made.row
    assert (row.unique_identifier, row.account_name, row.is_paper, row.account_is_active) == (
        *("main", "Main", True, False),
    )
    assert (row.account_group, row.metadata_json) == (None, None)
    accounts.upsert_account(
        unique_identifier="main",
        is_paper=False,
        account_is_active=True,
        account_group_uid=str(group.uid),
        metadata_json={"a": 1},
    )
    again = accounts.upsert_account(unique_identifier="main", account_name="Renamed")
    assert (again.created, again.row.uid) == (False, row.uid)
    stored = Account.objects.get()
    assert (stored.account_name, stored.is_paper, stored.account_is_active) == ("Renamed", False, True)
    assert (stored.account_group, stored.metadata_json) == (group, {"a": 1})
    accounts.update_account(stored, account_group_uid=None, metadata_json=None)
    stored = Account.objects.get()
    assert (stored.account_group, stored.metadata_json, stored.account_name) == (None, None, "Renamed")


def test_nothing_is_written_where_nothing_differs() -> None:
    row = accounts.create_account(unique_identifier="main", account_name="Main")
    assert accounts.upsert_account(unique_identifier="main", account_name="Main").row.updated_at == row.updated_at
    assert accounts.upsert_account(unique_identifier="main", account_name="M").row.updated_at > row.updated_at


def test_a_new_account_needs_a_name_and_a_free_identifier() -> None:
    with pytest.raises(InvalidInput, match="no account 'main' yet, and account_name is needed") as refused:
        accounts.upsert_account(unique_identifier="main", is_paper=False)
    assert refused.value.field == "account_name"
    accounts.create_account(unique_identifier="main", account_name="Main")
    with pytest.raises(Conflict, match="There is an account 'main' already"):
        accounts.create_account(unique_identifier="main", account_name="Other")
    assert Account.objects.get().account_name == "Main"


@pytest.mark.parametrize(
    "fields",
    [
        *({"account_name": value} for value in (None, "", " ", 5, "x" * 256, "a\x00")),
        *({"is_paper": value} for value in (None, 1, "true")),
        *({"account_is_active": value} for value in (None, 0)),
        *({"account_group_uid": value} for value in (NOWHERE, "junk", 5, "")),
        *({"metadata_json": value} for value in ("x", [], {"a": float("nan")})),
    ],
)
def test_wrong_values_are_refused_by_name(fields: dict[str, Any]) -> None:
    account = factories.account()
    before = Account.objects.values().get()
    with pytest.raises(InvalidInput) as refused:
        accounts.update_account(account, **fields)
    assert refused.value.field == next(iter(fields))
    assert Account.objects.values().get() == before


def test_the_database_states_the_rules_too() -> None:
    account = factories.account()
    allocation = factories.target_allocation(account=account)
    fund = factories.virtual_fund(account=account, account_target_allocation=allocation)
    factories.position_set(account_target_allocation=allocation)
    factories.holdings_set(account=account)
    for make in (
        lambda: factories.account(account_name=" "),
        lambda: factories.account(unique_identifier=""),
        lambda: factories.account_group(group_name=""),
        lambda: factories.allocation_model(allocation_model_name=" x"),
        lambda: factories.target_allocation(unique_identifier=""),
        lambda: factories.virtual_fund(unique_identifier=""),
        lambda: factories.position_set(account_target_allocation=allocation),
        lambda: factories.holdings_set(account=account),
        lambda: factories.virtual_fund(account_target_allocation=allocation, target_portfolio=fund.target_portfolio),
        lambda: factories.account_group(group_name=None),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            make()


# --- groups and models -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("model", "upsert", "create", "update", "prefix"),
    [
        (AccountGroup, accounts.upsert_group, accounts.create_group, accounts.update_group, "group"),
        (
            AccountAllocationModel,
            accounts.upsert_allocation_model,
            accounts.create_allocation_model,
            accounts.update_allocation_model,
            "allocation_model",
        ),
    ],
)
def test_named_rows(model: Any, upsert: Any, create: Any, update: Any, prefix: str) -> None:
    name, description = f"{prefix}_name", f"{prefix}_description"
    first = upsert(**{name: " Long  only ", description: "Why"})
    assert (first.created, getattr(first.row, name)) == (True, "Long only")
    again = upsert(**{name: "Long only", "metadata_json": {"a": [1]}})
    assert (again.created, again.row.uid, getattr(again.row, description)) == (False, first.row.uid, "Why")
    with pytest.raises(Conflict, match="'Long only' already"):
        create(**{name: "Long only"})
    update(again.row, **{description: None})
    stored = model.objects.get()
    assert (getattr(stored, description), stored.metadata_json) == (None, {"a": [1]})
    for bad in (None, "", "  ", "x" * 101, 5):
        with pytest.raises(InvalidInput) as refused:
            upsert(**{name: bad})
        assert refused.value.field == name
    assert model.objects.count() == 1


# --- target allocations ----------------------------------------------------------------------------------------------
def test_a_target_allocation_changes_its_model_and_never_its_account() -> None:
    account, one, two = factories.account(), factories.allocation_model(), factories.allocation_model()
    made = accounts.upsert_target_allocation(
        unique_identifier="a", account_uid=account.uid, account_allocation_model_uid=one.uid, source="s"
    )
    assert (made.created, made.row.is_active, made.row.display_name) == (True, True, None)
    again = accounts.upsert_target_allocation(
        unique_identifier="a", account_uid=str(account.uid), account_allocation_model_uid=two.uid, is_active=False
    )
    assert (again.created, again.row.uid) == (False, made.row.uid)
    stored = AccountTargetAllocation.objects.get()
    assert (stored.account_allocation_model, stored.is_active, stored.source) == (two, False, "s")
    with pytest.raises(Conflict, match=f"'a' belongs to another account, {account.account_name}, and never moves"):
        accounts.upsert_target_allocation(unique_identifier="a", account_uid=factories.account().uid, source="other")
    stored.refresh_from_db()
    assert (stored.account, stored.source) == (account, "s")


@pytest.mark.parametrize(
    ("fields", "culprit"),
    [
        ({}, "account_uid"),
        ({"account_uid": NOWHERE}, "account_uid"),
        ({"account_uid": None}, "account_uid"),
        ({"account_uid": "here"}, "account_allocation_model_uid"),
        ({"account_uid": "here", "account_allocation_model_uid": None}, "account_allocation_model_uid"),
    ],
)
def test_a_new_target_allocation_needs_account_and_model(fields: dict[str, Any], culprit: str) -> None:
    account = factories.account()
    fields = {name: account.uid if value == "here" else value for name, value in fields.items()}
    with pytest.raises(InvalidInput) as refused:
        accounts.upsert_target_allocation(unique_identifier="a", **fields)
    assert refused.value.field == culprit
    assert not AccountTargetAllocation.objects.exists()


def test_an_account_may_have_several_active_allocations() -> None:
    account = factories.account()
    for name in ("a", "b"):
        accounts.create_target_allocation(
            unique_identifier=name,
            account_uid=account.uid,
            account_allocation_model_uid=factories.allocation_model().uid,
        )
    assert account.target_allocations.filter(is_active=True).count() == 2


# --- sets ------------------------------------------------------------------------------------------------------------
def test_an_instant_is_the_same_set_in_every_zone() -> None:
    allocation = factories.target_allocation()
    first = accounts.upsert_position_set(
        account_target_allocation_uid=allocation.uid, position_set_time="2026-05-25T00:00:00Z", source="s"
    )
    assert first.row.position_set_time == dt.datetime(2026, 5, 25, tzinfo=dt.UTC)
    again = accounts.upsert_position_set(
        account_target_allocation_uid=allocation.uid,
        position_set_time="2026-05-25T02:00:00+02:00",
        metadata_json={"a": 1},
    )
    assert (again.created, again.row.uid) == (False, first.row.uid)
    assert (again.row.source, again.row.metadata_json) == ("s", {"a": 1})
    with pytest.raises(Conflict, match="There is a position set with account_target_allocation="):
        accounts.create_position_set(
            account_target_allocation_uid=allocation.uid, position_set_time=dt.datetime(2026, 5, 25, tzinfo=dt.UTC)
        )
    assert accounts.update_position_set(again.row, source=None).source is None

    holdings = accounts.upsert_holdings_set(account_uid=allocation.account.uid, time_index="2026-05-25T00:00:00Z")
    same = accounts.upsert_holdings_set(
        account_uid=allocation.account.uid, time_index="2026-05-24T19:00:00-05:00", source_data_node_uid=str(NOWHERE)
    )
    assert (same.created, same.row.uid, same.row.source_data_node_uid) == (False, holdings.row.uid, NOWHERE)
    assert accounts.update_holdings_set(same.row, source_data_node_uid=None).source_data_node_uid is None
    assert (PositionSet.objects.count(), AccountHoldingsSet.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    "time", ["2026-05-25T00:00:00", "2026-05-25", "eod", "", None, 0, 1_779_667_200, True, "1800-01-01T00:00:00Z"]
)
def test_an_instant_without_a_zone_is_refused(time: Any) -> None:
    allocation = factories.target_allocation()
    with pytest.raises(InvalidInput) as refused:
        accounts.upsert_position_set(account_target_allocation_uid=allocation.uid, position_set_time=time)
    assert refused.value.field == "position_set_time"
    with pytest.raises(InvalidInput) as refused:
        accounts.upsert_holdings_set(account_uid=allocation.account.uid, time_index=time)
    assert refused.value.field == "time_index"


# --- virtual funds ---------------------------------------------------------------------------------------------------
def test_a_fund_is_made_changed_and_cleared() -> None:
    allocation, portfolio = factories.target_allocation(), factories.portfolio()
    account = allocation.account
    made = virtual_funds.upsert_virtual_fund(
        unique_identifier="core",
        account_uid=account.uid,
        target_portfolio_uid=portfolio.uid,
        account_target_allocation_uid=allocation.uid,
    )
    other = factories.portfolio()
    again = virtual_funds.upsert_virtual_fund(unique_identifier="core", target_portfolio_uid=other.uid)
    assert (made.created, again.created, again.row.uid) == (True, False, made.row.uid)
    stored = VirtualFund.objects.get()
    assert (stored.account, stored.target_portfolio, stored.account_target_allocation) == (account, other, allocation)
    moved = factories.account()
    with pytest.raises(InvalidInput, match="Give an allocation of the fund's account, or none"):
        virtual_funds.update_virtual_fund(stored, account_uid=moved.uid)
    assert VirtualFund.objects.get().account == account
    virtual_funds.update_virtual_fund(
        VirtualFund.objects.get(), account_uid=moved.uid, account_target_allocation_uid=None
    )
    stored = VirtualFund.objects.get()
    assert (stored.account, stored.account_target_allocation) == (moved, None)


def test_one_fund_serves_a_portfolio_in_an_allocation() -> None:
    allocation = factories.target_allocation()
    first = factories.virtual_fund(account=allocation.account, account_target_allocation=allocation)
    fields = {
        "account_uid": allocation.account.uid,
        "target_portfolio_uid": first.target_portfolio.uid,
        "account_target_allocation_uid": allocation.uid,
    }
    for save in (virtual_funds.create_virtual_fund, virtual_funds.upsert_virtual_fund):
        with pytest.raises(Conflict, match=f"The fund {first.unique_identifier} serves the portfolio"):
            save(unique_identifier="second", **fields)
    assert VirtualFund.objects.count() == 1
    free = {**fields, "account_target_allocation_uid": None}
    second = virtual_funds.create_virtual_fund(unique_identifier="second", **free)
    with pytest.raises(Conflict, match="One fund serves one portfolio"):
        virtual_funds.update_virtual_fund(second, account_target_allocation_uid=allocation.uid)
    assert VirtualFund.objects.get(pk=second.pk).account_target_allocation is None
    assert virtual_funds.upsert_virtual_fund(unique_identifier=first.unique_identifier, **fields).row == first
    with pytest.raises(Conflict, match="There is a virtual fund 'second' already"):
        virtual_funds.create_virtual_fund(unique_identifier="second", **free)


@pytest.mark.parametrize("missing", ["account_uid", "target_portfolio_uid"])
def test_a_new_fund_needs_account_and_portfolio(missing: str) -> None:
    fields = {"account_uid": factories.account().uid, "target_portfolio_uid": factories.portfolio().uid}
    del fields[missing]
    with pytest.raises(InvalidInput, match=f"{missing} is needed") as refused:
        virtual_funds.upsert_virtual_fund(unique_identifier="f", **fields)
    assert refused.value.field == missing
    for wrong in (NOWHERE, None, "junk"):
        with pytest.raises(InvalidInput) as refused:
            virtual_funds.upsert_virtual_fund(unique_identifier="f", **fields, **{missing: wrong})
        assert refused.value.field == missing
    assert not VirtualFund.objects.exists()


# --- the delete matrix -----------------------------------------------------------------------------------------------
def impact(row: Any) -> dict[str, tuple[int, str, str]]:
    """Key → (count, kind, effect), of what is touched."""
    found = deletion.delete_impact(row)
    return {item.key: (item.count, item.relationship_type, item.effect) for item in found.relationships if item.count}


def family() -> VirtualFund:
    """A fund, its account in a group, an allocation with two position sets, and a holdings set."""
    account = factories.account(account_group=factories.account_group())
    allocation = factories.target_allocation(account=account)
    factories.position_set(account_target_allocation=allocation)
    factories.position_set(
        account_target_allocation=allocation, position_set_time=dt.datetime(2026, 5, 26, tzinfo=dt.UTC)
    )
    factories.holdings_set(account=account)
    return factories.virtual_fund(account=account, account_target_allocation=allocation)


def left() -> dict[str, int]:
    models = (
        *(AccountGroup, Account, AccountAllocationModel, AccountTargetAllocation, PositionSet, AccountHoldingsSet),
        *(VirtualFund, Portfolio),
    )
    return {model.__name__: model._default_manager.count() for model in models}


ALL = {
    "AccountGroup": 1,
    "Account": 1,
    "AccountAllocationModel": 1,
    "AccountTargetAllocation": 1,
    "PositionSet": 2,
    "AccountHoldingsSet": 1,
    "VirtualFund": 1,
    "Portfolio": 1,
}


def test_deleting_a_group_leaves_its_accounts_without_one() -> None:
    fund = family()
    group = fund.account.account_group
    assert group is not None
    assert impact(group) == {"portfolios.account.account_group": (1, "direct", "set_null")}
    assert deletion.delete_impact(group).identifier == group.group_name
    deletion.delete(group)
    assert left() == {**ALL, "AccountGroup": 0}
    assert Account.objects.get().account_group is None


def test_deleting_an_account_takes_its_allocations_sets_and_funds_along() -> None:
    fund = family()
    assert impact(fund.account) == {
        "portfolios.accounttargetallocation.account": (1, "direct", "cascade_delete"),
        "portfolios.positionset.account_target_allocation": (2, "indirect", "cascade_delete"),
        "portfolios.virtualfund.account_target_allocation": (1, "indirect", "set_null"),
        "portfolios.accountholdingsset.account": (1, "direct", "cascade_delete"),
        "portfolios.virtualfund.account": (1, "direct", "cascade_delete"),
    }
    deletion.delete(fund.account)
    assert left() == {**dict.fromkeys(ALL, 0), "AccountGroup": 1, "AccountAllocationModel": 1, "Portfolio": 1}


def test_an_allocation_model_is_kept_while_an_allocation_follows_it() -> None:
    model = family().account_target_allocation.account_allocation_model
    assert impact(model) == {
        "portfolios.accounttargetallocation.account_allocation_model": (1, "direct", "blocks_delete")
    }
    with pytest.raises(ProtectedRow, match=f"{model} cannot be deleted: .* 1 of account target allocations"):
        deletion.delete(model)
    assert left() == ALL
    AccountTargetAllocation.objects.all().delete()
    deletion.delete(model)
    assert not AccountAllocationModel.objects.exists()


def test_deleting_an_allocation_takes_its_position_sets_and_keeps_the_fund() -> None:
    fund = family()
    assert impact(fund.account_target_allocation) == {
        "portfolios.positionset.account_target_allocation": (2, "direct", "cascade_delete"),
        "portfolios.virtualfund.account_target_allocation": (1, "direct", "set_null"),
    }
    deletion.delete(fund.account_target_allocation)
    assert left() == {**ALL, "AccountTargetAllocation": 0, "PositionSet": 0}
    assert VirtualFund.objects.get().account_target_allocation is None


def test_a_portfolio_is_kept_while_a_fund_targets_it() -> None:
    fund = family()
    found = portfolios.portfolio_delete_impact(fund.target_portfolio)
    assert (found.can_delete, found.blocking_count) == (False, 1)
    with pytest.raises(ProtectedRow, match="1 of virtual funds"):
        portfolios.delete_portfolio(fund.target_portfolio)
    assert left() == ALL
    deletion.delete(fund)
    portfolios.delete_portfolio(fund.target_portfolio)
    assert left() == {**ALL, "VirtualFund": 0, "Portfolio": 0}


def test_sets_and_funds_go_alone() -> None:
    fund = family()
    for row, name in (
        (PositionSet.objects.first(), "PositionSet"),
        (AccountHoldingsSet.objects.get(), "AccountHoldingsSet"),
        (fund, "VirtualFund"),
    ):
        assert impact(row) == {}
        before = left()
        deletion.delete(row)
        assert left() == {**before, name: before[name] - 1}


# --- concurrency -----------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_concurrent_upserts_end_with_one_row() -> None:
    account = factories.account()
    barrier = threading.Barrier(4)
    found: list[Any] = []

    def work() -> None:
        try:
            barrier.wait()
            found.append(accounts.upsert_holdings_set(account_uid=account.uid, time_index="2026-05-25T00:00:00Z"))
        except BaseException as error:
            found.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = AccountHoldingsSet.objects.get()
    assert [saved.row.uid for saved in found] == [stored.uid] * 4
    assert sorted(saved.created for saved in found) == [False, False, False, True]
