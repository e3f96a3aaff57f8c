"""How the back-office writes times, numbers and states, everywhere the same."""

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

NOTHING = "—"
_TONES = {  # states of runs and jobs
    "succeeded": "good",
    "up_to_date": "plain",
    "failed": "bad",
    "running": "busy",
    "queued": "wait",
    "waiting": "wait",
    "skipped": "plain",
    "cancelled": "plain",
}


def utc(instant: dt.datetime | None, *, zone: bool = True) -> str:
    """2026-01-31 21:00 UTC; with seconds where they are not zero."""
    if instant is None:
        return NOTHING
    instant = instant.astimezone(dt.UTC)
    text = instant.strftime("%Y-%m-%d %H:%M:%S" if instant.second else "%Y-%m-%d %H:%M")
    return f"{text} UTC" if zone else text


def count(number: int | None) -> str:
    return NOTHING if number is None else f"{number:,}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """1 row, 2,000 rows."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def percent(fraction: float | None, digits: int = 2) -> str:
    return NOTHING if fraction is None else f"{fraction * 100:,.{digits}f} %"


def cell(value: Any) -> str:
    """A stored value: times in UTC, numbers with separators and no noise."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dt.datetime):
        return utc(value, zone=False)
    if isinstance(value, float):
        return f"{value:,.8g}" if abs(value) < 1e9 else f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def compact(value: Any, longest: int = 240) -> str:
    """A stored value of any kind in little space: structures as JSON, long texts by their beginning."""
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, default=str)
    elif isinstance(value, float):
        text = repr(value)
    else:
        text = cell(value)
    return text if len(text) <= longest else f"{text[:longest]}…"


def duration(seconds: float | None) -> str:
    """0.42 s, 12.3 s, 4 min 05 s, 2 h 10 min."""
    if seconds is None:
        return NOTHING
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def age(since: dt.datetime | None, now: dt.datetime) -> str:
    """How long ago: just now, 5 min, 3 h, 2 d."""
    if since is None:
        return NOTHING
    seconds = (now - since).total_seconds()
    if seconds < -60:
        return f"in {age(now, since)}"
    if seconds < 60:
        return "just now"
    for unit, length in (("min", 60), ("h", 3600), ("d", 86400)):
        amount = int(seconds // length)
        if unit == "d" or amount < {"min": 60, "h": 48}[unit]:
            return f"{amount:,} {unit}"
    raise AssertionError


def badge(text: str, tone: str = "plain") -> SafeString:
    return format_html('<span class="msm-badge msm-{}">{}</span>', tone, text)


def status_badge(status: str | None, label: str) -> SafeString:
    """The badge of a run's or a job's status; `None` means that it never ran."""
    return badge(label, _TONES.get(status or "", "plain"))


def link(url: str, text: object) -> SafeString:
    return format_html('<a class="msm-link" href="{}">{}</a>', url, text)


def code(text: object) -> SafeString:
    return format_html("<code>{}</code>", text)


def lines(items: Iterable[object]) -> SafeString:
    """The items one below the other."""
    return format_html_join("", "<div>{}</div>", ((item,) for item in items))


def pretty_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
