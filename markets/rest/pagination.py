"""Paging by `limit` and `offset`, which refuse what they do not understand."""

from collections.abc import Mapping

from rest_framework.exceptions import ValidationError
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request

from markets.rest.parameters import whole_number

LARGEST_PAGE = 500
FARTHEST_OFFSET = 10_000_000  # PostgreSQL walks every row before it


class LimitOffset(LimitOffsetPagination):
    default_limit = 50
    max_limit = LARGEST_PAGE
    limit_query_description = f"Rows on a page, 1 to {LARGEST_PAGE}."
    offset_query_description = "Rows to leave out before the page."

    def get_limit(self, request: Request) -> int:
        return _number(request.query_params, "limit", self.default_limit, 1, LARGEST_PAGE)

    def get_offset(self, request: Request) -> int:
        return _number(request.query_params, "offset", 0, 0, FARTHEST_OFFSET)

    def get_schema_operation_parameters(self, view: object) -> list[dict]:
        parameters = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == "limit":
                parameter["schema"] |= {"minimum": 1, "maximum": LARGEST_PAGE, "default": self.default_limit}
            else:
                parameter["schema"] |= {"minimum": 0, "maximum": FARTHEST_OFFSET, "default": 0}
        return parameters


def _number(parameters: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    if name not in parameters:
        return default
    number = whole_number(parameters[name], least, most)
    if number is None:
        raise ValidationError(
            {name: f"{name}={parameters[name][:40]!r} must be a whole number from {least} to {most}."}
        )
    return number
