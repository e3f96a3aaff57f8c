"""REST of the identifiers that wait for OpenFIGI."""

import django_filters as filters
from rest_framework import serializers

from markets.models import PendingResolution, ResolutionScheme, ResolutionStatus
from markets.rest.base import RegistryViewSet
from markets.rest.filters import Ordering, RegistryFilters, TextIn, Uid


class ResolutionSerializer(serializers.ModelSerializer):
    asset_uid = serializers.UUIDField(source="asset.uid", read_only=True)
    asset_identifier = serializers.CharField(source="asset.unique_identifier", read_only=True)

    class Meta:
        model = PendingResolution
        fields = [
            *("uid", "scheme", "value", "asset_uid", "asset_identifier", "status", "source", "attempts"),
            *("requested_at", "created_at", "updated_at"),
        ]
        read_only_fields = fields


class ResolutionFilters(RegistryFilters):
    status = filters.ChoiceFilter(choices=ResolutionStatus.choices)
    scheme = filters.ChoiceFilter(choices=ResolutionScheme.choices)
    value = filters.CharFilter(help_text="Exact and case-sensitive.")
    value__in = TextIn(field_name="value")
    asset_uid = Uid(field_name="asset__uid")
    ordering = Ordering(fields=["requested_at"])


class ResolutionViewSet(RegistryViewSet):
    """Identifiers whose assets were registered before OpenFIGI was asked; they are made by registering, not here."""

    queryset = PendingResolution.objects.select_related("asset")
    serializer_class = ResolutionSerializer
    filterset_class = ResolutionFilters
    row_name = "resolution"
