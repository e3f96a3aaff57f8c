"""Backfills: a stretch of a DataNode's history that is computed again, cut into parts that are each done once."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from markets.models.base import RegistryRow
from markets.models.data_nodes import NodeRun, NodeUpdate
from markets.models.jobs import Job


class BackfillMode(models.TextChoices):
    FILL = "fill", "Fill what is missing"
    REPLACE = "replace", "Replace what differs"


class PartStatus(models.TextChoices):
    WAITING = "waiting", "Waiting"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    MENDED = "mended", "Done by a later backfill"


class Backfill(RegistryRow):
    """What was asked for. The parts are planned once, by whoever does it first; `planned_at` tells that they are."""

    node_update = models.ForeignKey(NodeUpdate, on_delete=models.CASCADE, related_name="backfills")
    start = models.DateTimeField(help_text="The first instant, included.")
    end = models.DateTimeField(help_text="The last instant, included.")
    assets = ArrayField(
        models.CharField(max_length=255, db_collation="C"), null=True, blank=True, help_text="Nothing for all."
    )
    failed_only = models.BooleanField("failed and missing only", default=False)
    update_tree = models.BooleanField("what it reads first", default=False)
    calendar_identifier = models.CharField(
        "calendar", max_length=255, blank=True, default="", help_text="Where the DataNode's configuration names none."
    )
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="backfills")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    planned_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(end__gte=F("start")), name="markets_backfill_ordered"),
        ]
        indexes = [models.Index(fields=["node_update", "-id"], name="markets_backfill_latest")]

    def __str__(self) -> str:
        return f"Backfill {self.node_update} from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


class BackfillPart(models.Model):
    """One run of one node over a window, for all its assets or a group of them."""

    id = models.BigAutoField(primary_key=True)
    backfill = models.ForeignKey(Backfill, on_delete=models.CASCADE, related_name="parts")
    position = models.PositiveIntegerField()
    node_update = models.ForeignKey(NodeUpdate, on_delete=models.CASCADE, related_name="+")
    start = models.DateTimeField()
    end = models.DateTimeField()
    assets = ArrayField(models.CharField(max_length=255, db_collation="C"), null=True, blank=True)
    mode = models.CharField(max_length=8, choices=BackfillMode)
    rows_expected = models.BigIntegerField(null=True, blank=True, help_text="What the calendar lets expect.")
    status = models.CharField(max_length=8, choices=PartStatus, default=PartStatus.WAITING)
    rows_written = models.BigIntegerField(default=0)
    error = models.TextField(blank=True, default="")
    run = models.ForeignKey(NodeRun, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["backfill", "position"]
        verbose_name = "part of a backfill"
        verbose_name_plural = "parts of backfills"
        constraints = [
            models.UniqueConstraint(fields=["backfill", "position"], name="markets_backfillpart_unique"),
            models.CheckConstraint(condition=Q(end__gte=F("start")), name="markets_backfillpart_ordered"),
        ]
        indexes = [
            models.Index(fields=["node_update"], condition=Q(status="failed"), name="markets_backfillpart_failed")
        ]

    def __str__(self) -> str:
        return f"{self.node_update} from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"
