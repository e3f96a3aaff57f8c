"""Accounts, their groups, allocation models, target allocations and sets."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from markets.admin.counts import number_of
from markets.admin.formatting import count, utc
from portfolios.admin.references import ReferringAdmin
from portfolios.models import (
    Account,
    AccountAllocationModel,
    AccountGroup,
    AccountHoldingsSet,
    AccountTargetAllocation,
    PositionSet,
)
from portfolios.services import accounts


@admin.register(AccountGroup)
class AccountGroupAdmin(ReferringAdmin):
    list_display = ("group_name", "num_accounts", "group_description")
    search_fields = ("group_name__istartswith",)
    search_help_text = "Beginning of the name"
    fields = ("group_name", "group_description", "metadata_json")
    fixed_fields = ("group_name",)
    empty_help = "A group collects accounts; an account is in one group or in none."

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccountGroup]:
        accounts_of_group = number_of(Account.objects.all(), "account_group")
        return super().get_queryset(request).annotate(number_of_accounts=accounts_of_group)

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> AccountGroup:
        return accounts.create_group(**values)

    def update_row(self, request: HttpRequest, row: AccountGroup, values: dict[str, Any]) -> AccountGroup:
        return accounts.update_group(row, **values)

    @display(description="accounts", ordering="number_of_accounts")
    def num_accounts(self, group: Any) -> str:
        return count(group.number_of_accounts)


@admin.register(Account)
class AccountAdmin(ReferringAdmin):
    list_display = ("account_name", "unique_identifier", "account_group", "is_paper", "account_is_active")
    list_select_related = ("account_group",)
    list_filter = ("is_paper", "account_is_active")
    search_fields = ("unique_identifier__startswith", "account_name__istartswith")
    search_help_text = "Beginning of identifier or name"
    autocomplete_fields = ("account_group",)
    fields = (
        ("unique_identifier", "account_name"),
        ("is_paper", "account_is_active"),
        "account_group",
        "metadata_json",
    )
    empty_help = "An account holds assets. Target allocations say what it should hold, virtual funds divide it."

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Account:
        return accounts.create_account(**self.values_for_service(values))

    def update_row(self, request: HttpRequest, row: Account, values: dict[str, Any]) -> Account:
        return accounts.update_account(row, **self.values_for_service(values))


@admin.register(AccountAllocationModel)
class AllocationModelAdmin(ReferringAdmin):
    list_display = ("allocation_model_name", "num_allocations", "allocation_model_description")
    search_fields = ("allocation_model_name__istartswith",)
    search_help_text = "Beginning of the name"
    fields = ("allocation_model_name", "allocation_model_description", "metadata_json")
    fixed_fields = ("allocation_model_name",)
    empty_help = "A model is a way of allocating that any number of accounts may follow, each by a target allocation."

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccountAllocationModel]:
        allocations = number_of(AccountTargetAllocation.objects.all(), "account_allocation_model")
        return super().get_queryset(request).annotate(number_of_allocations=allocations)

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> AccountAllocationModel:
        return accounts.create_allocation_model(**values)

    def update_row(
        self, request: HttpRequest, row: AccountAllocationModel, values: dict[str, Any]
    ) -> AccountAllocationModel:
        return accounts.update_allocation_model(row, **values)

    @display(description="target allocations", ordering="number_of_allocations")
    def num_allocations(self, model: Any) -> str:
        return count(model.number_of_allocations)


@admin.register(AccountTargetAllocation)
class TargetAllocationAdmin(ReferringAdmin):
    list_display = ("unique_identifier", "display_name", "account", "account_allocation_model", "is_active")
    list_select_related = ("account", "account_allocation_model")
    list_filter = ("is_active",)
    search_fields = ("unique_identifier__startswith", "display_name__istartswith")
    search_help_text = "Beginning of identifier or name"
    autocomplete_fields = ("account", "account_allocation_model")
    fields = (
        ("unique_identifier", "display_name"),
        ("account", "account_allocation_model"),
        ("is_active", "source"),
        "metadata_json",
    )
    fixed_fields = ("unique_identifier", "account")
    empty_help = "A target allocation lets an account follow an allocation model; its position sets say with what."

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> AccountTargetAllocation:
        return accounts.create_target_allocation(**self.values_for_service(values))

    def update_row(
        self, request: HttpRequest, row: AccountTargetAllocation, values: dict[str, Any]
    ) -> AccountTargetAllocation:
        return accounts.update_target_allocation(row, **self.values_for_service(values))


@admin.register(PositionSet)
class PositionSetAdmin(ReferringAdmin):
    list_display = ("time", "account_target_allocation", "account", "source")
    list_select_related = ("account_target_allocation__account",)
    search_fields = ("account_target_allocation__unique_identifier__startswith",)
    search_help_text = "Beginning of the target allocation's identifier"
    autocomplete_fields = ("account_target_allocation",)
    fields = ("account_target_allocation", "position_set_time", "source", "metadata_json")
    fixed_fields = ("account_target_allocation", "position_set_time")
    empty_help = "A position set is one moment of a target allocation. Target positions refer to it."

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> PositionSet:
        return accounts.create_position_set(**self.values_for_service(values))

    def update_row(self, request: HttpRequest, row: PositionSet, values: dict[str, Any]) -> PositionSet:
        return accounts.update_position_set(row, **self.values_for_service(values))

    @display(description="time (UTC)", ordering="position_set_time")
    def time(self, position_set: PositionSet) -> str:
        return utc(position_set.position_set_time, zone=False)

    @display(description="account")
    def account(self, position_set: PositionSet) -> str:
        return str(position_set.account_target_allocation.account)


@admin.register(AccountHoldingsSet)
class HoldingsSetAdmin(ReferringAdmin):
    list_display = ("time", "account", "source_data_node_uid")
    list_select_related = ("account",)
    search_fields = ("account__unique_identifier__startswith", "account__account_name__istartswith")
    search_help_text = "Beginning of the account's identifier or name"
    autocomplete_fields = ("account",)
    fields = ("account", "time_index", "source_data_node_uid")
    fixed_fields = ("account", "time_index")
    empty_help = "A holdings set is one moment of an account. Holdings refer to it."

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> AccountHoldingsSet:
        return accounts.create_holdings_set(**self.values_for_service(values))

    def update_row(self, request: HttpRequest, row: AccountHoldingsSet, values: dict[str, Any]) -> AccountHoldingsSet:
        return accounts.update_holdings_set(row, **self.values_for_service(values))

    @display(description="time (UTC)", ordering="time_index")
    def time(self, holdings_set: AccountHoldingsSet) -> str:
        return utc(holdings_set.time_index, zone=False)
