"""REST of the review inbox: identifiers whose candidates leave a choice, decided one by one or by a rule."""

from typing import Any, ClassVar

import django_filters as filters
from django.db.models import F, Func, IntegerField, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from markets.engine.identifier_schemes import SCHEMES
from markets.models import ItemStatus, Resolution, ResolutionItem
from markets.rest import parameters
from markets.rest.base import RegistryViewSet
from markets.rest.errors import NotFoundResponse
from markets.rest.filters import Flag, Ordering, SearchFilter, Uid
from markets.rest.resolutions import VIEW_ITEM, ItemDetailSerializer
from markets.rest.serializers import StrictBooleanField, StrictCharField, StrictSerializer
from markets.services import resolutions
from markets.services.values import LARGEST_ID

DECIDE = "markets.decide_resolutions"
ID = OpenApiParameter("id", int, OpenApiParameter.PATH, description="The item's.")


class ReviewSerializer(serializers.ModelSerializer):
    resolution_uid = serializers.UUIDField(source="resolution.uid", read_only=True)
    title = serializers.CharField(source="resolution.title", read_only=True, help_text="Of the list.")
    source = serializers.CharField(source="resolution.source", read_only=True)
    num_candidates = serializers.IntegerField(read_only=True, help_text="Rows of OpenFIGI's answer.")

    class Meta:
        model = ResolutionItem
        fields = [
            *("id", "resolution_uid", "title", "source", "line", "text", "scheme", "value", "venue", "message"),
            *("num_candidates", "is_postponed"),
        ]
        read_only_fields = fields


class ReviewDetailSerializer(ItemDetailSerializer):
    resolution_uid = serializers.UUIDField(source="resolution.uid", read_only=True)
    source = serializers.CharField(source="resolution.source", read_only=True)
    suggested_figi = serializers.SerializerMethodField(
        help_text="What the home markets of the source choose as they are now; null where a person has to."
    )

    class Meta(ItemDetailSerializer.Meta):
        fields = [*ItemDetailSerializer.Meta.fields, "resolution_uid", "source", "suggested_figi"]
        read_only_fields = fields

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_suggested_figi(self, item: ResolutionItem) -> str | None:
        codes = resolutions.home_markets(item.resolution.source)
        return resolutions.plain_choice(resolutions.candidates_of(item), codes).figi


class ReasonSerializer(StrictSerializer):
    reason = StrictCharField(
        required=False, allow_blank=True, max_length=resolutions.LONGEST_REASON, help_text="Remembered with it."
    )


class AcceptSerializer(ReasonSerializer):
    figi = StrictCharField(max_length=12, help_text="Of one of the candidates.")


class PostponeSerializer(StrictSerializer):
    """No field: an empty object, or no body."""


class RuleSerializer(ReasonSerializer):
    """Which items, and the home markets whose composite is accepted."""

    exchange_codes = serializers.ListField(
        child=StrictCharField(max_length=8),
        min_length=1,
        max_length=50,
        help_text="OpenFIGI's codes in the order in which they are preferred, such as US, GR.",
    )
    resolution_uid = serializers.UUIDField(required=False, help_text="Items of this list only.")
    source = StrictCharField(required=False, allow_blank=True, max_length=64)
    scheme = serializers.ChoiceField(required=False, choices=sorted(SCHEMES))
    search = StrictCharField(required=False, max_length=200, help_text="Items whose line holds this text only.")
    dry_run = StrictBooleanField(required=False, help_text="Tell how many it would decide, and decide nothing.")


class DecidedByRuleSerializer(serializers.Serializer):
    dry_run = serializers.BooleanField()
    accepted = serializers.IntegerField(help_text="Registered and remembered; with dry_run: would be.")
    left = serializers.IntegerField(help_text="Still waiting for a person.")


class ReviewFilters(filters.FilterSet):
    resolution_uid = Uid(field_name="resolution__uid")
    source = filters.CharFilter(field_name="resolution__source", help_text="Exact and case-sensitive.")
    scheme = filters.ChoiceFilter(choices=[(name, name) for name in sorted(SCHEMES)])
    is_postponed = Flag()
    search = SearchFilter("text")
    ordering = Ordering(fields=["id"])


class JsonLength(Func):
    function = "jsonb_array_length"
    output_field = IntegerField()


class ReviewViewSet(RegistryViewSet):
    """What waits for a person, what was put off last. Never is the first candidate taken unchecked."""

    queryset = ResolutionItem.objects.filter(status=ItemStatus.REVIEW).order_by("is_postponed", "id")
    serializer_class = ReviewSerializer
    filterset_class = ReviewFilters
    lookup_field = "id"
    row_name = "waiting identifier"
    action_permissions: ClassVar = dict.fromkeys(
        ("accept", "decline", "postpone", "decide", "reopen"), (VIEW_ITEM, DECIDE)
    )

    def get_queryset(self) -> QuerySet[ResolutionItem]:
        rows = super().get_queryset()
        if self.action != "list":
            return rows.select_related("resolution", "answer", "asset", "decided_by")
        return rows.select_related("resolution").annotate(num_candidates=JsonLength(F("answer__rows")))

    def find(self, rows: QuerySet[ResolutionItem]) -> ResolutionItem:
        number = parameters.whole_number(self.kwargs["id"], 1, LARGEST_ID)
        found = None if number is None else rows.filter(pk=number).first()
        if found is None:
            raise NotFoundResponse(f"No identifier {self.kwargs['id'][:20]!r} waits in the inbox.")
        return found

    @extend_schema(parameters=[ID], responses=ReviewDetailSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """An identifier that waits, with its candidates."""
        return Response(ReviewDetailSerializer(self.get_object()).data)

    @extend_schema(parameters=[ID], request=AcceptSerializer, responses=ItemDetailSerializer)
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    def accept(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One of the candidates is the one: it is registered, and remembered for lists of the same source."""
        values = self._body(AcceptSerializer)
        return self._answer(resolutions.accept(self._any(), user=request.user, **values))  # type: ignore[arg-type]

    @extend_schema(parameters=[ID], request=ReasonSerializer, responses=ItemDetailSerializer)
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    def decline(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """None of the candidates is the one: nothing is registered, and it is remembered."""
        values = self._body(ReasonSerializer)
        return self._answer(resolutions.decline(self._any(), user=request.user, **values))  # type: ignore[arg-type]

    @extend_schema(parameters=[ID], request=PostponeSerializer, responses=ItemDetailSerializer)
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    def postpone(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Put it at the end of the inbox."""
        self._body(PostponeSerializer)
        return self._answer(resolutions.postpone(self._any()))

    @extend_schema(parameters=[ID], request=PostponeSerializer, responses=ItemDetailSerializer)
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    def reopen(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Put a declined identifier back into the inbox, and forget the decision."""
        self._body(PostponeSerializer)
        return self._answer(resolutions.reopen(self._any()))

    @extend_schema(request=RuleSerializer, responses=DecidedByRuleSerializer)
    @action(detail=False, methods=["post"], pagination_class=None, filterset_class=None)
    def decide(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Accept the composite of the first of the home markets wherever that is plain; leave the others.

        At most 10,000 items at once; `dry_run` tells the numbers beforehand.
        """
        values = self._body(RuleSerializer)
        codes, reason = values.pop("exchange_codes"), values.pop("reason", "")
        is_dry = values.pop("dry_run", False)
        if "resolution_uid" in values:
            values["resolution"] = _resolution(values.pop("resolution_uid"))
        items = resolutions.inbox(**values)
        done = (
            resolutions.preview_rule(items, codes)
            if is_dry
            else resolutions.decide_by_rule(items, codes, user=request.user, reason=reason)  # type: ignore[arg-type]
        )
        return Response({"dry_run": is_dry, "accepted": done.accepted, "left": done.left})

    def _any(self) -> ResolutionItem:
        """The item also when it waits no longer: the service says what became of it."""
        return self.find(ResolutionItem.objects.all())

    def _body(self, serializer_class: Any) -> dict[str, Any]:
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def _answer(self, item: ResolutionItem) -> Response:
        rows = ResolutionItem.objects.select_related("asset", "answer", "decided_by")
        return Response(ItemDetailSerializer(rows.get(pk=item.pk)).data)


def _resolution(uid: Any) -> Resolution:
    found = Resolution.objects.filter(uid=uid).first()
    if found is None:
        raise ValidationError({"resolution_uid": f"There is no resolution with the uid {uid}."})
    return found
