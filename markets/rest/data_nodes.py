"""REST of DataNodes: how fresh they are, their data, statistics and runs, and the request to run one."""

from typing import Any

import django_filters as filters
from django.db import transaction
from django.db.models import OuterRef, Prefetch, QuerySet, Subquery
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from markets.models import NodeRun, NodeUpdate, StorageNode, UpdateStatistic
from markets.rest import parameters
from markets.rest.backfills import GAP_PARAMETERS, RUN_PERMISSIONS, BackfillActions
from markets.rest.base import COUNT_PRECISION, RegistryViewSet, body_etag
from markets.rest.errors import NotFoundResponse
from markets.rest.filters import Flag, Ordering, RegistryFilters, SearchFilter, TextIn
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
from markets.rest.jobs import JobSerializer
from markets.rest.node_classes import NodeRegistrationSerializer, register
from markets.rest.node_operations import FreshnessFieldsMixin, NodeOperations, with_freshness
from markets.rest.pagination import PAGING
from markets.rest.serializers import StrictBooleanField, StrictSerializer
from markets.services import freshness, node_runs
from markets.services.frames_out import FrameLayout, read_as_of, read_parts

IDENTIFIER = OpenApiParameter(
    "identifier", str, OpenApiParameter.PATH, description="Published identifier, update hash or uid."
)
BOUNDS = [
    OpenApiParameter("great_or_equal", bool, default=True, description="false: rows after `start` only."),
    OpenApiParameter("less_or_equal", bool, default=True, description="false: rows before `end` only."),
]
AS_OF = OpenApiParameter(
    "as_of",
    str,
    description="The latest row of each identity at this time, not with start or end; a date is the end of its day "
    "(UTC).",
)
_latest_run = NodeRun.objects.filter(node_update=OuterRef("pk")).order_by("-id")


class QualityOutcomeSerializer(serializers.Serializer):
    check = serializers.CharField()
    column = serializers.CharField()
    severity = serializers.ChoiceField(["warning", "critical"])
    passed = serializers.BooleanField()
    checked = serializers.IntegerField(help_text="Rows, changes or sessions that were judged.")
    failed = serializers.IntegerField()
    message = serializers.CharField()


class NodeRunSerializer(serializers.ModelSerializer):
    quality = QualityOutcomeSerializer(many=True, help_text="The outcome of each quality check.")

    class Meta:
        model = NodeRun
        fields = [
            *("uid", "status", "started_at", "finished_at", "rows_returned", "rows_written", "last_time_index"),
            *("timings", "error_type", "error_message", "quality", "is_backfill", "window_start", "window_end"),
        ]
        read_only_fields = fields


class NodeSerializer(FreshnessFieldsMixin, serializers.ModelSerializer):
    identifier = serializers.CharField(source="storage.identifier", allow_null=True)
    class_name = serializers.CharField()
    description = serializers.CharField(source="storage.description")
    data_frequency_id = serializers.CharField(source="storage.data_frequency_id")
    storage_hash = serializers.CharField(source="storage.storage_hash")
    table_name = serializers.CharField(source="storage.table_name")
    index_names = serializers.ListField(child=serializers.CharField(), source="storage.index_names")
    last_run = serializers.SerializerMethodField()
    last_time_index = serializers.DateTimeField(allow_null=True, help_text="How far this node has written.")
    stale_from = serializers.DateTimeField(
        allow_null=True, help_text="Rows at or after this instant rest on data that came late or changed since."
    )

    class Meta:
        model = NodeUpdate
        fields = [
            *("uid", "identifier", "update_hash", "class_name", "node_class", "description", "data_frequency_id"),
            *("storage_hash", "table_name", "index_names", "last_run", "last_time_index"),
            *("stale_from", "stale_reason", "is_overdue", "due_at", "freshness", "created_at", "updated_at"),
        ]
        read_only_fields = fields

    @extend_schema_field(NodeRunSerializer(allow_null=True))
    def get_last_run(self, update: Any) -> dict[str, Any] | None:
        return None if update.latest_run is None else NodeRunSerializer(update.latest_run).data


class ColumnSerializer(serializers.Serializer):
    column_name = serializers.CharField()
    dtype = serializers.CharField()
    label = serializers.CharField()
    unit = serializers.CharField(default="", help_text="What the values are counted in, such as USD or %.")
    description = serializers.CharField()


class NodeReferenceSerializer(serializers.ModelSerializer):
    identifier = serializers.CharField(source="storage.identifier", allow_null=True)

    class Meta:
        model = NodeUpdate
        fields = ["uid", "identifier", "update_hash"]


class NodeDetailSerializer(NodeSerializer):
    key_columns = serializers.ListField(child=serializers.CharField(), source="storage.key_columns")
    columns = ColumnSerializer(many=True, source="storage.columns")
    dependencies = NodeReferenceSerializer(many=True)

    class Meta(NodeSerializer.Meta):
        fields = [*NodeSerializer.Meta.fields, "key_columns", "columns", "build_configuration", "dependencies"]
        read_only_fields = fields


class StatisticSerializer(serializers.ModelSerializer):
    identity = serializers.SerializerMethodField(help_text="Dimension → value.")

    class Meta:
        model = UpdateStatistic
        fields = ["identity", "first_time_index", "last_time_index", "row_count", "updated_at"]

    @extend_schema_field(serializers.DictField(child=serializers.CharField()))
    def get_identity(self, row: UpdateStatistic) -> dict[str, str]:
        return dict(zip(self.context["dimensions"], row.identity, strict=False))


class RunRequestSerializer(StrictSerializer):
    update_tree = StrictBooleanField(default=True, help_text="Update what the node reads first.")
    recompute_stale = StrictBooleanField(
        default=False, help_text="Compute stale nodes again from where their data changed."
    )


@extend_schema_field(OpenApiTypes.BOOL)
class OverdueFlag(Flag):
    """Whether data are missing by the node's freshness policy."""

    def filter(self, queryset: QuerySet, value: bool | None) -> QuerySet:
        if value is None:
            return queryset
        late = [item.update.pk for item in freshness.overdue(timezone.now()) if item.freshness.is_overdue]
        return queryset.filter(pk__in=late) if value else queryset.exclude(pk__in=late)


class NodeFilters(RegistryFilters):
    update_hash = filters.CharFilter()
    identifier = filters.CharFilter(field_name="storage__identifier")
    identifier__in = TextIn(field_name="storage__identifier")
    storage_hash = filters.CharFilter(field_name="storage__storage_hash")
    is_stale = Flag(field_name="stale_from", lookup_expr="isnull", exclude=True)
    is_overdue = OverdueFlag()
    search = SearchFilter("storage__identifier", "node_class", "storage__description")
    ordering = Ordering(
        fields={"storage__identifier": "identifier", "update_hash": "update_hash", "created_at": "created_at"}
    )


class DataNodeViewSet(NodeOperations, BackfillActions, RegistryViewSet):
    """A DataNode is addressed by its published identifier, its update hash or its uid."""

    queryset = NodeUpdate.objects.select_related("storage", "freshness_policy__calendar").annotate(
        latest_run_id=Subquery(_latest_run.values("pk")[:1]),
        last_time_index=Subquery(_latest_run.exclude(last_time_index=None).values("last_time_index")[:1]),
    )
    serializer_class = NodeSerializer
    filterset_class = NodeFilters
    lookup_url_kwarg = "identifier"
    row_name = "DataNode"
    query_parameters = {
        "data": (*FRAME_NAMES, "asset_identifier", "as_of", "great_or_equal", "less_or_equal"),
        "statistics": (*PAGING, "asset_identifier"),
        "runs": PAGING,
        "gaps": GAP_PARAMETERS,
    }
    repeatable_parameters = REPEATABLE
    action_permissions = {
        "run": RUN_PERMISSIONS,
        "backfill": RUN_PERMISSIONS,
        "create": ("markets.view_nodeupdate", "markets.add_nodeupdate"),
        **NodeOperations.operation_permissions,
    }

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        return _with_latest_runs(page) if page and isinstance(page[0], NodeUpdate) else page

    def get_object(self) -> NodeUpdate:
        found = node_runs.find_node_update(self._identifier())
        read = Prefetch("dependencies", NodeUpdate.objects.select_related("storage"))
        return _with_latest_runs([self.get_queryset().prefetch_related(read).get(pk=found.pk)])[0]

    def find_update(self) -> NodeUpdate:
        return node_runs.find_node_update(self._identifier())

    def get_storage(self) -> StorageNode:
        """The table that the path names: of an update by uid or hash, or by the published identifier."""
        text = self._identifier()
        storage = StorageNode.objects.filter(identifier=text).first()
        return storage or node_runs.find_node_update(text).storage

    def _identifier(self) -> str:
        text = self.kwargs["identifier"]
        if "\x00" in text or len(text) > 255:
            raise NotFoundResponse(f"No DataNode is named {text[:60]!r}.")
        uid = parameters.parse_uid(text)
        return str(uid) if uid is not None else text

    @extend_schema(parameters=[IDENTIFIER], responses=NodeDetailSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        body = NodeDetailSerializer(self.get_object()).data
        return Response(body, headers={"ETag": body_etag(body)})

    @extend_schema(request=NodeRegistrationSerializer, responses={201: NodeDetailSerializer, 200: NodeDetailSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Register a node of a class of data-node-class/: 201, or 200 with the one that has this configuration."""
        with transaction.atomic():  # the answer is read in it too: afterwards another request may change the node
            made, code = register(request)
            assert made.update is not None
            self.kwargs["identifier"] = str(made.update.uid)
            body = NodeDetailSerializer(self.get_object()).data
        location = self.reverse_action("detail", args=[made.update.uid])
        return Response(body, status=code, headers={"ETag": body_etag(body), "Location": location})

    def known_parameters(self, action_name: str) -> tuple[str, ...]:
        """Of a table's rows also its dimensions."""
        known = super().known_parameters(action_name)
        return (*known, *self.get_storage().index_names[1:]) if action_name == "data" else known

    @extend_schema(
        parameters=[IDENTIFIER, *FRAME_PARAMETERS, *BOUNDS, ASSETS, AS_OF],
        responses=FRAME_RESPONSES,
        filters=False,
    )
    @action(detail=True, methods=["get"], pagination_class=None, content_negotiation_class=AnyAccept)
    def data(self, request: Request, *args: Any, **kwargs: Any) -> StreamingHttpResponse:
        """The rows of the node's table, in the order of its index, streamed.

        Each dimension of the table is a filter, too: `index_identifier=SOFR&cadence=1d,15m`.
        """
        storage = self.get_storage()
        wanted, as_of = FrameRequest.of(request), parameters.as_of(request)
        named = {name: parameters.names(request, name) for name in (*storage.index_names[1:], "asset_identifier")}
        filters = {name: values for name, values in named.items() if values is not None}
        if as_of is not None:
            wanted.refuse_range_beside_as_of()
            frame = read_as_of(storage, as_of, dimension_filters=filters, columns=wanted.columns)
            parts = iter([frame if wanted.limit is None else frame.iloc[: wanted.limit]])
        else:
            start, end = wanted.bounds(
                great_or_equal=parameters.flag(request, "great_or_equal", default="true"),
                less_or_equal=parameters.flag(request, "less_or_equal", default="true"),
            )
            parts = read_parts(
                storage,
                start_date=start,
                end_date=end,
                dimension_filters=filters or None,
                columns=wanted.columns,
                limit=wanted.limit,
            )
        return frame_response(parts, FrameLayout.of(storage, wanted.columns), wanted.format, name=str(storage))

    @extend_schema(
        parameters=[IDENTIFIER, ASSETS, COUNT_PRECISION], responses=StatisticSerializer(many=True), filters=False
    )
    @action(detail=True, methods=["get"])
    def statistics(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """How far each identity of the node's table has come."""
        storage = self.get_storage()
        rows = UpdateStatistic.objects.filter(storage=storage).order_by("identity")
        assets = parameters.names(request, "asset_identifier")
        if assets is not None:
            rows = _of_assets(rows, storage, assets)
        page = self.paginate_queryset(rows)
        context = {"dimensions": storage.index_names[1:]}
        return self.get_paginated_response(StatisticSerializer(page, many=True, context=context).data)

    @extend_schema(parameters=[IDENTIFIER, COUNT_PRECISION], responses=NodeRunSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"])
    def runs(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The node's runs, latest first."""
        rows = NodeRun.objects.filter(node_update=node_runs.find_node_update(self._identifier())).defer("log")
        return self.get_paginated_response(NodeRunSerializer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(parameters=[IDENTIFIER], request=RunRequestSerializer, responses={202: JobSerializer})
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    def run(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Ask a worker to run the node. While such a job waits or runs, that job is answered."""
        update = node_runs.find_node_update(self._identifier())
        serializer = RunRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        job = node_runs.request_run(update, user=request.user, **serializer.validated_data)
        job.refresh_from_db()
        location = reverse("job-detail", args=[job.uid], request=request)
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED, headers={"Location": location})


def _with_latest_runs(updates: list[Any]) -> list[Any]:
    """The updates, each with `latest_run`, in one query for all of them."""
    runs = NodeRun.objects.defer("log").in_bulk([row.latest_run_id for row in updates if row.latest_run_id])
    for row in updates:
        row.latest_run = runs.get(row.latest_run_id)
    return with_freshness(updates)


def _of_assets(rows: QuerySet, storage: StorageNode, assets: list[str]) -> QuerySet:
    dimensions = storage.index_names[1:]
    if "asset_identifier" not in dimensions:
        raise serializers.ValidationError({"asset_identifier": f"{storage} has no dimension asset_identifier."})
    return rows.filter(**{f"identity__{dimensions.index('asset_identifier')}__in": assets})
