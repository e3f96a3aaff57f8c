"""Schedules of DataNodes: when each is run by itself, and the task of Celery beat that does it."""

from django.db import models
from django.db.models import Q
from django_celery_beat.models import PeriodicTask

from markets.models.base import RegistryRow
from markets.models.data_nodes import NodeUpdate


class NodeSchedule(RegistryRow):
    """What was asked for. The periodic task follows it, and a trigger deletes that task along with this row."""

    node_update = models.OneToOneField(
        NodeUpdate, on_delete=models.CASCADE, related_name="schedule", verbose_name="DataNode"
    )
    periodic_task = models.OneToOneField(
        PeriodicTask, on_delete=models.CASCADE, related_name="node_schedule", editable=False
    )
    cron = models.CharField(
        "when", max_length=255, help_text="Minute, hour, day of month, month, day of week: 30 22 * * 1-5."
    )
    timezone = models.CharField("time zone", max_length=64, help_text="An IANA name: America/New_York.")
    update_tree = models.BooleanField("run what it reads first", default=True)
    recompute_stale = models.BooleanField("compute again what is stale", default=False)
    is_enabled = models.BooleanField("enabled", default=True)
    last_fired_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["node_update"]
        verbose_name = "schedule of a DataNode"
        verbose_name_plural = "schedules of DataNodes"
        constraints = [
            models.CheckConstraint(condition=Q(cron__regex=r"^\S+( \S+){4}$"), name="markets_nodeschedule_five_fields"),
            models.CheckConstraint(condition=Q(timezone__regex=r"^\S+$"), name="markets_nodeschedule_has_zone"),
        ]

    def __str__(self) -> str:
        return f"{self.cron} {self.timezone}"
