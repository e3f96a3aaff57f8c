"""The base of views: rows addressed by uid, guarded by ETag, written through services."""

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

from django.db import OperationalError, connection, models, transaction
from django.db.models import QuerySet
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail, UnsupportedMediaType, ValidationError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from markets.rest.acting import acting
from markets.rest.deletion import DeleteImpactSerializer
from markets.rest.errors import NotFoundResponse, PreconditionFailed
from markets.rest.history import HistoryMixin
from markets.rest.pagination import PRECISION, PRECISIONS
from markets.rest.parameters import parse_uid, refuse_unknown
from markets.rest.parsers import Utf8JSONParser
from markets.rest.schema import MSMAutoSchema
from markets.services import deletion

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The ETag of the row as you read it; 412 when it changed."
)
COUNT_PRECISION = OpenApiParameter(
    PRECISION,
    str,
    OpenApiParameter.HEADER,
    enum=PRECISIONS,
    response=[200],
    description="What `count` is: exact, the planner's estimate, or what a search found before it was cut off.",
)
QUERY_CANCELED = "57014"
LONGEST_SCAN = 5  # seconds: a hundred times what reading a million rows takes, and less than people wait
UID = OpenApiParameter("uid", uuid.UUID, OpenApiParameter.PATH, description="The row's public identity.")


class MSMView(APIView):
    """What views have in common: UTF-8 JSON in, strict query parameters, changes recorded with who made them."""

    parser_classes = [Utf8JSONParser]
    schema = MSMAutoSchema()
    query_parameters: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    repeatable_parameters: ClassVar[tuple[str, ...]] = ()

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        with ExitStack() as self._acting:
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method not in SAFE_METHODS:
            self._acting.enter_context(acting(request))
        charset = (request.content_type or "").lower().partition("charset=")[2].split(";")[0].strip(" \"'")
        if charset not in ("", "utf-8", "utf8", "us-ascii"):
            raise UnsupportedMediaType(charset[:40], detail=f"charset={charset[:40]} is not supported. Send UTF-8.")
        action_name = getattr(self, "action", None) or ""
        if not self.is_filtered_list(action_name):
            refuse_unknown(request, self.known_parameters(action_name), repeatable=self.repeatable_parameters)

    def known_parameters(self, action_name: str) -> tuple[str, ...]:
        return self.query_parameters.get(action_name, ())

    def is_filtered_list(self, action_name: str) -> bool:
        """Whether the action's parameters are checked by its filters instead."""
        return action_name == "list"


class RegistryViewSet(MSMView, mixins.ListModelMixin, GenericViewSet):
    """Lists and shows rows. `lookup` is by uid; a malformed one names nothing, so it is 404."""

    queryset: QuerySet
    filterset_class: Any = None
    lookup_field = "uid"
    lookup_value_regex = "[^/]+"

    def get_object(self) -> Any:
        return self.find(self.get_queryset())

    def find(self, rows: QuerySet) -> Any:
        text = self.kwargs["uid"]
        row = None
        uid = parse_uid(text)
        if uid is not None:
            row = rows.filter(uid=uid).first()
        if row is None:
            raise NotFoundResponse(f"There is no {self.row_name} with the uid {text[:60]!r}.")
        return row

    @extend_schema(parameters=[COUNT_PRECISION])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        filters = getattr(self.filterset_class, "base_filters", {})
        slow = [name for name in request.query_params if getattr(filters.get(name), "may_scan", False)]
        if not slow:
            return super().list(request, *args, **kwargs)
        with within_seconds(LONGEST_SCAN, parameter=slow[0]):
            return super().list(request, *args, **kwargs)

    @extend_schema(parameters=[UID])
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()
        return Response(self.get_serializer(row).data, headers={"ETag": etag(row)})


class WritableViewSet(HistoryMixin, RegistryViewSet):
    """Adds history, POST, PUT, PATCH and DELETE. A subclass says with which services in the three `perform` methods."""

    def perform_creation(self, values: dict[str, Any]) -> models.Model:
        raise NotImplementedError

    def perform_change(self, row: Any, values: dict[str, Any]) -> models.Model:
        raise NotImplementedError

    def perform_deletion(self, row: Any) -> None:
        deletion.delete(row)

    def impact(self, row: Any) -> deletion.DeleteImpact:
        return deletion.delete_impact(row)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():  # the answer is read in it too: afterwards another request may delete the row
            row = self.perform_creation(dict(serializer.validated_data))
            return self.answer(row, status.HTTP_201_CREATED)

    @extend_schema(parameters=[UID, IF_MATCH])
    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self._change(request, partial=False)

    @extend_schema(parameters=[UID, IF_MATCH])
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self._change(request, partial=True)

    def _change(self, request: Request, *, partial: bool) -> Response:
        data = request.data
        with transaction.atomic():
            row = self.locked()
            serializer = self.get_serializer(self.find(self.get_queryset()), data=data, partial=partial)
            serializer.is_valid(raise_exception=True)
            row = self.perform_change(row, dict(serializer.validated_data))
            return self.answer(row, status.HTTP_200_OK)

    @extend_schema(parameters=[UID, IF_MATCH], responses={204: None})
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with transaction.atomic():
            self.perform_deletion(self.locked())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(parameters=[UID], responses=DeleteImpactSerializer)
    @action(detail=True, methods=["get"], url_path="delete-impact", pagination_class=None, filterset_class=None)
    def delete_impact(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What DELETE would take along, and what blocks it. Nothing is deleted."""
        impact = self.impact(self.get_object())
        endpoint = request.build_absolute_uri().partition("delete-impact/")[0]
        return Response(DeleteImpactSerializer(impact, context={"delete_endpoint": endpoint}).data)

    def locked(self) -> Any:
        """The row, locked for the transaction, once If-Match agrees with it."""
        row = self.find(self.queryset.model._default_manager.select_for_update(of=("self",)))
        wanted = self.request.headers.get("If-Match")
        if wanted is not None and wanted.strip() != "*" and etag(row) not in parse_etags(wanted):
            raise PreconditionFailed
        return row

    def answer(self, row: models.Model, code: int) -> Response:
        shown = self.get_queryset().get(pk=row.pk)
        headers = {"ETag": etag(shown)}
        if code == status.HTTP_201_CREATED:
            headers["Location"] = self.reverse_action("detail", args=[shown.uid])
        return Response(self.get_serializer(shown).data, status=code, headers=headers)


@contextmanager
def within_seconds(seconds: float, *, parameter: str) -> Iterator[None]:
    """A transaction whose statements end after so many seconds; then 400 naming the parameter that made them long."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(round(seconds * 1000))])
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != QUERY_CANCELED:
            raise
        remedy = "Filter by an identifier, a type or a category too, or search for the beginning of the word."
        fault = f"{parameter} reads too many rows; it was stopped after {seconds:g} s. {remedy}"
        raise ValidationError({parameter: ErrorDetail(fault, code="too_slow")}) from error


def etag(row: Any) -> str:
    """Names this state of the row: it changes whenever the row does."""
    since = row.updated_at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return f'"{row.uid.hex}-{since // dt.timedelta(microseconds=1):x}"'


def body_etag(body: Any) -> str:
    """Names this state of an answer that shows more than one row."""
    return f'"{hashlib.sha256(json.dumps(body, default=str).encode()).hexdigest()[:32]}"'
