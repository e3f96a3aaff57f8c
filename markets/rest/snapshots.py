"""REST of asset snapshots: listed, added as a batch, sent as a frame; and the one of an asset that held at a time."""

import datetime as dt
from typing import Any

import django_filters as filters
from django.db.models import F, QuerySet
from django.http import StreamingHttpResponse
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from markets.data_nodes.snapshots import COLUMNS, INDEX_NAMES, LONGEST
from markets.data_nodes.upserts import instant_text
from markets.exceptions import DuplicateKeys
from markets.models import Asset, AssetSnapshot
from markets.rest import parameters
from markets.rest.base import COUNT_PRECISION, LONGEST_SCAN, UID, MSMView, within_seconds
from markets.rest.errors import ConflictResponse
from markets.rest.fields import AwareDateTimeField
from markets.rest.filters import AsOf, Ordering, SearchFilter, TextIn, Uid, refuse_reversed
from markets.rest.frames import (
    ASSETS,
    FRAME_NAMES,
    FRAME_PARAMETERS,
    FRAME_RESPONSES,
    REPEATABLE,
    AnyAccept,
    FrameRequest,
    frame_response,
)
from markets.rest.pagination import ListPages
from markets.rest.serializers import StrictCharField, StrictSerializer
from markets.rest.walks import Term, Walk
from markets.services import snapshots
from markets.services.frames_out import FrameLayout, empty_frame, read_as_of, read_parts

MOST_SENT = 10_000  # rows in one request: about a second of checking
AS_OF = OpenApiParameter(
    "as_of", str, description="The snapshot of each asset that held at this time; a date is the end of its day (UTC)."
)
KEY = ("asset_identifier", "time_index")
LAYOUT = FrameLayout(INDEX_NAMES, dict.fromkeys(COLUMNS, "string"))


class SnapshotTextField(StrictCharField):
    """Empty text in the table is null over REST, and back."""

    def __init__(self, **options: Any) -> None:
        shape = {"max_length": LONGEST, "allow_null": True, "allow_blank": True, "required": False}
        super().__init__(**{**shape, **options})

    def to_representation(self, value: Any) -> Any:
        return value or None


class SnapshotSerializer(StrictSerializer):
    """How an asset was named and listed from `time_index` on."""

    time_index = AwareDateTimeField(help_text="Since when it holds; each row has its own.")
    asset_identifier = StrictCharField(max_length=255, help_text="The asset's unique_identifier.")
    name = SnapshotTextField()
    ticker = SnapshotTextField()
    exchange_code = SnapshotTextField()
    asset_ticker_group_id = SnapshotTextField(help_text="Share-class FIGI: what listings of one class have in common.")


class SnapshotBatchSerializer(StrictSerializer):
    snapshots = SnapshotSerializer(many=True, allow_empty=False, help_text=f"At most {MOST_SENT:,}; all or nothing.")


class InsertedSerializer(serializers.Serializer):
    inserted = serializers.IntegerField()


class LatestSnapshotSerializer(serializers.Serializer):
    """An asset and the snapshot that holds; what there is no snapshot for is null."""

    asset_uid = serializers.UUIDField()
    asset_identifier = serializers.CharField()
    asset_type = serializers.CharField(allow_null=True)
    snapshot_time = serializers.DateTimeField(allow_null=True, help_text="The same as time_index.")
    time_index = serializers.DateTimeField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    ticker = serializers.CharField(allow_null=True)
    exchange_code = serializers.CharField(allow_null=True)
    asset_ticker_group_id = serializers.CharField(allow_null=True)


class SnapshotFilters(FilterSet):
    asset_identifier = filters.CharFilter(help_text="Exact and case-sensitive.")
    asset_identifier__in = TextIn(field_name="asset_identifier")
    asset_uid = Uid(method="filter_asset", help_text="The asset by its uid.")
    start = AsOf(help_text="First time, included; ISO 8601 with a zone.", method="filter_start")
    end = AsOf(help_text="Last time, included; a date is the end of its day (UTC).", method="filter_end")
    as_of = AsOf(help_text=AS_OF.description, method="filter_as_of")
    search = SearchFilter("asset_identifier", "name", "ticker")
    ordering = Ordering(fields=["asset_identifier", "time_index"])

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        said = self.form.cleaned_data
        refuse_reversed(said.get("start"), said.get("end"))
        if said.get("as_of") and (said.get("start") or said.get("end")):
            raise ValidationError({"as_of": "as_of names one instant. Leave out start and end, or as_of."})
        return super().filter_queryset(queryset)

    def filter_asset(self, queryset: QuerySet, name: str, value: Any) -> QuerySet:
        # The planner knows how many rows an asset has by its identifier only.
        identifier = Asset.objects.filter(uid=value).values_list("unique_identifier", flat=True).first()
        return queryset.none() if identifier is None else queryset.filter(asset_identifier=identifier)

    def filter_start(self, queryset: QuerySet, name: str, value: dt.datetime) -> QuerySet:
        return queryset.filter(time_index__gte=value)

    def filter_end(self, queryset: QuerySet, name: str, value: dt.datetime) -> QuerySet:
        return queryset.filter(time_index__lte=value)

    def filter_as_of(self, queryset: QuerySet, name: str, value: dt.datetime) -> QuerySet:
        return snapshots.snapshots_as_of(queryset, value)


class SnapshotWalk(Walk):
    """Snapshots have no id: ties go by the other column of their key."""

    def __init__(self, rows: QuerySet[Any], name: str) -> None:
        self.name = name
        given = [str(field) for field in rows.query.order_by or KEY]
        is_descending = given[-1].startswith("-")
        names = [field.removeprefix("-") for field in given]
        given += [f"{'-' if is_descending else ''}{field}" for field in KEY if field not in names]
        self.terms = [Term(F(field.removeprefix("-")), field.startswith("-"), is_nullable=False) for field in given]
        self.aliases = [field.removeprefix("-") for field in given]
        self.rows = rows

    def _read(self, part: QuerySet[Any], span: slice) -> QuerySet[Any]:
        return part.order_by(*self.order)[span]


class SnapshotPages(ListPages):
    def walk_over(self, rows: QuerySet[Any], view: Any) -> Walk:
        return SnapshotWalk(rows, rows.model._meta.label)

    def is_served(self, rows: QuerySet[Any]) -> bool:
        return True  # an index begins with each of the two fields


class SnapshotViewSet(MSMView, ListModelMixin, GenericViewSet):
    """Snapshots are added, never changed: a correction is one with a later time."""

    queryset = AssetSnapshot.objects.all()
    serializer_class = SnapshotSerializer
    filterset_class = SnapshotFilters
    pagination_class = SnapshotPages
    query_parameters = {"data": (*FRAME_NAMES, "asset_identifier", "as_of")}
    repeatable_parameters = REPEATABLE

    @extend_schema(parameters=[COUNT_PRECISION])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        if "search" not in request.query_params:
            return super().list(request, *args, **kwargs)
        with within_seconds(LONGEST_SCAN, parameter="search"):
            return super().list(request, *args, **kwargs)

    @extend_schema(request=SnapshotBatchSerializer, responses={201: InsertedSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Add a batch, all or nothing.

        One key (time_index, asset_identifier) that is stored already refuses them all with 409, naming each such row.
        """
        sent = request.data.get("snapshots") if isinstance(request.data, dict) else None
        if isinstance(sent, list) and len(sent) > MOST_SENT:
            raise ValidationError({"snapshots": f"{len(sent):,} rows; send at most {MOST_SENT:,} in one request."})
        serializer = SnapshotBatchSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        rows = serializer.validated_data["snapshots"]
        try:
            frame = snapshots.record_snapshots(rows)
        except DuplicateKeys as error:
            raise _collision(rows, error) from error
        return Response({"inserted": len(frame)}, status=status.HTTP_201_CREATED)

    @extend_schema(parameters=[*FRAME_PARAMETERS, ASSETS, AS_OF], responses=FRAME_RESPONSES, filters=False)
    @action(
        detail=False,
        methods=["get"],
        pagination_class=None,
        filterset_class=None,
        content_negotiation_class=AnyAccept,
    )
    def data(self, request: Request, *args: Any, **kwargs: Any) -> StreamingHttpResponse:
        """The snapshots as a frame, by time and asset, streamed."""
        wanted, as_of = FrameRequest.of(request), parameters.as_of(request)
        storage = snapshots.snapshot_storage()
        layout = LAYOUT if storage is None else FrameLayout.of(storage, wanted.columns)
        filters = None if wanted.assets is None else {"asset_identifier": wanted.assets}
        if storage is None:
            unknown = sorted(set(wanted.columns or ()) - set(layout.names))
            if unknown:
                raise ValidationError(
                    {"columns": f"There is no column {unknown[0][:60]!r}. Known: {', '.join(COLUMNS)}."}
                )
            parts = iter([empty_frame(layout)])
        elif as_of is not None:
            wanted.refuse_range_beside_as_of()
            frame = read_as_of(storage, as_of, dimension_filters=filters, columns=wanted.columns)
            parts = iter([frame if wanted.limit is None else frame.iloc[: wanted.limit]])
        else:
            parts = read_parts(
                storage,
                start_date=wanted.start,
                end_date=wanted.end,
                dimension_filters=filters,
                columns=wanted.columns,
                limit=wanted.limit,
            )
        return frame_response(parts, layout, wanted.format, name="asset_snapshots")


class LatestSnapshotAction:
    """Adds `latest-snapshot/` to the routes of an asset."""

    @extend_schema(parameters=[UID, AS_OF], responses=LatestSnapshotSerializer)
    @action(detail=True, methods=["get"], url_path="latest-snapshot", pagination_class=None, filterset_class=None)
    def latest_snapshot(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """How the asset is named and listed: its latest snapshot, or the one that held at `as_of`."""
        asset = self.get_object()  # type: ignore[attr-defined]
        (found,) = snapshots.asset_reference_details_by_uids([asset.uid], as_of=parameters.as_of(request))
        return Response(LatestSnapshotSerializer(found).data)


def _collision(rows: list[dict[str, Any]], error: DuplicateKeys) -> ConflictResponse:
    """409 with an error for each row whose key is stored."""
    taken = set(error.keys)
    detail = {
        str(place): [ErrorDetail(f"{key[0]} has a snapshot at {key[1]} already. Give it a later time.", error.code)]
        for place, key in enumerate(map(_key, rows))
        if key in taken
    }
    return ConflictResponse({"snapshots": detail} if detail else str(error), error.code)


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return row["asset_identifier"], instant_text(row["time_index"])
