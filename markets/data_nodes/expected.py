"""The instants at which a table should have rows, by a calendar's sessions and the table's frequency."""

import datetime as dt
from dataclasses import dataclass

import numpy as np

from markets.data_nodes.stored_statistics import microseconds
from markets.engine.gaps import NOTHING, bar_edges, step_of
from markets.engine.text import storable_text
from markets.exceptions import InvalidInput, NotFound, clipped
from markets.models import Calendar, CalendarSession

ONE_DAY = dt.timedelta(days=1)
MOST_INSTANTS = 10_000_000  # of one asset: twenty-five years of minutes, 80 MB


@dataclass(frozen=True)
class Expected:
    """`instants` (m,) ascending int64 µs since 1970 UTC. `ends` is the last day that the calendar knows."""

    calendar: str
    frequency: str
    instants: np.ndarray
    ends: dt.date


def expected_instants(calendar: str, frequency: str, start: dt.datetime, end: dt.datetime) -> Expected:
    """The closes of the primary sessions from `start` to `end`, both included; below a day the right edges of bars.

    Bars begin at the open and again after a break, and the last one before a break or a close may be shorter; early
    closes and days without a session are as stored. Two queries. Raises NotFound for an unknown calendar, InvalidInput
    for one without sessions, for a frequency of weeks or more, and for more than MOST_INSTANTS.
    """
    step = step_of(frequency or "1d")
    if step is None or (step > ONE_DAY or ONE_DAY % step):
        raise InvalidInput(
            f"Gaps are told for bars of minutes, hours and one day, not for {clipped(frequency)!r}: no calendar says "
            "when such a row is due.",
            field="frequency",
        )
    ends = last_day(calendar)
    sessions = CalendarSession.objects.filter(
        calendar__unique_identifier=calendar, is_primary=True, closes_at__gte=start, opens_at__lte=end
    ).order_by("closes_at")
    names = ("opens_at", "closes_at", "break_starts_at", "break_ends_at")
    rows = np.array([[_of(value) for value in row] for row in sessions.values_list(*names)], dtype=np.int64)
    opens, closes, break_starts, break_ends = rows.reshape(-1, 4).T
    low, high = microseconds(start), microseconds(end)
    if step == ONE_DAY:
        instants = closes
    else:
        width = step // dt.timedelta(microseconds=1)
        many = int((closes - opens).sum() // width)
        if many > MOST_INSTANTS:
            raise InvalidInput(
                f"{many:,} bars of {frequency} lie between {start:%Y-%m-%d} and {end:%Y-%m-%d}; at most "
                f"{MOST_INSTANTS:,} can be compared at once. Name a shorter range.",
                field="start",
            )
        instants = bar_edges(opens, closes, break_starts, break_ends, width)
    return Expected(calendar, frequency or "1d", instants[(instants >= low) & (instants <= high)], ends)


def last_day(calendar: str) -> dt.date:
    """The last day that a calendar knows. Raises NotFound for none of that name, InvalidInput without sessions."""
    found = Calendar.objects.filter(unique_identifier=storable_text(calendar)).first()
    if found is None:
        known = ", ".join(map(clipped, Calendar.objects.values_list("unique_identifier", flat=True)[:20])) or "none"
        raise NotFound(f"There is no calendar {clipped(calendar)!r}. Calendars: {known}.")
    if not CalendarSession.objects.filter(calendar=found, is_primary=True).exists():
        raise InvalidInput(
            f"The calendar {calendar} has no sessions. Materialise them: save it with its market in the back-office, "
            "or Calendar.create_from_pandas_calendar(…).",
            field="calendar",
        )
    return found.valid_to


def _of(instant: dt.datetime | None) -> int:
    return NOTHING if instant is None else microseconds(instant)
