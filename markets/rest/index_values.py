"""REST of index values: read as a frame, added, changed and deleted under their index."""

from typing import Any

import pandas as pd
from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from markets.engine.index_values import OPTIONAL
from markets.rest import parameters
from markets.rest.base import UID
from markets.rest.fields import AwareDateTimeField, StrictFloatField
from markets.rest.frames import END, FORMAT, FRAME_RESPONSES, START, AnyAccept, FrameRequest, frame_response
from markets.rest.serializers import MetadataField, StrictCharField, StrictSerializer
from markets.services import index_values
from markets.services.frames_out import FrameLayout
from markets.services.index_values import DEFAULT_LIMIT, MOST_ROWS, ORDERS, READ_INDEX

MOST_SENT = 10_000  # rows in one request: about a second of checking
LAYOUT = FrameLayout(READ_INDEX, {"value": "float64", **OPTIONAL})
CADENCE = OpenApiParameter("cadence", str, description="1d, 15m, 1mo …; every cadence when left out.")
ORDER = OpenApiParameter("order", str, enum=list(ORDERS), default="desc", description="By time.")
LIMIT = OpenApiParameter("limit", int, default=DEFAULT_LIMIT, description=f"Rows, from 1 to {MOST_ROWS:,}.")


class ValueSerializer(StrictSerializer):
    time_index = AwareDateTimeField()
    value = StrictFloatField(help_text="Finite, unscaled.")
    observation_status = StrictCharField(max_length=32, required=False, allow_null=True)
    source_as_of = AwareDateTimeField(required=False, allow_null=True)
    metadata_json = MetadataField()


class ValuesSerializer(StrictSerializer):
    cadence = StrictCharField(max_length=60, help_text="1d, 15m, 1mo …")
    values = ValueSerializer(many=True, allow_empty=False, help_text=f"At most {MOST_SENT:,} rows; all or nothing.")


class WrittenSerializer(serializers.Serializer):
    inserted = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()


class DeletedSerializer(serializers.Serializer):
    deleted = serializers.IntegerField()


class IndexValueActions:
    """Adds `values/` to the routes of an index."""

    query_parameters = {
        "read_values": ("format", "cadence", "start", "end", "order", "limit"),
        "delete_values": ("cadence", "start", "end"),
    }
    action_permissions = {
        "read_values": ("markets.view_index", "markets.view_indexvalue"),
        "append_values": ("markets.view_index", "markets.add_indexvalue"),
        "upsert_values": ("markets.view_index", "markets.add_indexvalue", "markets.change_indexvalue"),
        "delete_values": ("markets.view_index", "markets.delete_indexvalue"),
    }

    @extend_schema(parameters=[UID, FORMAT, CADENCE, START, END, ORDER, LIMIT], responses=FRAME_RESPONSES)
    @action(
        detail=True,
        methods=["get"],
        url_path="values",
        url_name="values",
        pagination_class=None,
        filterset_class=None,
        content_negotiation_class=AnyAccept,
    )
    def read_values(self, request: Request, *args: Any, **kwargs: Any) -> StreamingHttpResponse:
        """The values, the latest first; `metadata_json` as text."""
        index = self.get_object()  # type: ignore[attr-defined]
        wanted = FrameRequest.of(request)
        if wanted.limit is not None and wanted.limit > MOST_ROWS:
            raise ValidationError({"limit": f"limit={wanted.limit} must be a whole number from 1 to {MOST_ROWS}."})
        frame = index_values.read_index_values(
            index,
            cadence=request.query_params.get("cadence"),
            start=wanted.start,
            end=wanted.end,
            order=parameters.choice(request, "order", ORDERS, "desc"),  # type: ignore[arg-type]
            limit=wanted.limit or DEFAULT_LIMIT,
        )
        part = index_values.with_text(frame)
        return frame_response(iter([part]), LAYOUT, wanted.format, name=f"{index.unique_identifier}_values")

    @extend_schema(parameters=[UID], request=ValuesSerializer, responses={201: WrittenSerializer})
    @read_values.mapping.post
    def append_values(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Add values; a time that is stored already refuses them all."""
        return self._write(request, "append", 201)

    @extend_schema(parameters=[UID], request=ValuesSerializer, responses=WrittenSerializer)
    @read_values.mapping.put
    def upsert_values(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Add values or change those that are stored; a field that no row has keeps what is stored."""
        return self._write(request, "upsert", 200)

    @extend_schema(parameters=[UID, CADENCE, START, END], request=None, responses={200: DeletedSerializer})
    @read_values.mapping.delete
    def delete_values(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete the values of one cadence from `start` to `end`, both included."""
        index = self.get_object()  # type: ignore[attr-defined]
        deleted = index_values.delete_index_values(
            index,
            cadence=request.query_params.get("cadence", ""),
            start=parameters.instant(request, "start"),
            end=parameters.instant(request, "end"),
        )
        return Response({"deleted": deleted})

    def _write(self, request: Request, mode: index_values.Mode, code: int) -> Response:
        index = self.get_object()  # type: ignore[attr-defined]
        sent = request.data.get("values") if isinstance(request.data, dict) else None
        if isinstance(sent, list) and len(sent) > MOST_SENT:
            raise ValidationError({"values": f"{len(sent):,} rows; send at most {MOST_SENT:,} in one request."})
        serializer = ValuesSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        frame = _frame(serializer.validated_data["values"], index.unique_identifier)
        written = index_values.write_index_values(frame, cadence=serializer.validated_data["cadence"], mode=mode)
        return Response(WrittenSerializer(written).data, status=code)


def _frame(rows: list[dict[str, Any]], identifier: str) -> pd.DataFrame:
    names = [name for name in ("time_index", "value", *OPTIONAL) if any(name in row for row in rows)]
    frame = pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names})
    for name in {"time_index", "source_as_of"} & set(names):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame.assign(value=frame["value"].astype("float64"), index_identifier=identifier)
