"""Calendars, their dates, sessions and events."""

import datetime as dt
import inspect
import uuid
from typing import Any, Self, TypedDict, Unpack

from django.db.models import F

from markets.models import Calendar as CalendarModel
from markets.models import CalendarDate as CalendarDateModel
from markets.models import CalendarEvent as CalendarEventModel
from markets.models import CalendarSession as CalendarSessionModel
from markets.services import calendar_dates, calendar_events, calendar_sessions, calendars
from markets.services.values import UNSET
from msm.api.payloads import Payload, Service, Services
from msm.api.rows import Row, Uid
from msm.runtime import attached

Day = dt.date | str
Moment = dt.datetime | str


class _CalendarRow(Row):
    """A row of a calendar, which `calendar_uid` names."""

    __lookups__ = {"calendar_uid": "calendar__uid"}

    calendar_uid: uuid.UUID

    @classmethod
    def _rows(cls) -> Any:
        return super()._rows().annotate(calendar_uid=F("calendar__uid")).select_related("calendar")

    @classmethod
    def _of(cls, row: Any) -> Self:
        row.calendar_uid = row.calendar.uid
        return super()._of(row)


def _of_calendar(service: Service) -> Service:
    """The service with `calendar_uid` in place of the calendar."""

    def call(*, calendar_uid: Uid, **fields: Any) -> Any:
        return service(Calendar._stored(calendar_uid), **fields)

    own = [item for item in inspect.signature(service).parameters.values() if item.name != "calendar"]
    parameter = inspect.Parameter("calendar_uid", inspect.Parameter.KEYWORD_ONLY)
    call.__signature__ = inspect.Signature([parameter, *own])  # type: ignore[attr-defined]
    return call


class CalendarSessionFields(TypedDict, total=False):
    calendar_uid: Uid
    local_date: Day
    session_label: str
    opens_at: Moment
    closes_at: Moment
    break_starts_at: Moment | None
    break_ends_at: Moment | None
    is_early_close: bool
    is_primary: bool
    metadata_json: dict[str, Any] | None


class CalendarSession(_CalendarRow):
    """When a market is open on a date: from `opens_at` to `closes_at`, but for the break."""

    __model__ = CalendarSessionModel
    __required_tables__ = ("Calendar", "CalendarSession")
    __writable__ = CalendarSessionFields
    __fixed__ = ("calendar_uid", "local_date", "session_label")
    __services__ = Services(
        create=_of_calendar(calendar_sessions.create_session),
        upsert=_of_calendar(calendar_sessions.save_session),
        update=calendar_sessions.update_session,
        delete=lambda row: calendars.delete_session(
            row.calendar, local_date=row.local_date, session_label=row.session_label
        ),
    )

    local_date: dt.date
    session_label: str
    opens_at: dt.datetime
    closes_at: dt.datetime
    break_starts_at: dt.datetime | None
    break_ends_at: dt.datetime | None
    is_early_close: bool
    is_primary: bool
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[CalendarSessionFields]) -> Self:
        """As `upsert`, for a session that must be new. Raises Conflict."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[CalendarSessionFields]) -> Self:
        """The session of this date and label, made or changed; omitted keeps, None clears. Times are aware."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[CalendarSessionFields]) -> Self:
        """Change a session's times, flags or metadata. Raises NotFound."""
        return cls._update(uid, payload, fields)


class CalendarFields(TypedDict, total=False):
    unique_identifier: str
    display_name: str
    calendar_type: str
    timezone: str
    source: str | None
    source_identifier: str | None
    valid_from: Day
    valid_to: Day
    metadata_json: dict[str, Any] | None


class Calendar(Row):
    __model__ = CalendarModel
    __required_tables__ = ("Calendar",)
    __writable__ = CalendarFields
    __services__ = Services(
        create=calendars.create_calendar,
        upsert=calendars.upsert_calendar,
        update=calendars.update_calendar,
        bulk_upsert=calendars.bulk_upsert_calendars,
    )

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
        valid_from: Day,
        valid_to: Day,
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

    def sessions(self, start: dt.date | None = None, end: dt.date | None = None) -> list[CalendarSession]:
        """The stored sessions between two local dates, both inclusive."""
        rows = self._stored(self.uid).sessions.select_related("calendar").order_by("local_date", "session_label")
        if start is not None:
            rows = rows.filter(local_date__gte=start)
        if end is not None:
            rows = rows.filter(local_date__lte=end)
        return [CalendarSession._of(row) for row in rows]

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[CalendarFields]) -> Self:
        """A new calendar without sessions. Raises Conflict when the identifier is taken."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[CalendarFields]) -> Self:
        """The calendar with this identifier, made (with `display_name`, `valid_from` and `valid_to`) or changed."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[CalendarFields]) -> Self:
        """Change a calendar; its identifier never changes. Raises NotFound, InvalidInput, Conflict."""
        return cls._update(uid, payload, fields)


class CalendarDateFields(TypedDict, total=False):
    calendar_uid: Uid
    local_date: Day
    is_business_day: bool
    is_holiday: bool
    is_weekend: bool
    is_early_close: bool
    holiday_name: str | None
    metadata_json: dict[str, Any] | None


class CalendarDate(_CalendarRow):
    """One date of a calendar: its flags, which are independent of each other, and the holiday's name."""

    __model__ = CalendarDateModel
    __required_tables__ = ("Calendar", "CalendarDate")
    __writable__ = CalendarDateFields
    __fixed__ = ("calendar_uid", "local_date")
    __services__ = Services(
        create=_of_calendar(calendar_dates.create_date),
        upsert=_of_calendar(calendar_dates.upsert_date),
        update=calendar_dates.update_date,
        delete=calendar_dates.delete_date,
    )

    local_date: dt.date
    is_business_day: bool
    is_holiday: bool
    is_weekend: bool
    is_early_close: bool
    holiday_name: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[CalendarDateFields]) -> Self:
        """As `upsert`, for a date that must be new. Raises Conflict."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[CalendarDateFields]) -> Self:
        """The calendar's date, made or changed; omitted keeps, None clears. It lies inside the calendar's horizon."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[CalendarDateFields]) -> Self:
        """Change a date's flags, holiday name or metadata. Raises NotFound."""
        return cls._update(uid, payload, fields)


class CalendarEventFields(TypedDict, total=False):
    calendar_uid: Uid
    event_date: Day | None
    event_time: Moment | None
    event_type: str
    event_label: str
    target_type: str
    target_identifier: str
    target_uid: Uid | None
    metadata_json: dict[str, Any] | None


class CalendarEvent(_CalendarRow):
    """Something that happens on a date, or at a time of it: an expiry, a fixing, a roll."""

    __model__ = CalendarEventModel
    __required_tables__ = ("Calendar", "CalendarEvent")
    __writable__ = CalendarEventFields
    __fixed__ = ("calendar_uid", "event_date", "event_type", "event_label", "target_type", "target_identifier")
    __services__ = Services(
        create=_of_calendar(calendar_events.create_event),
        upsert=_of_calendar(calendar_events.upsert_event),
        update=calendar_events.update_event,
        delete=calendar_events.delete_event,
    )

    event_date: dt.date | None
    event_time: dt.datetime | None
    event_type: str
    event_label: str
    target_type: str
    target_identifier: str
    target_uid: uuid.UUID | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[CalendarEventFields]) -> Self:
        """As `upsert`, for an event that must be new and may lack a date. Raises Conflict."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[CalendarEventFields]) -> Self:
        """The calendar's event, made or changed; omitted keeps, None clears.

        Date, type, label and target are its key; `"last trade"` is stored as LAST_TRADE.
        """
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[CalendarEventFields]) -> Self:
        """Change an event's time, target uid or metadata; its key never changes. Raises NotFound."""
        return cls._update(uid, payload, fields)

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        if field != "event_type":
            return value
        if isinstance(value, list):
            return [cls._filter_value(field, item) for item in value]
        return "_".join(value.upper().split()) if isinstance(value, str) else value
