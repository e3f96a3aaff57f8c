"""What a backfill may be asked for: a range, assets, and whether only what failed or is missing."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from markets.data_nodes.reads import aware
from markets.engine.text import storable_text
from markets.exceptions import InvalidInput, UnknownIdentifiers, clipped
from markets.models import Asset

MOST_ASSETS = 100_000  # names in one request: more than any market lists; all of a node's need no names
EARLIEST, LATEST = dt.datetime(1678, 1, 1, tzinfo=dt.UTC), dt.datetime(2260, 12, 31, tzinfo=dt.UTC)  # of a time_index
LONGEST_TIME = 40  # characters of an instant in ISO 8601, with room
LAST_MICROSECOND = dt.time(23, 59, 59, 999_999, tzinfo=dt.UTC)


@dataclass(frozen=True)
class BackfillRequest:
    """From `start` to `end`, both included, in UTC; `assets` sorted, None for all; `calendar` may be empty."""

    start: dt.datetime
    end: dt.datetime
    assets: tuple[str, ...] | None = None
    failed_only: bool = False
    update_tree: bool = False
    calendar: str = ""


def clean_request(
    start: object,
    end: object,
    *,
    assets: Iterable[object] | None = None,
    failed_only: bool = False,
    update_tree: bool = False,
    calendar: str | None = None,
) -> BackfillRequest:
    """The request with a date read as its whole UTC day, instants in UTC, and assets that exist, each once.

    Raises InvalidInput for a naive time, a value that is none, a start after the end and more than MOST_ASSETS names;
    UnknownIdentifiers for assets that there are not.
    """
    first, last = clean_bound(start, "start"), clean_bound(end, "end")
    if first > last:
        raise InvalidInput(
            f"start={first.isoformat()} is after end={last.isoformat()}. Give the earlier one as start.", field="start"
        )
    names = None if assets is None else clean_assets(assets)
    return BackfillRequest(first, last, names, bool(failed_only), bool(update_tree), storable_text(calendar or ""))


def clean_bound(value: object, name: str) -> dt.datetime:
    """An aware instant in UTC. A date, or its text, is its first instant as a start and its last one as an end."""
    if isinstance(value, str):
        value = value.strip()
        if len(value) > LONGEST_TIME:
            raise InvalidInput(f"{name}={clipped(repr(value))} is no time. Write 2026-01-31T21:00:00Z.", field=name)
        try:
            value = dt.date.fromisoformat(value) if len(value) == 10 else value
        except ValueError:
            raise InvalidInput(
                f"{name}={value!r} is no date. Write 2026-01-31, or a time with a zone: 2026-01-31T21:00:00Z.",
                field=name,
            ) from None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        time = LAST_MICROSECOND if name == "end" else dt.time(tzinfo=dt.UTC)
        value = dt.datetime.combine(value, time)
    found = None if value is pd.NaT else aware(value, name)
    if found is None:
        raise InvalidInput(f"{name} is missing. Give a date, or a time with a zone: 2026-01-31T21:00:00Z.", field=name)
    try:
        found = found.astimezone(dt.UTC)
    except OverflowError:
        found = EARLIEST - dt.timedelta(days=1)
    if not EARLIEST <= found <= LATEST:
        raise InvalidInput(
            f"{name}={value} lies outside the years {EARLIEST.year} to {LATEST.year} that a table can hold.", field=name
        )
    return found


def clean_assets(assets: Iterable[object]) -> tuple[str, ...]:
    if isinstance(assets, str) or not isinstance(assets, Iterable):
        raise InvalidInput(f"assets takes a list of identifiers, not {clipped(repr(assets))}.", field="assets")
    names: dict[str, None] = {}
    for position, item in enumerate(assets):
        if position >= MOST_ASSETS:
            raise InvalidInput(
                f"assets names more than {MOST_ASSETS:,}. Leave it out to take all that the DataNode has.",
                field="assets",
            )
        name = item if isinstance(item, str) else getattr(item, "unique_identifier", None)
        if not isinstance(name, str) or not name.strip() or len(name) > 255:
            raise InvalidInput(
                f"assets[{position}]={clipped(repr(item))} is no identifier. Give the asset's unique_identifier.",
                field="assets",
            )
        names[name] = None
    if not names:
        raise InvalidInput("assets is empty. Name the assets, or leave it out to take all.", field="assets")
    storable = [name for name in names if storable_text(name) == name]
    known = set(Asset.objects.filter(unique_identifier__in=storable).values_list("unique_identifier", flat=True))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UnknownIdentifiers(map(storable_text, unknown), remedy="Correct the list; nothing was done.")
    return tuple(sorted(names, key=str.encode))
