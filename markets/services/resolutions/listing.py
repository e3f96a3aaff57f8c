"""What became of a list, item by item: filtered, and as a table for spreadsheets and programs."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from markets.models import HomeMarketPolicy, ItemStatus, Resolution, ResolutionItem
from markets.services.exports import csv_stream

COLUMNS = ("line", "identifier", "scheme", "value", "venue", "outcome", "asset", "figi", "message")
MOST_WAITING_COUNTED = 1_000
LATEST_LISTS = 200  # whose sources are offered to whoever gives another


def items_of(
    resolution: Resolution, *, status: str = "", scheme: str = "", search: str = ""
) -> QuerySet[ResolutionItem]:
    """The items in the order of their lines; `search` is a text that occurs in the line, the FIGI or the asset."""
    items = ResolutionItem.objects.filter(resolution=resolution).select_related("asset")
    if status:
        items = items.filter(status=status)
    if scheme:
        items = items.filter(scheme=scheme)
    if search:
        items = items.filter(text__icontains=search) | items.filter(figi=search.upper())
    return items.order_by("line")


def outcome_file(resolution: Resolution, **filters: str) -> Iterator[bytes]:
    """The table of outcomes as CSV, read from a cursor of the database: memory does not grow with the list."""
    return csv_stream(COLUMNS, _rows(items_of(resolution, **filters)))


def _rows(items: QuerySet[ResolutionItem]) -> Iterator[tuple[Any, ...]]:
    with transaction.atomic():
        names = ("line", "text", "scheme", "value", "venue", "status", "asset__unique_identifier", "figi", "message")
        yield from items.values_list(*names).iterator(chunk_size=2_000)


def can_resume(resolution: Resolution) -> bool:
    """Whether there is something to ask for, and no job that does it."""
    if resolution.job is not None and not resolution.job.is_finished:
        return False
    open_items = ResolutionItem.objects.filter(resolution=resolution)
    return open_items.filter(status__in=(ItemStatus.PENDING, ItemStatus.FAILED)).exists()


def known_sources() -> Sequence[str]:
    """The sources that have home markets, and those of the latest lists."""
    latest = Resolution.objects.exclude(source="").order_by("-id").values_list("source", flat=True)[:LATEST_LISTS]
    return sorted({*HomeMarketPolicy.objects.values_list("source", flat=True), *latest})


def number_waiting() -> int:
    """How many identifiers wait for a decision, counted to 1,000."""
    waiting = ResolutionItem.objects.filter(status=ItemStatus.REVIEW).order_by()
    return waiting.values("pk")[:MOST_WAITING_COUNTED].count()
