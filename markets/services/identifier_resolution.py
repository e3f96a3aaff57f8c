"""Which asset an identifier named, on a day or over a time: intervals, never a guess."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import connection
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from markets.engine.identifier_schemes import IdentifierKey, identifier_key, scheme_of
from markets.exceptions import InvalidInput
from markets.models import AssetIdentifier

DETAILS = "openfigi details"  # the source of what an asset's OpenFIGI details say; they carry no dates
_DETAIL_COLUMNS = {"figi": "figi", "composite_figi": "composite", "share_class_figi": "share_class", "isin": "isin"}

AsOf = dt.date | tuple[dt.date, dt.date] | None


class Outcome(StrEnum):
    """`partial`: it named one asset at a time, but not on every day that was asked for."""

    FOUND = "found"
    PARTIAL = "partial"
    AMBIGUOUS = "ambiguous"
    NOT_FOUND = "not_found"


@dataclass(frozen=True)
class Interval:
    """An asset had the identifier from `valid_from`, included, to `valid_to`, excluded; None is open or not known."""

    asset_uid: str
    asset_identifier: str
    venue: str
    valid_from: dt.date | None
    valid_to: dt.date | None
    source: str


@dataclass(frozen=True)
class Resolution:
    """`intervals` that touch the days asked for, in their order; `gaps` of those days, both ends included."""

    key: IdentifierKey
    first: dt.date
    last: dt.date
    outcome: Outcome
    intervals: tuple[Interval, ...]
    gaps: tuple[tuple[dt.date, dt.date], ...] = ()

    @property
    def asset_identifier(self) -> str | None:
        """The one asset that it named on every day asked for, None where there is no such."""
        return self.intervals[0].asset_identifier if self.outcome == Outcome.FOUND and self._is_one else None

    @property
    def _is_one(self) -> bool:
        return len({interval.asset_identifier for interval in self.intervals}) == 1


def resolve(scheme: object, value: object, as_of: AsOf = None, *, venue: object = "") -> Resolution:
    """What an identifier named on a day, today unless told, or on every day from the first to the last of two.

    A ticker without a venue is looked up at all of them. Raises InvalidInput for a wrong value or date.
    """
    return resolve_many([identifier_key(scheme, value, venue)], as_of)[0]


def resolve_many(keys: Sequence[IdentifierKey], as_of: AsOf = None) -> list[Resolution]:
    """As `resolve`, for many keys in two queries, in their order."""
    first, last = _days(as_of)
    found: list[list[Interval]] = [[] for _ in keys]
    if keys:
        for place, interval in [*_recorded(keys, first, last), *_of_details(keys)]:
            found[place].append(interval)
    return [_resolution(key, first, last, intervals) for key, intervals in zip(keys, found, strict=True)]


def identifiers_of(
    asset_uid: uuid.UUID, *, as_of: dt.date | None = None, scheme: str | None = None
) -> "QuerySet[AssetIdentifier]":
    """The identifiers of an asset, in their order; those that held on a day, if told. Raises InvalidInput."""
    rows = AssetIdentifier.objects.filter(asset__uid=asset_uid).select_related("asset")
    if scheme is not None:
        rows = rows.filter(scheme=scheme_of(scheme).key)
    if as_of is not None:
        day, _ = _days(as_of)
        rows = rows.filter(
            Q(valid_from__isnull=True) | Q(valid_from__lte=day), Q(valid_to__isnull=True) | Q(valid_to__gt=day)
        )
    return rows.order_by("scheme", "value", "venue", F("valid_from").asc(nulls_first=True))


def _days(as_of: object) -> tuple[dt.date, dt.date]:
    if as_of is None:
        today = timezone.now().date()
        return today, today
    first, last = as_of if isinstance(as_of, tuple) and len(as_of) == 2 else (as_of, as_of)
    for day in (first, last):
        if not isinstance(day, dt.date) or isinstance(day, dt.datetime):
            raise InvalidInput(f"as_of={as_of!r} is neither a date nor two. Identifiers hold for days.", field="as_of")
    if last < first:  # type: ignore[operator]
        raise InvalidInput(f"as_of ends on {last}, before it begins on {first}. Swap them.", field="as_of")
    return first, last  # type: ignore[return-value]


RECORDED = """
    SELECT w.p, a.uid, a.unique_identifier, i.venue, i.valid_from, i.valid_to, i.source
    FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[]) AS w(p, scheme, value, venue)
    JOIN markets_assetidentifier AS i ON i.scheme = w.scheme AND i.value = w.value
        AND (w.venue = '' OR i.venue = w.venue)
        AND (i.valid_from IS NULL OR i.valid_from <= %s) AND (i.valid_to IS NULL OR i.valid_to > %s)
    JOIN markets_asset AS a ON a.id = i.asset_id
    ORDER BY w.p, i.valid_from NULLS FIRST, a.unique_identifier, i.venue
"""


def _recorded(keys: Sequence[IdentifierKey], first: dt.date, last: dt.date) -> list[tuple[int, Interval]]:
    with connection.cursor() as cursor:
        cursor.execute(RECORDED, [*arrays_of(keys), last, first])
        return [(place, Interval(str(uid), *rest)) for place, uid, *rest in cursor.fetchall()]


def _of_details(keys: Sequence[IdentifierKey]) -> list[tuple[int, Interval]]:
    """What the OpenFIGI details say, without dates, of assets whose identifier is not recorded with its own."""
    found: list[tuple[int, Interval]] = []
    for scheme, column in _DETAIL_COLUMNS.items():
        places = [place for place, key in enumerate(keys) if key.scheme == scheme]
        if not places:
            continue
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT w.p, a.uid, a.unique_identifier FROM unnest(%s::int[], %s::text[]) AS w(p, value)
                JOIN markets_openfigidetails AS d ON d."{column}" = w.value
                JOIN markets_asset AS a ON a.id = d.asset_id
                WHERE NOT EXISTS (
                    SELECT FROM markets_assetidentifier AS i
                    WHERE i.scheme = %s AND i.value = w.value AND i.asset_id = d.asset_id
                )
                ORDER BY w.p, a.unique_identifier
                """,
                [places, [keys[place].value for place in places], scheme],
            )
            found += [
                (place, Interval(str(uid), name, "", None, None, DETAILS)) for place, uid, name in cursor.fetchall()
            ]
    return found


def arrays_of(keys: Sequence[IdentifierKey]) -> list[list[Any]]:
    """The keys as the parameters of the statement: places, schemes, values and venues."""
    return [
        list(range(len(keys))),
        [key.scheme for key in keys],
        [key.value for key in keys],
        [key.venue for key in keys],
    ]


def _resolution(key: IdentifierKey, first: dt.date, last: dt.date, found: list[Interval]) -> Resolution:
    intervals = tuple(found)
    if not intervals:
        return Resolution(key, first, last, Outcome.NOT_FOUND, (), ((first, last),))
    gaps = _gaps(intervals, first, last)
    if _names_two_at_once(intervals, first, last):
        return Resolution(key, first, last, Outcome.AMBIGUOUS, intervals, gaps)
    return Resolution(key, first, last, Outcome.PARTIAL if gaps else Outcome.FOUND, intervals, gaps)


def _clipped(interval: Interval, first: dt.date, last: dt.date) -> tuple[dt.date, dt.date]:
    """The days of an interval within those asked for, both ends included."""
    day = dt.timedelta(days=1)
    begins = first if interval.valid_from is None else max(first, interval.valid_from)
    ends = last if interval.valid_to is None else min(last, interval.valid_to - day)
    return begins, ends


def _gaps(intervals: Sequence[Interval], first: dt.date, last: dt.date) -> tuple[tuple[dt.date, dt.date], ...]:
    day = dt.timedelta(days=1)
    gaps = []
    reached = first
    for begins, ends in sorted(_clipped(interval, first, last) for interval in intervals):
        if begins > reached:
            gaps.append((reached, begins - day))
        if ends == dt.date.max:
            return tuple(gaps)
        reached = max(reached, ends + day)
    if reached <= last:
        gaps.append((reached, last))
    return tuple(gaps)


def _names_two_at_once(intervals: Sequence[Interval], first: dt.date, last: dt.date) -> bool:
    spells = sorted((*_clipped(interval, first, last), interval.asset_identifier) for interval in intervals)
    latest: dict[str, dt.date] = {}
    for begins, ends, name in spells:
        if any(other != name and end >= begins for other, end in latest.items()):
            return True
        latest[name] = max(ends, latest.get(name, ends))
    return False
