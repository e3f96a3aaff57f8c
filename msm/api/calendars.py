"""Calendars and their sessions."""

import datetime as dt
import uuid
from typing import Any, Self

from markets.models import Calendar as CalendarModel
from markets.models import CalendarSession as CalendarSessionModel
from markets.services import calendars
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
        attached(cls.__name__, "Calendar", "CalendarSession")
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
