"""The pages of accounts: they open, they save through the services, and what is refused says why."""

import datetime as dt
import html

import pytest
from django.test import Client
from django.urls import reverse

from portfolios.models import (
    Account,
    AccountAllocationModel,
    AccountGroup,
    AccountHoldingsSet,
    AccountTargetAllocation,
    PositionSet,
    VirtualFund,
)
from tests import factories
from tests.admin import rows
from tests.admin.test_pages import assert_page
from tests.admin.test_query_counts import queries

MODELS = (
    *(AccountGroup, Account, AccountAllocationModel, AccountTargetAllocation, PositionSet, AccountHoldingsSet),
    VirtualFund,
)
NAMES = [f"portfolios_{model._meta.model_name}" for model in MODELS]
pytestmark = pytest.mark.django_db


def url(page: str, *arguments: object) -> str:
    return reverse(f"admin:portfolios_{page}", args=arguments)


def fill(number: int = 1, name: str = "Some") -> None:
    for place in range(number):
        account = factories.account(
            account_name=f"{name} {place}", account_group=factories.account_group(group_name=f"{name} {place}"[:100])
        )
        allocation = factories.target_allocation(
            account=account,
            display_name=name,
            account_allocation_model=factories.allocation_model(allocation_model_name=f"{name} {place}"[:100]),
        )
        factories.position_set(account_target_allocation=allocation, source=name)
        factories.holdings_set(account=account)
        factories.virtual_fund(account=account, account_target_allocation=allocation)


@pytest.mark.parametrize("name", NAMES)
def test_lists_help_while_empty_and_add_pages_open(boss: Client, name: str) -> None:
    assert 'class="msm-' in assert_page(boss, reverse(f"admin:{name}_changelist"))
    assert_page(boss, reverse(f"admin:{name}_add"))


def test_pages_open_for_the_viewer_and_escape_names(viewer: Client) -> None:
    fill(2, rows.HOSTILE + rows.LONG[:60])
    for model, name in zip(MODELS, NAMES, strict=True):
        assert_page(viewer, reverse(f"admin:{name}_changelist"))
        assert_page(viewer, reverse(f"admin:{name}_changelist") + "?q=a")
        assert_page(viewer, reverse(f"admin:{name}_change", args=(model._default_manager.first().pk,)))
        assert viewer.get(reverse(f"admin:{name}_add")).status_code == 403


def test_every_list_is_in_the_sidebar(boss: Client) -> None:
    text = assert_page(boss, reverse("admin:index"))
    assert all(reverse(f"admin:{name}_changelist") in text for name in NAMES)


def test_queries_do_not_grow_with_rows(boss: Client) -> None:
    fill(2, "Few")
    before = {name: queries(boss, reverse(f"admin:{name}_changelist")) for name in NAMES}
    fill(9, "Many")
    assert {name: queries(boss, reverse(f"admin:{name}_changelist")) for name in NAMES} == before


def test_an_account_is_made_and_changed_and_keeps_its_identifier(boss: Client) -> None:
    group = factories.account_group()
    values = {"unique_identifier": " main ", "account_name": "Main", "is_paper": "on", "account_group": group.pk}
    response = boss.post(url("account_add"), values)
    assert response.status_code == 302, response.content
    account = Account.objects.get()
    assert (account.unique_identifier, account.is_paper, account.account_is_active) == ("main", True, False)
    assert account.account_group == group
    changed = {"unique_identifier": "other", "account_name": "Renamed", "account_is_active": "on", "account_group": ""}
    assert boss.post(url("account_change", account.pk), changed).status_code == 302
    account = Account.objects.get()
    assert (account.unique_identifier, account.account_name) == ("main", "Renamed")
    assert (account.is_paper, account.account_is_active, account.account_group) == (False, True, None)


def test_an_allocation_is_made_and_its_account_stays(boss: Client) -> None:
    account, other, model = factories.account(), factories.account(), factories.allocation_model()
    values = {"unique_identifier": "a", "account": account.pk, "account_allocation_model": model.pk, "is_active": "on"}
    assert boss.post(url("accounttargetallocation_add"), values).status_code == 302
    row = AccountTargetAllocation.objects.get()
    response = boss.post(url("accounttargetallocation_change", row.pk), {**values, "account": other.pk, "source": "x"})
    assert response.status_code == 302
    row.refresh_from_db()
    assert (row.account, row.account_allocation_model, row.source) == (account, model, "x")


def test_the_times_of_sets_are_utc(boss: Client) -> None:
    allocation = factories.target_allocation()
    values = {
        "account_target_allocation": allocation.pk,
        "position_set_time_0": "2026-05-25",
        "position_set_time_1": "14:30:00",
    }
    assert boss.post(url("positionset_add"), values).status_code == 302
    assert PositionSet.objects.get().position_set_time == dt.datetime(2026, 5, 25, 14, 30, tzinfo=dt.UTC)
    assert boss.post(url("positionset_add"), values).status_code == 200  # there is one at this instant
    holdings = {"account": allocation.account_id, "time_index_0": "2026-05-25", "time_index_1": "00:00:00"}
    assert boss.post(url("accountholdingsset_add"), holdings).status_code == 302
    assert AccountHoldingsSet.objects.get().time_index == dt.datetime(2026, 5, 25, tzinfo=dt.UTC)
    assert boss.post(url("accountholdingsset_add"), holdings).status_code == 200
    assert (PositionSet.objects.count(), AccountHoldingsSet.objects.count()) == (1, 1)


def test_another_account_s_allocation_is_refused_with_the_reason(boss: Client) -> None:
    allocation, account, portfolio = factories.target_allocation(), factories.account(), factories.portfolio()
    values = {
        "unique_identifier": "fund",
        "account": account.pk,
        "target_portfolio": portfolio.pk,
        "account_target_allocation": allocation.pk,
    }
    response = boss.post(url("virtualfund_add"), values)
    assert response.status_code == 200
    assert f"belongs to the account {allocation.account.unique_identifier}" in html.unescape(response.content.decode())
    assert not VirtualFund.objects.exists()
    assert boss.post(url("virtualfund_add"), {**values, "account": allocation.account_id}).status_code == 302
    assert VirtualFund.objects.get().account_target_allocation == allocation


def test_a_model_in_use_is_not_deleted_and_an_account_takes_its_rows_along(boss: Client) -> None:
    fill()
    model, account = AccountAllocationModel.objects.get(), Account.objects.get()
    boss.post(url("accountallocationmodel_delete", model.pk), {"reason": "test"})
    assert AccountAllocationModel.objects.exists()
    assert boss.post(url("account_delete", account.pk), {"reason": "test"}).status_code == 302
    left = {row.__name__ for row in MODELS if row._default_manager.exists()}
    assert left == {"AccountGroup", "AccountAllocationModel"}


def test_the_viewer_saves_nothing(viewer: Client) -> None:
    fill()
    for model, name in zip(MODELS, NAMES, strict=True):
        row = model._default_manager.get()
        assert viewer.post(reverse(f"admin:{name}_change", args=(row.pk,)), {}).status_code == 403
        assert viewer.post(reverse(f"admin:{name}_delete", args=(row.pk,)), {"reason": "test"}).status_code == 403
        assert model._default_manager.filter(pk=row.pk).exists()
