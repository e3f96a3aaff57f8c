"""Sessions of a calendar written by hand: made, or changed in the fields that are given."""

import datetime as dt
from typing import Any

from django.db import transaction

from markets.exceptions import Conflict
from markets.models import Calendar, CalendarSession
from markets.services.calendars import upsert_session
from markets.services.registry_rows import refuse_unknown, require
from markets.services.stored import locked
from markets.services.term_values import clean_moment
from markets.services.values import Upserted, clean_date, clean_flag, clean_text, given

TIMES = ("opens_at", "closes_at", "break_starts_at", "break_ends_at")
FLAGS = ("is_early_close", "is_primary")
FIELDS = (*TIMES, *FLAGS, "metadata_json")
REGULAR = "regular"


def create_session(
    calendar: Calendar, *, local_date: dt.date | str, session_label: str = REGULAR, **fields: Any
) -> CalendarSession:
    """A new session, as `save_session`. Raises Conflict when the calendar has one of this date and label."""
    return _save(calendar, local_date, session_label, fields, must_be_new=True).row


def save_session(
    calendar: Calendar, *, local_date: dt.date | str, session_label: str = REGULAR, **fields: Any
) -> Upserted[CalendarSession]:
    """The session of this date and label, made (then `opens_at` and `closes_at` are needed) or changed.

    A field that is left out keeps what is stored; times are aware, or text such as 2026-01-05T14:30:00Z.
    """
    return _save(calendar, local_date, session_label, fields)


def update_session(row: CalendarSession, **fields: Any) -> CalendarSession:
    """Change the fields that are given; date and label never change."""
    return _save(row.calendar, row.local_date, row.session_label, fields).row


@transaction.atomic
def _save(
    calendar: Calendar, local_date: object, label: object, fields: dict[str, Any], *, must_be_new: bool = False
) -> Upserted[CalendarSession]:
    day = clean_date(local_date, field="local_date")
    label = clean_text(label, field="session_label", longest=64)
    changes = _cleaned(fields)
    calendar = locked(calendar)
    stored = calendar.sessions.filter(local_date=day, session_label=label).first()
    if stored is not None and must_be_new:
        raise Conflict(f"{calendar} has a session {label!r} on {day} already. Change that one.")
    values = {} if stored is None else {name: getattr(stored, name) for name in (*TIMES, *FLAGS)}
    values |= changes
    require(values, ("opens_at", "closes_at"), subject="session")
    return upsert_session(calendar, local_date=day, session_label=label, **values)


def _cleaned(fields: dict[str, Any]) -> dict[str, Any]:
    cleaned = given(**fields)
    refuse_unknown(cleaned, FIELDS, subject="A session")
    for name, value in cleaned.items():
        if name in FLAGS:
            cleaned[name] = clean_flag(value, field=name)
        elif name in TIMES and isinstance(value, str):
            cleaned[name] = clean_moment(value, field=name)
    return cleaned
