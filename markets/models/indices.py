"""Index types and indices: observables such as the S&P 500 or SOFR, which are no assets."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from markets.models.base import RegistryRow, identifier_field, not_blank


class CalculationMethod(models.TextChoices):
    FORMULA = "formula", "Formula"
    CUSTOM = "custom", "Custom"


class ValueFormat(models.TextChoices):
    DECIMAL = "decimal", "Decimal"
    PERCENT = "percent", "Percent"


def _normalised(name: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=Q(index_type__regex=r"^\S+$") & Q(index_type=Lower("index_type")),
        name=name,
        violation_error_message="A type's key is lower case, words joined by _.",
    )


class IndexType(RegistryRow):
    index_type = models.CharField(
        "key", max_length=64, unique=True, help_text="Lower case, words joined by _: interest_rate."
    )
    display_name = models.CharField("name", max_length=255, blank=True, null=True, db_index=True)
    description = models.TextField(blank=True, null=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        ordering = ["index_type"]
        verbose_name = "index type"
        constraints = [_normalised("markets_indextype_key_normalised")]

    def __str__(self) -> str:
        return self.display_name or self.index_type


class Index(RegistryRow):
    unique_identifier = identifier_field("identifier", unique=True, help_text="For example SPX. It never changes.")
    index_type = models.CharField("type", max_length=64, db_index=True)
    display_name = models.CharField("name", max_length=255, db_index=True)
    provider = models.CharField(max_length=255, blank=True, null=True, db_index=True, help_text="Who publishes it.")
    calculation_method = models.CharField(
        max_length=16,
        choices=CalculationMethod,
        default=CalculationMethod.CUSTOM,
        help_text="How its values come about.",
    )
    value_format = models.CharField(
        max_length=16,
        choices=ValueFormat,
        default=ValueFormat.DECIMAL,
        help_text="How values are shown; stored values are never scaled.",
    )
    value_suffix = models.CharField(max_length=32, blank=True, null=True, help_text="Shown behind a value: bp.")
    description = models.TextField(blank=True, null=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        ordering = ["unique_identifier"]
        verbose_name = "index"
        verbose_name_plural = "indices"
        constraints = [
            not_blank("unique_identifier", "markets_index_identifier_not_blank"),
            not_blank("display_name", "markets_index_name_not_blank"),
            _normalised("markets_index_type_normalised"),
            models.CheckConstraint(
                condition=Q(calculation_method__in=CalculationMethod.values), name="markets_index_method_known"
            ),
            models.CheckConstraint(condition=Q(value_format__in=ValueFormat.values), name="markets_index_format_known"),
        ]

    def __str__(self) -> str:
        return self.display_name
