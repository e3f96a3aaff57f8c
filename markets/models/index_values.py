"""Values of indices: one row an index, cadence and time."""

from django.db import models
from django.db.models import Q

from markets.models.indices import Index

CADENCE = r"^[1-9][0-9]*(s|m|h|d|w|mo|q|y)$"


class IndexValue(models.Model):
    """Its key serves reads of one index over time; the reference keeps an index that has values."""

    pk = models.CompositePrimaryKey("index", "cadence", "time_index")
    index = models.ForeignKey(
        Index,
        on_delete=models.PROTECT,
        to_field="unique_identifier",
        db_column="index_identifier",
        related_name="index_values",
        db_index=False,  # the primary key begins with it
    )
    cadence = models.CharField(max_length=16, db_collation="C", help_text="How often it is observed: 1d, 15m, 1mo.")
    time_index = models.DateTimeField("time (UTC)")
    value = models.FloatField(help_text="Unscaled.")
    observation_status = models.CharField(
        "status", max_length=32, blank=True, null=True, help_text="Such as ready, preliminary, corrected, final."
    )
    source_as_of = models.DateTimeField("source as of (UTC)", blank=True, null=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        verbose_name = "index value"
        constraints = [
            models.CheckConstraint(condition=Q(cadence__regex=CADENCE), name="markets_indexvalue_cadence"),
            models.CheckConstraint(
                condition=Q(value__gt=float("-inf"), value__lt=float("inf")), name="markets_indexvalue_finite"
            ),
            models.CheckConstraint(
                condition=Q(observation_status__isnull=True) | Q(observation_status__regex=r"^\S(.*\S)?$"),
                name="markets_indexvalue_status_not_blank",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.index_id} {self.cadence} {self.time_index:%Y-%m-%d %H:%M}"
