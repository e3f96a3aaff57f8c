"""Virtual funds: which portfolio each slice of an account is for."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from portfolios.admin.references import ReferringAdmin
from portfolios.models import VirtualFund
from portfolios.services import virtual_funds


@admin.register(VirtualFund)
class VirtualFundAdmin(ReferringAdmin):
    list_display = ("unique_identifier", "account", "target_portfolio", "account_target_allocation")
    list_select_related = ("account", "target_portfolio", "account_target_allocation")
    search_fields = ("unique_identifier__startswith", "account__unique_identifier__startswith")
    search_help_text = "Beginning of the fund's or the account's identifier"
    autocomplete_fields = ("account", "target_portfolio", "account_target_allocation")
    fields = ("unique_identifier", "account", "target_portfolio", "account_target_allocation")
    empty_help = "A virtual fund earmarks a slice of an account for one target portfolio."

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> VirtualFund:
        return virtual_funds.create_virtual_fund(**self.values_for_service(values))

    def update_row(self, request: HttpRequest, row: VirtualFund, values: dict[str, Any]) -> VirtualFund:
        return virtual_funds.update_virtual_fund(row, **self.values_for_service(values))
