"""REST of virtual funds."""

from typing import Any

from markets.rest.filters import Ordering, RegistryFilters, SearchFilter, Uid, identifier_filters
from portfolios.models import VirtualFund
from portfolios.rest.references import ReferringSerializer, ReferringViewSet, reference
from portfolios.services import virtual_funds


class VirtualFundSerializer(ReferringSerializer):
    immutable_fields = ("unique_identifier",)
    account_uid = reference("account")
    target_portfolio_uid = reference("target_portfolio")
    account_target_allocation_uid = reference(
        "account_target_allocation",
        required=False,
        allow_null=True,
        help_text="An allocation of the fund's account; one fund a portfolio in each.",
    )

    class Meta:
        model = VirtualFund
        fields = [
            *("uid", "id", "unique_identifier", "account_uid", "target_portfolio_uid"),
            *("account_target_allocation_uid", "created_at", "updated_at"),
        ]


class VirtualFundFilters(RegistryFilters):
    unique_identifier = identifier_filters()["unique_identifier"]
    unique_identifier__in = identifier_filters()["unique_identifier__in"]
    unique_identifier__contains = identifier_filters()["unique_identifier__contains"]
    account_uid = Uid(field_name="account__uid")
    portfolio_uid = Uid(field_name="target_portfolio__uid", help_text="The target portfolio.")
    account_target_allocation_uid = Uid(field_name="account_target_allocation__uid")
    search = SearchFilter("uid", "unique_identifier", "account__uid", "target_portfolio__uid")
    ordering = Ordering(fields=["unique_identifier", "created_at", "updated_at"])


class VirtualFundViewSet(ReferringViewSet):
    """A slice of an account that is earmarked for one target portfolio; it is no asset and holds nothing itself."""

    queryset = VirtualFund.objects.select_related("account", "target_portfolio", "account_target_allocation")
    serializer_class = VirtualFundSerializer
    filterset_class = VirtualFundFilters
    row_name = "virtual fund"

    def perform_creation(self, values: dict[str, Any]) -> VirtualFund:
        return virtual_funds.create_virtual_fund(**self.values_for_service(values))

    def perform_change(self, row: VirtualFund, values: dict[str, Any]) -> VirtualFund:
        return virtual_funds.update_virtual_fund(row, **self.values_for_service(values))
