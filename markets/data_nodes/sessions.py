"""The stored sessions of a calendar as arrays, for everything that computes on them."""

from dataclasses import dataclass

import numpy as np

from markets.exceptions import InvalidInput, NotFound, clipped
from markets.models import Calendar, CalendarSession


@dataclass(frozen=True)
class Sessions:
    """A calendar's primary sessions in order. `opens`, `closes` (n,) int64 UTC ns; `dates` (n,) datetime64[D].

    `days` is how many days the calendar's horizon has.
    """

    calendar: str
    opens: np.ndarray
    closes: np.ndarray
    dates: np.ndarray
    days: int

    def __len__(self) -> int:
        return len(self.closes)

    @property
    def sessions_a_year(self) -> float:
        """Average number of sessions in a year of 365.2425 days, over the calendar's horizon."""
        return len(self.dates) / self.days * 365.2425


def load_sessions(calendar_identifier: str) -> Sessions:
    """The primary sessions of a calendar, in one query. Raises NotFound; InvalidInput when none are stored."""
    calendar = Calendar.objects.filter(unique_identifier=calendar_identifier).first()
    if calendar is None:
        known = ", ".join(map(clipped, Calendar.objects.values_list("unique_identifier", flat=True)[:20])) or "none"
        raise NotFound(f"There is no calendar {calendar_identifier!r}. Calendars: {known}.")
    rows = list(
        CalendarSession.objects.filter(calendar=calendar, is_primary=True)
        .order_by("closes_at")
        .values_list("opens_at", "closes_at", "local_date")
    )
    if not rows:
        raise InvalidInput(
            f"The calendar {calendar_identifier} has no sessions. Materialise them: "
            f"Calendar.create_from_pandas_calendar(unique_identifier={calendar_identifier!r}, …), or save the calendar "
            "with its market in the back-office.",
            field="calendar_identifier",
        )
    return Sessions(
        calendar=calendar_identifier,
        opens=_nanoseconds([row[0] for row in rows]),
        closes=_nanoseconds([row[1] for row in rows]),
        dates=np.array([row[2] for row in rows], dtype="datetime64[D]"),
        days=(calendar.valid_to - calendar.valid_from).days + 1,
    )


def _nanoseconds(times: list) -> np.ndarray:
    return np.array([time.replace(tzinfo=None) for time in times], dtype="datetime64[us]").astype(np.int64) * 1_000
