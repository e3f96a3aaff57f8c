"""How old the data of DataNodes are, in sessions of their calendar where they name one, in days where not."""

import bisect
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from markets.admin.formatting import age
from markets.data_nodes.node_calendars import calendar_of
from markets.models import CalendarSession, NodeUpdate

FEW_SESSIONS = 5  # a week: older than that is not a late vendor but a node that nobody runs
FEW_DAYS = 7
RECENT_DAYS = 4  # a long weekend


@dataclass(frozen=True)
class Freshness:
    """`text` for a person, `tone` for the badge: good, wait (getting old), bad (old), plain (no data)."""

    text: str
    tone: str


def freshness_of(
    updates: Sequence[NodeUpdate], last_times: dict[int, dt.datetime | None], now: dt.datetime
) -> dict[int, Freshness]:
    """Primary key of each update → freshness, of each alone; one query, whatever their number."""
    calendars = {update.pk: calendar_of(update.build_configuration) for update in updates}
    known = [last for pk, last in last_times.items() if last is not None and calendars.get(pk)]
    closes: dict[str, list[dt.datetime]] = {}
    if known:
        rows = CalendarSession.objects.filter(
            calendar__unique_identifier__in={name for name in calendars.values() if name},
            is_primary=True,
            closes_at__gt=min(*known, now) - dt.timedelta(days=FEW_DAYS),
            closes_at__lte=now,
        )
        for name, close in rows.order_by("closes_at").values_list("calendar__unique_identifier", "closes_at"):
            closes.setdefault(name, []).append(close)
    regular = {update.pk: bool(update.storage.data_frequency_id or calendars[update.pk]) for update in updates}
    return {
        pk: _freshness(last_times.get(pk), closes.get(name or ""), now, is_regular=regular[pk])
        for pk, name in calendars.items()
    }


def _freshness(
    last: dt.datetime | None, closes: list[dt.datetime] | None, now: dt.datetime, *, is_regular: bool
) -> Freshness:
    if last is None:
        return Freshness("no data yet", "plain")
    if closes and (now - closes[-1]).days < FEW_DAYS:  # a calendar that ends in the past cannot tell sessions
        behind = len(closes) - bisect.bisect_right(closes, last)
        if behind == 0:
            return Freshness("up to date", "good")
        text = f"{behind:,} session{'' if behind == 1 else 's'} behind"
        return Freshness(text, "good" if behind == 1 else "wait" if behind <= FEW_SESSIONS else "bad")
    if not is_regular:  # without a frequency or a calendar nothing is late: a signal may hold for years
        return Freshness(age(last, now), "plain")
    days = (now - last).total_seconds() / 86400
    text = age(last, now)
    return Freshness(
        text if text.startswith("in ") or text == "just now" else f"{text} old",
        "good" if days <= RECENT_DAYS else "wait" if days <= FEW_DAYS else "bad",
    )
