"""What a calendar knows beside its sessions: each date's flags and holiday, and dated events."""

from django.db import models

from markets.models.base import RegistryRow
from markets.models.calendars import Calendar


class CalendarDate(RegistryRow):
    calendar = models.ForeignKey(Calendar, on_delete=models.CASCADE, related_name="dates")
    local_date = models.DateField()
    is_business_day = models.BooleanField("business day", default=False)
    is_holiday = models.BooleanField("holiday", default=False)
    is_weekend = models.BooleanField("weekend", default=False)
    is_early_close = models.BooleanField("early close", default=False)
    holiday_name = models.CharField(max_length=255, blank=True, null=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        ordering = ["calendar", "local_date"]
        verbose_name = "calendar date"
        constraints = [
            models.UniqueConstraint(fields=["calendar", "local_date"], name="markets_calendardate_unique"),
            models.CheckConstraint(
                condition=models.Q(holiday_name__isnull=True) | models.Q(holiday_name__regex=r"\S"),
                name="markets_calendardate_holiday_name_not_blank",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.calendar} {self.local_date:%Y-%m-%d}"


class CalendarEvent(RegistryRow):
    calendar = models.ForeignKey(Calendar, on_delete=models.CASCADE, related_name="events")
    event_date = models.DateField(blank=True, null=True)
    event_time = models.DateTimeField("event time (UTC)", blank=True, null=True)
    event_type = models.CharField(max_length=64, help_text="Such as EXPIRY, FIXING, SETTLEMENT, ROLL, FIRST_NOTICE.")
    event_label = models.CharField(max_length=255, blank=True, default="")
    target_type = models.CharField(max_length=64, blank=True, default="", help_text="What it concerns: Asset, Index.")
    target_identifier = models.CharField(max_length=255, blank=True, default="")
    target_uid = models.UUIDField(blank=True, null=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        ordering = ["calendar", "event_date", "event_type", "event_label", "pk"]
        verbose_name = "calendar event"
        constraints = [
            models.UniqueConstraint(
                fields=[
                    *("calendar", "event_date", "event_type", "event_label", "target_type", "target_identifier"),
                ],
                nulls_distinct=False,
                name="markets_calendarevent_unique",
            ),
            models.CheckConstraint(
                condition=models.Q(event_type__regex=r"^\S+$"),
                name="markets_calendarevent_type_is_token",
                violation_error_message="An event type is one word in capitals: LAST_TRADE.",
            ),
        ]

    def __str__(self) -> str:
        day = f"{self.event_date:%Y-%m-%d}" if self.event_date else "undated"
        return " ".join(part for part in (str(self.calendar), day, self.event_type, self.event_label) if part)
