"""By when data are due, and whether they came: arithmetic on sessions and clocks, without a database or a clock."""

import bisect
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from zoneinfo import ZoneInfo

MOMENT = dt.timedelta(0)


@dataclass(frozen=True)
class AfterClose:
    """A session's data are due `delay` after it closes."""

    delay: dt.timedelta


@dataclass(frozen=True)
class AtTime:
    """A session's data are due at a wall-clock time in `zone`, `days_later` calendar days after the session's date.

    Never before the session closes. A time that the clocks skip is that much later, one that they repeat its first
    occurrence.
    """

    time: dt.time
    zone: str
    days_later: int = 0


@dataclass(frozen=True)
class Every:
    """New data are due `interval` after the last ones, or after `since` where there are none."""

    interval: dt.timedelta
    since: dt.datetime


@dataclass(frozen=True)
class Sessions:
    """Sessions in order, as far as is needed: from before the last data until some way beyond now.

    `closes` are aware instants, `dates` the sessions' own dates. `last_date` is the last session that the calendar
    knows, None where it has none.
    """

    closes: Sequence[dt.datetime]
    dates: Sequence[dt.date]
    last_date: dt.date | None

    def __post_init__(self) -> None:
        if len(self.closes) != len(self.dates):
            raise ValueError(f"{len(self.closes)} closes and {len(self.dates)} dates: give one of each a session.")
        closes_in_order = all(earlier < later for earlier, later in pairwise(self.closes))
        if not closes_in_order or any(later < earlier for earlier, later in pairwise(self.dates)):
            raise ValueError("The sessions must be given in the order of their closes.")

    def stamp(self, place: int, *, by_date: bool) -> dt.datetime:
        """The time that the row of a session carries: midnight UTC of its date, or its close."""
        return dt.datetime.combine(self.dates[place], dt.time(), dt.UTC) if by_date else self.closes[place]


@dataclass(frozen=True)
class Verdict:
    """What is expected of a node, and whether it came.

    `expected` is the time that the newest data due carry, `expected_date` that session's date (both None while nothing
    was due yet, or without sessions). `due_since` is when the first of the missing data were due. `behind` counts the
    sessions that are due and missing, None where that cannot be told. `next_due` is when more are due, None where the
    calendar ends before; then `ends_on` says when, or `has_no_sessions`.
    """

    is_overdue: bool
    expected: dt.datetime | None = None
    expected_date: dt.date | None = None
    due_since: dt.datetime | None = None
    behind: int | None = None
    next_due: dt.datetime | None = None
    ends_on: dt.date | None = None
    has_no_sessions: bool = False

    def late_by(self, now: dt.datetime) -> dt.timedelta:
        return now - self.due_since if self.is_overdue and self.due_since is not None else MOMENT


def judge(
    rule: AfterClose | AtTime | Every,
    sessions: Sessions | None,
    last: dt.datetime | None,
    now: dt.datetime,
    *,
    stamped_by_date: bool = False,
) -> Verdict:
    """Judge a node whose last row carries `last` (None: it has no rows). All instants are aware.

    With `stamped_by_date` the rows of sessions carry midnight UTC of their dates, else their closes. Data are overdue
    once `now` is later than the instant at which they were due, not at that instant.
    """
    if isinstance(rule, Every):
        return _judge_interval(rule, last, now)
    if sessions is None or sessions.last_date is None:
        return Verdict(is_overdue=False, has_no_sessions=True)
    known = sessions

    def due(place: int) -> dt.datetime:
        return due_of(rule, known.closes[place], known.dates[place])

    def stamp(place: int) -> dt.datetime:
        return known.stamp(place, by_date=stamped_by_date)

    every = range(len(known.closes))  # in order of close, stamp and due instant: looked up, not walked
    were_due = bisect.bisect_left(every, now, key=due)
    came = max(were_due - 1, 0) if last is None else bisect.bisect_right(every, last, key=stamp)
    is_overdue = came < were_due
    return Verdict(
        is_overdue=is_overdue,
        expected=stamp(were_due - 1) if were_due else None,
        expected_date=known.dates[were_due - 1] if were_due else None,
        due_since=due(came) if is_overdue else None,
        behind=None if last is None else max(were_due - came, 0),
        next_due=due(were_due) if were_due < len(every) else None,
        ends_on=None if were_due < len(every) else known.last_date,
    )


def due_of(rule: AfterClose | AtTime, close: dt.datetime, date: dt.date) -> dt.datetime:
    """When the data of the session that closes at `close` and belongs to `date` are due, in UTC."""
    if isinstance(rule, AfterClose):
        return close.astimezone(dt.UTC) + rule.delay
    local = dt.datetime.combine(date + dt.timedelta(days=rule.days_later), rule.time, ZoneInfo(rule.zone))
    return max(local.astimezone(dt.UTC), close.astimezone(dt.UTC))


def _judge_interval(rule: Every, last: dt.datetime | None, now: dt.datetime) -> Verdict:
    due = (rule.since if last is None else last) + rule.interval
    is_overdue = now > due
    return Verdict(
        is_overdue=is_overdue,
        expected=now - rule.interval if is_overdue else None,
        due_since=due if is_overdue else None,
        next_due=None if is_overdue else due,
    )
