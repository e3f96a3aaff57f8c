"""The gaps of a table, asset by asset: what its calendar expects against the keys that it holds."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from django.db import connection
from django.db.models import QuerySet
from psycopg import sql

from markets.data_nodes.expected import Expected, expected_instants
from markets.data_nodes.reads import identifiers
from markets.data_nodes.stored_statistics import from_microseconds, microseconds
from markets.engine.dtypes import EPOCH_2000_US
from markets.engine.gaps import NOTHING, Gaps, find_gaps
from markets.exceptions import InvalidInput
from markets.models import StorageNode, UpdateStatistic

WHOLE_TABLE = ""  # the name of the one identity of a table that is indexed by time alone
MOST_PAIRS = 200_000_000  # (asset, instant): a minute's work; a page that asks for more is asked to narrow it


@dataclass(frozen=True)
class Spell:
    """Missing instants in a row of one asset, both ends included."""

    start: dt.datetime
    end: dt.datetime
    count: int


@dataclass(frozen=True)
class AssetGaps:
    """One asset of a report. `stored` counts the expected rows that are there, `off_session` those not expected."""

    asset: str
    calendar: str
    first: dt.datetime | None
    last: dt.datetime | None
    expected: int
    stored: int
    off_session: int
    longest: int
    spells: int

    @property
    def missing(self) -> int:
        return self.expected - self.stored

    @property
    def share(self) -> float:
        """The missing part of what is expected, 0 where nothing is."""
        return self.missing / self.expected if self.expected else 0.0


@dataclass(frozen=True)
class CalendarGroup:
    """The assets that keep to one calendar, by their place in the report."""

    expected: Expected
    places: np.ndarray
    gaps: Gaps


@dataclass(frozen=True)
class GapReport:
    """The gaps of `assets` between two instants, both included; `groups` has the arrays, a group a calendar."""

    storage: StorageNode
    start: dt.datetime
    end: dt.datetime
    assets: list[str]
    groups: list[CalendarGroup]
    notes: list[str] = field(default_factory=list)

    @property
    def calendars(self) -> list[str]:
        return [group.expected.calendar for group in self.groups]

    @property
    def expected(self) -> int:
        return sum(int(group.gaps.expected.sum()) for group in self.groups)

    @property
    def missing(self) -> int:
        return sum(int(group.gaps.missing.sum()) for group in self.groups)

    @property
    def off_session(self) -> int:
        return sum(int(group.gaps.off_session.sum()) for group in self.groups)

    def rows(self) -> list[AssetGaps]:
        """One for each asset, in the order of the identifiers."""
        found: list[AssetGaps | None] = [None] * len(self.assets)
        for group in self.groups:
            gaps = group.gaps
            spells = np.bincount(gaps.spell_assets, minlength=len(group.places))
            columns = (gaps.first, gaps.last, gaps.expected, gaps.stored, gaps.off_session, gaps.longest, spells)
            calendar = group.expected.calendar
            for place, first, last, *numbers in zip(
                group.places.tolist(), *(column.tolist() for column in columns), strict=True
            ):
                found[place] = AssetGaps(self.assets[place], calendar, _instant(first), _instant(last), *numbers)
        return [row for row in found if row is not None]

    def spells_of(self, asset: str) -> list[Spell]:
        """The asset's spells, the earliest first; empty also for an asset that the report does not have."""
        return [spell for name, spell in self.spells({asset})]

    def spells(self, only: set[str] | None = None) -> Iterator[tuple[str, Spell]]:
        """(asset, spell), a calendar's assets one after the other."""
        for group in self.groups:
            gaps = group.gaps
            names = [self.assets[place] for place in group.places.tolist()]
            rows: Sequence[int] = range(len(gaps.spell_assets))
            if only is not None:
                wanted = [place for place, name in enumerate(names) if name in only]
                rows = np.flatnonzero(np.isin(gaps.spell_assets, wanted)).tolist()
            for row in rows:
                start, end = int(gaps.spell_from[row]), int(gaps.spell_to[row])
                yield (
                    names[gaps.spell_assets[row]],
                    Spell(from_microseconds(start), from_microseconds(end), int(gaps.spell_counts[row])),
                )


def report_gaps(
    storage: StorageNode,
    *,
    start: dt.datetime | None,
    end: dt.datetime,
    calendar: str,
    scope: Mapping[str, str] | None = None,
    assets: Sequence[str] | None = None,
    asset_calendars: Mapping[str, str] | None = None,
    frequency: str | None = None,
) -> GapReport:
    """Compare a table's keys with the sessions of its calendar, or of each asset's own where one is given.

    An asset is expected from its first stored row on, or from `start` where that is later or where it has no row.
    `assets` keeps to those, and names also such that have no row; with None all that have rows are compared. `scope`
    has the values of the dimensions that the node's rows share. Without `start` the report begins with the first row.
    Value columns are not read; the number of queries does not depend on the number of assets.

    Raises InvalidInput for a table with more than one dimension beside time and the scope, and for more than
    MOST_PAIRS pairs of asset and instant.
    """
    scope = dict(scope or {})
    dimension = _dimension(storage, scope)
    firsts = _first_rows(storage, scope, dimension, assets)
    names = sorted({*firsts, *identifiers(assets or (), "assets")}, key=str.encode)
    begin = start if start is not None else min(firsts.values(), default=end)
    groups: list[CalendarGroup] = []
    notes: list[str] = []
    if begin > end:
        begin = end
    codes, times = _stored_keys(storage, scope, dimension, names, begin, end)
    low = microseconds(begin)
    starts = np.array([max(low, microseconds(firsts[name])) if name in firsts else low for name in names], np.int64)
    own = [(asset_calendars or {}).get(name, calendar) for name in names]
    for chosen in sorted(set(own)) or [calendar]:
        expected = expected_instants(chosen, frequency or storage.data_frequency_id, begin, end)
        places = np.array([place for place, name in enumerate(own) if name == chosen], dtype=np.int64)
        if len(expected.instants) * len(places) > MOST_PAIRS:
            raise InvalidInput(
                f"{len(places):,} assets at {len(expected.instants):,} instants are more than can be compared at once. "
                "Name fewer assets, or a shorter range.",
                field="start",
            )
        renumbered = np.full(len(names), -1, dtype=np.int64)
        renumbered[places] = np.arange(len(places))
        mine = renumbered[codes] >= 0
        gaps = find_gaps(renumbered[codes[mine]], times[mine], expected=expected.instants, starts=starts[places])
        groups.append(CalendarGroup(expected, places, gaps))
        if expected.ends < end.date():
            notes.append(
                f"The calendar {chosen} ends at {expected.ends:%Y-%m-%d}: later sessions are not expected. Extend it."
            )
    return GapReport(storage, begin, end, names, groups, notes)


def _dimension(storage: StorageNode, scope: Mapping[str, str]) -> str | None:
    """The dimension whose values the report tells apart; None for a table indexed by time (and the scope) alone."""
    free = [name for name in storage.index_names[1:] if name not in scope]
    if len(free) > 1:
        raise InvalidInput(
            f"{storage} has rows by {', '.join(free)}; gaps are told for tables with one dimension beside time."
        )
    return free[0] if free else None


def stored_identities(storage: StorageNode, scope: Mapping[str, str]) -> QuerySet[UpdateStatistic]:
    """The statistics of the part of a table that has these values."""
    rows = UpdateStatistic.objects.filter(storage=storage)
    for name, value in scope.items():
        rows = rows.filter(**{f"identity__{storage.index_names[1:].index(name)}": value})
    return rows


def _first_rows(
    storage: StorageNode, scope: Mapping[str, str], dimension: str | None, assets: Sequence[str] | None
) -> dict[str, dt.datetime]:
    rows = stored_identities(storage, scope)
    if assets is not None:
        if dimension is None:
            raise InvalidInput(f"{storage} has no dimension that names assets. Leave the assets out.", field="assets")
        place = storage.index_names[1:].index(dimension)
        rows = rows.filter(**{f"identity__{place}__in": identifiers(assets, "assets")})
    place = storage.index_names[1:].index(dimension) if dimension is not None else 0
    return {
        identity[place] if dimension is not None else WHOLE_TABLE: first
        for identity, first in rows.values_list("identity", "first_time_index")
    }


def _stored_keys(
    storage: StorageNode,
    scope: Mapping[str, str],
    dimension: str | None,
    names: Sequence[str],
    start: dt.datetime,
    end: dt.datetime,
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) int64 place of each stored row's asset among `names`, and (n,) int64 µs its time; one query, no values."""
    nothing = np.empty(0, dtype=np.int64)
    if not storage.columns or not names:
        return nothing, nothing
    conditions = [
        sql.SQL("t.time_index >= {}").format(sql.Literal(start)),
        sql.SQL("t.time_index <= {}").format(sql.Literal(end)),
        *(sql.SQL("t.{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in scope.items()),
    ]
    source = sql.SQL("{} AS t").format(sql.Identifier(storage.table_name))
    code: sql.Composable = sql.SQL("1::bigint")
    if dimension is not None:
        source = sql.SQL("unnest({}::text[]) WITH ORDINALITY AS i(name, code) JOIN {} ON t.{} = i.name").format(
            sql.Literal(list(names)), source, sql.Identifier(dimension)
        )
        code = sql.SQL("i.code")
    # One message an asset instead of one a row: reading them is what takes the time.
    statement = sql.SQL(
        "COPY (SELECT {code}, string_agg(timestamptz_send(t.time_index), ''::bytea) FROM {source} WHERE {conditions} "
        "GROUP BY 1) TO STDOUT (FORMAT binary)"
    ).format(code=code, source=source, conditions=sql.SQL(" AND ").join(conditions))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(["int8", "bytea"])
        found = {place - 1: np.frombuffer(packed, dtype=">i8") for place, packed in copy.rows()}
    if not found:
        return nothing, nothing
    codes = sorted(found)  # find_gaps is faster when the assets come one after the other
    times = np.concatenate([found[code] for code in codes]).astype(np.int64) + EPOCH_2000_US
    return np.repeat(np.array(codes, dtype=np.int64), [len(found[code]) for code in codes]), times


def _instant(value: int) -> dt.datetime | None:
    return None if value == NOTHING else from_microseconds(value)
