"""REST of identifiers: kept with the days for which they hold, and resolved to the assets that they named on a day."""

import datetime as dt
from dataclasses import asdict
from typing import Any

import django_filters as filters
from django.db.models import Q, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from markets.engine.identifier_schemes import LONGEST_VALUE, SCHEMES, IdentifierKey, identifier_key
from markets.exceptions import InvalidInput
from markets.models import Asset, AssetIdentifier
from markets.rest import parameters
from markets.rest.bulk import BulkUpsertViewSet, describe_bulk
from markets.rest.filters import Ordering, RegistryFilters, TextIn, Uid
from markets.rest.serializers import MetadataField, RegistrySerializer, StrictCharField, StrictSerializer
from markets.services import identifier_batches, identifier_changes, identifiers
from markets.services.bulk import BulkOutcome, OnError
from markets.services.identifier_resolution import Outcome, Resolution, resolve_many
from markets.services.identifier_search import MOST_MATCHES, found_identifiers

MOST_RESOLVED = 10_000
VALID_TO = "The first day on which it no longer holds; null: still, as far as is known."
AT = "The identifiers that held on this day, such as 2014-04-02."
SCHEME_HELP = f"One of {', '.join(SCHEMES)}, or a vendor's own."


class IdentifierSerializer(RegistrySerializer):
    immutable_fields = ("asset_uid", "asset_identifier", "scheme", "value", "venue")
    asset_uid = serializers.UUIDField(
        source="asset.uid", required=False, help_text="Whose it is; this or asset_identifier."
    )
    asset_identifier = StrictCharField(source="asset.unique_identifier", required=False, max_length=255)
    scheme = StrictCharField(max_length=32, help_text=SCHEME_HELP)
    value = StrictCharField(
        max_length=LONGEST_VALUE * 2, help_text="Stored as the scheme is written: us037… is US037…."
    )
    venue = StrictCharField(required=False, allow_blank=True, max_length=40, help_text="Of a ticker: its MIC.")
    valid_to = serializers.DateField(required=False, allow_null=True, help_text=VALID_TO)
    evidence = MetadataField()

    class Meta:
        model = AssetIdentifier
        fields = [
            *("uid", "asset_uid", "asset_identifier", "scheme", "value", "venue", "valid_from", "valid_to", "source"),
            *("evidence", "created_at", "updated_at"),
        ]


class IdentifierRowSerializer(IdentifierSerializer):
    """A row of a batch."""

    class Meta(IdentifierSerializer.Meta):
        fields = [name for name in IdentifierSerializer.Meta.fields if name not in ("uid", "created_at", "updated_at")]


class QuestionSerializer(StrictSerializer):
    scheme = StrictCharField(max_length=200, help_text=SCHEME_HELP)
    value = StrictCharField(max_length=200)
    venue = StrictCharField(required=False, allow_blank=True, max_length=200, help_text="Of a ticker; without it: all.")


class QuestionsSerializer(StrictSerializer):
    """Of which day, or of which days: one of `as_of`, and `start` with `end`. Without them: today."""

    identifiers = QuestionSerializer(many=True, allow_empty=False, help_text=f"At most {MOST_RESOLVED:,}.")
    as_of = serializers.DateField(required=False)
    start = serializers.DateField(required=False, help_text="First day, included; with end.")
    end = serializers.DateField(required=False, help_text="Last day, included; with start.")


class IntervalSerializer(serializers.Serializer):
    asset_uid = serializers.UUIDField()
    asset_identifier = serializers.CharField()
    venue = serializers.CharField(allow_blank=True)
    valid_from = serializers.DateField(allow_null=True)
    valid_to = serializers.DateField(allow_null=True, help_text=VALID_TO)
    source = serializers.CharField(allow_blank=True)


class UnknownDaysSerializer(serializers.Serializer):
    first = serializers.DateField()
    last = serializers.DateField(help_text="Included.")


class ResolvedSerializer(serializers.Serializer):
    """What an identifier named, interval by interval; never a guess."""

    scheme = serializers.CharField()
    value = serializers.CharField()
    venue = serializers.CharField(allow_blank=True)
    start = serializers.DateField(help_text="The first day asked for.")
    end = serializers.DateField(help_text="The last one, included.")
    outcome = serializers.ChoiceField(
        choices=[str(item) for item in Outcome],
        help_text="partial: one asset at a time, but none on some of the days; ambiguous: two on one day.",
    )
    asset_identifier = serializers.CharField(allow_null=True, help_text="The one asset of all the days, where found.")
    asset_uid = serializers.UUIDField(allow_null=True)
    intervals = IntervalSerializer(many=True)
    gaps = UnknownDaysSerializer(many=True, help_text="Days asked for on which it named no asset.")


class ResolvedManySerializer(serializers.Serializer):
    results = ResolvedSerializer(many=True, help_text="In the order of the questions.")


class Scanned(filters.Filter):
    may_scan = True  # among a million rows no index serves it alone


class VenueFilter(filters.CharFilter, Scanned):
    pass


class DayFilter(filters.DateFilter, Scanned):
    def filter(self, queryset: QuerySet, value: dt.date | None) -> QuerySet:
        if value is None:
            return queryset
        return queryset.filter(
            Q(valid_from__isnull=True) | Q(valid_from__lte=value), Q(valid_to__isnull=True) | Q(valid_to__gt=value)
        )


class ValueSearch(filters.CharFilter, Scanned):
    def __init__(self) -> None:
        super().__init__(help_text=f"How the value begins, in any case; at most {MOST_MATCHES} are found.")

    def filter(self, queryset: QuerySet, value: str) -> QuerySet:
        if not value:
            return queryset
        found, is_whole = found_identifiers(queryset, value)
        self.parent.request.search_is_cut = not is_whole
        return found


class IdentifierFilters(RegistryFilters):
    asset_uid = Uid(method="filter_asset", help_text="Those of this asset.")
    asset_identifier = filters.CharFilter(method="filter_asset", help_text="Those of this asset.")
    scheme = filters.CharFilter(help_text=SCHEME_HELP)
    value = filters.CharFilter(help_text="As it is stored: upper-case but for vendors' own.")
    value__in = TextIn(field_name="value")
    venue = VenueFilter(help_text="The market identifier code of a ticker.")
    valid_on = DayFilter(help_text=AT)
    search = ValueSearch()
    ordering = Ordering(fields=["value", "scheme"])

    def filter_asset(self, queryset: QuerySet, name: str, value: Any) -> QuerySet:
        # The planner knows how many rows an asset has by its id only.
        column = "uid" if name == "asset_uid" else "unique_identifier"
        return queryset.filter(asset=Asset.objects.filter(**{column: value}).values_list("pk", flat=True).first() or 0)


RESOLVE_PARAMETERS = ("scheme", "value", "venue", "as_of", "start", "end")


@describe_bulk("asset_identifier")
class IdentifierViewSet(BulkUpsertViewSet):
    """Identifiers of assets, each from a day to a day."""

    queryset = AssetIdentifier.objects.select_related("asset").order_by("scheme", "value", "venue", "pk")
    serializer_class = IdentifierSerializer
    bulk_row_serializer = IdentifierRowSerializer
    filterset_class = IdentifierFilters
    row_name = "identifier"
    query_parameters = {"bulk_upsert": ("on_error",)}
    questions = ("resolve_many",)
    action_permissions = {
        "bulk_upsert": ("markets.add_assetidentifier",),
        "resolve": ("markets.view_assetidentifier",),
        "resolve_many": ("markets.view_assetidentifier",),
    }

    def known_parameters(self, action_name: str) -> tuple[str, ...]:
        return RESOLVE_PARAMETERS if action_name == "resolve" else super().known_parameters(action_name)

    def perform_creation(self, values: dict[str, Any]) -> AssetIdentifier:
        named = values.pop("asset", {})
        asset = identifiers.named_asset(uid=named.get("uid"), identifier=named.get("unique_identifier"))
        options = {name: values[name] for name in ("venue", "valid_from", "valid_to", "evidence") if name in values}
        return identifiers.add_identifier(
            asset, values["scheme"], values["value"], source=values.get("source", ""), must_be_new=True, **options
        )

    def perform_change(self, row: AssetIdentifier, values: dict[str, Any]) -> AssetIdentifier:
        return identifier_changes.update_identifier(row, **values)

    def perform_deletion(self, row: AssetIdentifier) -> None:
        identifier_changes.delete_identifier(row)

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        return identifier_batches.bulk_add_identifiers(rows, on_error=on_error)

    @extend_schema(
        parameters=[
            OpenApiParameter("scheme", str, required=True, description=SCHEME_HELP),
            OpenApiParameter("value", str, required=True),
            OpenApiParameter("venue", str, description="Of a ticker, its MIC; without it: all of them."),
            OpenApiParameter("as_of", OpenApiTypes.DATE, description="The day; today, unless start and end are given."),
            OpenApiParameter("start", OpenApiTypes.DATE, description="First day, included; with end."),
            OpenApiParameter("end", OpenApiTypes.DATE, description="Last day, included; with start."),
        ],
        responses=ResolvedSerializer,
    )
    @action(detail=False, methods=["get"], pagination_class=None, filterset_class=None, filter_backends=[])
    def resolve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Which asset the identifier named on a day, or over the days from start to end.

        A value that is not recorded is no error: the outcome is not_found.
        """
        missing = [name for name in ("scheme", "value") if not request.query_params.get(name)]
        if missing:
            raise ValidationError({name: f"{name} is needed." for name in missing}, code="required")
        days = _days(*(parameters.day(request, name) for name in ("as_of", "start", "end")))
        key = identifier_key(*(request.query_params.get(name, "") for name in ("scheme", "value", "venue")))
        return Response(ResolvedSerializer(_shown(resolve_many([key], days)[0])).data)

    @extend_schema(
        operation_id="asset_identifier_resolve_many",
        request=QuestionsSerializer,
        responses={200: ResolvedManySerializer},
    )
    @resolve.mapping.post
    def resolve_many(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The same for up to 10,000 identifiers at once; nothing is written. One wrong question refuses them all."""
        asked = request.data.get("identifiers") if isinstance(request.data, dict) else None
        if isinstance(asked, list) and len(asked) > MOST_RESOLVED:
            raise ValidationError(
                {"identifiers": f"{len(asked):,} identifiers are too many. Send at most {MOST_RESOLVED:,} a request."}
            )
        body = QuestionsSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        said = body.validated_data
        days = _days(said.get("as_of"), said.get("start"), said.get("end"))
        found = resolve_many(_keys(said["identifiers"]), days)
        return Response(ResolvedManySerializer({"results": [_shown(item) for item in found]}).data)


def _days(as_of: dt.date | None, start: dt.date | None, end: dt.date | None) -> Any:
    if as_of is not None and (start is not None or end is not None):
        raise ValidationError({"as_of": "as_of names one day. Leave out start and end, or as_of."})
    if (start is None) != (end is None):
        name = "end" if end is None else "start"
        raise ValidationError({name: f"{name} is missing: start and end go together."}, code="required")
    if start is None or end is None:
        return as_of
    if end < start:
        raise ValidationError({"end": f"end={end} is before start={start}. Swap them."})
    return start, end


def _keys(asked: list[dict[str, str]]) -> list[IdentifierKey]:
    """The keys; every fault is told by the place of its question."""
    keys, faults = [], {}
    for place, item in enumerate(asked):
        try:
            keys.append(identifier_key(item["scheme"], item["value"], item.get("venue", "")))
        except InvalidInput as error:
            faults[str(place)] = {error.field or "value": [ErrorDetail(str(error), code=error.code)]}
    if faults:
        raise ValidationError({"identifiers": faults})
    return keys


def _shown(found: Resolution) -> dict[str, Any]:
    name = found.asset_identifier
    return {
        **asdict(found.key),
        "start": found.first,
        "end": found.last,
        "outcome": found.outcome,
        "asset_identifier": name,
        "asset_uid": None if name is None else found.intervals[0].asset_uid,
        "intervals": found.intervals,
        "gaps": [{"first": first, "last": last} for first, last in found.gaps],
    }
