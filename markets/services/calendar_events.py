"""A calendar's events: an expiry, a fixing, a roll, on a date and perhaps at a time, about a target or none."""

import datetime as dt
from typing import Any

from django.db import transaction

from markets.exceptions import Conflict, InvalidInput, NotFound
from markets.models import Calendar, CalendarEvent
from markets.services.calendar_rows import check_in_horizon, touch
from markets.services.registry_rows import change, insert_once, refuse_unknown
from markets.services.stored import locked
from markets.services.term_values import clean_moment, clean_token
from markets.services.values import Upserted, as_uid, clean_date, clean_object, clean_optional_text, given

KEY = ("event_date", "event_type", "event_label", "target_type", "target_identifier")
FIELDS = ("event_time", "target_uid", "metadata_json")
LENGTHS = {"event_label": 255, "target_type": 64, "target_identifier": 255}


def create_event(
    calendar: Calendar, *, event_type: str, event_date: dt.date | str | None = None, **fields: Any
) -> CalendarEvent:
    """A new event, as `upsert_event`, which may lack a date. Raises Conflict when the calendar has it already."""
    return _save(calendar, {"event_type": event_type, "event_date": event_date, **fields}, must_be_new=True).row


def upsert_event(
    calendar: Calendar, *, event_type: str, event_date: dt.date | str, **fields: Any
) -> Upserted[CalendarEvent]:
    """Write one event of the calendar, inside its horizon, or change the fields that are given.

    Its key is the date, the type (`last trade` is stored as LAST_TRADE), `event_label`, `target_type` and
    `target_identifier`, the latter three empty unless told. `event_time` is an aware instant; the rest are
    `target_uid` and `metadata_json`.
    """
    if event_date is None:
        raise InvalidInput("event_date must not be null: it is part of the event's key.", field="event_date")
    return _save(calendar, {"event_type": event_type, "event_date": event_date, **fields})


@transaction.atomic
def update_event(row: CalendarEvent, **fields: Any) -> CalendarEvent:
    """Change `event_time`, `target_uid` or `metadata_json`; the key never changes."""
    cleaned = given(**fields)
    refuse_unknown(cleaned, FIELDS, subject="A calendar event")
    before = row.updated_at
    change(row, _cleaned(cleaned))
    if row.updated_at != before:
        touch(row.calendar)
    return row


@transaction.atomic
def delete_event(row: CalendarEvent) -> None:
    """Delete one event. Raises NotFound when it is gone."""
    locked(row.calendar)
    deleted, _ = CalendarEvent.objects.filter(pk=row.pk).delete()
    if not deleted:
        raise NotFound(f"The event {row} is deleted already.")
    touch(row.calendar)


@transaction.atomic
def _save(calendar: Calendar, fields: dict[str, Any], *, must_be_new: bool = False) -> Upserted[CalendarEvent]:
    values = given(**fields)
    refuse_unknown(values, (*KEY, *FIELDS), subject="A calendar event")
    cleaned = _cleaned({"event_label": "", "target_type": "", "target_identifier": "", **values})
    key = {"calendar": calendar, **{name: cleaned.pop(name) for name in KEY}}
    calendar = locked(calendar)
    if key["event_date"] is not None:
        check_in_horizon(calendar, key["event_date"], field="event_date")
    saved = insert_once(CalendarEvent, key, cleaned)
    if not saved.created:
        if must_be_new:
            raise Conflict(f"The event {saved.row} exists already. Change that one, or give it another label.")
        before = saved.row.updated_at
        change(saved.row, cleaned)
        if saved.row.updated_at == before:
            return saved
    touch(calendar)
    return saved


def _cleaned(fields: dict[str, Any]) -> dict[str, Any]:
    cleaned: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "event_date":
            cleaned[name] = None if value is None else clean_date(value, field=name)
        elif name == "event_time":
            cleaned[name] = None if value is None else clean_moment(value, field=name)
        elif name == "event_type":
            cleaned[name] = clean_token(value, field=name)
        elif name == "target_uid":
            cleaned[name] = as_uid(value)
            if value is not None and cleaned[name] is None:
                raise InvalidInput(f"target_uid={str(value)[:60]!r} is no uid.", field=name)
        elif name == "metadata_json":
            cleaned[name] = clean_object(value, field=name)
        else:
            cleaned[name] = clean_optional_text(value, field=name, longest=LENGTHS[name]) or ""
    return cleaned
