"""Tables and facts of the back-office's pages, drawn by `admin/msm/table.html` and `admin/msm/facts.html`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest


@dataclass(frozen=True)
class Column:
    """A heading; `numeric` ones are aligned right, others whose title ends in (UTC) hold times on one line.

    `sort` is the value of the sort parameter that orders by it.
    """

    title: str
    numeric: bool = False
    sort: str = ""

    @property
    def css_class(self) -> str:
        return "msm-num" if self.numeric else "msm-time" if self.title.endswith("(UTC)") else ""


@dataclass
class Table:
    """Rows of cells under columns; `empty` says what to do when there is no row."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]] = field(default_factory=list)
    empty: Any = "Nothing yet."
    footer: Any = ""
    pages: "Pages | None" = None
    label: str = ""

    @property
    def cells(self) -> list[list[tuple[Column, Any]]]:
        return [list(zip(self.columns, row, strict=True)) for row in self.rows]

    @property
    def headings(self) -> list[dict[str, Any]]:
        return [
            {
                "column": column,
                "url": self.pages.sort_url(column.sort) if self.pages and column.sort else "",
                "direction": self.pages.direction(column.sort) if self.pages and column.sort else "",
            }
            for column in self.columns
        ]


@dataclass(frozen=True)
class Fact:
    """A name and its value in a list of facts; `wide` ones take the whole width."""

    name: str
    value: Any
    wide: bool = False


class Pages:
    """One page of a sorted query, told by the parameters `<prefix>_page` and `<prefix>_sort` of the request.

    It never counts: it asks for one row more than it shows.
    """

    def __init__(
        self,
        request: HttpRequest,
        rows: QuerySet,
        *,
        prefix: str,
        sorts: dict[str, str],
        size: int = 25,
        then: str = "pk",
    ) -> None:
        self.prefix = prefix
        self.parameters = request.GET.dict()
        wanted = self.parameters.get(f"{prefix}_sort", "")
        self.sort = wanted if wanted.removeprefix("-") in sorts else next(iter(sorts))
        descending = self.sort.startswith("-")
        field_name = sorts[self.sort.removeprefix("-")]
        page = self.parameters.get(f"{prefix}_page", "1")
        self.number = min(int(page), 100_000) if page.isascii() and page.isdigit() and int(page) > 0 else 1
        start = (self.number - 1) * size
        found = list(
            rows.order_by(f"-{field_name}" if descending else field_name, then, "pk")[start : start + size + 1]
        )
        self.items = found[:size]
        self.first = start + 1
        self.last = start + len(self.items)
        self.previous_url = self._url(page=self.number - 1) if self.number > 1 else ""
        self.next_url = self._url(page=self.number + 1) if len(found) > size else ""

    @property
    def needed(self) -> bool:
        return bool(self.previous_url or self.next_url)

    def direction(self, sort: str) -> str:
        """'ascending', 'descending' or nothing, as aria-sort wants it."""
        if self.sort.removeprefix("-") != sort:
            return ""
        return "descending" if self.sort.startswith("-") else "ascending"

    def sort_url(self, sort: str) -> str:
        return self._url(sort=f"-{sort}" if self.sort == sort else sort)

    def _url(self, *, page: int = 1, sort: str | None = None) -> str:
        values = {**self.parameters, f"{self.prefix}_page": str(page), f"{self.prefix}_sort": sort or self.sort}
        return f"?{urlencode(values)}#{self.prefix}"
