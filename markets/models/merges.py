"""Merges of duplicate assets: who was merged into whom, what was moved, and which pairs are no duplicates."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from markets.models.assets import Asset
from markets.models.base import RegistryRow
from markets.models.data_nodes import StorageNode


def _user() -> models.ForeignKey:
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )


class RowsChoice(models.TextChoices):
    """What becomes of time-indexed rows where both assets have some."""

    REFUSE = "refuse", "Refuse the merge"
    LEAVE = "leave", "Leave the rows under the old identifier"
    FILL = "fill", "Fill the gaps of the asset that stays; its own rows win"


class AssetMerge(RegistryRow):
    """`dropped` was merged into `kept`. What was moved is in the steps and rows; `record` counts it by table."""

    kept = models.ForeignKey(Asset, on_delete=models.CASCADE, related_name="merges_as_kept")
    dropped = models.ForeignKey(Asset, on_delete=models.CASCADE, related_name="merges_as_dropped")
    rows = models.CharField("time-indexed rows", max_length=8, choices=RowsChoice, default=RowsChoice.REFUSE)
    reason = models.TextField(help_text="Why they are one asset.")
    record = models.JSONField(default=dict, help_text="What was moved, joined and left, by table.")
    merged_by = _user()
    undone_at = models.DateTimeField("undone (UTC)", null=True, blank=True)
    undone_by = _user()
    undo_reason = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-id"]
        verbose_name = "merge"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["dropped"], condition=Q(undone_at__isnull=True), name="markets_assetmerge_once"
            ),
            models.CheckConstraint(condition=~Q(kept=F("dropped")), name="markets_assetmerge_two_assets"),
            models.CheckConstraint(condition=Q(rows__in=RowsChoice.values), name="markets_assetmerge_rows_known"),
        ]

    def __str__(self) -> str:
        return f"{self.dropped} into {self.kept}"


class AssetMergeStep(models.Model):
    """One row that a merge wrote, as it was and as it became; the merge is undone by the steps in reverse."""

    id = models.BigAutoField(primary_key=True)
    merge = models.ForeignKey(AssetMerge, on_delete=models.CASCADE, related_name="steps")
    table_name = models.CharField(max_length=63)
    operation = models.CharField(max_length=1, choices=[("I", "Created"), ("U", "Changed"), ("D", "Deleted")])
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    class Meta:
        ordering = ["id"]
        verbose_name = "step of a merge"
        verbose_name_plural = "steps of merges"
        default_permissions = ()


class AssetMergeRows(models.Model):
    """Time-indexed rows of one identity that were given to the asset that stays.

    `rest` are the values of the table's key beside time and asset, `times` those of the rows (UTC), and `fingerprint`
    tells whether they are still the same.
    """

    id = models.BigAutoField(primary_key=True)
    merge = models.ForeignKey(AssetMerge, on_delete=models.CASCADE, related_name="moved_rows")
    storage = models.ForeignKey(StorageNode, on_delete=models.CASCADE, related_name="+")
    rest = ArrayField(models.CharField(max_length=255, db_collation="C"), default=list)
    times = ArrayField(models.DateTimeField())
    row_count = models.BigIntegerField()
    fingerprint = models.TextField()

    class Meta:
        ordering = ["id"]
        verbose_name = "rows of a merge"
        verbose_name_plural = "rows of merges"
        default_permissions = ()


class DistinctAssets(RegistryRow):
    """A person decided that two assets are no duplicates of each other; `first` has the smaller id."""

    first = models.ForeignKey(Asset, on_delete=models.CASCADE, related_name="+", db_index=False)
    second = models.ForeignKey(Asset, on_delete=models.CASCADE, related_name="+")
    reason = models.TextField()
    decided_by = _user()

    class Meta:
        ordering = ["first", "second"]
        verbose_name = "decision: no duplicates"
        verbose_name_plural = "decisions: no duplicates"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["first", "second"], name="markets_distinctassets_once"),
            models.CheckConstraint(condition=Q(first__lt=F("second")), name="markets_distinctassets_ordered"),
        ]

    def __str__(self) -> str:
        return f"{self.first} is not {self.second}"
