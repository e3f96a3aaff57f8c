"""REST of asset categories and their members."""

from typing import Any

import django_filters as filters
from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from markets.models import AssetCategory, AssetCategoryMembership
from markets.rest import parameters
from markets.rest.base import IF_MATCH, UID
from markets.rest.bulk import BulkUpsertViewSet, describe_bulk
from markets.rest.filters import Ordering, RegistryFilters, SearchFilter, Uid, identifier_filters
from markets.rest.serializers import MetadataField, RegistrySerializer, StrictSerializer
from markets.services import categories
from markets.services.bulk import BulkOutcome, OnError

MOST_ASSETS = 100_000
AS_OF = OpenApiParameter(
    "as_of", str, description="Count the members at this time; a date is the end of its day (UTC). Now when left out."
)


class AssetUids(serializers.ListField):
    child = serializers.UUIDField()

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=MOST_ASSETS, help_text="Uids of assets.", **options)


class CategorySerializer(RegistrySerializer):
    immutable_fields = ("unique_identifier",)
    metadata_json = MetadataField()
    number_of_assets = serializers.IntegerField(read_only=True)
    assets = AssetUids(
        write_only=True,
        required=False,
    )

    class Meta:
        model = AssetCategory
        fields = [
            *("uid", "id", "unique_identifier", "display_name", "description", "metadata_json", "number_of_assets"),
            *("assets", "created_at", "updated_at"),
        ]
        extra_kwargs = {
            "unique_identifier": {"required": False, "help_text": "Made of the name when it is left out."},
        }


class CategoryRowSerializer(RegistrySerializer):
    """A row of the bulk upsert; members are changed one category at a time."""

    metadata_json = MetadataField()
    number_of_assets = serializers.IntegerField(read_only=True)

    class Meta:
        model = AssetCategory
        fields = [name for name in CategorySerializer.Meta.fields if name != "assets"]
        extra_kwargs = {"display_name": {"required": False, "help_text": "A new one's is its identifier."}}


class CategoryMembersSerializer(StrictSerializer):
    assets = AssetUids(allow_empty=True)


class MembershipChangeSerializer(serializers.Serializer):
    uid = serializers.UUIDField(source="category.uid", help_text="The category.")
    added = serializers.IntegerField()
    kept = serializers.IntegerField()
    removed = serializers.IntegerField()


class CategoryFilters(RegistryFilters):
    unique_identifier = identifier_filters()["unique_identifier"]
    unique_identifier__in = identifier_filters()["unique_identifier__in"]
    unique_identifier__contains = identifier_filters()["unique_identifier__contains"]
    display_name = filters.CharFilter()
    assets__uid = Uid(help_text="Categories that this asset belongs to now.", method="filter_asset")
    search = SearchFilter("unique_identifier", "display_name", "description")
    ordering = Ordering(fields=["unique_identifier", "display_name", "created_at", "updated_at"])

    def filter_asset(self, queryset: QuerySet, name: str, value: Any) -> QuerySet:
        memberships = AssetCategoryMembership.objects.filter(asset__uid=value).at()
        return queryset.filter(pk__in=memberships.values("category"))


@describe_bulk("asset_category")
class CategoryViewSet(BulkUpsertViewSet):
    """A category's members are listed by `GET /api/v1/asset/?categories__uid=<uid>`, at a past time with `&as_of=`."""

    queryset = AssetCategory.objects.all()
    serializer_class = CategorySerializer
    bulk_row_serializer = CategoryRowSerializer
    filterset_class = CategoryFilters
    row_name = "asset category"
    query_parameters = {"bulk_upsert": ("on_error",), "retrieve": ("as_of",)}
    action_permissions = {
        "bulk_upsert": ("markets.add_assetcategory", "markets.change_assetcategory"),
        "append_assets": ("markets.change_assetcategory",),
        "remove_assets": ("markets.change_assetcategory",),
    }

    def get_queryset(self) -> QuerySet[AssetCategory]:
        instant = parameters.as_of(self.request) if self.action == "retrieve" else None
        return super().get_queryset().annotate(number_of_assets=categories.number_of_members(instant))

    @extend_schema(parameters=[UID, AS_OF])
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().retrieve(request, *args, **kwargs)

    def perform_creation(self, values: dict[str, Any]) -> AssetCategory:
        return categories.create_category(**values)

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        return categories.bulk_upsert_categories(rows, on_error=on_error)

    def perform_change(self, row: AssetCategory, values: dict[str, Any]) -> AssetCategory:
        return categories.update_category(row, **values)

    @extend_schema(
        parameters=[UID, IF_MATCH], request=CategoryMembersSerializer, responses={200: MembershipChangeSerializer}
    )
    @action(detail=True, methods=["post"], url_path="append-assets", pagination_class=None, filterset_class=None)
    def append_assets(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Add assets from now on; those that belong already stay. An unknown asset: nothing is added."""
        return self._change_members(request, categories.append_members)

    @extend_schema(
        parameters=[UID, IF_MATCH], request=CategoryMembersSerializer, responses={200: MembershipChangeSerializer}
    )
    @action(detail=True, methods=["post"], url_path="remove-assets", pagination_class=None, filterset_class=None)
    def remove_assets(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Remove assets from now on; the past keeps them. Those that do not belong are left alone, assets stay."""
        return self._change_members(request, categories.remove_members)

    def _change_members(self, request: Request, change: Any) -> Response:
        self.get_object()
        serializer = CategoryMembersSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            outcome = change(self.locked(), serializer.validated_data["assets"])
        return Response(MembershipChangeSerializer(outcome).data)
