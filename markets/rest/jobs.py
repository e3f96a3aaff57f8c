"""REST of jobs: what a person asked for, and how far it has come."""

from typing import Any

import django_filters as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from markets.models import Job, JobMessage, JobStatus
from markets.rest.base import UID, RegistryViewSet, etag
from markets.rest.filters import Ordering, RegistryFilters, SearchFilter
from markets.services import jobs


class JobMessageSerializer(serializers.ModelSerializer):
    class Meta:
        model = JobMessage
        fields = ["level", "text", "created_at"]
        read_only_fields = fields


class JobSerializer(serializers.ModelSerializer):
    requested_by = serializers.CharField(source="requested_by.username", read_only=True, allow_null=True, default=None)
    is_finished = serializers.BooleanField(read_only=True)

    class Meta:
        model = Job
        fields = [
            *("uid", "kind", "title", "status", "is_finished", "progress_done", "progress_total", "progress_text"),
            *("counters", "error", "arguments", "attempts", "requested_by", "queued_at", "started_at", "finished_at"),
        ]
        read_only_fields = fields


class JobDetailSerializer(JobSerializer):
    status = serializers.ChoiceField(choices=JobStatus.choices, read_only=True)
    messages = serializers.SerializerMethodField(help_text=f"The latest {jobs.LATEST_MESSAGES}, oldest first.")

    class Meta(JobSerializer.Meta):
        fields = [*JobSerializer.Meta.fields, "messages"]
        read_only_fields = fields

    @extend_schema_field(JobMessageSerializer(many=True))
    def get_messages(self, job: Job) -> list[dict[str, Any]]:
        return JobMessageSerializer(jobs.latest_messages(job), many=True).data


class JobFilters(RegistryFilters):
    status = filters.ChoiceFilter(choices=JobStatus.choices)
    kind = filters.CharFilter()
    search = SearchFilter("title", "kind")
    ordering = Ordering(fields=["queued_at", "started_at", "finished_at"])


class JobViewSet(RegistryViewSet):
    queryset = Job.objects.select_related("requested_by")
    serializer_class = JobSerializer
    filterset_class = JobFilters
    row_name = "job"

    @extend_schema(parameters=[UID], responses=JobDetailSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()
        return Response(JobDetailSerializer(row).data, headers={"ETag": etag(row)})
