"""Frames over REST: their parameters, their formats, and the streamed answer."""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request

from markets.rest import parameters
from markets.services.frames_out import CONTENT_TYPES, RESOLUTION, Format, FrameLayout, stream

MOST_ROWS = 100_000_000


class FrameSerializer(serializers.Serializer):
    """A frame as JSON: each row of `data` is a list in the order of `columns`. NaN and null are null."""

    columns = serializers.ListField(child=serializers.CharField(), help_text="Names of the index, then of the values.")
    index = serializers.ListField(child=serializers.CharField(), help_text="Names of the index, time_index first.")
    data = serializers.ListField(child=serializers.ListField(), help_text="Rows; times are ISO 8601 ending in Z.")


FRAME_RESPONSES: Any = {
    (200, "application/json"): FrameSerializer,
    (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, description="A header and a line for each row."),
    (200, "application/vnd.apache.parquet"): OpenApiResponse(OpenApiTypes.BINARY, description="Parquet."),
    (200, "application/vnd.apache.arrow.stream"): OpenApiResponse(OpenApiTypes.BINARY, description="Arrow IPC stream."),
}
FORMAT = OpenApiParameter("format", str, enum=list(CONTENT_TYPES), default="json", description="The frame's format.")
START = OpenApiParameter("start", dt.datetime, description="First time, included; ISO 8601 with a zone.")
END = OpenApiParameter("end", dt.datetime, description="Last time, included; ISO 8601 with a zone.")
AS_OF = OpenApiParameter(
    "as_of", dt.datetime, description="The latest cross-section at this time; not with start, end."
)
COLUMNS = OpenApiParameter("columns", str, description="Value columns to send, comma-separated; all when left out.")
ASSETS = OpenApiParameter(
    "asset_identifier", str, many=True, explode=True, description="Assets to send: repeated, comma-separated or both."
)
LIMIT = OpenApiParameter("limit", int, description="At most so many rows, from the first; all when left out.")
FRAME_PARAMETERS = [FORMAT, START, END, COLUMNS, LIMIT]
FRAME_NAMES = ("format", "start", "end", "columns", "limit")
REPEATABLE = ("asset_identifier", "columns")


class AnyAccept(BaseContentNegotiation):
    """The format comes from `?format=`, so any Accept header will do."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


@dataclass(frozen=True)
class FrameRequest:
    """What a request asks of a frame."""

    format: Format
    start: dt.datetime | None
    end: dt.datetime | None
    columns: list[str] | None
    limit: int | None
    assets: list[str] | None

    @classmethod
    def of(cls, request: Request) -> "FrameRequest":
        """Raises ValidationError naming the parameter that is wrong."""
        start, end = parameters.instant(request, "start"), parameters.instant(request, "end")
        if start is not None and end is not None and start > end:
            raise ValidationError({"end": f"end={end.isoformat()} is before start={start.isoformat()}. Swap them."})
        return cls(
            format=parameters.choice(request, "format", CONTENT_TYPES, "json"),  # type: ignore[arg-type]
            start=start,
            end=end,
            columns=parameters.names(request, "columns"),
            limit=parameters.number(request, "limit", least=1, most=MOST_ROWS),
            assets=parameters.names(request, "asset_identifier"),
        )

    def bounds(self, *, great_or_equal: bool, less_or_equal: bool) -> tuple[dt.datetime | None, dt.datetime | None]:
        """First and last time, both included: an open bound moves by the microsecond that the database counts in."""
        start, end = self.start, self.end
        if start is not None and not great_or_equal:
            start += RESOLUTION
        if end is not None and not less_or_equal:
            end -= RESOLUTION
        return start, end

    def refuse_range_beside_as_of(self) -> None:
        """Raise 400 when a range is asked for, too."""
        if self.start is not None or self.end is not None:
            raise ValidationError({"as_of": "as_of names one cross-section. Leave out start and end, or as_of."})


def frame_response(
    parts: Iterator[pd.DataFrame], layout: FrameLayout, format: Format, *, name: str
) -> StreamingHttpResponse:
    """The streamed document; a browser saves CSV, Parquet and Arrow under `name`."""
    response = StreamingHttpResponse(stream(parts, layout, format), content_type=CONTENT_TYPES[format])
    if format != "json":
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:100]
        response.headers["Content-Disposition"] = f'attachment; filename="{safe}.{format}"'
    response.headers["X-Accel-Buffering"] = "no"
    return response
