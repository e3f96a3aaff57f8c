"""Calendars, their dates, sessions and events."""

import datetime as dt
import uuid
from typing import Any, Self

from django.db.models import F

from markets.models import Calendar as CalendarModel
from markets.models import CalendarDate as CalendarDateModel
from markets.models import CalendarEvent as CalendarEventModel
from markets.models import CalendarSession as CalendarSessionModel
from markets.services import calendar_dates, calendar_events, calendars
from markets.services.bulk import BulkOutcome, OnError
from markets.services.values import UNSET
from msm.api.rows import Row
from msm.runtime import attached


class CalendarSession(Row):
    __model__ = CalendarSessionModel
    __required_tables__ = ("CalendarSession",)
    __lookups__ = {"calendar_uid": "calendar__uid"}

    local_date: dt.date
    session_label: str
    opens_at: dt.datetime
    closes_at: dt.datetime
    break_starts_at: dt.datetime | None
    break_ends_at: dt.datetime | None
    is_early_close: bool
    is_primary: bool

    @classmethod
    def _delete(cls, row: Any) -> None:
        calendars.delete_session(row.calendar, local_date=row.local_date, session_label=row.session_label)


class Calendar(Row):
    __model__ = CalendarModel
    __required_tables__ = ("Calendar",)

    unique_identifier: str
    display_name: str
    calendar_type: str
    timezone: str
    source: str | None
    source_identifier: str | None
    valid_from: dt.date
    valid_to: dt.date
    metadata_json: dict[str, Any] | None

    @classmethod
    def create_from_pandas_calendar(
        cls,
        *,
        source_identifier: str,
        unique_identifier: str,
        display_name: str,
        valid_from: dt.date | str,
        valid_to: dt.date | str,
        calendar_type: str = "TRADING",
        timezone: str | None = None,
        session_label: str = "regular",
        metadata_json: Any = UNSET,
    ) -> Self:
        """A calendar by the rules of a market ("XNYS", "24/7"), with its sessions stored; can be repeated.

        Raises InvalidInput for an unknown market or a range that ends before it begins; then nothing is written.
        """
        attached(cls.__name__, "Calendar", "CalendarDate", "CalendarSession")
        made = calendars.create_from_pandas_calendar(
            source_identifier=source_identifier,
            unique_identifier=unique_identifier,
            display_name=display_name,
            valid_from=valid_from,
            valid_to=valid_to,
            calendar_type=calendar_type,
            timezone=timezone,
            session_label=session_label,
            metadata_json=metadata_json,
        )
        return cls._of(made.calendar)

    @classmethod
    def _bulk_upsert(cls, rows: Any, *, on_error: OnError) -> BulkOutcome:
        return calendars.bulk_upsert_calendars(rows, on_error=on_error)

    def sessions(self, start: dt.date | None = None, end: dt.date | None = None) -> list[CalendarSession]:
        """The stored sessions between two local dates, both inclusive."""
        rows = self._stored(self.uid).sessions.order_by("local_date", "session_label")
        if start is not None:
            rows = rows.filter(local_date__gte=start)
        if end is not None:
            rows = rows.filter(local_date__lte=end)
        return [CalendarSession._of(row) for row in rows]

    @classmethod
    def update(cls, uid: uuid.UUID | str, **fields: Any) -> Self:
        """Change a calendar; its identifier never changes. Raises NotFound, InvalidInput, Conflict."""
        return cls._of(calendars.update_calendar(cls._stored(uid), **fields))


class _CalendarRow(Row):
    """A row of a calendar, which `calendar_uid` names."""

    calendar_uid: uuid.UUID

    @classmethod
    def _rows(cls) -> Any:
        return super()._rows().annotate(calendar_uid=F("calendar__uid")).select_related("calendar")

    @classmethod
    def _of(cls, row: Any) -> Self:
        row.calendar_uid = row.calendar.uid
        return super()._of(row)

    @classmethod
    def _field(cls, name: str) -> str:
        return name if name == "calendar_uid" else super()._field(name)


class CalendarDate(_CalendarRow):
    """One date of a calendar: its flags, which are independent of each other, and the holiday's name."""

    __model__ = CalendarDateModel
    __required_tables__ = ("Calendar", "CalendarDate")

    local_date: dt.date
    is_business_day: bool
    is_holiday: bool
    is_weekend: bool
    is_early_close: bool
    holiday_name: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, *, calendar_uid: uuid.UUID | str, local_date: dt.date | str, **fields: Any) -> Self:
        """As `upsert`, for a date that must be new. Raises Conflict."""
        cls._rows()
        return cls._of(calendar_dates.create_date(_calendar(calendar_uid), local_date=local_date, **fields))

    @classmethod
    def upsert(
        cls,
        *,
        calendar_uid: uuid.UUID | str,
        local_date: dt.date | str,
        is_business_day: Any = UNSET,
        is_holiday: Any = UNSET,
        is_weekend: Any = UNSET,
        is_early_close: Any = UNSET,
        holiday_name: Any = UNSET,
        metadata_json: Any = UNSET,
    ) -> Self:
        """The calendar's date, made or changed; omitted keeps, None clears. It lies inside the calendar's horizon."""
        cls._rows()
        saved = calendar_dates.upsert_date(
            _calendar(calendar_uid),
            local_date=local_date,
            is_business_day=is_business_day,
            is_holiday=is_holiday,
            is_weekend=is_weekend,
            is_early_close=is_early_close,
            holiday_name=holiday_name,
            metadata_json=metadata_json,
        )
        return cls._of(saved.row)

    @classmethod
    def update(cls, uid: uuid.UUID | str, **fields: Any) -> Self:
        """Change a date's flags, holiday name or metadata. Raises NotFound."""
        return cls._of(calendar_dates.update_date(cls._stored(uid), **fields))

    @classmethod
    def _delete(cls, row: Any) -> None:
        calendar_dates.delete_date(row)


class CalendarEvent(_CalendarRow):
    """Something that happens on a date, or at a time of it: an expiry, a fixing, a roll."""

    __model__ = CalendarEventModel
    __required_tables__ = ("Calendar", "CalendarEvent")

    event_date: dt.date | None
    event_time: dt.datetime | None
    event_type: str
    event_label: str
    target_type: str
    target_identifier: str
    target_uid: uuid.UUID | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, *, calendar_uid: uuid.UUID | str, event_type: str, **fields: Any) -> Self:
        """As `upsert`, for an event that must be new and may lack a date. Raises Conflict."""
        cls._rows()
        return cls._of(calendar_events.create_event(_calendar(calendar_uid), event_type=event_type, **fields))

    @classmethod
    def upsert(
        cls,
        *,
        calendar_uid: uuid.UUID | str,
        event_date: dt.date | str,
        event_type: str,
        event_label: Any = UNSET,
        target_type: Any = UNSET,
        target_identifier: Any = UNSET,
        event_time: Any = UNSET,
        target_uid: Any = UNSET,
        metadata_json: Any = UNSET,
    ) -> Self:
        """The calendar's event, made or changed; omitted keeps, None clears.

        Date, type, label and target are its key; `"last trade"` is stored as LAST_TRADE.
        """
        cls._rows()
        saved = calendar_events.upsert_event(
            _calendar(calendar_uid),
            event_date=event_date,
            event_type=event_type,
            event_label=event_label,
            target_type=target_type,
            target_identifier=target_identifier,
            event_time=event_time,
            target_uid=target_uid,
            metadata_json=metadata_json,
        )
        return cls._of(saved.row)

    @classmethod
    def update(cls, uid: uuid.UUID | str, **fields: Any) -> Self:
        """Change an event's time, target uid or metadata; its key never changes. Raises NotFound."""
        return cls._of(calendar_events.update_event(cls._stored(uid), **fields))

    @classmethod
    def _delete(cls, row: Any) -> None:
        calendar_events.delete_event(row)

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        return "_".join(value.upper().split()) if field == "event_type" and isinstance(value, str) else value


def _calendar(uid: uuid.UUID | str) -> Any:
    return Calendar._stored(uid)
