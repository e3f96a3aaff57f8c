"""REST of a DataNode's gaps and backfills."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from markets.models import NodeUpdate
from markets.rest import parameters
from markets.rest.base import COUNT_PRECISION
from markets.rest.frames import ASSETS
from markets.rest.jobs import JobSerializer
from markets.rest.pagination import PAGING
from markets.rest.serializers import StrictBooleanField, StrictCharField, StrictSerializer
from markets.services import backfills, gaps

GAPS_SHOWN = 100  # of one asset; its longest one and how many there are is always told
RUN_PERMISSIONS = ("markets.view_nodeupdate", "markets.run_nodeupdate")
GAP_PARAMETERS = (*PAGING, "asset_identifier", "start", "end", "calendar")
_IDENTIFIER = OpenApiParameter(
    "identifier", str, OpenApiParameter.PATH, description="Published identifier, update hash or uid."
)
_RANGE = [
    OpenApiParameter("start", str, description="First date, or time with a zone; the first row where it is left out."),
    OpenApiParameter("end", str, description="Last date, or time with a zone, included; now where it is left out."),
    OpenApiParameter("calendar", str, description="Whose sessions are expected, instead of the DataNode's own."),
]


class GapSerializer(serializers.Serializer):
    start = serializers.DateTimeField(help_text="The first missing instant.")
    end = serializers.DateTimeField(help_text="The last missing instant.")
    missing = serializers.IntegerField()


class AssetGapsSerializer(serializers.Serializer):
    asset_identifier = serializers.CharField(source="asset")
    calendar = serializers.CharField()
    first = serializers.DateTimeField(allow_null=True, help_text="The first stored row of the range.")
    last = serializers.DateTimeField(allow_null=True)
    expected = serializers.IntegerField(help_text="Sessions, or bars, from the asset's first row on.")
    stored = serializers.IntegerField(help_text="Those of them that are stored.")
    missing = serializers.IntegerField()
    share = serializers.FloatField(help_text="missing / expected.")
    off_session = serializers.IntegerField(help_text="Rows at instants that the calendar does not expect.")
    longest_gap = serializers.IntegerField(source="longest", help_text="Missing sessions in a row.")
    number_of_gaps = serializers.IntegerField(source="spells")
    gaps = serializers.SerializerMethodField(help_text=f"The first {GAPS_SHOWN}.")

    @extend_schema_field(GapSerializer(many=True))
    def get_gaps(self, row: Any) -> list[dict[str, Any]]:
        return GapSerializer(self.context["spells"].get(row.asset, []), many=True).data


class BackfillBodySerializer(StrictSerializer):
    start = StrictCharField(max_length=40, help_text="First date, or time with a zone.")
    end = StrictCharField(max_length=40, help_text="Last date, or time with a zone; included.")
    assets = serializers.ListField(
        child=StrictCharField(max_length=255), required=False, allow_null=True, help_text="Identifiers; null for all."
    )
    failed_only = StrictBooleanField(default=False, help_text="Only what failed before and the missing sessions.")
    update_tree = StrictBooleanField(default=False, help_text="Backfill what the node reads first.")
    calendar = StrictCharField(
        max_length=255, required=False, allow_blank=True, help_text="Where the DataNode's configuration names none."
    )
    dry_run = StrictBooleanField(default=False, help_text="Answer the plan and do nothing.")


class PlannedWindowSerializer(serializers.Serializer):
    node = serializers.CharField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    assets = serializers.IntegerField(allow_null=True, help_text="How many; null for all of the node's.")
    mode = serializers.ChoiceField(["fill", "replace"])
    rows_expected = serializers.IntegerField(allow_null=True)


class BackfillPlanSerializer(serializers.Serializer):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    failed_only = serializers.BooleanField()
    update_tree = serializers.BooleanField()
    assets = serializers.IntegerField(allow_null=True)
    parts = serializers.IntegerField()
    rows_expected = serializers.IntegerField()
    missing = serializers.IntegerField(allow_null=True, help_text="Missing sessions; null where the range is whole.")
    windows = PlannedWindowSerializer(many=True, help_text="The first parts.")
    notes = serializers.ListField(child=serializers.CharField())


class BackfillActions:
    """The routes `gaps/` and `backfill/` of a DataNode, which the viewset finds by `find_update()`."""

    def find_update(self) -> NodeUpdate:
        raise NotImplementedError

    @extend_schema(
        parameters=[_IDENTIFIER, ASSETS, *_RANGE, COUNT_PRECISION],
        responses=AssetGapsSerializer(many=True),
        filters=False,
    )
    @action(detail=True, methods=["get"])
    def gaps(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Which sessions each asset is missing, by the node's calendar; a page of assets at a time."""
        target = gaps.GapTarget.of(self.find_update())
        rows = target.assets()
        assets = parameters.names(request, "asset_identifier")
        if assets is not None:
            rows = target.only(assets)
        page = self.paginate_queryset(rows)  # type: ignore[attr-defined]
        start, end, calendar = (_text(request, name) for name in ("start", "end", "calendar"))
        report = gaps.gap_report_of_rows(target, page, start, end, calendar)
        spells: dict[str, list[Any]] = {}
        for asset, spell in report.spells():
            known = spells.setdefault(asset, [])
            if len(known) < GAPS_SHOWN:
                known.append({"start": spell.start, "end": spell.end, "missing": spell.count})
        body = AssetGapsSerializer(report.rows(), many=True, context={"spells": spells}).data
        return self.get_paginated_response(body)  # type: ignore[attr-defined]

    @extend_schema(
        parameters=[_IDENTIFIER],
        request=BackfillBodySerializer,
        responses={200: BackfillPlanSerializer, 202: JobSerializer},
    )
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    def backfill(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Ask a worker to compute a stretch of the past again; with `dry_run` the plan is answered instead.

        While the same backfill waits or is done its job is answered; one that failed goes on where it was left.
        """
        update = self.find_update()
        serializer = BackfillBodySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = dict(serializer.validated_data)
        is_dry = values.pop("dry_run")
        wanted = backfills.clean_request(values.pop("start"), values.pop("end"), **values)
        if is_dry:
            return Response(backfills.plan(update, wanted).as_json())
        job = backfills.request_backfill(update, wanted, user=request.user)  # type: ignore[arg-type]
        job.refresh_from_db()
        location = reverse("job-detail", args=[job.uid], request=request)
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED, headers={"Location": location})


def _text(request: Request, name: str) -> str | None:
    """The value of a parameter, None when it is absent; an empty one is refused."""
    text = request.query_params.get(name)
    if text == "":
        raise serializers.ValidationError({name: f"{name} is empty. Give it a value, or leave it out."})
    if text is None or name == "calendar":
        return text
    return text.replace(" ", "+") if text[-6:-5] == " " else text  # a `+` that was not escaped arrives as a space
