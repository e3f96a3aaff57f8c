"""Steps: the parts of a job that runs a tree of DataNodes. Each is one node, or one shard of it, done by one worker."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from markets.models.base import new_uid
from markets.models.data_nodes import NodeRun, NodeUpdate
from markets.models.jobs import Job


class StepStatus(models.TextChoices):
    WAITING = "waiting", "Waiting"
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    UP_TO_DATE = "up_to_date", "Nothing new"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Skipped"
    CANCELLED = "cancelled", "Cancelled"


UNFINISHED_STEPS = (StepStatus.WAITING, StepStatus.QUEUED, StepStatus.RUNNING)
DONE_STEPS = (StepStatus.SUCCEEDED, StepStatus.UP_TO_DATE)


class StopReason(models.TextChoices):
    NONE = "", "None"
    TIME_LIMIT = "time_limit", "Time limit"
    CANCELLED = "cancelled", "Cancelled"


class NodeStep(models.Model):
    """One node of a job's tree, or one shard of it.

    `attempts` counts how often a worker took it and is the token of whoever runs it now: what an earlier holder still
    wants to say is not heard. `retries` counts errors that may pass, `deaths` the workers that died with it.
    `runs_seen` is the latest run of the node when the step became ready: a later one that ended well did its work.
    Heartbeats and the other instants are by the database's clock.
    """

    id = models.BigAutoField(primary_key=True)
    uid = models.UUIDField("uid", unique=True, default=new_uid, editable=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="steps")
    node_update = models.ForeignKey(NodeUpdate, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    level = models.PositiveIntegerField()
    depends_on = ArrayField(models.PositiveIntegerField(), default=list, help_text="Positions of steps of the job.")
    shard = models.PositiveSmallIntegerField(default=0)
    shard_count = models.PositiveSmallIntegerField(default=1)
    status = models.CharField(max_length=16, choices=StepStatus, default=StepStatus.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    retries = models.PositiveSmallIntegerField(default=0)
    deaths = models.PositiveSmallIntegerField(default=0)
    most_tries = models.PositiveSmallIntegerField(default=1)
    runs_seen = models.BigIntegerField(default=0)
    queued_at = models.DateTimeField(null=True, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    next_try_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    stop_reason = models.CharField(max_length=16, choices=StopReason, blank=True, default="")
    rows_returned = models.BigIntegerField(default=0)
    rows_written = models.BigIntegerField(default=0)
    progress_done = models.BigIntegerField(default=0)
    progress_total = models.BigIntegerField(null=True, blank=True)
    progress_text = models.CharField(max_length=255, blank=True, default="")
    assets_done = models.BigIntegerField(null=True, blank=True)
    assets_total = models.BigIntegerField(null=True, blank=True)
    note = models.TextField(blank=True, default="", help_text="Why it waits, or is tried again.")
    error_type = models.CharField(max_length=255, blank=True, default="")
    error = models.TextField(blank=True, default="")
    stale_marked_at = models.DateTimeField(null=True, blank=True, help_text="The mark of staleness that it mends.")
    node_run = models.ForeignKey(NodeRun, on_delete=models.SET_NULL, null=True, blank=True, related_name="steps")

    class Meta:
        ordering = ["job", "position"]
        verbose_name = "step"
        default_permissions = ()  # seen with its job, changed by workers alone
        constraints = [
            models.UniqueConstraint(fields=["job", "position"], name="markets_nodestep_position"),
            models.UniqueConstraint(fields=["job", "node_update", "shard"], name="markets_nodestep_once"),
            models.CheckConstraint(
                condition=Q(shard__gte=0, shard_count__gte=1, shard__lt=F("shard_count")),
                name="markets_nodestep_shard_in_range",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "queued", "running"], finished_at__isnull=True)
                | Q(
                    status__in=["succeeded", "up_to_date", "failed", "skipped", "cancelled"],
                    finished_at__isnull=False,
                ),
                name="markets_nodestep_finished_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(status="running") | Q(started_at__isnull=False, heartbeat_at__isnull=False),
                name="markets_nodestep_running_has_heartbeat",
            ),
        ]
        indexes = [
            models.Index(
                fields=["status"], condition=Q(status__in=["queued", "running"]), name="markets_nodestep_active"
            ),
            models.Index(fields=["node_update", "-id"], name="markets_nodestep_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.node_update} ({self.get_status_display().lower()})"

    @property
    def is_finished(self) -> bool:
        return self.status not in UNFINISHED_STEPS

    @property
    def tries(self) -> int:
        """How often it was begun, including now; a wait for another run of the node is no try."""
        begun = self.retries + self.deaths
        return begun + 1 if self.status == StepStatus.RUNNING or (self.is_finished and self.started_at) else begun
