"""REST of duplicates: the groups, the decision that assets are no duplicates, merging and undoing."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field, inline_serializer
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from markets.exceptions import InvalidInput
from markets.models import Asset, AssetMerge, RowsChoice
from markets.rest import parameters
from markets.rest.base import UID, MSMView, RegistryViewSet
from markets.rest.filters import Flag, Ordering, RegistryFilters, Uid
from markets.services import duplicates
from markets.services.merging import kept_asset, merge_assets, merge_impact, undo_merge
from markets.services.values import as_uid

SEE = ("markets.view_asset", "markets.view_assetmerge")
MERGE = ("markets.view_asset", "markets.merge_asset")
INTO = OpenApiParameter("into", str, required=True, description="Uid of the asset that stays.")
ROWS = OpenApiParameter(
    "rows", str, enum=RowsChoice.values, description="What becomes of time-indexed rows where both assets have some."
)
CURSOR = OpenApiParameter("cursor", str, description="Where the page begins, as `next` gives it.")


class DuplicateAssetSerializer(serializers.Serializer):
    uid = serializers.UUIDField()
    unique_identifier = serializers.CharField()
    asset_type = serializers.CharField(allow_null=True)
    is_custom_by_organization = serializers.BooleanField()
    ticker = serializers.CharField(source="openfigi_details.ticker", allow_null=True, default=None)
    name = serializers.CharField(source="openfigi_details.name", allow_null=True, default=None)
    exchange_code = serializers.CharField(source="openfigi_details.exchange_code", allow_null=True, default=None)


class DuplicateGroupSerializer(serializers.Serializer):
    reason = serializers.ChoiceField(source="kind.reason", choices=list(duplicates.BY_REASON))
    strength = serializers.ChoiceField(source="kind.strength", choices=duplicates.STRENGTHS)
    explanation = serializers.CharField(source="kind.explanation")
    key = serializers.ListField(child=serializers.CharField(allow_blank=True), help_text="What they have in common.")
    number_of_assets = serializers.IntegerField(source="count")
    assets = DuplicateAssetSerializer(many=True, help_text=f"The first {duplicates.MOST_SHOWN}.")


class DistinctSerializer(serializers.Serializer):
    assets = serializers.ListField(
        child=serializers.CharField(max_length=255), help_text="Uids or identifiers; each pair of them is decided."
    )
    reason = serializers.CharField()


class DecidedSerializer(serializers.Serializer):
    pairs = serializers.IntegerField(help_text="How many pairs changed.")


class ImpactItemSerializer(serializers.Serializer):
    key = serializers.CharField()
    label = serializers.CharField()
    moved = serializers.IntegerField(help_text="Rows that become the kept asset's.")
    joined = serializers.IntegerField(help_text="Rows that are joined with the kept asset's own.")
    left = serializers.IntegerField(help_text="Rows that stay under the old identifier.")
    note = serializers.CharField(allow_blank=True)


class MergeImpactSerializer(serializers.Serializer):
    kept_uid = serializers.UUIDField(source="kept.uid")
    kept_identifier = serializers.CharField(source="kept.unique_identifier")
    dropped_uid = serializers.UUIDField(source="dropped.uid")
    dropped_identifier = serializers.CharField(source="dropped.unique_identifier")
    rows = serializers.ChoiceField(choices=RowsChoice.choices)
    can_merge = serializers.BooleanField()
    needs_choice = serializers.BooleanField(help_text="Both have time-indexed rows: `rows` says what becomes of them.")
    items = ImpactItemSerializer(many=True)
    warnings = serializers.ListField(child=serializers.CharField())
    refusals = serializers.ListField(child=serializers.CharField())


class MergeRequestSerializer(serializers.Serializer):
    into = serializers.CharField(help_text="Uid of the asset that stays.")
    reason = serializers.CharField()
    rows = serializers.ChoiceField(choices=RowsChoice.choices, default=RowsChoice.REFUSE)


class UndoRequestSerializer(serializers.Serializer):
    reason = serializers.CharField()


class MergeSerializer(serializers.ModelSerializer):
    kept_uid = serializers.UUIDField(source="kept.uid", read_only=True)
    kept_identifier = serializers.CharField(source="kept.unique_identifier", read_only=True)
    dropped_uid = serializers.UUIDField(source="dropped.uid", read_only=True)
    dropped_identifier = serializers.CharField(source="dropped.unique_identifier", read_only=True)
    merged_by = serializers.CharField(source="merged_by.username", read_only=True, allow_null=True, default=None)
    undone_by = serializers.CharField(source="undone_by.username", read_only=True, allow_null=True, default=None)
    items = serializers.SerializerMethodField(help_text="What was moved, joined and left, by table.")

    class Meta:
        model = AssetMerge
        fields = [
            *("uid", "kept_uid", "kept_identifier", "dropped_uid", "dropped_identifier", "rows", "reason"),
            *("items", "merged_by", "undone_at", "undone_by", "undo_reason", "created_at", "updated_at"),
        ]
        read_only_fields = fields

    @extend_schema_field(ImpactItemSerializer(many=True))
    def get_items(self, merge: AssetMerge) -> Any:
        return merge.record.get("items", [])


class MergeFilters(RegistryFilters):
    kept_uid = Uid(field_name="kept__uid")
    dropped_uid = Uid(field_name="dropped__uid")
    is_undone = Flag(method="filter_undone")
    ordering = Ordering(fields=["created_at"])

    def filter_undone(self, queryset: QuerySet, name: str, value: Any) -> QuerySet:
        return queryset if value is None else queryset.filter(undone_at__isnull=not value)


class MergeViewSet(RegistryViewSet):
    """Merges of assets, undone ones included."""

    queryset = AssetMerge.objects.select_related("kept", "dropped", "merged_by", "undone_by")
    serializer_class = MergeSerializer
    filterset_class = MergeFilters
    row_name = "merge"
    action_permissions = {"undo": ("markets.view_assetmerge", "markets.merge_asset")}

    @extend_schema(parameters=[UID], request=UndoRequestSerializer, responses=MergeSerializer)
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    def undo(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Take the merge back; 409 with the reason where what it wrote was changed since."""
        said = _valid(UndoRequestSerializer, request)
        merge = undo_merge(self.get_object(), reason=said["reason"], user=request.user)
        return Response(MergeSerializer(self.get_queryset().get(pk=merge.pk)).data)


class DuplicateViewSet(MSMView, GenericViewSet):
    """Groups of assets that may be one."""

    queryset = Asset.objects.all()
    serializer_class = DuplicateGroupSerializer
    pagination_class = None
    query_parameters = {"list": ("reason", "limit", "cursor")}
    action_permissions = {
        "list": ("markets.view_asset",),
        "not_duplicates": MERGE,
        "maybe_duplicates": MERGE,
    }

    def is_filtered_list(self, action_name: str) -> bool:
        return False

    @extend_schema(
        parameters=[
            OpenApiParameter("reason", str, enum=list(duplicates.BY_REASON), description="Groups of this reason only."),
            OpenApiParameter("limit", int, description=f"Groups on a page, 1 to {duplicates.LARGEST_PAGE}."),
            CURSOR,
        ],
        responses=inline_serializer(
            "DuplicatePage",
            {
                "count": serializers.IntegerField(allow_null=True, help_text="Always null: see above."),
                "next": serializers.URLField(allow_null=True),
                "previous": serializers.URLField(allow_null=True, help_text="Always null: the walk goes forward."),
                "results": DuplicateGroupSerializer(many=True),
            },
        ),
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The strongest reason first. There is no count: counting would read every asset."""
        given = request.query_params
        limit = parameters.whole_number(given.get("limit", str(duplicates.DEFAULT_PAGE)), 1, duplicates.LARGEST_PAGE)
        if limit is None:
            fault = f"limit={given['limit'][:40]!r} must be a whole number from 1 to {duplicates.LARGEST_PAGE}."
            raise ValidationError({"limit": fault})
        page = duplicates.find_duplicates(reason=given.get("reason"), after=_cursor(given.get("cursor")), limit=limit)
        following = None
        if page.next is not None:
            query = given.copy()
            query["cursor"] = duplicates.write_place(page.next)
            following = request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
        return Response(
            {
                "count": None,
                "next": following,
                "previous": None,
                "results": DuplicateGroupSerializer(page.groups, many=True).data,
            }
        )

    @extend_schema(request=DistinctSerializer, responses=DecidedSerializer)
    @action(detail=False, methods=["post"], url_path="not-duplicates")
    def not_duplicates(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Remember that these assets are no duplicates of each other; their pairs are not listed any more."""
        said = _valid(DistinctSerializer, request)
        pairs = duplicates.decide_distinct(said["assets"], reason=said["reason"], user=request.user)
        return Response({"pairs": pairs})

    @extend_schema(request=DistinctSerializer, responses=DecidedSerializer)
    @action(detail=False, methods=["post"], url_path="maybe-duplicates")
    def maybe_duplicates(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Take such a decision back."""
        said = _valid(DistinctSerializer, request)
        return Response({"pairs": duplicates.forget_distinct(said["assets"], reason=said["reason"])})


class MergingActions:
    """What the routes of an asset do about merging: the impact, the merge, and the way to the asset that stays."""

    @extend_schema(parameters=[UID, INTO, ROWS], responses=MergeImpactSerializer)
    @action(detail=True, methods=["get"], url_path="merge-impact", pagination_class=None, filterset_class=None)
    def merge_impact(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What merging this asset into another would do, table by table, or why it is refused. Nothing is written."""
        row = self.get_object()  # type: ignore[attr-defined]
        into = _named(request.query_params.get("into"))
        impact = merge_impact(row, into, rows=request.query_params.get("rows", RowsChoice.REFUSE))
        return Response(MergeImpactSerializer(impact).data)

    @extend_schema(parameters=[UID], request=MergeRequestSerializer, responses={201: MergeSerializer})
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    def merge(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Merge this asset into another: what refers to it refers to that one, and this one becomes a redirect."""
        row = self.get_object()  # type: ignore[attr-defined]
        said = _valid(MergeRequestSerializer, request)
        merge = merge_assets(row, _named(said["into"]), reason=said["reason"], rows=said["rows"], user=request.user)
        return Response(MergeSerializer(merge).data, status=status.HTTP_201_CREATED)


def moved_to(view: Any, row: Asset) -> Response:
    """308 to the asset that stays, with a body that names it. It is not to be stored: a merge can be undone."""
    kept = kept_asset(row)
    detail = f"{row} was merged into {kept}. Its uid is {kept.uid}."
    body = {"type": "client_error", "errors": [{"code": "merged", "detail": detail, "attr": None}]}
    headers = {"Location": view.reverse_action("detail", args=[kept.uid]), "Cache-Control": "no-store"}
    return Response(body, status=status.HTTP_308_PERMANENT_REDIRECT, headers=headers)


@extend_schema_field(OpenApiTypes.BOOL)
class IsMerged(Flag):
    """`true` lists the merged assets; without it they are left out."""

    def __init__(self) -> None:
        super().__init__(help_text="true: assets that were merged into others, which are left out otherwise.")

    def filter(self, queryset: QuerySet, value: bool | None) -> QuerySet:
        return queryset


def _named(text: Any) -> Asset:
    uid = as_uid(text)
    row = Asset.objects.filter(uid=uid).first() if uid is not None else None
    if row is None:
        said = "into is missing" if text in (None, "") else f"into={str(text)[:60]!r} is no uid of an asset"
        raise ValidationError({"into": f"{said}. Name the asset that stays by its uid."})
    return row


def _cursor(text: str | None) -> list[str] | None:
    try:
        return duplicates.read_place(text or "")
    except InvalidInput as error:
        fault = "This is no cursor of this list. Follow `next` as it was answered."
        raise ValidationError({"cursor": fault}) from error


def _valid(serializer: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    checked = serializer(data=request.data)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)
