"""Freshness policies: by when the data of a DataNode are expected, by a calendar or by the clock."""

from django.db import models
from django.db.models import Q

from markets.models.base import RegistryRow
from markets.models.calendars import Calendar
from markets.models.data_nodes import NodeUpdate

LONGEST_DELAY = 20_160  # minutes: two weeks, beyond which nobody would call a feed daily
MOST_DAYS_LATER = 7
LARGEST_EVERY = 10_000


class FreshnessRule(models.TextChoices):
    AFTER_CLOSE = "after_close", "So long after each session's close"
    AT_TIME = "at_time", "At a time of day, for each session"
    EVERY = "every", "Every so often, without a calendar"


class FreshnessUnit(models.TextChoices):
    MINUTES = "minutes", "minutes"
    HOURS = "hours", "hours"
    DAYS = "days", "days"


class SessionStamp(models.TextChoices):
    CLOSE = "close", "the session's close"
    DATE = "date", "midnight UTC of the session's date"


def _only(rule: FreshnessRule, **given: object) -> Q:
    """The fields of one rule are given, those of the others are empty."""
    nothing = {
        "calendar__isnull": True,
        "delay_minutes__isnull": True,
        "due_time__isnull": True,
        "timezone": "",
        "days_later__isnull": True,
        "every__isnull": True,
        "every_unit": "",
    }
    taken = {name.partition("__")[0] for name in given}
    return Q(rule=rule, **given, **{name: value for name, value in nothing.items() if name.split("__")[0] not in taken})


class FreshnessPolicy(RegistryRow):
    """By when a DataNode must have come how far; a node without one is never overdue."""

    node_update = models.OneToOneField(
        NodeUpdate, on_delete=models.CASCADE, related_name="freshness_policy", verbose_name="DataNode"
    )
    rule = models.CharField(max_length=16, choices=FreshnessRule)
    calendar = models.ForeignKey(
        Calendar, on_delete=models.PROTECT, null=True, blank=True, related_name="freshness_policies"
    )
    delay_minutes = models.PositiveIntegerField("minutes after the close", null=True, blank=True)
    due_time = models.TimeField("time of day", null=True, blank=True)
    timezone = models.CharField("time zone", max_length=64, blank=True, default="")
    days_later = models.PositiveSmallIntegerField("days after the session", null=True, blank=True)
    every = models.PositiveIntegerField(null=True, blank=True)
    every_unit = models.CharField("unit", max_length=8, choices=FreshnessUnit, blank=True, default="")
    stamp = models.CharField(
        "rows are stamped with",
        max_length=8,
        choices=SessionStamp,
        default=SessionStamp.CLOSE,
        help_text="What the time of a session's row is.",
    )
    is_active = models.BooleanField("active", default=True)
    note = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ["node_update"]
        verbose_name = "freshness policy"
        verbose_name_plural = "freshness policies"
        constraints = [
            models.CheckConstraint(
                condition=_only(
                    FreshnessRule.AFTER_CLOSE,
                    calendar__isnull=False,
                    delay_minutes__isnull=False,
                    delay_minutes__lte=LONGEST_DELAY,
                )
                | _only(
                    FreshnessRule.AT_TIME,
                    calendar__isnull=False,
                    due_time__isnull=False,
                    timezone__regex=r"\S",
                    days_later__isnull=False,
                    days_later__lte=MOST_DAYS_LATER,
                )
                | _only(
                    FreshnessRule.EVERY,
                    every__isnull=False,
                    every__range=(1, LARGEST_EVERY),
                    every_unit__in=FreshnessUnit.values,
                ),
                name="markets_freshnesspolicy_one_rule",
                violation_error_message="Give the fields of one rule, and no others.",
            ),
            models.CheckConstraint(
                condition=Q(stamp__in=SessionStamp.values), name="markets_freshnesspolicy_known_stamp"
            ),
        ]

    def __str__(self) -> str:
        return f"freshness of {self.node_update}"
