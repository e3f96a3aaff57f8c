"""A calendar's dates: business day, holiday with its name, weekend, early close; made from a market or by hand."""

import datetime as dt
from typing import Any

from django.db import transaction
from django.utils import timezone

from markets.exceptions import Conflict, NotFound
from markets.models import Calendar, CalendarDate
from markets.services.calendar_rows import check_in_horizon, touch
from markets.services.market_calendars import MarketSchedule
from markets.services.registry_rows import change, insert_once, refuse_unknown
from markets.services.stored import locked
from markets.services.values import Upserted, clean_date, clean_flag, clean_object, clean_optional_text, given

FLAGS = ("is_business_day", "is_holiday", "is_weekend", "is_early_close")
FIELDS = (*FLAGS, "holiday_name", "metadata_json")
MARKET_FIELDS = (*FLAGS, "holiday_name")
SATURDAY = 5


def create_date(calendar: Calendar, *, local_date: dt.date | str, **fields: Any) -> CalendarDate:
    """A new date, as `upsert_date`. Raises Conflict when the calendar has it already."""
    return _save(calendar, local_date, fields, must_be_new=True).row


def upsert_date(calendar: Calendar, *, local_date: dt.date | str, **fields: Any) -> Upserted[CalendarDate]:
    """Write one date of the calendar, inside its horizon, or change the fields that are given.

    They are the flags (false unless told), which are independent of each other, `holiday_name` and `metadata_json`.
    """
    return _save(calendar, local_date, fields)


@transaction.atomic
def update_date(row: CalendarDate, **fields: Any) -> CalendarDate:
    """Change the fields that are given; the date itself never changes."""
    cleaned = _cleaned(fields)
    before = row.updated_at
    change(row, cleaned)
    if row.updated_at != before:
        touch(row.calendar)
    return row


@transaction.atomic
def delete_date(row: CalendarDate) -> None:
    """Delete one date. Raises NotFound when it is gone."""
    locked(row.calendar)
    deleted, _ = CalendarDate.objects.filter(pk=row.pk).delete()
    if not deleted:
        raise NotFound(f"The date {row} is deleted already.")
    touch(row.calendar)


def write_market_dates(calendar: Calendar, schedule: MarketSchedule) -> bool:
    """Make the calendar's dates those of the schedule, one for each day of the horizon; whether any differed.

    A business day is one with a session; a holiday is neither that nor a weekend. Metadata that a person wrote stays.
    """
    early = {session.local_date: session.is_early_close for session in schedule.sessions}
    stored = {row.local_date: row for row in calendar.dates.all()}
    new, changed = [], []
    for number in range((calendar.valid_to - calendar.valid_from).days + 1):
        day = calendar.valid_from + dt.timedelta(days=number)
        is_open, is_weekend = day in early, day.weekday() >= SATURDAY
        values: dict[str, Any] = {
            "is_business_day": is_open,
            "is_holiday": not is_open and not is_weekend,
            "is_weekend": is_weekend,
            "is_early_close": early.get(day, False),
            "holiday_name": None if is_open else schedule.holiday_names.get(day),
        }
        row = stored.pop(day, None)
        if row is None:
            new.append(CalendarDate(calendar=calendar, local_date=day, **values))
        elif any(getattr(row, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(row, name, value)
            row.updated_at = timezone.now()
            changed.append(row)
    if stored:
        calendar.dates.exclude(local_date__range=(calendar.valid_from, calendar.valid_to)).delete()
    CalendarDate.objects.bulk_create(new, batch_size=20_000)
    CalendarDate.objects.bulk_update(changed, [*MARKET_FIELDS, "updated_at"], batch_size=1_000)
    return bool(new or changed or stored)


@transaction.atomic
def _save(
    calendar: Calendar, local_date: object, fields: dict[str, Any], *, must_be_new: bool = False
) -> Upserted[CalendarDate]:
    day, cleaned = clean_date(local_date, field="local_date"), _cleaned(fields)
    calendar = locked(calendar)
    check_in_horizon(calendar, day, field="local_date")
    saved = insert_once(CalendarDate, {"calendar": calendar, "local_date": day}, cleaned)
    if not saved.created:
        if must_be_new:
            raise Conflict(f"{calendar} has the date {day} already. Change that one.")
        before = saved.row.updated_at
        change(saved.row, cleaned)
        if saved.row.updated_at == before:
            return saved
    touch(calendar)
    return saved


def _cleaned(fields: dict[str, Any]) -> dict[str, Any]:
    cleaned = given(**fields)
    refuse_unknown(cleaned, FIELDS, subject="A calendar date")
    for name, value in cleaned.items():
        if name in FLAGS:
            cleaned[name] = clean_flag(value, field=name)
        elif name == "holiday_name":
            cleaned[name] = clean_optional_text(value, field=name, longest=255)
        else:
            cleaned[name] = clean_object(value, field=name)
    return cleaned
