"""REST of issuers."""

from typing import Any

import django_filters as filters

from markets.models import Issuer
from markets.rest.base import WritableViewSet
from markets.rest.filters import Ordering, RegistryFilters, SearchFilter, identifier_filters
from markets.rest.serializers import MetadataField, RegistrySerializer
from markets.services import issuers


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


class IssuerViewSet(WritableViewSet):
    queryset = Issuer.objects.all()
    serializer_class = IssuerSerializer
    filterset_class = IssuerFilters
    row_name = "issuer"

    def perform_creation(self, values: dict[str, Any]) -> Issuer:
        return issuers.create_issuer(**values)

    def perform_change(self, row: Issuer, values: dict[str, Any]) -> Issuer:
        return issuers.update_issuer(row, **values)
