"""Calendars: their horizon, and their sessions and dates made from a market's rules."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone as clock
from psycopg import sql

from markets.exceptions import Conflict, InvalidInput, NotFound
from markets.models import Calendar, CalendarDate, CalendarEvent, CalendarSession
from markets.services.bulk import BulkOutcome, OnError, Rows, bulk_upsert
from markets.services.bulk_stage import STAGE, Entity, StagedRows, by_name
from markets.services.calendar_dates import write_market_dates
from markets.services.calendar_rows import check_in_horizon
from markets.services.calendar_rows import touch as _touch
from markets.services.market_calendars import SOURCE, MarketSchedule, is_time_zone, market_schedule
from markets.services.registry_rows import require
from markets.services.stored import insert_or_lock, locked
from markets.services.values import (
    UNSET,
    Unset,
    Upserted,
    clean_date,
    clean_identifier,
    clean_instant,
    clean_object,
    clean_optional_text,
    clean_text,
    given,
    listed,
)

SESSION_FIELDS = ("opens_at", "closes_at", "break_starts_at", "break_ends_at", "is_early_close")


@dataclass(frozen=True)
class Materialised:
    """A calendar made from a market's rules, and what changed in its sessions."""

    calendar: Calendar
    created: bool
    added: int
    changed: int
    removed: int
    kept: int


def create_from_pandas_calendar(
    *,
    source_identifier: str,
    unique_identifier: str,
    display_name: str,
    valid_from: dt.date | str,
    valid_to: dt.date | str,
    calendar_type: str = "TRADING",
    timezone: str | None = None,
    session_label: str = "regular",
    metadata_json: dict | Unset | None = UNSET,
) -> Materialised:
    """Make or renew a calendar, its sessions and its dates from pandas_market_calendars; all or nothing.

    Everything is computed and checked before the first write. Doing it again changes nothing; a session of this label
    that the market no longer has is deleted, and so is every session and date outside the new horizon. Each date of the
    horizon gets its flags and the holiday's name. A range without any session gives a calendar without sessions. Raises
    InvalidInput; Conflict when a date already has a primary session under another label, or when an event lies outside
    of the new horizon.
    """
    source = clean_text(source_identifier, field="source_identifier", longest=255)
    label = clean_text(session_label, field="session_label", longest=64)
    fields = _cleaned(
        **given(
            display_name=display_name,
            calendar_type=calendar_type,
            valid_from=valid_from,
            valid_to=valid_to,
            metadata_json=metadata_json,
            **({} if timezone is None else {"timezone": timezone}),
        )
    )
    _check_horizon(fields["valid_from"], fields["valid_to"])
    identifier = clean_identifier(unique_identifier)
    schedule = market_schedule(source, valid_from=fields["valid_from"], valid_to=fields["valid_to"])
    fields |= {"source": SOURCE, "source_identifier": source}
    fields.setdefault("timezone", schedule.timezone)
    with transaction.atomic():
        saved = _insert(identifier, fields)
        calendar = saved.row if saved.created else _change(saved.row, fields)
        return _materialise(calendar, label, schedule, created=saved.created)


@transaction.atomic
def refresh_calendar(
    calendar: Calendar, *, valid_from: dt.date | str | None = None, valid_to: dt.date | str | None = None
) -> Materialised:
    """Compute a calendar's sessions and dates anew from the market that it was made of, over a new horizon when given.

    Nothing else of the calendar changes. Raises NotFound when it was deleted meanwhile, Conflict when it was not made
    from a market; else as `create_from_pandas_calendar`.
    """
    stored = locked(calendar)
    if stored.source != SOURCE or not stored.source_identifier:
        raise Conflict(
            f"{stored.unique_identifier} was not made from a market's rules, so nothing can renew its sessions. "
            "Make it with create-from-pandas-calendar, or edit its sessions."
        )
    labels = stored.sessions.filter(is_primary=True).values_list("session_label", flat=True)
    return create_from_pandas_calendar(
        source_identifier=stored.source_identifier,
        unique_identifier=stored.unique_identifier,
        display_name=stored.display_name,
        valid_from=stored.valid_from if valid_from is None else valid_from,
        valid_to=stored.valid_to if valid_to is None else valid_to,
        calendar_type=stored.calendar_type,
        timezone=stored.timezone,
        session_label=labels.first() or "regular",
    )


@transaction.atomic
def create_calendar(
    *,
    unique_identifier: str,
    display_name: str,
    valid_from: dt.date | str,
    valid_to: dt.date | str,
    calendar_type: str = "TRADING",
    timezone: str = "UTC",
    source: str | None = None,
    source_identifier: str | None = None,
    metadata_json: dict | None = None,
) -> Calendar:
    """A new calendar without sessions. Raises Conflict when the identifier is taken."""
    fields = _cleaned(
        display_name=display_name,
        valid_from=valid_from,
        valid_to=valid_to,
        calendar_type=calendar_type,
        timezone=timezone,
        source=source,
        source_identifier=source_identifier,
        metadata_json=metadata_json,
    )
    _check_horizon(fields["valid_from"], fields["valid_to"])
    saved = _insert(clean_identifier(unique_identifier), fields)
    if not saved.created:
        raise Conflict(
            f"A calendar {saved.row.unique_identifier!r} exists already. Change that one, or choose another identifier."
        )
    return saved.row


@transaction.atomic
def upsert_calendar(*, unique_identifier: str, **fields: Any) -> Upserted[Calendar]:
    """The calendar with this identifier, made (as by `create_calendar`) or changed (as by `update_calendar`)."""
    identifier = clean_identifier(unique_identifier)
    stored = Calendar.objects.filter(unique_identifier=identifier).first()
    if stored is not None:
        return Upserted(update_calendar(stored, **fields), created=False)
    require(fields, ("display_name", "valid_from", "valid_to"), subject="calendar")
    return Upserted(create_calendar(unique_identifier=identifier, **fields), created=True)


@transaction.atomic
def update_calendar(calendar: Calendar, **fields: Any) -> Calendar:
    """Change the fields that are given (all but the identifier).

    Raises Conflict when stored sessions would lie outside the new horizon.
    """
    changeable = {field.name for field in Calendar._meta.concrete_fields} - {
        *("id", "uid", "unique_identifier", "created_at", "updated_at")
    }
    unknown = sorted(set(fields) - changeable)
    if unknown:
        raise InvalidInput(f"A calendar has no changeable field {listed(unknown)}.", field=unknown[0])
    cleaned = _cleaned(**given(**fields))
    calendar = locked(calendar)
    first = cleaned.get("valid_from", calendar.valid_from)
    last = cleaned.get("valid_to", calendar.valid_to)
    _check_horizon(first, last)
    for rows, column, noun in (
        (calendar.sessions, "local_date", "session"),
        (calendar.events.exclude(event_date=None), "event_date", "event"),
        (calendar.dates, "local_date", "date"),
    ):
        outside = rows.exclude(**{f"{column}__range": (first, last)}).values_list(column, flat=True).first()
        if outside is not None:
            raise Conflict(_day_outside(str(calendar), noun, outside, first, last))
    return _change(calendar, cleaned)


@transaction.atomic
def upsert_session(
    calendar: Calendar,
    *,
    local_date: dt.date | str,
    opens_at: dt.datetime,
    closes_at: dt.datetime,
    session_label: str = "regular",
    break_starts_at: dt.datetime | None = None,
    break_ends_at: dt.datetime | None = None,
    is_early_close: bool = False,
    is_primary: bool = True,
    metadata_json: dict | Unset | None = UNSET,
) -> Upserted[CalendarSession]:
    """Write one session by hand; its key is the date and the label. Times are aware; the date lies in the horizon."""
    day = clean_date(local_date, field="local_date")
    label = clean_text(session_label, field="session_label", longest=64)
    calendar = locked(calendar)
    check_in_horizon(calendar, day, field="local_date")
    values: dict[str, Any] = {
        **_session_times(opens_at, closes_at, break_starts_at, break_ends_at),
        "is_early_close": is_early_close,
        "is_primary": is_primary,
    }
    if not isinstance(metadata_json, Unset):
        values["metadata_json"] = clean_object(metadata_json, field="metadata_json")
    if is_primary:
        _refuse_second_primary(calendar, label, [day])
    row, created = CalendarSession.objects.update_or_create(
        calendar=calendar, local_date=day, session_label=label, defaults=values
    )
    _touch(calendar)
    return Upserted(row, created)


@transaction.atomic
def delete_session(calendar: Calendar, *, local_date: dt.date | str, session_label: str = "regular") -> None:
    """Delete one session. Raises NotFound when there is none under this date and label."""
    day = clean_date(local_date, field="local_date")
    label = clean_text(session_label, field="session_label", longest=64)
    calendar = locked(calendar)
    deleted, _ = CalendarSession.objects.filter(calendar=calendar, local_date=day, session_label=label).delete()
    if not deleted:
        raise NotFound(f"{calendar} has no session {label!r} on {day}.")
    _touch(calendar)


def _materialise(calendar: Calendar, label: str, schedule: MarketSchedule, *, created: bool) -> Materialised:
    wanted = schedule.sessions
    horizon = (calendar.valid_from, calendar.valid_to)
    event = calendar.events.exclude(event_date=None).exclude(event_date__range=horizon).first()
    if event is not None:
        raise Conflict(f"The event {event} lies outside of {horizon[0]} to {horizon[1]}. Delete it first.")
    outside, _ = calendar.sessions.exclude(local_date__range=horizon).delete()
    _refuse_second_primary(calendar, label, [session.local_date for session in wanted])
    stored = {row.local_date: row for row in calendar.sessions.filter(session_label=label)}
    new, changed = [], []
    for session in wanted:
        values = {name: getattr(session, name) for name in SESSION_FIELDS}
        row = stored.pop(session.local_date, None)
        if row is None:
            new.append(CalendarSession(calendar=calendar, local_date=session.local_date, session_label=label, **values))
        elif any(getattr(row, name) != value for name, value in values.items()) or not row.is_primary:
            for name, value in values.items():
                setattr(row, name, value)
            row.is_primary, row.updated_at = True, clock.now()
            changed.append(row)
    if stored:
        CalendarSession.objects.filter(pk__in=[row.pk for row in stored.values()]).delete()
    CalendarSession.objects.bulk_create(new, batch_size=5_000)
    CalendarSession.objects.bulk_update(changed, [*SESSION_FIELDS, "is_primary", "updated_at"], batch_size=1_000)
    removed = outside + len(stored)
    dates_differ = write_market_dates(calendar, schedule)
    if new or changed or removed or dates_differ:
        _touch(calendar)
    kept = len(wanted) - len(new) - len(changed)
    return Materialised(calendar, created, added=len(new), changed=len(changed), removed=removed, kept=kept)


def _session_times(opens_at: object, closes_at: object, break_starts_at: object, break_ends_at: object) -> dict:
    opens, closes = clean_instant(opens_at, field="opens_at"), clean_instant(closes_at, field="closes_at")
    if closes <= opens:
        raise InvalidInput(
            f"closes_at={closes.isoformat()} is not after opens_at={opens.isoformat()}.", field="closes_at"
        )
    if (break_starts_at is None) != (break_ends_at is None):
        raise InvalidInput(
            "A break has both a start and an end. Give break_starts_at and break_ends_at, or neither.",
            field="break_ends_at" if break_ends_at is None else "break_starts_at",
        )
    starts = ends = None
    if break_starts_at is not None:
        starts = clean_instant(break_starts_at, field="break_starts_at")
        ends = clean_instant(break_ends_at, field="break_ends_at")
        if not opens < starts < ends < closes:
            raise InvalidInput(
                f"The break from {starts.isoformat()} to {ends.isoformat()} does not lie inside the session.",
                field="break_starts_at",
            )
    return {"opens_at": opens, "closes_at": closes, "break_starts_at": starts, "break_ends_at": ends}


def _refuse_second_primary(calendar: Calendar, label: str, days: list[dt.date]) -> None:
    others = calendar.sessions.filter(is_primary=True).exclude(session_label=label)
    clash = others.filter(local_date__in=days).values_list("local_date", "session_label").first()
    if clash is not None:
        raise Conflict(
            f"{calendar} already has the primary session {clash[1]!r} on {clash[0]}. Make that one not primary, or "
            f"use its label instead of {label!r}."
        )


def _check_horizon(first: dt.date, last: dt.date) -> None:
    if last < first:
        raise InvalidInput(_horizon_reversed(first, last), field="valid_to")


def _horizon_reversed(first: dt.date, last: dt.date) -> str:
    return f"valid_to={last} is before valid_from={first}. Swap them."


def _day_outside(calendar: str, noun: str, day: dt.date, first: dt.date, last: dt.date) -> str:
    article = "an" if noun == "event" else "a"
    return (
        f"{calendar} has {article} {noun} on {day}, outside of {first} to {last}. Delete it first, or make the "
        "calendar anew from its market."
    )


def _cleaned(**fields: Any) -> dict[str, Any]:
    cleaned: dict[str, Any] = {}
    for name, value in fields.items():
        if name in ("valid_from", "valid_to"):
            cleaned[name] = clean_date(value, field=name)
        elif name == "calendar_type":
            cleaned[name] = "_".join(clean_text(value, field=name, longest=64).upper().split())
        elif name == "timezone":
            cleaned[name] = clean_text(value, field=name, longest=64)
            if not is_time_zone(cleaned[name]):
                raise InvalidInput(
                    f"timezone={cleaned[name]!r} is no IANA time zone. Examples: UTC, America/New_York.", field=name
                )
        elif name == "metadata_json":
            cleaned[name] = clean_object(value, field=name)
        elif name == "display_name":
            cleaned[name] = clean_text(value, field=name, longest=255)
        else:
            cleaned[name] = clean_optional_text(value, field=name, longest=128 if name == "source" else 255)
    return cleaned


def _insert(identifier: str, fields: dict[str, Any]) -> Upserted[Calendar]:
    return insert_or_lock(Calendar(unique_identifier=identifier, **fields), key="unique_identifier")


def _change(calendar: Calendar, fields: dict[str, Any]) -> Calendar:
    changed = {name: value for name, value in fields.items() if getattr(calendar, name) != value}
    if changed:
        for name, value in changed.items():
            setattr(calendar, name, value)
        calendar.updated_at = clock.now()
        calendar.save(update_fields=[*changed, "updated_at"])
    return calendar


def bulk_upsert_calendars(rows: Rows, *, on_error: OnError = "refuse") -> BulkOutcome:
    """Many calendars at once, by `unique_identifier`; their sessions stay. See `markets.services.bulk`."""
    return bulk_upsert(CALENDARS, rows, on_error=on_error)


def _bad_horizons(stage: StagedRows) -> Iterator[tuple[int, str, str]]:
    """Rows whose horizon, given or stored, ends before it begins or leaves a stored session, event or date outside.

    The stored calendars are locked, in the order of their keys, so that no session is added meanwhile.
    """
    table = sql.Identifier(Calendar._meta.db_table)
    stage.rows(
        sql.SQL(
            "SELECT c.id FROM {} AS c WHERE c.unique_identifier IN (SELECT unique_identifier FROM {}) "
            "ORDER BY c.unique_identifier FOR UPDATE"
        ).format(table, STAGE)
    )
    rows = stage.rows(
        sql.SQL(
            "WITH wanted AS (SELECT s.position, s.unique_identifier, e.id, "
            "coalesce(s.valid_from, e.valid_from) AS first, coalesce(s.valid_to, e.valid_to) AS last "
            "FROM {} AS s LEFT JOIN {} AS e ON e.unique_identifier = s.unique_identifier) "
            "SELECT w.*, o.noun, o.day FROM wanted AS w LEFT JOIN LATERAL (SELECT d.noun, d.day FROM ({}) AS d "
            "WHERE d.day NOT BETWEEN w.first AND w.last ORDER BY d.noun DESC, d.day LIMIT 1) AS o ON true"
        ).format(STAGE, table, sql.SQL(" UNION ALL ").join(_days_of_wanted()))
    )
    for position, identifier, _, first, last, noun, outside in rows:
        if first is not None and last is not None and last < first:
            yield position, "valid_to", _horizon_reversed(first, last)
        elif outside is not None:
            bound = "valid_from" if outside < first else "valid_to"
            yield position, bound, _day_outside(identifier, noun, outside, first, last)


def _days_of_wanted() -> list[sql.Composable]:
    """The days of what is stored in the calendar w, of each kind."""
    kinds = (("session", CalendarSession, "local_date"), ("event", CalendarEvent, "event_date"))
    return [
        sql.SQL("SELECT {} AS noun, {} AS day FROM {} WHERE calendar_id = w.id").format(
            sql.Literal(noun), sql.Identifier(column), sql.Identifier(model._meta.db_table)
        )
        for noun, model, column in (*kinds, ("date", CalendarDate, "local_date"))
    ]


CALENDARS = Entity(
    noun="calendar",
    model=Calendar,
    key="unique_identifier",
    clean_key=clean_identifier,
    clean=by_name(
        _cleaned,
        (
            *("display_name", "calendar_type", "timezone", "source", "source_identifier", "valid_from", "valid_to"),
            "metadata_json",
        ),
    ),
    defaults={"calendar_type": lambda key: "TRADING", "timezone": lambda key: "UTC"},
    read_only={name: name for name in ("uid", "id", "created_at", "updated_at")},
    required=("display_name", "valid_from", "valid_to"),
    checks=(_bad_horizons,),
)
