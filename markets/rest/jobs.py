"""REST of jobs: what a person asked for, and how far it has come."""

from typing import Any

import django_filters as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from markets.models import Job, JobMessage, JobStatus, NodeStep, StepStatus
from markets.rest.base import UID, RegistryViewSet, etag
from markets.rest.filters import Ordering, RegistryFilters, SearchFilter
from markets.rest.serializers import StrictSerializer
from markets.services import job_pace, jobs


class JobMessageSerializer(serializers.ModelSerializer):
    class Meta:
        model = JobMessage
        fields = ["level", "text", "created_at"]
        read_only_fields = fields


class NodeStepSerializer(serializers.ModelSerializer):
    """One DataNode of the job's tree, or one shard of it."""

    node = serializers.CharField(source="node_update.storage.identifier", allow_null=True)
    node_update = serializers.UUIDField(source="node_update.uid")
    node_run = serializers.UUIDField(source="node_run.uid", allow_null=True, default=None)
    tries = serializers.IntegerField(help_text="How often it was begun.")
    status = serializers.ChoiceField(choices=StepStatus.choices)
    depends_on = serializers.ListField(child=serializers.IntegerField(), help_text="Positions of other steps.")

    class Meta:
        model = NodeStep
        fields = [
            *("uid", "node", "node_update", "position", "level", "depends_on", "shard", "shard_count", "status"),
            *("tries", "retries", "deaths", "next_try_at", "started_at", "heartbeat_at", "finished_at"),
            *("rows_returned", "rows_written", "progress_done", "progress_total", "progress_text"),
            *("assets_done", "assets_total", "note", "error_type", "error", "node_run"),
        ]
        read_only_fields = fields


class JobSerializer(serializers.ModelSerializer):
    requested_by = serializers.CharField(source="requested_by.username", read_only=True, allow_null=True, default=None)
    cancelled_by = serializers.CharField(source="cancelled_by.username", read_only=True, allow_null=True, default=None)
    is_finished = serializers.BooleanField(read_only=True)
    eta_seconds = serializers.SerializerMethodField(
        help_text="Seconds until it is done at the pace so far; null while that cannot be told."
    )

    class Meta:
        model = Job
        fields = [
            *("uid", "kind", "title", "status", "is_finished", "progress_done", "progress_total", "progress_text"),
            *("counters", "error", "arguments", "attempts", "requested_by", "queued_at", "started_at", "finished_at"),
            *("eta_seconds", "cancel_requested_at", "cancelled_by"),
        ]
        read_only_fields = fields

    @extend_schema_field(serializers.FloatField(allow_null=True))
    def get_eta_seconds(self, job: Job) -> float | None:
        return job_pace.eta_seconds(job)


class JobDetailSerializer(JobSerializer):
    status = serializers.ChoiceField(choices=JobStatus.choices, read_only=True)
    messages = serializers.SerializerMethodField(help_text=f"The latest {jobs.LATEST_MESSAGES}, oldest first.")
    steps = serializers.SerializerMethodField(help_text="Of a job that runs DataNodes: its parts, in their order.")

    class Meta(JobSerializer.Meta):
        fields = [*JobSerializer.Meta.fields, "messages", "steps"]
        read_only_fields = fields

    @extend_schema_field(NodeStepSerializer(many=True))
    def get_steps(self, job: Job) -> list[dict[str, Any]]:
        return NodeStepSerializer(job_pace.steps_of(job), many=True).data

    @extend_schema_field(JobMessageSerializer(many=True))
    def get_messages(self, job: Job) -> list[dict[str, Any]]:
        return JobMessageSerializer(jobs.latest_messages(job), many=True).data


class NoBodySerializer(StrictSerializer):
    """Takes no field."""


class JobFilters(RegistryFilters):
    status = filters.ChoiceFilter(choices=JobStatus.choices)
    kind = filters.CharFilter()
    search = SearchFilter("title", "kind")
    ordering = Ordering(fields=["queued_at", "started_at", "finished_at"])


class JobViewSet(RegistryViewSet):
    queryset = Job.objects.select_related("requested_by", "cancelled_by")
    serializer_class = JobSerializer
    filterset_class = JobFilters
    row_name = "job"
    action_permissions = {"cancel": ("markets.view_job", "markets.change_job")}

    @extend_schema(parameters=[UID], responses=JobDetailSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()
        return Response(JobDetailSerializer(row).data, headers={"ETag": etag(row)})

    @extend_schema(
        parameters=[UID], request=NoBodySerializer, responses={200: JobDetailSerializer, 202: JobDetailSerializer}
    )
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    def cancel(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Cancel the job: 200 when it is over at once, 202 while what runs is being stopped, 409 when it has ended."""
        NoBodySerializer(data=request.data).is_valid(raise_exception=True)
        job = jobs.cancel(self.get_object(), user=request.user)
        code = status.HTTP_200_OK if job.is_finished else status.HTTP_202_ACCEPTED
        return Response(JobDetailSerializer(job).data, status=code)
