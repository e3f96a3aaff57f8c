"""What the services of a calendar's rows share: its horizon, and when it changed last."""

import datetime as dt

from django.utils import timezone

from markets.exceptions import InvalidInput
from markets.models import Calendar


def touch(calendar: Calendar) -> None:
    """Note that the calendar changed now."""
    calendar.updated_at = timezone.now()
    Calendar.objects.filter(pk=calendar.pk).update(updated_at=calendar.updated_at)


def check_in_horizon(calendar: Calendar, day: dt.date, *, field: str) -> None:
    """Raise InvalidInput when the day lies outside of what the calendar covers."""
    if not calendar.valid_from <= day <= calendar.valid_to:
        raise InvalidInput(
            f"{field}={day} lies outside of {calendar}'s horizon, {calendar.valid_from} to {calendar.valid_to}. "
            "Extend the calendar first.",
            field=field,
        )
