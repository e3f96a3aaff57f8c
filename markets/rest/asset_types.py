"""REST of asset types."""

from typing import Any

import django_filters as filters

from markets.models import AssetType
from markets.rest.base import WritableViewSet
from markets.rest.filters import Ordering, RegistryFilters, SearchFilter, TypeKey, TypeKeyIn
from markets.rest.serializers import MetadataField, RegistrySerializer
from markets.services import asset_types, deletion


class AssetTypeSerializer(RegistrySerializer):
    immutable_fields = ("asset_type",)
    metadata_json = MetadataField()

    class Meta:
        model = AssetType
        fields = ["uid", "asset_type", "display_name", "description", "metadata_json", "created_at", "updated_at"]


class AssetTypeFilters(RegistryFilters):
    asset_type = TypeKey()
    asset_type__in = TypeKeyIn(field_name="asset_type")
    display_name = filters.CharFilter()
    search = SearchFilter("asset_type", "display_name")
    ordering = Ordering(fields=["asset_type", "display_name", "created_at", "updated_at"])


class AssetTypeViewSet(WritableViewSet):
    queryset = AssetType.objects.all()
    serializer_class = AssetTypeSerializer
    filterset_class = AssetTypeFilters
    row_name = "asset type"

    def perform_creation(self, values: dict[str, Any]) -> AssetType:
        return asset_types.create_asset_type(**values)

    def perform_change(self, row: AssetType, values: dict[str, Any]) -> AssetType:
        return asset_types.update_asset_type(row, **values)

    def perform_deletion(self, row: AssetType) -> None:
        asset_types.delete_asset_type(row)

    def impact(self, row: AssetType) -> deletion.DeleteImpact:
        return asset_types.asset_type_delete_impact(row)
