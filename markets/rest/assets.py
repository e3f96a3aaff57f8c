"""REST of assets, with what OpenFIGI says of them."""

from typing import Any

import django_filters as filters
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from markets.models import Asset, AssetCategory, AssetCategoryMembership, OpenFigiDetails
from markets.redirects import refuse_merged
from markets.rest import parameters
from markets.rest.base import IF_MATCH, UID, etag
from markets.rest.bulk import BulkUpsertViewSet, describe_bulk
from markets.rest.duplicates import MERGE, SEE, IsMerged, MergingActions, moved_to
from markets.rest.filters import (
    AsOf,
    Flag,
    Ordering,
    RegistryFilters,
    TextIn,
    TypeKey,
    TypeKeyIn,
    Uid,
    identifier_filters,
)
from markets.rest.serializers import RegistrySerializer
from markets.rest.snapshots import LatestSnapshotAction
from markets.services import asset_search, assets, deletion
from markets.services.bulk import BulkOutcome, OnError

FORCE = "markets.force_delete_public_asset"


class OpenFigiDetailsSerializer(RegistrySerializer):
    class Meta:
        model = OpenFigiDetails
        fields = [
            *("figi", "composite", "share_class", "isin", "ticker", "name", "exchange_code", "security_type"),
            *("security_type_2", "security_market_sector", "security_description", "unique_id", "unique_id_fut_opt"),
            *("metadata_text", "updated_at"),
        ]
        read_only_fields = fields


class AssetSerializer(RegistrySerializer):
    immutable_fields = ("unique_identifier",)
    openfigi_details = OpenFigiDetailsSerializer(read_only=True, allow_null=True, default=None)

    class Meta:
        model = Asset
        fields = [
            *("uid", "id", "unique_identifier", "asset_type", "is_custom_by_organization", "openfigi_details"),
            *("created_at", "updated_at"),
        ]


class OpenFigiDetailsRowSerializer(RegistrySerializer):
    class Meta:
        model = OpenFigiDetails
        fields = OpenFigiDetailsSerializer.Meta.fields
        read_only_fields = ["updated_at"]


class AssetRowSerializer(AssetSerializer):
    """A row of the bulk upsert, where the details can be given, too."""

    openfigi_details = OpenFigiDetailsRowSerializer(
        required=False, allow_null=True, help_text="Its fields may also stand beside the asset's own."
    )


class AssetSearch(filters.CharFilter):
    """The one search of assets, everywhere; it looks among the rows that the other filters leave."""

    may_scan = True  # a beginning that most assets have, among the few that another filter leaves

    def __init__(self) -> None:
        super().__init__(
            help_text="In any case: how the identifier, the ticker or the name begins, words of the name or their "
            f"beginnings, or a FIGI or ISIN. At most {asset_search.MOST_MATCHES:,} matches of each kind."
        )

    def filter(self, queryset: QuerySet, value: str) -> QuerySet:
        if not value:
            return queryset
        found = asset_search.find_assets(queryset, value)
        self.parent.request.search_is_cut = not found.is_whole
        return found.of(queryset)


class AssetFilters(RegistryFilters):
    unique_identifier = identifier_filters()["unique_identifier"]
    unique_identifier__in = identifier_filters()["unique_identifier__in"]
    unique_identifier__contains = identifier_filters()["unique_identifier__contains"]
    asset_type = TypeKey()
    asset_type__in = TypeKeyIn(field_name="asset_type")
    is_custom_by_organization = Flag()
    categories__uid = Uid(help_text="Members of this category: now, or at `as_of`.", method="filter_members")
    as_of = AsOf(help_text="With `categories__uid`: the members at this time; a date is the end of its day (UTC).")
    figi = filters.CharFilter(field_name="openfigi_details__figi")
    figi__in = TextIn(field_name="openfigi_details__figi")
    composite = filters.CharFilter(field_name="openfigi_details__composite")
    share_class = filters.CharFilter(field_name="openfigi_details__share_class")
    isin = filters.CharFilter(field_name="openfigi_details__isin")
    ticker = filters.CharFilter(field_name="openfigi_details__ticker")
    ticker__in = TextIn(field_name="openfigi_details__ticker")
    is_merged = IsMerged()
    search = AssetSearch()
    ordering = Ordering(
        fields=["unique_identifier", "asset_type", "created_at", "updated_at"],
        then={"asset_type": "unique_identifier"},
    )

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        if self.form.cleaned_data.get("as_of") and not self.form.cleaned_data.get("categories__uid"):
            raise ValidationError({"as_of": "as_of goes with categories__uid. Give both, or leave it out."})
        # After the search, which is faster among all assets.
        is_merged = bool(self.form.cleaned_data.get("is_merged"))
        return super().filter_queryset(queryset).filter(merged_into__isnull=not is_merged)

    def filter_members(self, queryset: QuerySet, name: str, value: Any) -> QuerySet:
        # The planner knows how large a category is by its id only.
        category = AssetCategory.objects.filter(uid=value).values_list("pk", flat=True).first()
        memberships = AssetCategoryMembership.objects.filter(category=category)
        return queryset.filter(pk__in=memberships.at(self.form.cleaned_data.get("as_of")).values("asset"))


@describe_bulk("asset")
class AssetViewSet(MergingActions, LatestSnapshotAction, BulkUpsertViewSet):
    queryset = Asset.objects.select_related("openfigi_details")
    serializer_class = AssetSerializer
    bulk_row_serializer = AssetRowSerializer
    filterset_class = AssetFilters
    row_name = "asset"
    query_parameters = {
        "destroy": ("force",),
        "bulk_upsert": ("on_error",),
        "latest_snapshot": ("as_of",),
        "merge_impact": ("into", "rows"),
    }
    action_permissions = {
        "bulk_upsert": ("markets.add_asset", "markets.change_asset"),
        "latest_snapshot": ("markets.view_asset", "markets.view_assetsnapshot"),
        "merge_impact": SEE,
        "merge": MERGE,
    }

    @extend_schema(parameters=[UID], responses={200: AssetSerializer, 308: None})
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The asset. One that was merged into another answers 308 with the address of that one."""
        row = self.get_object()
        if row.merged_into_id is not None:
            return moved_to(self, row)
        return Response(self.get_serializer(row).data, headers={"ETag": etag(row)})

    def locked(self) -> Asset:
        row: Asset = super().locked()
        if row.merged_into_id is not None:
            refuse_merged([row.pk])
        return row

    def perform_creation(self, values: dict[str, Any]) -> Asset:
        return assets.create_asset(**values)

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        return assets.bulk_upsert_assets(rows, on_error=on_error)

    def perform_change(self, row: Asset, values: dict[str, Any]) -> Asset:
        return assets.update_asset(row, **values)

    @extend_schema(
        parameters=[
            UID,
            IF_MATCH,
            OpenApiParameter(
                "force", bool, description="Delete an asset of the public master; needs force_delete_public_asset."
            ),
        ],
        responses={204: None},
    )
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().destroy(request, *args, **kwargs)

    def perform_deletion(self, row: Asset) -> None:
        force = parameters.flag(self.request, "force")
        if force and not self.request.user.has_perm(FORCE):
            raise PermissionDenied(f"force=true needs the permission {FORCE}. Ask an administrator for it.")
        assets.delete_asset(row, force=force)

    def impact(self, row: Asset) -> deletion.DeleteImpact:
        return assets.asset_delete_impact(row)
