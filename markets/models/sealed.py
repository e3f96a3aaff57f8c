"""History that no longer changes, packed: a second form of rows that a table holds, in which they are read fast.

The rows stay the truth. Whoever writes into the time that a block covers removes it in the same transaction.
"""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Q

from markets.models.data_nodes import StorageNode


class InstantRange(models.Func):
    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


def _only(field: str) -> models.Func:
    """A range of one number: GiST compares numbers themselves only with an extension."""
    return models.Func(F(field), F(field), models.Value("[]"), function="INT8RANGE")


class SealedBlock(models.Model):
    """All rows of a table with `covers_from` <= time_index < `covers_until`, by time and then by identity.

    `moments` are their distinct times, `starts` the number of the first row of each: int64, the machine's byte order
    of all supported machines (little-endian); times in microseconds since 1970.
    """

    id = models.BigAutoField(primary_key=True)
    storage = models.ForeignKey(StorageNode, on_delete=models.CASCADE, related_name="sealed_blocks")
    covers_from = models.DateTimeField()
    covers_until = models.DateTimeField()
    row_count = models.BigIntegerField()
    moments = models.BinaryField()
    starts = models.BinaryField()
    sealed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["storage", "covers_from"]
        default_permissions = ()  # who may read a table reads it, in whatever form
        constraints = [
            models.CheckConstraint(
                condition=Q(covers_until__gt=F("covers_from"), row_count__gt=0), name="markets_sealedblock_not_empty"
            ),
            ExclusionConstraint(
                name="markets_sealedblock_no_overlap",
                expressions=[
                    (_only("storage"), RangeOperators.OVERLAPS),
                    (InstantRange("covers_from", "covers_until", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
            ),
        ]
        indexes = [models.Index(fields=["storage", "covers_until"], name="markets_sealedblock_until")]

    def __str__(self) -> str:
        return f"{self.storage}: {self.covers_from:%Y-%m-%d} to {self.covers_until:%Y-%m-%d}"


class SealedColumn(models.Model):
    """A column of a block: an identity level, whose token is empty, or a value.

    `cells` hold a number of `width` bytes a row; of text a code, whose label `labels` tell. `is_null` holds a byte a
    row, nothing where no row is null or the cells tell it themselves.
    """

    id = models.BigAutoField(primary_key=True)
    block = models.ForeignKey(SealedBlock, on_delete=models.CASCADE, related_name="columns")
    name = models.CharField(max_length=63)
    token = models.CharField(max_length=32, help_text="The dtype; nothing for an identity level.", blank=True)
    width = models.PositiveSmallIntegerField()
    cells = models.BinaryField()
    labels = models.BinaryField(null=True)
    is_null = models.BinaryField(null=True)

    class Meta:
        ordering = ["block", "name"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["block", "name"], name="markets_sealedcolumn_unique"),
            models.CheckConstraint(condition=Q(width__in=(1, 2, 4, 8)), name="markets_sealedcolumn_width"),
        ]

    def __str__(self) -> str:
        return f"{self.block}: {self.name}"
