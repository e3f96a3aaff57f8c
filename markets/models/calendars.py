"""Calendars and the sessions that they hold: when a market is open, stored once and computed on."""

from django.db import models
from django.db.models import F, Q

from markets.models.base import RegistryRow, identifier_field, not_blank


class Calendar(RegistryRow):
    unique_identifier = identifier_field("identifier", unique=True, help_text="For example XNYS.")
    display_name = models.CharField(max_length=255)
    calendar_type = models.CharField(max_length=64, default="TRADING")
    timezone = models.CharField("time zone", max_length=64, default="UTC", help_text="An IANA name: America/New_York.")
    source = models.CharField(max_length=128, blank=True, null=True)
    source_identifier = models.CharField(max_length=255, blank=True, null=True)
    valid_from = models.DateField()
    valid_to = models.DateField()
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        ordering = ["unique_identifier"]
        permissions = [("refresh_calendar", "Can renew a calendar's sessions")]
        constraints = [
            not_blank("unique_identifier", "markets_calendar_identifier_not_blank"),
            models.CheckConstraint(
                condition=Q(valid_to__gte=F("valid_from")),
                name="markets_calendar_horizon_ordered",
                violation_error_message="The horizon ends before it begins.",
            ),
        ]
        indexes = [models.Index(fields=["source", "source_identifier"], name="markets_calendar_source")]

    def __str__(self) -> str:
        return self.unique_identifier


class CalendarSession(RegistryRow):
    calendar = models.ForeignKey(Calendar, on_delete=models.CASCADE, related_name="sessions")
    local_date = models.DateField()
    session_label = models.CharField(max_length=64, default="regular")
    opens_at = models.DateTimeField()
    closes_at = models.DateTimeField()
    break_starts_at = models.DateTimeField(blank=True, null=True)
    break_ends_at = models.DateTimeField(blank=True, null=True)
    is_early_close = models.BooleanField(default=False)
    is_primary = models.BooleanField(default=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        ordering = ["calendar", "local_date", "session_label"]
        verbose_name = "session"
        constraints = [
            models.UniqueConstraint(
                fields=["calendar", "local_date", "session_label"], name="markets_calendarsession_unique"
            ),
            models.UniqueConstraint(
                fields=["calendar", "local_date"],
                condition=Q(is_primary=True),
                name="markets_calendarsession_one_primary",
            ),
            models.CheckConstraint(
                condition=Q(closes_at__gt=F("opens_at")),
                name="markets_calendarsession_times_ordered",
                violation_error_message="The session closes before it opens.",
            ),
            models.CheckConstraint(
                condition=Q(break_starts_at__isnull=True, break_ends_at__isnull=True)
                | Q(
                    break_starts_at__gt=F("opens_at"),
                    break_ends_at__gt=F("break_starts_at"),
                    closes_at__gt=F("break_ends_at"),
                ),
                name="markets_calendarsession_break_inside",
                violation_error_message="The break must lie inside the session.",
            ),
        ]
        indexes = [models.Index(fields=["calendar", "closes_at"], name="markets_session_close")]

    def __str__(self) -> str:
        return f"{self.calendar} {self.local_date:%Y-%m-%d} {self.session_label}"
