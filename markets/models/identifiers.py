"""Identifiers of assets, each with the days for which it holds, who says so, and on what evidence."""

import datetime as dt

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Q

from markets.models.assets import Asset
from markets.models.base import RegistryRow, not_blank

UNIQUE_SCHEMES = ["figi", "sedol", "ticker"]  # at any time such a value, at its venue, names one asset at most
EARLIEST_DAY, LATEST_DAY = dt.date(1900, 1, 1), dt.date(2199, 12, 31)


class KeyHash(models.Func):
    """63 bits of scheme, value and venue: GiST compares ranges of numbers without an extension, texts only with one."""

    template = "(hashtextextended(%(expressions)s, 0) & 9223372036854775806)"
    arg_joiner = " || chr(31) || "
    output_field = models.BigIntegerField()


class DateRange(models.Func):
    function = "DATERANGE"
    output_field = DateRangeField()


def _only(field: str) -> models.Func:
    return models.Func(F(field), F(field), models.Value("[]"), function="INT8RANGE")


def _text(length: int, **options: object) -> models.CharField:
    return models.CharField(max_length=length, db_collation="C", **options)  # type: ignore[arg-type]


class AssetIdentifier(RegistryRow):
    """Holds from `valid_from`, included, to `valid_to`, excluded; an end that is None is open or not known."""

    asset = models.ForeignKey(Asset, on_delete=models.CASCADE, related_name="identifiers")
    scheme = _text(32, help_text="figi, isin, cusip, sedol, ticker, … or a vendor's own.")
    value = _text(64)
    venue = _text(4, blank=True, default="", help_text="Of a ticker: the market identifier code, such as XNYS.")
    valid_from = models.DateField("from", blank=True, null=True, help_text="Empty: since ever, as far as is known.")
    valid_to = models.DateField("to", blank=True, null=True, help_text="The first day on which it no longer holds.")
    source = models.CharField(max_length=64, blank=True, default="", help_text="Who says so: openfigi, algoseek, …")
    evidence = models.JSONField(blank=True, null=True, help_text="What was asked and answered, or the row of the file.")
    key_hash = models.GeneratedField(
        expression=KeyHash("scheme", "value", "venue"), output_field=models.BigIntegerField(), db_persist=True
    )

    class Meta:
        ordering = ["scheme", "value", "venue", "valid_from"]
        verbose_name = "identifier"
        constraints = [
            not_blank("value", "markets_assetidentifier_value_not_blank"),
            models.CheckConstraint(
                condition=Q(scheme__regex=r"^[a-z][a-z0-9_]{1,31}$"), name="markets_assetidentifier_scheme"
            ),
            models.CheckConstraint(
                condition=Q(venue="") | (Q(scheme="ticker") & Q(venue__regex=r"^[A-Z0-9]{4}$")),
                name="markets_assetidentifier_venue",
            ),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_from__isnull=True) | Q(valid_to__gt=F("valid_from")),
                name="markets_assetidentifier_begins_before_end",
                violation_error_message="An identifier must end after it begins.",
            ),
            models.CheckConstraint(  # an open end is NULL, and never one of PostgreSQL's infinite dates
                condition=(Q(valid_from__isnull=True) | Q(valid_from__range=(EARLIEST_DAY, LATEST_DAY)))
                & (Q(valid_to__isnull=True) | Q(valid_to__range=(EARLIEST_DAY, LATEST_DAY))),
                name="markets_assetidentifier_days",
                violation_error_message=f"The days must lie between {EARLIEST_DAY} and {LATEST_DAY}.",
            ),
            ExclusionConstraint(
                name="markets_assetidentifier_one_asset",
                condition=Q(scheme__in=UNIQUE_SCHEMES),
                expressions=[
                    (_only("key_hash"), RangeOperators.OVERLAPS),
                    (DateRange("valid_from", "valid_to", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                violation_error_message="The identifier names an asset at that time already.",
            ),
            ExclusionConstraint(  # of the unique schemes the other one says more, and an index less is to be kept
                name="markets_assetidentifier_no_overlap",
                condition=~Q(scheme__in=UNIQUE_SCHEMES),
                expressions=[
                    (_only("asset"), RangeOperators.OVERLAPS),
                    (_only("key_hash"), RangeOperators.OVERLAPS),
                    (DateRange("valid_from", "valid_to", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                violation_error_message="The asset has this identifier at that time already.",
            ),
        ]
        indexes = [
            models.Index(fields=["scheme", "value", "venue"], name="markets_assetidentifier_key"),
            models.Index(fields=["value"], name="markets_assetidentifier_value"),  # people search without the scheme
        ]

    def __str__(self) -> str:
        return f"{self.scheme} {self.value}{f'@{self.venue}' if self.venue else ''}"
