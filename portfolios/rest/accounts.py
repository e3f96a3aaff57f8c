"""REST of accounts, their groups, allocation models, target allocations and sets."""

from typing import Any

import django_filters as filters
from django.db.models.functions import Lower

from markets.rest.bulk import BulkUpsertViewSet, describe_bulk
from markets.rest.filters import Flag, Ordering, RegistryFilters, SearchFilter, Uid, identifier_filters
from markets.rest.serializers import MetadataField
from markets.services.bulk import BulkOutcome, OnError
from portfolios.models import (
    Account,
    AccountAllocationModel,
    AccountGroup,
    AccountHoldingsSet,
    AccountTargetAllocation,
    PositionSet,
)
from portfolios.rest.filters import Instant
from portfolios.rest.references import ReferringSerializer, ReferringViewSet, reference
from portfolios.services import accounts

STAMPS = ("created_at", "updated_at")


# --- groups ----------------------------------------------------------------------------------------------------------
class AccountGroupSerializer(ReferringSerializer):
    immutable_fields = ("group_name",)
    metadata_json = MetadataField()

    class Meta:
        model = AccountGroup
        fields = ["uid", "id", "group_name", "group_description", "metadata_json", *STAMPS]


class AccountGroupFilters(RegistryFilters):
    group_name = identifier_filters("group_name")["group_name"]
    group_name__in = identifier_filters("group_name")["group_name__in"]
    group_name__contains = identifier_filters("group_name")["group_name__contains"]
    search = SearchFilter("uid", "group_name", "group_description")
    ordering = Ordering(fields=["group_name", *STAMPS])


@describe_bulk("account_group")
class AccountGroupViewSet(ReferringViewSet, BulkUpsertViewSet):
    """Groups are flat; an account is in one or in none. Deleting a group leaves its accounts without one."""

    queryset = AccountGroup.objects.all()
    serializer_class = AccountGroupSerializer
    bulk_row_serializer = AccountGroupSerializer
    filterset_class = AccountGroupFilters
    row_name = "account group"
    query_parameters = {"bulk_upsert": ("on_error",)}
    action_permissions = {"bulk_upsert": ("portfolios.add_accountgroup", "portfolios.change_accountgroup")}

    def perform_creation(self, values: dict[str, Any]) -> AccountGroup:
        return accounts.create_group(**values)

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        return accounts.bulk_upsert_groups(rows, on_error=on_error)

    def perform_change(self, row: AccountGroup, values: dict[str, Any]) -> AccountGroup:
        return accounts.update_group(row, **values)


# --- accounts --------------------------------------------------------------------------------------------------------
class AccountSerializer(ReferringSerializer):
    immutable_fields = ("unique_identifier",)
    account_group_uid = reference("account_group", required=False, allow_null=True)
    metadata_json = MetadataField()

    class Meta:
        model = Account
        fields = [
            *("uid", "id", "unique_identifier", "account_name", "is_paper", "account_is_active", "account_group_uid"),
            *("metadata_json", *STAMPS),
        ]


class AccountFilters(RegistryFilters):
    unique_identifier = identifier_filters()["unique_identifier"]
    unique_identifier__in = identifier_filters()["unique_identifier__in"]
    unique_identifier__contains = identifier_filters()["unique_identifier__contains"]
    account_name = filters.CharFilter(help_text="Exact and case-sensitive.")
    is_paper = Flag()
    account_is_active = Flag()
    account_group_uid = Uid(field_name="account_group__uid")
    search = SearchFilter("uid", "unique_identifier", "account_name")
    ordering = Ordering(fields=["unique_identifier", "account_name", *STAMPS])


class AccountViewSet(ReferringViewSet):
    queryset = Account.objects.select_related("account_group")
    serializer_class = AccountSerializer
    filterset_class = AccountFilters
    row_name = "account"

    def perform_creation(self, values: dict[str, Any]) -> Account:
        return accounts.create_account(**self.values_for_service(values))

    def perform_change(self, row: Account, values: dict[str, Any]) -> Account:
        return accounts.update_account(row, **self.values_for_service(values))


# --- allocation models -----------------------------------------------------------------------------------------------
class AllocationModelSerializer(ReferringSerializer):
    immutable_fields = ("allocation_model_name",)
    metadata_json = MetadataField()

    class Meta:
        model = AccountAllocationModel
        fields = ["uid", "id", "allocation_model_name", "allocation_model_description", "metadata_json", *STAMPS]


class AllocationModelFilters(RegistryFilters):
    allocation_model_name = identifier_filters("allocation_model_name")["allocation_model_name"]
    allocation_model_name__in = identifier_filters("allocation_model_name")["allocation_model_name__in"]
    allocation_model_name__contains = identifier_filters("allocation_model_name")["allocation_model_name__contains"]
    search = SearchFilter("uid", "allocation_model_name", "allocation_model_description")
    ordering = Ordering(fields=["allocation_model_name", *STAMPS])


@describe_bulk("account_allocation_model")
class AllocationModelViewSet(ReferringViewSet, BulkUpsertViewSet):
    """A model serves any number of accounts; it cannot be deleted while a target allocation follows it."""

    queryset = AccountAllocationModel.objects.all()
    serializer_class = AllocationModelSerializer
    bulk_row_serializer = AllocationModelSerializer
    filterset_class = AllocationModelFilters
    row_name = "account allocation model"
    query_parameters = {"bulk_upsert": ("on_error",)}
    action_permissions = {
        "bulk_upsert": ("portfolios.add_accountallocationmodel", "portfolios.change_accountallocationmodel")
    }

    def perform_creation(self, values: dict[str, Any]) -> AccountAllocationModel:
        return accounts.create_allocation_model(**values)

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        return accounts.bulk_upsert_allocation_models(rows, on_error=on_error)

    def perform_change(self, row: AccountAllocationModel, values: dict[str, Any]) -> AccountAllocationModel:
        return accounts.update_allocation_model(row, **values)


# --- target allocations ----------------------------------------------------------------------------------------------
class TargetAllocationSerializer(ReferringSerializer):
    immutable_fields = ("unique_identifier", "account_uid")
    account_uid = reference("account")
    account_allocation_model_uid = reference("account_allocation_model")
    metadata_json = MetadataField()

    class Meta:
        model = AccountTargetAllocation
        fields = [
            *("uid", "id", "unique_identifier", "account_uid", "account_allocation_model_uid", "display_name"),
            *("is_active", "source", "metadata_json", *STAMPS),
        ]


class TargetAllocationFilters(RegistryFilters):
    unique_identifier = identifier_filters()["unique_identifier"]
    unique_identifier__in = identifier_filters()["unique_identifier__in"]
    unique_identifier__contains = identifier_filters()["unique_identifier__contains"]
    account_uid = Uid(field_name="account__uid")
    account_allocation_model_uid = Uid(field_name="account_allocation_model__uid")
    is_active = Flag()
    search = SearchFilter("uid", "unique_identifier", "display_name")
    ordering = Ordering(fields=["unique_identifier", "display_name", *STAMPS])


class TargetAllocationViewSet(ReferringViewSet):
    queryset = AccountTargetAllocation.objects.select_related("account", "account_allocation_model")
    serializer_class = TargetAllocationSerializer
    filterset_class = TargetAllocationFilters
    row_name = "account target allocation"

    def perform_creation(self, values: dict[str, Any]) -> AccountTargetAllocation:
        return accounts.create_target_allocation(**self.values_for_service(values))

    def perform_change(self, row: AccountTargetAllocation, values: dict[str, Any]) -> AccountTargetAllocation:
        return accounts.update_target_allocation(row, **self.values_for_service(values))


# --- position sets ---------------------------------------------------------------------------------------------------
class PositionSetSerializer(ReferringSerializer):
    immutable_fields = ("account_target_allocation_uid", "position_set_time")
    account_target_allocation_uid = reference("account_target_allocation")
    metadata_json = MetadataField()

    class Meta:
        model = PositionSet
        fields = [
            *("uid", "id", "account_target_allocation_uid", "position_set_time", "source", "metadata_json"),
            *STAMPS,
        ]


class PositionSetFilters(RegistryFilters):
    account_target_allocation_uid = Uid(field_name="account_target_allocation__uid")
    account_uid = Uid(field_name="account_target_allocation__account__uid")
    position_set_time = Instant()
    ordering = Ordering(fields=["position_set_time", *STAMPS])


class PositionSetViewSet(ReferringViewSet):
    """One moment of a target allocation. Its exposures are target positions and are not stored here."""

    queryset = PositionSet.objects.select_related("account_target_allocation").order_by(
        "account_target_allocation__unique_identifier", "-position_set_time"
    )
    serializer_class = PositionSetSerializer
    filterset_class = PositionSetFilters
    row_name = "position set"

    def perform_creation(self, values: dict[str, Any]) -> PositionSet:
        return accounts.create_position_set(**self.values_for_service(values))

    def perform_change(self, row: PositionSet, values: dict[str, Any]) -> PositionSet:
        return accounts.update_position_set(row, **self.values_for_service(values))


# --- holdings sets ---------------------------------------------------------------------------------------------------
class HoldingsSetSerializer(ReferringSerializer):
    immutable_fields = ("account_uid", "time_index")
    account_uid = reference("account")

    class Meta:
        model = AccountHoldingsSet
        fields = ["uid", "id", "account_uid", "time_index", "source_data_node_uid", *STAMPS]


class HoldingsSetFilters(RegistryFilters):
    account_uid = Uid(field_name="account__uid")
    time_index = Instant()
    ordering = Ordering(fields=["time_index", *STAMPS])


class HoldingsSetViewSet(ReferringViewSet):
    """One moment of an account."""

    queryset = AccountHoldingsSet.objects.select_related("account").order_by(
        Lower("account__account_name"), "account__unique_identifier", "-time_index"
    )
    serializer_class = HoldingsSetSerializer
    filterset_class = HoldingsSetFilters
    row_name = "account holdings set"

    def perform_creation(self, values: dict[str, Any]) -> AccountHoldingsSet:
        return accounts.create_holdings_set(**self.values_for_service(values))

    def perform_change(self, row: AccountHoldingsSet, values: dict[str, Any]) -> AccountHoldingsSet:
        return accounts.update_holdings_set(row, **self.values_for_service(values))
