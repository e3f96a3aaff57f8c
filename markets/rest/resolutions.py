"""REST of resolutions: give a list of identifiers, watch it, read what became of each, with the evidence."""

from typing import Any, ClassVar

import django_filters as filters
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from markets.engine.identifier_schemes import SCHEMES
from markets.models import FigiAnswer, ItemStatus, Resolution, ResolutionItem
from markets.openfigi.answers import FigiRow
from markets.rest import parameters
from markets.rest.base import COUNT_PRECISION, LONGEST_SCAN, UID, MSMView, RegistryViewSet, etag, within_seconds
from markets.rest.errors import NotFoundResponse
from markets.rest.filters import Ordering, RegistryFilters, SearchFilter
from markets.rest.jobs import JobSerializer
from markets.rest.pagination import PAGING
from markets.rest.serializers import StrictCharField, StrictSerializer
from markets.services import resolutions

VIEW = "markets.view_resolution"
VIEW_ITEM = "markets.view_resolutionitem"
RESOLVE = "markets.resolve_identifiers"
MOST_IDENTIFIERS = 10_000  # a request
LONGEST_TEXT = 2**21
STATUS = OpenApiParameter("status", str, enum=ItemStatus.values, description="Items with this outcome only.")
SCHEME = OpenApiParameter("scheme", str, enum=sorted(SCHEMES), description="Items of this scheme only.")
SEARCH = OpenApiParameter("search", str, description="Text that occurs, in any case, in the line; or a whole FIGI.")
LINE = OpenApiParameter("line", int, OpenApiParameter.PATH, description="Where the identifier stands in the list.")


class ResolutionSerializer(serializers.ModelSerializer):
    requested_by = serializers.CharField(source="requested_by.username", read_only=True, allow_null=True, default=None)
    job = JobSerializer(read_only=True, allow_null=True, help_text="The latest, with its progress.")
    exchange_codes = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="The home markets when the list was given."
    )

    class Meta:
        model = Resolution
        fields = [
            *("uid", "title", "source", "exchange_codes", "lines", "repeated", "requests_sent", "requested_by", "job"),
            *("created_at", "updated_at"),
        ]
        read_only_fields = fields


class ResolutionDetailSerializer(ResolutionSerializer):
    counts = serializers.SerializerMethodField(help_text="How many identifiers ended how, by outcome.")

    class Meta(ResolutionSerializer.Meta):
        fields = [*ResolutionSerializer.Meta.fields, "counts"]
        read_only_fields = fields

    @extend_schema_field(serializers.DictField(child=serializers.IntegerField()))
    def get_counts(self, resolution: Resolution) -> dict[str, int]:
        return resolutions.outcome_counts(resolution)


class ItemSerializer(serializers.ModelSerializer):
    status = serializers.ChoiceField(choices=ItemStatus.choices, read_only=True)
    asset_uid = serializers.UUIDField(source="asset.uid", read_only=True, allow_null=True, default=None)
    asset_identifier = serializers.CharField(
        source="asset.unique_identifier", read_only=True, allow_null=True, default=None
    )

    class Meta:
        model = ResolutionItem
        fields = [
            *("id", "line", "text", "scheme", "value", "venue", "status", "asset_uid", "asset_identifier", "figi"),
            *("message", "tries", "is_postponed", "decided_at"),
        ]
        read_only_fields = fields


class CandidateSerializer(serializers.Serializer):
    """A row of OpenFIGI; those of one `share_class` and `composite` belong together."""

    figi = serializers.CharField()
    composite = serializers.CharField(allow_null=True)
    share_class = serializers.CharField(allow_null=True)
    ticker = serializers.CharField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    exchange_code = serializers.CharField(allow_null=True)
    security_type = serializers.CharField(allow_null=True)
    security_type_2 = serializers.CharField(allow_null=True)
    security_market_sector = serializers.CharField(allow_null=True)
    is_acceptable = serializers.SerializerMethodField(help_text="False for an index, which is no asset.")

    @extend_schema_field(serializers.BooleanField())
    def get_is_acceptable(self, row: FigiRow) -> bool:
        return resolutions.is_acceptable(row)


class EvidenceSerializer(serializers.ModelSerializer):
    """What OpenFIGI was asked and what it answered."""

    job = serializers.JSONField(read_only=True, help_text="The mapping job as it was sent.")

    class Meta:
        model = FigiAnswer
        fields = ["job", "outcome", "message", "asked_at", "expires_at"]
        read_only_fields = fields


class ItemDetailSerializer(ItemSerializer):
    decided_by = serializers.CharField(source="decided_by.username", read_only=True, allow_null=True, default=None)
    answer = EvidenceSerializer(read_only=True, allow_null=True, help_text="Null when OpenFIGI was not asked.")
    candidates = serializers.SerializerMethodField()

    class Meta(ItemSerializer.Meta):
        fields = [*ItemSerializer.Meta.fields, "decided_by", "answer", "candidates"]
        read_only_fields = fields

    @extend_schema_field(CandidateSerializer(many=True))
    def get_candidates(self, item: ResolutionItem) -> list[dict[str, Any]]:
        return CandidateSerializer(resolutions.candidates_of(item), many=True).data


class ResolveSerializer(StrictSerializer):
    identifiers = serializers.ListField(
        child=StrictCharField(max_length=1_000, allow_blank=True),
        required=False,
        min_length=1,
        max_length=MOST_IDENTIFIERS,
        help_text=f"1 to {MOST_IDENTIFIERS:,}: FIGI, ISIN, CUSIP, SEDOL, ticker, TICKER@MIC or scheme:value.",
    )
    text = StrictCharField(
        required=False, max_length=LONGEST_TEXT, help_text="Instead of `identifiers`: one a line, # before a comment."
    )
    source = StrictCharField(
        required=False, allow_blank=True, max_length=64, help_text="Whose list it is: names the home markets to prefer."
    )
    title = StrictCharField(required=False, allow_blank=True, max_length=255)


class NothingSerializer(StrictSerializer):
    """No field: an empty object, or no body."""


class ResolutionFilters(RegistryFilters):
    source = filters.CharFilter(help_text="Exact and case-sensitive.")
    job_status = filters.ChoiceFilter(
        field_name="job__status", choices=[(name, name) for name in ("queued", "running", "succeeded", "failed")]
    )
    search = SearchFilter("title")
    ordering = Ordering(fields=["created_at"])


class ResolveViewSet(MSMView, GenericViewSet):
    """`POST openfigi/resolve/`."""

    queryset = Resolution.objects.all()
    serializer_class = ResolveSerializer
    action_permissions: ClassVar = {"create": (RESOLVE,)}

    @extend_schema(request=ResolveSerializer, responses={202: ResolutionSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Give a list of identifiers. A worker resolves it; `Location` is where to watch it.

        What is known is not asked for; what leaves a choice waits in `openfigi/review/`.
        """
        serializer = ResolveSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = dict(serializer.validated_data)
        lines = _lines(values.pop("identifiers", None), values.pop("text", None))
        done = resolutions.submit_resolution(lines, user=request.user, most=MOST_IDENTIFIERS, **values)  # type: ignore[arg-type]
        return submitted_answer(self, done, status.HTTP_202_ACCEPTED)


class ResolutionViewSet(RegistryViewSet):
    """Lists that were given. They are made by `openfigi/resolve/`."""

    queryset = Resolution.objects.select_related("requested_by", "job__requested_by")
    serializer_class = ResolutionSerializer
    filterset_class = ResolutionFilters
    row_name = "resolution"
    action_permissions: ClassVar = {"items": (VIEW, VIEW_ITEM), "item": (VIEW, VIEW_ITEM), "resume": (VIEW, RESOLVE)}
    query_parameters: ClassVar = {"items": (*PAGING, "status", "scheme", "search")}

    @extend_schema(parameters=[UID], responses=ResolutionDetailSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A list, how far its job has come, and how many of its identifiers ended how."""
        row = self.get_object()
        return Response(ResolutionDetailSerializer(row).data, headers={"ETag": etag(row)})

    @extend_schema(parameters=[UID, STATUS, SCHEME, SEARCH, COUNT_PRECISION], responses=ItemSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None)
    def items(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What became of each identifier, in the order of the lines."""
        row = self.get_object()
        chosen = {
            "status": _chosen(request, "status", ItemStatus.values),
            "scheme": _chosen(request, "scheme", sorted(SCHEMES)),
            "search": search_of(request),
        }
        rows = resolutions.items_of(row, **chosen)
        if not chosen["search"]:
            return self._page(rows)
        with within_seconds(LONGEST_SCAN, parameter="search"):
            return self._page(rows)

    @extend_schema(parameters=[UID, LINE], responses=ItemDetailSerializer)
    @action(
        detail=True,
        methods=["get"],
        url_path="items/(?P<line>[^/]+)",
        pagination_class=None,
        filterset_class=None,
    )
    def item(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One identifier with its evidence: what was asked, when, and the candidates."""
        row = self.get_object()
        line = parameters.whole_number(kwargs["line"], 0, 2**31 - 1)
        rows = ResolutionItem.objects.filter(resolution=row, line=line).select_related("asset", "answer", "decided_by")
        found = None if line is None else rows.first()
        if found is None:
            raise NotFoundResponse(f"The list has no identifier in line {kwargs['line'][:20]!r}.")
        return Response(ItemDetailSerializer(found).data)

    @extend_schema(parameters=[UID], request=NothingSerializer, responses={202: ResolutionSerializer})
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    def resume(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Ask a worker for what has no outcome yet, and again for what failed. 409 when there is nothing of either."""
        NothingSerializer(data=request.data).is_valid(raise_exception=True)
        row = self.get_object()
        job = resolutions.resume_resolution(row, user=request.user)  # type: ignore[arg-type]
        return submitted_answer(self, resolutions.Submitted(row, job), status.HTTP_202_ACCEPTED)

    def _page(self, rows: Any) -> Response:
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(ItemSerializer(page, many=True).data)


def submitted_answer(view: Any, submitted: resolutions.Submitted, code: int) -> Response:
    """The resolution as it is stored now, and where to watch it."""
    rows = Resolution.objects.select_related("requested_by", "job__requested_by")
    shown = rows.get(pk=submitted.resolution.pk)
    url = view.request.build_absolute_uri(reverse("openfigi-resolution-detail", args=[shown.uid]))
    return Response(ResolutionSerializer(shown).data, status=code, headers={"Location": url})


def search_of(request: Request) -> str:
    """The text of `search`, empty when it is not given."""
    text = request.query_params.get("search", "")
    if "\x00" in text:
        raise ValidationError({"search": "search holds a NUL character. Leave it out."})
    return text.strip()


def _chosen(request: Request, name: str, choices: Any) -> str:
    if name not in request.query_params:
        return ""
    return parameters.choice(request, name, choices, "")


def _lines(identifiers: list[str] | None, text: str | None) -> list[str]:
    if (identifiers is None) == (text is None):
        fault = ErrorDetail("Give identifiers, or text with one a line; one of them.", code="required")
        raise ValidationError({"identifiers": [fault]})
    return identifiers if identifiers is not None else (text or "").splitlines()
