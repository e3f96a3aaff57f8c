"""REST of what watches and runs a DataNode: its freshness policy, its schedule, and the graph of all."""

import datetime as dt
import re
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.http import parse_etags
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from markets.models import Calendar, FreshnessPolicy, FreshnessRule, FreshnessUnit, NodeSchedule, SessionStamp
from markets.models.freshness import LARGEST_EVERY, LONGEST_DELAY, MOST_DAYS_LATER
from markets.rest.base import IF_MATCH, etag
from markets.rest.errors import PreconditionFailed
from markets.rest.serializers import StrictBooleanField, StrictCharField, StrictSerializer
from markets.services import freshness, freshness_policies, lineage, node_runs, node_schedules

NODE_NAME = OpenApiParameter(
    "identifier", str, OpenApiParameter.PATH, description="Published identifier, update hash or uid."
)
TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:00)?")


class StrictIntegerField(serializers.IntegerField):
    """A number only: no text of one, no true, no 1.0."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


@extend_schema_field(OpenApiTypes.STR)
class TimeOfDayField(serializers.Field):
    """18:30"""

    default_error_messages = {"invalid": "This is no time of day to the minute. Write it as 18:30."}

    def to_internal_value(self, data: Any) -> dt.time:
        if not isinstance(data, str) or not TIME_OF_DAY.fullmatch(data):
            self.fail("invalid")
        return dt.time.fromisoformat(data)

    def to_representation(self, value: dt.time) -> str:
        return value.strftime("%H:%M")


class VolatileMixin:
    """Fields that go on by themselves: an answer can be sent back, whatever they said by then."""

    volatile: tuple[str, ...] = ()

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            data = {name: value for name, value in data.items() if name not in self.volatile}
        return super().to_internal_value(data)  # type: ignore[misc]


class FreshnessPolicySerializer(VolatileMixin, StrictSerializer):
    volatile = ("in_words",)
    uid = serializers.UUIDField(read_only=True)
    rule = serializers.ChoiceField(
        choices=FreshnessRule.choices,
        help_text="after_close takes calendar and delay_minutes; at_time calendar, due_time, timezone and days_later; "
        "every takes every and every_unit.",
    )
    calendar = StrictCharField(
        required=False, allow_null=True, max_length=255, help_text="The unique identifier of a calendar: XNYS."
    )
    delay_minutes = StrictIntegerField(
        required=False, allow_null=True, min_value=0, max_value=LONGEST_DELAY, help_text="After the session's close."
    )
    due_time = TimeOfDayField(required=False, allow_null=True, help_text="A time of day: 18:30.")
    timezone = StrictCharField(required=False, allow_blank=True, max_length=64, help_text="An IANA name.")
    days_later = StrictIntegerField(required=False, allow_null=True, min_value=0, max_value=MOST_DAYS_LATER)
    every = StrictIntegerField(required=False, allow_null=True, min_value=1, max_value=LARGEST_EVERY)
    every_unit = serializers.ChoiceField(choices=FreshnessUnit.choices, required=False, allow_blank=True)
    stamp = serializers.ChoiceField(
        choices=SessionStamp.choices,
        default=SessionStamp.CLOSE,
        help_text="What the time of a session's row is: its close, or midnight UTC of its date.",
    )
    is_active = StrictBooleanField(default=True)
    note = StrictCharField(required=False, allow_blank=True, max_length=500)
    in_words = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def get_in_words(self, policy: FreshnessPolicy) -> str:
        return freshness.in_words(policy)

    def to_representation(self, policy: FreshnessPolicy) -> dict[str, Any]:
        shown = super().to_representation(policy)
        return {**shown, "calendar": None if policy.calendar is None else policy.calendar.unique_identifier}

    def validate_calendar(self, name: str | None) -> Calendar | None:
        if name is None:
            return None
        calendar = Calendar.objects.filter(unique_identifier=name).first() if "\x00" not in name else None
        if calendar is None:
            raise serializers.ValidationError(f"There is no calendar {name[:60]!r}.", code="missing_reference")
        return calendar


class NodeScheduleSerializer(VolatileMixin, StrictSerializer):
    volatile = ("in_words", "next_due_at", "last_fired_at", "problem")
    uid = serializers.UUIDField(read_only=True)
    cron = StrictCharField(
        max_length=255, help_text="Minute, hour, day of month, month, day of week (0 is Sunday): 30 22 * * 1-5."
    )
    timezone = StrictCharField(max_length=64, default="UTC", help_text="An IANA name: America/New_York.")
    update_tree = StrictBooleanField(default=True, help_text="Run what the node reads first.")
    recompute_stale = StrictBooleanField(default=False, help_text="Compute stale nodes again.")
    is_enabled = StrictBooleanField(default=True)
    in_words = serializers.CharField(read_only=True)
    next_due_at = serializers.DateTimeField(read_only=True, allow_null=True, help_text="Null while it is disabled.")
    last_fired_at = serializers.DateTimeField(read_only=True, allow_null=True)
    problem = serializers.CharField(
        read_only=True, help_text="What is wrong with the scheduled task, empty if nothing."
    )
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def to_representation(self, schedule: NodeSchedule) -> dict[str, Any]:
        told = node_schedules.described(schedule)
        vars(schedule).update(in_words=told.words, next_due_at=told.next_due_at, problem=told.problem)
        return super().to_representation(schedule)


class GraphNodeSerializer(serializers.Serializer):
    uid = serializers.UUIDField()
    identifier = serializers.CharField(allow_null=True)
    update_hash = serializers.CharField()
    class_name = serializers.CharField()
    last_status = serializers.CharField(allow_null=True, help_text="Of its latest run; null when it never ran.")
    last_time_index = serializers.DateTimeField(allow_null=True)
    freshness = serializers.CharField(help_text="Its age, or what its policy says.")
    tone = serializers.ChoiceField(choices=["good", "wait", "bad", "plain"])
    is_stale = serializers.BooleanField()
    is_overdue = serializers.BooleanField()
    due_at = serializers.DateTimeField(allow_null=True)


class GraphEdgeSerializer(serializers.Serializer):
    source = serializers.UUIDField(help_text="The node that is read.")
    target = serializers.UUIDField(help_text="The node that reads it.")


class GraphSerializer(serializers.Serializer):
    nodes = GraphNodeSerializer(many=True)
    edges = GraphEdgeSerializer(many=True)


class NodeOperations:
    """Actions of the view of DataNodes; `_identifier` gives the name in the path."""

    operation_permissions = {
        "graph": ("markets.view_nodeupdate",),
        **{
            name: ("markets.view_nodeupdate", f"markets.{verb}_freshnesspolicy")
            for name, verb in (
                ("freshness_policy", "view"),
                ("set_freshness_policy", "change"),
                ("remove_freshness_policy", "delete"),
            )
        },
        **{
            name: ("markets.view_nodeupdate", f"markets.{verb}_nodeschedule")
            for name, verb in (("schedule", "view"), ("set_schedule", "change"), ("remove_schedule", "delete"))
        },
    }

    @extend_schema(responses=GraphSerializer, filters=False)
    @action(detail=False, methods=["get"], pagination_class=None, filterset_class=None)
    def graph(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Every DataNode with how fresh it is, and which reads which."""
        return Response(lineage.as_json(lineage.graph()))

    # --- freshness policy --------------------------------------------------------------------------------------------
    @extend_schema(parameters=[NODE_NAME], responses=FreshnessPolicySerializer, filters=False)
    @action(detail=True, methods=["get"], url_path="freshness-policy", pagination_class=None, filterset_class=None)
    def freshness_policy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """By when the node's data are expected; 404 when nothing says so."""
        policy = freshness_policies.policy_of(self._node())
        return _answer(FreshnessPolicySerializer(policy), policy)

    @extend_schema(
        parameters=[NODE_NAME, IF_MATCH], request=FreshnessPolicySerializer, responses=FreshnessPolicySerializer
    )
    @freshness_policy.mapping.put
    def set_freshness_policy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Set the policy, or put another in its place."""
        data, update = request.data, self._node()
        with transaction.atomic():
            stored = FreshnessPolicy.objects.select_related("calendar").filter(node_update=update)
            policy = stored.select_for_update(of=("self",)).first()
            _check_match(request, policy)
            serializer = FreshnessPolicySerializer(policy, data=data)
            serializer.is_valid(raise_exception=True)
            policy = freshness_policies.set_policy(update, **serializer.validated_data)
            policy.refresh_from_db()
            return _answer(FreshnessPolicySerializer(policy), policy)

    @extend_schema(parameters=[NODE_NAME, IF_MATCH], responses={204: None})
    @freshness_policy.mapping.delete
    def remove_freshness_policy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Remove the policy: the node is never overdue then."""
        update = self._node()
        with transaction.atomic():
            _check_match(request, FreshnessPolicy.objects.select_for_update().filter(node_update=update).first())
            freshness_policies.remove_policy(update)
        return Response(status=status.HTTP_204_NO_CONTENT)

    # --- schedule ----------------------------------------------------------------------------------------------------
    @extend_schema(parameters=[NODE_NAME], responses=NodeScheduleSerializer, filters=False)
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def schedule(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """When the node is run by itself; 404 when it is not."""
        schedule = node_schedules.schedule_of(self._node())
        return _answer(NodeScheduleSerializer(schedule), schedule)

    @extend_schema(parameters=[NODE_NAME, IF_MATCH], request=NodeScheduleSerializer, responses=NodeScheduleSerializer)
    @schedule.mapping.put
    def set_schedule(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Set the schedule, or put another in its place. It counts from now on."""
        data, update = request.data, self._node()
        with transaction.atomic():
            stored = NodeSchedule.objects.select_related("periodic_task__crontab", "node_update")
            schedule = stored.select_for_update(of=("self",)).filter(node_update=update).first()
            _check_match(request, schedule)
            serializer = NodeScheduleSerializer(schedule, data=data)
            serializer.is_valid(raise_exception=True)
            values = dict(serializer.validated_data)
            node_schedules.set_schedule(update, values.pop("cron"), zone=values.pop("timezone"), **values)
            schedule = node_schedules.schedule_of(update)
            return _answer(NodeScheduleSerializer(schedule), schedule)

    @extend_schema(parameters=[NODE_NAME, IF_MATCH], responses={204: None})
    @schedule.mapping.delete
    def remove_schedule(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Remove the schedule: the node runs only when somebody asks for it."""
        update = self._node()
        with transaction.atomic():
            _check_match(request, NodeSchedule.objects.select_for_update().filter(node_update=update).first())
            node_schedules.remove_schedule(update)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _node(self) -> Any:
        return node_runs.find_node_update(self._identifier())  # type: ignore[attr-defined]


class FreshnessFieldsMixin(serializers.Serializer):
    """Fields of a DataNode that `with_freshness` gave its freshness."""

    is_overdue = serializers.BooleanField(
        source="freshness.is_overdue", help_text="Whether data are missing by its freshness policy."
    )
    due_at = serializers.DateTimeField(
        source="freshness.due_at", allow_null=True, help_text="When the missing data were due; else when the next are."
    )
    freshness = serializers.CharField(
        source="freshness.text", help_text="What its policy says, or its age where it has none."
    )


def with_freshness(updates: list[Any]) -> list[Any]:
    """The updates, each with `freshness`: at most two queries for all of them."""
    found = freshness.freshness_of(updates, {row.pk: row.last_time_index for row in updates}, timezone.now())
    for row in updates:
        row.freshness = found[row.pk]
    return updates


def _answer(serializer: Any, row: Any) -> Response:
    return Response(serializer.data, headers={"ETag": etag(row)})


def _check_match(request: Request, row: Any) -> None:
    """Raise 412 when If-Match does not name the row as it is; a row that is not there matches nothing."""
    wanted = request.headers.get("If-Match")
    if wanted is None:
        return
    if row is None or (wanted.strip() != "*" and etag(row) not in parse_etags(wanted)):
        raise PreconditionFailed
