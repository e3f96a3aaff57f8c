"""Paging: by `limit` and `offset` for the first rows, by `cursor` for large walks; counts that never scan."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from markets.rest.parameters import whole_number
from markets.rest.walks import Walk, is_served

PAGING = ("limit", "offset", "cursor")
DEFAULT_PAGE = 50
LARGEST_PAGE = 500
MOST_COUNTED = 10_000  # rows: a millisecond's work; what is more is estimated
FARTHEST_OFFSET = MOST_COUNTED  # PostgreSQL reads every row before it
PRECISION = "Count-Precision"
PRECISIONS = ("exact", "estimate", "at-least")


class Count(NamedTuple):
    """A number of rows and what is known of it: exact, estimate or at-least."""

    number: int
    precision: str


class ListPages(BasePagination):
    """`{count, next, previous, results}`, and `Count-Precision` in the headers.

    `count` is exact to 10,000 rows and the planner's estimate above; of a search that was cut off it is the number of
    what was found. `next` continues with a cursor where offsets end.
    """

    def paginate_queryset(self, queryset: QuerySet[Any], request: Request, view: Any = None) -> list[Any]:
        self.request = request
        parameters = request.query_params
        self.limit = _number(parameters, "limit", DEFAULT_PAGE, 1, LARGEST_PAGE)
        self.offset = _number(parameters, "offset", 0, 0, FARTHEST_OFFSET)
        self.cursor = parameters.get("cursor")
        if self.cursor is not None and "offset" in parameters:
            raise ValidationError({"offset": "A cursor knows where it stands. Leave out offset, or cursor."})
        is_cut = getattr(request, "search_is_cut", None)
        if self.cursor is not None and is_cut is not None:
            raise ValidationError({"cursor": "A search of assets is no walk. Page it by offset, or filter instead."})
        self.walk = self.walk_over(queryset, view)
        self.count = counted(queryset, is_cut=bool(is_cut))
        if self.count.number > MOST_COUNTED and "ordering" in parameters and not self.is_served(queryset):
            raise ValidationError(
                {
                    "ordering": f"ordering={parameters['ordering'][:60]!r} would sort more than {MOST_COUNTED:,} rows. "
                    "Filter the list, or order it by a field that has an index, such as the identifier."
                }
            )
        if self.cursor is not None:
            rows = self.walk.page(self.cursor, self.limit + 1)
            self.has_next = len(rows) > self.limit
        else:
            rows = self.walk.slice(self.offset, self.limit + 1)
            self.has_next = len(rows) > self.limit
        self.page = rows[: self.limit]
        return self.page

    def walk_over(self, rows: QuerySet[Any], view: Any) -> Walk:
        return Walk(rows, rows.model._meta.label)

    def is_served(self, rows: QuerySet[Any]) -> bool:
        """Whether an index gives the order."""
        return is_served(rows)

    def get_paginated_response(self, data: Any) -> Response:
        body = {
            "count": self.count.number,
            "next": self._next(),
            "previous": self._previous(),
            "results": data,
        }
        return Response(body, headers={PRECISION: self.count.precision})

    def _next(self) -> str | None:
        if not self.has_next:
            return None
        if self.cursor is not None:
            return self._link(cursor=self.walk.cursor_of(self.page[-1]))
        if self.offset + self.limit <= FARTHEST_OFFSET:
            return self._link(limit=self.limit, offset=self.offset + self.limit)
        if getattr(self.request, "search_is_cut", None) is not None:
            return None
        return self._link(offset=None, cursor=self.walk.cursor_of(self.page[-1]))

    def _previous(self) -> str | None:
        """A walk goes forward only."""
        if self.cursor is not None or self.offset == 0:
            return None
        before = max(0, self.offset - self.limit)
        return self._link(limit=self.limit, offset=before or None)

    def _link(self, **changes: Any) -> str:
        parameters = {name: self.request.query_params.getlist(name) for name in self.request.query_params}
        for name, value in changes.items():
            parameters.pop(name, None)
            if value is not None:
                parameters[name] = [str(value)]
        return f"{self.request.build_absolute_uri(self.request.path)}?{urlencode(parameters, doseq=True)}"

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "nullable": True, "format": "uri"}
        return {
            "type": "object",
            "required": ["count", "next", "previous", "results"],
            "properties": {
                "count": {
                    "type": "integer",
                    "description": f"Exact to {MOST_COUNTED:,} rows, an estimate above; {PRECISION} tells.",
                    "example": 123,
                },
                "next": {**link, "description": "The next page; by cursor where offsets end."},
                "previous": {**link, "description": "The page before; null in a walk by cursor."},
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: object) -> list[dict]:
        def parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
            return {"name": name, "required": False, "in": "query", "description": description, "schema": schema}

        return [
            parameter(
                "limit",
                f"Rows on a page, 1 to {LARGEST_PAGE}.",
                type="integer",
                minimum=1,
                maximum=LARGEST_PAGE,
                default=DEFAULT_PAGE,
            ),
            parameter(
                "offset",
                f"Rows to leave out before the page, to {FARTHEST_OFFSET:,}; beyond, walk by cursor.",
                type="integer",
                minimum=0,
                maximum=FARTHEST_OFFSET,
                default=0,
            ),
            parameter(
                "cursor",
                "Walks the whole list at the same cost a page: empty to begin, then as `next` gives it. Rows that "
                "exist throughout the walk come once each, whatever is added meanwhile.",
                type="string",
            ),
        ]


def counted(rows: QuerySet[Any], *, is_cut: bool = False) -> Count:
    """How many rows there are, without reading more than `MOST_COUNTED` of them."""
    plain = rows.order_by().values("pk")
    number = plain[: MOST_COUNTED + 1].count()
    if number <= MOST_COUNTED:
        return Count(number, "at-least" if is_cut else "exact")
    (plan,) = json.loads(plain.explain(format="json"))
    return Count(max(number, int(plan["Plan"]["Plan Rows"])), "estimate")


def _number(parameters: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    if name not in parameters:
        return default
    text = parameters[name]
    number = whole_number(text, least, most)
    if number is None:
        remedy = (
            " Walk further with cursor: begin with an empty one, ?cursor=, and follow `next`."
            if name == "offset" and whole_number(text, most, 10**18) is not None
            else ""
        )
        raise ValidationError(
            {name: f"{name}={text[:40]!r} must be a whole number from {least} to {most}.{remedy}"}, code="invalid"
        )
    return number
