"""REST of asset types."""

from typing import Any

import django_filters as filters

from markets.models import AssetType
from markets.rest.bulk import BulkUpsertViewSet, describe_bulk
from markets.rest.filters import Ordering, RegistryFilters, SearchFilter, TypeKey, TypeKeyIn
from markets.rest.serializers import MetadataField, RegistrySerializer
from markets.services import asset_types, deletion
from markets.services.bulk import BulkOutcome, OnError


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


@describe_bulk("asset_type")
class AssetTypeViewSet(BulkUpsertViewSet):
    queryset = AssetType.objects.all()
    serializer_class = AssetTypeSerializer
    bulk_row_serializer = AssetTypeSerializer
    filterset_class = AssetTypeFilters
    row_name = "asset type"
    query_parameters = {"bulk_upsert": ("on_error",)}
    action_permissions = {"bulk_upsert": ("markets.add_assettype", "markets.change_assettype")}

    def perform_creation(self, values: dict[str, Any]) -> AssetType:
        return asset_types.create_asset_type(**values)

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        return asset_types.bulk_upsert_asset_types(rows, on_error=on_error)

    def perform_change(self, row: AssetType, values: dict[str, Any]) -> AssetType:
        return asset_types.update_asset_type(row, **values)

    def perform_deletion(self, row: AssetType) -> None:
        asset_types.delete_asset_type(row)

    def impact(self, row: AssetType) -> deletion.DeleteImpact:
        return asset_types.asset_type_delete_impact(row)
