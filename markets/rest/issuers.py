"""REST of issuers."""

from typing import Any

import django_filters as filters

from markets.models import Issuer
from markets.rest.bulk import BulkUpsertViewSet, describe_bulk
from markets.rest.filters import Ordering, RegistryFilters, SearchFilter, identifier_filters
from markets.rest.serializers import MetadataField, RegistrySerializer
from markets.services import issuers
from markets.services.bulk import BulkOutcome, OnError


class IssuerSerializer(RegistrySerializer):
    immutable_fields = ("unique_identifier",)
    metadata_json = MetadataField()

    class Meta:
        model = Issuer
        fields = ["uid", "unique_identifier", "display_name", "metadata_json", "created_at", "updated_at"]


class IssuerFilters(RegistryFilters):
    unique_identifier = identifier_filters()["unique_identifier"]
    unique_identifier__in = identifier_filters()["unique_identifier__in"]
    unique_identifier__contains = identifier_filters()["unique_identifier__contains"]
    display_name = filters.CharFilter()
    search = SearchFilter("unique_identifier", "display_name")
    ordering = Ordering(fields=["unique_identifier", "display_name", "created_at", "updated_at"])


@describe_bulk("issuer")
class IssuerViewSet(BulkUpsertViewSet):
    queryset = Issuer.objects.all()
    serializer_class = IssuerSerializer
    bulk_row_serializer = IssuerSerializer
    filterset_class = IssuerFilters
    row_name = "issuer"
    query_parameters = {"bulk_upsert": ("on_error",)}
    action_permissions = {"bulk_upsert": ("markets.add_issuer", "markets.change_issuer")}

    def perform_creation(self, values: dict[str, Any]) -> Issuer:
        return issuers.create_issuer(**values)

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        return issuers.bulk_upsert_issuers(rows, on_error=on_error)

    def perform_change(self, row: Issuer, values: dict[str, Any]) -> Issuer:
        return issuers.update_issuer(row, **values)
