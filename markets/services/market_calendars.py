"""Adapter of pandas_market_calendars: a market's sessions in a range, validated, as plain values. Touches no table."""

import datetime as dt
import difflib
import re
import warnings
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from markets.exceptions import InvalidInput

SOURCE = "pandas_market_calendars"


@dataclass(frozen=True)
class MarketSession:
    """One session of a market, times in UTC; no break is two Nones."""

    local_date: dt.date
    opens_at: dt.datetime
    closes_at: dt.datetime
    break_starts_at: dt.datetime | None
    break_ends_at: dt.datetime | None
    is_early_close: bool


@dataclass(frozen=True)
class MarketSchedule:
    """The market's own time zone, its sessions in order, and the names of the holidays that have one."""

    timezone: str
    sessions: list[MarketSession]
    holiday_names: dict[dt.date, str]


def market_names() -> list[str]:
    """The names of the markets that have a schedule, in order."""
    import pandas_market_calendars

    return sorted(pandas_market_calendars.get_calendar_names())


def market_schedule(source_identifier: str, *, valid_from: dt.date, valid_to: dt.date) -> MarketSchedule:
    """The sessions of a market from the first to the last date, both included; none is an empty list.

    Raises InvalidInput for a name that the library does not know, with the nearest ones, and when it has no schedule
    for that market.
    """
    import pandas_market_calendars

    names = pandas_market_calendars.get_calendar_names()
    if source_identifier not in names:
        raise InvalidInput(
            f"{SOURCE} has no calendar {source_identifier!r}. {_suggestions(source_identifier, names)}",
            field="source_identifier",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library warns of its own use of pandas
            calendar = pandas_market_calendars.get_calendar(source_identifier)
            schedule = calendar.schedule(valid_from, valid_to, tz="UTC")
            early = set() if schedule.empty else set(calendar.early_closes(schedule).index)
            names_of_days = _holiday_names(calendar, valid_from, valid_to)
    except Exception as error:
        raise InvalidInput(
            f"{SOURCE} cannot compute {source_identifier} from {valid_from} to {valid_to} ({error}). Choose another "
            "calendar or range.",
            field="source_identifier",
        ) from error
    return MarketSchedule(timezone=str(calendar.tz), sessions=_sessions(schedule, early), holiday_names=names_of_days)


def is_time_zone(name: str) -> bool:
    """Whether this is the name of an IANA time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _holiday_names(calendar: Any, valid_from: dt.date, valid_to: dt.date) -> dict[dt.date, str]:
    """Date → name by the market's rules; closures that were declared once have no name there."""
    rules = calendar.regular_holidays
    if rules is None:
        return {}
    named = rules.holidays(pd.Timestamp(valid_from), pd.Timestamp(valid_to), return_name=True)
    # a rule's name may tell since when it holds ("Good Friday 1908+"), which is no part of the holiday's
    return {
        day.date(): re.sub(r"\s+(Starting at \d{4}|\d{4}\+)$", "", str(name).strip())[:255]
        for day, name in named.items()
    }


def _sessions(schedule: pd.DataFrame, early: set[Any]) -> list[MarketSession]:
    if schedule.empty:
        return []
    opens, closes = _instants(schedule["market_open"]), _instants(schedule["market_close"])
    none: list[dt.datetime | None] = [None] * len(schedule)
    starts = _instants(schedule["break_start"]) if "break_start" in schedule else none
    ends = _instants(schedule["break_end"]) if "break_end" in schedule else none
    sessions = []
    for label, open_, close, start, end in zip(schedule.index, opens, closes, starts, ends, strict=True):
        if open_ is None or close is None or close <= open_:
            raise InvalidInput(f"{SOURCE} gives {label.date()} no session that opens before it closes.")
        has_break = start is not None and end is not None and open_ < start < end < close
        sessions.append(
            MarketSession(
                local_date=label.date(),
                opens_at=open_,
                closes_at=close,
                break_starts_at=start if has_break else None,
                break_ends_at=end if has_break else None,
                is_early_close=label in early,
            )
        )
    return sessions


def _instants(column: pd.Series) -> list[dt.datetime | None]:
    stamps = np.asarray(pd.DatetimeIndex(column).as_unit("us").asi8)
    missing = np.iinfo(np.int64).min
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return [None if value == missing else epoch + dt.timedelta(microseconds=value) for value in stamps.tolist()]


def _suggestions(name: str, names: list[str]) -> str:
    by_lower = {known.lower(): known for known in names}
    near = [by_lower[match] for match in difflib.get_close_matches(name.lower()[:255], by_lower, n=3, cutoff=0.5)]
    return f"Did you mean {' or '.join(near)}?" if near else "Known are NYSE, XNYS, 24/7 and about 200 more."
