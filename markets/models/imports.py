"""Imports: a file that somebody uploaded, what each of its rows would do, and what became of it."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from markets.models.base import RegistryRow
from markets.models.jobs import Job


class ImportStatus(models.TextChoices):
    UPLOADED = "uploaded", "Uploaded"
    PREVIEWED = "previewed", "Previewed"
    APPLYING = "applying", "Being applied"
    APPLIED = "applied", "Applied"
    UNDOING = "undoing", "Being undone"
    UNDONE = "undone", "Undone"
    FAILED = "failed", "Not readable"


class ImportOutcome(models.TextChoices):
    CREATE = "create", "Create"
    UPDATE = "update", "Update"
    SAME = "same", "Same"
    CONFLICT = "conflict", "Conflict"
    ERROR = "error", "Error"


class EmptyCells(models.TextChoices):
    KEEP = "keep", "Keep what is stored"
    CLEAR = "clear", "Clear the field"


_WAS_APPLIED = [ImportStatus.APPLIED, ImportStatus.UNDOING, ImportStatus.UNDONE]
_WAS_PREVIEWED = [ImportStatus.PREVIEWED, ImportStatus.APPLYING, *_WAS_APPLIED]


def _user() -> models.ForeignKey:
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )


class ImportRun(RegistryRow):
    """One file. A trigger of the table allows the changes of status in its migration only: none is applied twice."""

    entity = models.CharField(max_length=32, help_text="What the rows are: asset.")
    status = models.CharField(max_length=16, choices=ImportStatus, default=ImportStatus.UPLOADED)
    file_name = models.CharField(max_length=255)
    file_format = models.CharField(max_length=16)
    file_size = models.BigIntegerField(help_text="Bytes.")
    columns = models.JSONField(help_text="The names in the header.")
    unusable_columns = models.JSONField(default=dict, help_text="Column to the reason why it cannot be read.")
    notes = models.JSONField(default=list)
    mapping = models.JSONField(default=dict, help_text="Column to field.")
    identifier_column = models.CharField(max_length=255, blank=True, default="")
    default_asset_type = models.CharField(max_length=64, blank=True, null=True)
    empty_cells = models.CharField(max_length=8, choices=EmptyCells, default=EmptyCells.KEEP)
    counts = models.JSONField(default=dict, help_text="Number of rows by outcome.")
    results = models.JSONField(default=dict, help_text="What applying and undoing did.")
    error = models.TextField(blank=True, default="")
    reason = models.TextField(blank=True, default="", help_text="Why it was applied.")
    undo_reason = models.TextField(blank=True, default="", help_text="Why it was undone.")
    uploaded_by = _user()
    applied_by = _user()
    undone_by = _user()
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="import_runs")
    previewed_at = models.DateTimeField(null=True, blank=True)
    applied_at = models.DateTimeField(null=True, blank=True)
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "import"
        constraints = [
            models.CheckConstraint(condition=Q(status__in=ImportStatus.values), name="markets_importrun_status_known"),
            models.CheckConstraint(
                condition=Q(empty_cells__in=EmptyCells.values), name="markets_importrun_empty_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=_WAS_PREVIEWED, previewed_at__isnull=False)
                | Q(status__in=[ImportStatus.UPLOADED, ImportStatus.FAILED], previewed_at__isnull=True),
                name="markets_importrun_previewed_has_time",
            ),
            models.CheckConstraint(
                condition=Q(status__in=_WAS_APPLIED, applied_at__isnull=False)
                | (~Q(status__in=_WAS_APPLIED) & Q(applied_at__isnull=True)),
                name="markets_importrun_applied_has_time",
            ),
            models.CheckConstraint(
                condition=Q(status=ImportStatus.UNDONE, undone_at__isnull=False)
                | (~Q(status=ImportStatus.UNDONE) & Q(undone_at__isnull=True)),
                name="markets_importrun_undone_has_time",
            ),
            models.CheckConstraint(condition=Q(file_size__gt=0), name="markets_importrun_size_positive"),
        ]

    def __str__(self) -> str:
        return self.file_name


class ImportChunk(models.Model):
    """A part of the uploaded file, kept until the import is applied. In the database, where every worker reaches it."""

    pk = models.CompositePrimaryKey("run", "number")
    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="chunks")
    number = models.IntegerField()
    data = models.BinaryField()

    class Meta:
        verbose_name = "part of an import's file"
        verbose_name_plural = "parts of imports' files"


class ImportRow(models.Model):
    """What one row of the file does. `row` counts as a spreadsheet does.

    `changes` is field → [stored, in the file], `faults` a list of {field, reason}, `cells` the original texts of a row
    that is not written. `target` is the uid of the asset. `kept` says why undoing left the row's asset as it is.
    """

    pk = models.CompositePrimaryKey("run", "row")
    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="rows")
    row = models.IntegerField()
    key = models.CharField(max_length=255, db_collation="C", null=True, blank=True)
    outcome = models.CharField(max_length=8, choices=ImportOutcome)
    changes = models.JSONField(null=True, blank=True)
    faults = models.JSONField(null=True, blank=True)
    cells = models.JSONField(null=True, blank=True)
    target = models.UUIDField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True, help_text="The asset's updated_at that the preview saw.")
    had_details = models.BooleanField(default=False)
    kept = models.TextField(null=True, blank=True)

    class Meta:
        ordering = ["row"]
        verbose_name = "row of an import"
        verbose_name_plural = "rows of imports"
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome__in=ImportOutcome.values), name="markets_importrow_outcome_known"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=["create", "update"], changes__isnull=False, key__isnull=False)
                | Q(outcome="same", key__isnull=False)
                | Q(outcome__in=["conflict", "error"], faults__isnull=False),
                name="markets_importrow_outcome_is_told",
            ),
            models.CheckConstraint(
                condition=Q(kept__isnull=True) | Q(outcome__in=["create", "update"]),
                name="markets_importrow_kept_written",
            ),
        ]
        indexes = [
            models.Index(fields=["run", "outcome", "row"], name="markets_importrow_outcome"),
            models.Index(fields=["run", "key", "row"], name="markets_importrow_key"),
            models.Index(fields=["run", "row"], condition=Q(kept__isnull=False), name="markets_importrow_kept"),
        ]

    def __str__(self) -> str:
        return f"row {self.row}"
