"""REST of assets with terms: currency spots, bonds and futures; the row's uid is its asset's."""

from typing import Any

import django_filters as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from markets.models import Bond, CurrencySpot, Future
from markets.models.details import AssetDetails, BondStatus, FutureKind, SettlementMethod, SettlementModel
from markets.rest.base import IF_MATCH, UID
from markets.rest.bulk import BulkUpsertViewSet, describe_bulk
from markets.rest.fields import AnyCaseChoiceField, AwareDateTimeField
from markets.rest.filters import (
    Ordering,
    RegistryFilters,
    SearchFilter,
    StrictBooleanField,
    Uid,
    identifier_filters,
)
from markets.rest.serializers import MetadataField, RegistrySerializer, StrictCharField
from markets.services import bonds, currency_spots, futures
from markets.services.bulk import BulkOutcome, OnError

IDENTITY = ("uid", "asset_uid", "unique_identifier", "asset_type")
STAMPS = ("created_at", "updated_at")
ORDERS = ("unique_identifier", "created_at", "updated_at")


class DetailsSerializer(RegistrySerializer):
    """The asset's identity beside its terms."""

    serializer_choice_field = AnyCaseChoiceField
    immutable_fields = ("unique_identifier",)
    uid = serializers.UUIDField(read_only=True, help_text="The asset's.")
    asset_uid = serializers.UUIDField(read_only=True, source="uid", help_text="The asset's, again.")
    unique_identifier = StrictCharField(max_length=255, help_text="The asset's; it is made when there is none.")
    asset_type = serializers.CharField(read_only=True)


class CurrencySpotSerializer(DetailsSerializer):
    base_currency_uid = serializers.UUIDField(help_text="An asset that is a currency.")
    quote_currency_uid = serializers.UUIDField(help_text="Another asset that is a currency.")

    class Meta:
        model = CurrencySpot
        fields = [*IDENTITY, "base_currency_uid", "quote_currency_uid", *STAMPS]


class BondSerializer(DetailsSerializer):
    issuer_uid = serializers.UUIDField()
    currency_asset_uid = serializers.UUIDField(help_text="An asset that is a currency.")

    class Meta:
        model = Bond
        fields = [*IDENTITY, "issuer_uid", "currency_asset_uid", "issue_date", "maturity_date", "status", *STAMPS]


class FutureSerializer(DetailsSerializer):
    underlying_index_uid = serializers.UUIDField()
    settlement_asset = serializers.UUIDField(source="settlement_asset_uid", help_text="Uid of an asset.")
    margin_asset = serializers.UUIDField(source="margin_asset_uid", help_text="Uid of an asset.")
    expires_at = AwareDateTimeField(
        required=False, allow_null=True, help_text="An EXPIRING future has it, a PERPETUAL one none."
    )
    settles_at = AwareDateTimeField(required=False, allow_null=True, help_text="Not before the expiry.")
    metadata = MetadataField()

    class Meta:
        model = Future
        fields = [
            *(*IDENTITY, "kind", "underlying_index_uid", "quote_unit", "settlement_asset", "margin_asset"),
            *("settlement_model", "settlement_method", "contract_size", "contract_unit", "expires_at", "settles_at"),
            *("metadata", *STAMPS),
        ]


class Perpetual(filters.BooleanFilter):
    """Whether there is no last date."""

    field_class = StrictBooleanField


class DetailsFilters(RegistryFilters):
    unique_identifier = identifier_filters()["unique_identifier"]
    unique_identifier__in = identifier_filters()["unique_identifier__in"]
    unique_identifier__contains = identifier_filters()["unique_identifier__contains"]


class CurrencySpotFilters(DetailsFilters):
    base_currency_uid = Uid()
    quote_currency_uid = Uid()
    search = SearchFilter("unique_identifier", "base_currency__unique_identifier", "quote_currency__unique_identifier")
    ordering = Ordering(fields=ORDERS)


class BondFilters(DetailsFilters):
    issuer_uid = Uid()
    currency_asset_uid = Uid()
    status = filters.ChoiceFilter(choices=BondStatus.choices)
    maturity_date = filters.DateFilter()
    maturity_date__gte = filters.DateFilter(field_name="maturity_date", lookup_expr="gte")
    maturity_date__lte = filters.DateFilter(field_name="maturity_date", lookup_expr="lte")
    is_perpetual = Perpetual(field_name="maturity_date", lookup_expr="isnull")
    search = SearchFilter("unique_identifier", "issuer__unique_identifier", "issuer__display_name")
    ordering = Ordering(fields=[*ORDERS, "issue_date", "maturity_date", "status"])


class FutureFilters(DetailsFilters):
    kind = filters.ChoiceFilter(choices=FutureKind.choices)
    underlying_index_uid = Uid()
    settlement_asset = Uid(field_name="settlement_asset_uid")
    margin_asset = Uid(field_name="margin_asset_uid")
    settlement_model = filters.ChoiceFilter(choices=SettlementModel.choices)
    settlement_method = filters.ChoiceFilter(choices=SettlementMethod.choices)
    expires_on__gte = filters.DateFilter(field_name="expires_at", lookup_expr="date__gte", help_text="UTC date.")
    expires_on__lte = filters.DateFilter(field_name="expires_at", lookup_expr="date__lte", help_text="UTC date.")
    search = SearchFilter("unique_identifier", "underlying_index__unique_identifier", "underlying_index__display_name")
    ordering = Ordering(fields=[*ORDERS, "expires_at", "kind"])


class DetailsViewSet(BulkUpsertViewSet):
    """POST makes the asset too when there is none, so it needs those permissions as well, as does PUT on the list.

    DELETE keeps the asset.
    """

    query_parameters = {"bulk_upsert": ("on_error",)}

    @extend_schema(parameters=[UID, IF_MATCH], responses={204: None})
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete the terms. The asset stays, and can then be given another type or be deleted itself."""
        return super().destroy(request, *args, **kwargs)


def _creation_needs(model: type[AssetDetails]) -> dict[str, tuple[str, ...]]:
    name = model._meta.model_name
    assets = ("markets.add_asset", "markets.change_asset")
    return {
        "create": (f"markets.add_{name}", *assets),
        "bulk_upsert": (f"markets.add_{name}", f"markets.change_{name}", *assets),
    }


@describe_bulk("currency_spot")
class CurrencySpotViewSet(DetailsViewSet):
    queryset = CurrencySpot.objects.all()
    serializer_class = CurrencySpotSerializer
    bulk_row_serializer = CurrencySpotSerializer
    filterset_class = CurrencySpotFilters
    row_name = "currency spot"
    action_permissions = _creation_needs(CurrencySpot)

    def perform_creation(self, values: dict[str, Any]) -> CurrencySpot:
        return currency_spots.create_currency_spot(**values)

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        return currency_spots.bulk_upsert_currency_spots(rows, on_error=on_error)

    def perform_change(self, row: CurrencySpot, values: dict[str, Any]) -> CurrencySpot:
        return currency_spots.update_currency_spot(row, **values)


@describe_bulk("bond")
class BondViewSet(DetailsViewSet):
    queryset = Bond.objects.all()
    serializer_class = BondSerializer
    bulk_row_serializer = BondSerializer
    filterset_class = BondFilters
    row_name = "bond"
    action_permissions = _creation_needs(Bond)

    def perform_creation(self, values: dict[str, Any]) -> Bond:
        return bonds.create_bond(**values)

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        return bonds.bulk_upsert_bonds(rows, on_error=on_error)

    def perform_change(self, row: Bond, values: dict[str, Any]) -> Bond:
        return bonds.update_bond(row, **values)


@describe_bulk("future")
class FutureViewSet(DetailsViewSet):
    queryset = Future.objects.all()
    serializer_class = FutureSerializer
    bulk_row_serializer = FutureSerializer
    filterset_class = FutureFilters
    row_name = "future"
    action_permissions = _creation_needs(Future)

    def perform_creation(self, values: dict[str, Any]) -> Future:
        return futures.create_future(**_as_terms(values))

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        return futures.bulk_upsert_futures(rows, on_error=on_error)

    def perform_change(self, row: Future, values: dict[str, Any]) -> Future:
        return futures.update_future(row, **_as_terms(values))


def _as_terms(values: dict[str, Any]) -> dict[str, Any]:
    """The future's two assets under their own names."""
    uids = {f"{name}_uid": name for name in ("settlement_asset", "margin_asset")}
    return {uids.get(name, name): value for name, value in values.items()}
