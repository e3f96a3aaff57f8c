"""What the engine remembers of DataNodes: tables, updates, runs and how far each identity has come."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from markets.models.assets import Asset
from markets.models.base import RegistryRow, new_uid


class StorageNode(RegistryRow):
    """A table's contract: what its rows mean, whoever writes them."""

    storage_hash = models.CharField(max_length=63, unique=True)
    identifier = models.CharField(
        max_length=255, unique=True, blank=True, null=True, help_text="The published name by which the data is read."
    )
    description = models.TextField(blank=True, default="")
    data_frequency_id = models.CharField("frequency", max_length=32, blank=True, default="", help_text="Such as 1d.")
    node_class = models.CharField(max_length=255, help_text="Import path of the DataNode class that defines the table.")
    table_name = models.CharField(max_length=63, unique=True)
    is_engine_table = models.BooleanField(default=True, help_text="Made by the engine, not by a migration.")
    index_names = ArrayField(models.CharField(max_length=63), default=list)
    key_columns = ArrayField(models.CharField(max_length=63), default=list)
    columns = models.JSONField(default=list, help_text="Name, dtype, label and description of each value column.")

    class Meta:
        ordering = ["identifier", "storage_hash"]
        verbose_name = "storage"
        verbose_name_plural = "storage"

    def __str__(self) -> str:
        return self.identifier or self.storage_hash


class NodeUpdate(RegistryRow):
    """A configured DataNode: who writes a table, with what configuration, after which others."""

    update_hash = models.CharField(max_length=63, unique=True)
    storage = models.ForeignKey(StorageNode, on_delete=models.PROTECT, related_name="updates")
    node_class = models.CharField(max_length=255)
    build_configuration = models.JSONField(default=dict)
    dependencies = models.ManyToManyField("self", symmetrical=False, related_name="dependents", blank=True)
    asset_scope = ArrayField(
        models.CharField(max_length=255, db_collation="C"),
        null=True,
        blank=True,
        help_text="The assets that the last run read; nothing where it did not say.",
    )
    tables_read = ArrayField(
        models.CharField(max_length=63),
        default=list,
        blank=True,
        help_text="Storage hashes of the tables that it reads by identifier, whoever writes them.",
    )
    companion_tables = ArrayField(
        models.CharField(max_length=63),
        default=list,
        blank=True,
        help_text="Storage hashes of the tables that it writes beside its own.",
    )
    stale_from = models.DateTimeField(
        null=True, blank=True, help_text="Rows at or after this instant rest on data that changed since."
    )
    stale_reason = models.CharField(max_length=255, blank=True, default="")
    stale_marked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["storage__identifier", "update_hash"]
        verbose_name = "DataNode"
        permissions = [("run_nodeupdate", "Can run DataNodes")]
        constraints = [
            models.CheckConstraint(
                condition=Q(stale_from__isnull=True, stale_marked_at__isnull=True)
                | Q(stale_from__isnull=False, stale_marked_at__isnull=False),
                name="markets_nodeupdate_stale_since",
            ),
        ]

    def __str__(self) -> str:
        return self.storage.identifier or self.update_hash

    @property
    def class_name(self) -> str:
        return self.node_class.rpartition(".")[2]


class RunStatus(models.TextChoices):
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    UP_TO_DATE = "up_to_date", "Nothing new"
    FAILED = "failed", "Failed"


class NodeRun(models.Model):
    """One execution of an update, with what it did and how it ended."""

    id = models.BigAutoField(primary_key=True)
    uid = models.UUIDField("uid", unique=True, default=new_uid, editable=False)
    node_update = models.ForeignKey(NodeUpdate, on_delete=models.CASCADE, related_name="runs")
    job = models.ForeignKey("Job", on_delete=models.SET_NULL, null=True, blank=True, related_name="node_runs")
    shard = models.PositiveSmallIntegerField(default=0)
    shard_count = models.PositiveSmallIntegerField(default=1, help_text="1 where the run had all assets.")
    status = models.CharField(max_length=16, choices=RunStatus, default=RunStatus.RUNNING)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    rows_returned = models.BigIntegerField(default=0)
    rows_written = models.BigIntegerField(default=0)
    last_time_index = models.DateTimeField(null=True, blank=True)
    timings = models.JSONField(default=dict, help_text="Seconds spent in each step.")
    error_type = models.CharField(max_length=255, blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    log = models.TextField(blank=True, default="")
    quality = models.JSONField(default=list, blank=True, help_text="The outcome of each quality check.")
    is_backfill = models.BooleanField("backfill", default=False, help_text="It computed a window of the past again.")
    window_start = models.DateTimeField(null=True, blank=True)
    window_end = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "run"
        constraints = [
            models.UniqueConstraint(
                fields=["node_update", "shard"], condition=Q(status="running"), name="markets_noderun_one_active"
            ),
            models.CheckConstraint(
                condition=Q(status="running", finished_at__isnull=True)
                | (~Q(status="running") & Q(finished_at__isnull=False)),
                name="markets_noderun_finished_has_time",
            ),
            models.CheckConstraint(
                condition=Q(shard__gte=0, shard_count__gte=1, shard__lt=models.F("shard_count")),
                name="markets_noderun_shard_in_range",
            ),
        ]
        indexes = [models.Index(fields=["node_update", "-id"], name="markets_noderun_latest")]

    def __str__(self) -> str:
        return f"{self.node_update} at {self.started_at:%Y-%m-%d %H:%M:%S} UTC: {self.get_status_display()}"


class UpdateStatistic(models.Model):
    """How far one identity of a table has come; kept in the transaction that writes its rows.

    `identity` holds the values of the key's columns other than time, in the order of `index_names[1:]`; it is empty for
    a table indexed by time alone. A table with an asset dimension also carries the asset itself, which therefore cannot
    be deleted while it has data.
    """

    id = models.BigAutoField(primary_key=True)
    storage = models.ForeignKey(StorageNode, on_delete=models.CASCADE, related_name="statistics")
    identity = ArrayField(models.CharField(max_length=255, db_collation="C"))
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, null=True, blank=True, related_name="update_statistics")
    first_time_index = models.DateTimeField()
    last_time_index = models.DateTimeField()
    row_count = models.BigIntegerField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["identity"]
        verbose_name = "update statistic"
        constraints = [
            models.UniqueConstraint(fields=["storage", "identity"], name="markets_updatestatistic_unique"),
            models.CheckConstraint(
                condition=Q(last_time_index__gte=models.F("first_time_index")),
                name="markets_updatestatistic_ordered",
            ),
        ]

    def __str__(self) -> str:
        return " / ".join(self.identity) or "(whole table)"
