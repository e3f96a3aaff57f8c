"""By when data are due, and whether they came: arithmetic on sessions and clocks, without a database or a clock."""

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

    `closes` are aware instants, `dates` the sessions' own dates. `stamped_by_date`: a session's row carries midnight
    UTC of its date, else its close. `last_date` is the last session that the calendar knows, None where it has none.
    """

    closes: Sequence[dt.datetime]
    dates: Sequence[dt.date]
    last_date: dt.date | None
    stamped_by_date: bool = False

    def __post_init__(self) -> None:
        if len(self.closes) != len(self.dates):
            raise ValueError(f"{len(self.closes)} closes and {len(self.dates)} dates: give one of each a session.")
        if any(later <= earlier for earlier, later in pairwise(self.closes)):
            raise ValueError("The sessions must be given in the order of their closes.")

    def stamps(self) -> list[dt.datetime]:
        """The time that the row of each session carries."""
        if not self.stamped_by_date:
            return list(self.closes)
        return [dt.datetime.combine(date, dt.time(), dt.UTC) for date in self.dates]


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
    rule: AfterClose | AtTime | Every, sessions: Sessions | None, last: dt.datetime | None, now: dt.datetime
) -> Verdict:
    """Judge a node whose last row carries `last` (None: it has no rows). All instants are aware.

    Data are overdue once `now` is later than the instant at which they were due, not at that instant.
    """
    if isinstance(rule, Every):
        return _judge_interval(rule, last, now)
    if sessions is None or sessions.last_date is None:
        return Verdict(is_overdue=False, has_no_sessions=True)
    stamps = sessions.stamps()
    dues = [due_of(rule, close, date) for close, date in zip(sessions.closes, sessions.dates, strict=True)]
    due = [place for place, instant in enumerate(dues) if instant < now]
    missing = [place for place in due if last is None or stamps[place] > last]
    next_due = next((instant for instant in dues if instant >= now), None)
    newest = due[-1] if due else None
    first_missing = newest if last is None else missing[0] if missing else None
    return Verdict(
        is_overdue=bool(missing),
        expected=None if newest is None else stamps[newest],
        expected_date=None if newest is None else sessions.dates[newest],
        due_since=None if first_missing is None or not missing else dues[first_missing],
        behind=None if last is None else len(missing),
        next_due=next_due,
        ends_on=sessions.last_date if next_due is None else None,
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
