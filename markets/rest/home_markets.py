"""REST of home markets: which country's composite a source means."""

from typing import Any

import django_filters as filters
from rest_framework import serializers

from markets.models import HomeMarketPolicy
from markets.rest.base import WritableViewSet
from markets.rest.filters import Ordering, RegistryFilters, SearchFilter, TextIn
from markets.rest.serializers import RegistrySerializer, StrictCharField
from markets.services import home_markets


class HomeMarketSerializer(RegistrySerializer):
    immutable_fields = ("source",)
    exchange_codes = serializers.ListField(
        child=StrictCharField(max_length=8),
        min_length=1,
        max_length=home_markets.MOST_CODES,
        help_text="OpenFIGI's codes of composites in the order in which they are preferred: US, GR, LN.",
    )

    class Meta:
        model = HomeMarketPolicy
        fields = ["uid", "source", "exchange_codes", "note", "created_at", "updated_at"]


class HomeMarketFilters(RegistryFilters):
    source = filters.CharFilter(help_text="Exact and case-sensitive.")
    source__in = TextIn(field_name="source")
    search = SearchFilter("source", "note")
    ordering = Ordering(fields=["source", "created_at", "updated_at"])


class HomeMarketViewSet(WritableViewSet):
    """The source `default` is for all lists whose source has none."""

    queryset = HomeMarketPolicy.objects.order_by("source")
    serializer_class = HomeMarketSerializer
    filterset_class = HomeMarketFilters
    row_name = "home market"

    def perform_creation(self, values: dict[str, Any]) -> HomeMarketPolicy:
        return home_markets.create_home_market(**values)

    def perform_change(self, row: HomeMarketPolicy, values: dict[str, Any]) -> HomeMarketPolicy:
        return home_markets.update_home_market(row, **values)
