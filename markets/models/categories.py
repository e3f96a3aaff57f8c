"""Asset categories: named universes, and who belonged to them when."""

import datetime as dt

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from markets.models.assets import Asset
from markets.models.base import RegistryRow, identifier_field, not_blank


def holds_at(instant: dt.datetime | None = None, *, prefix: str = "") -> models.Q:
    """A condition: the membership holds at the instant; now, by the database's clock, when it is None.

    `prefix` is the path to the memberships, such as "category_memberships__". Use it in the one `filter` that names
    the category too: two calls would join the memberships twice.
    """
    moment = Now() if instant is None else instant
    return models.Q(**{f"{prefix}valid_from__lte": moment}) & (
        models.Q(**{f"{prefix}valid_to__isnull": True}) | models.Q(**{f"{prefix}valid_to__gt": moment})
    )


class TsTzRange(models.Func):
    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


def _only(field: str) -> models.Func:
    """The range that holds one id: GiST compares ranges without an extension, plain integers only with one."""
    return models.Func(models.F(field), models.F(field), models.Value("[]"), function="INT8RANGE")


class AssetCategory(RegistryRow):
    unique_identifier = identifier_field(
        "identifier", unique=True, help_text="A stable key such as sp500_constituents."
    )
    display_name = models.CharField(max_length=255, db_index=True)
    description = models.TextField(blank=True, null=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)
    # Past and announced members too, once for each spell; `holds_at` says who belongs at an instant.
    assets = models.ManyToManyField(Asset, through="AssetCategoryMembership", related_name="categories")

    class Meta:
        ordering = ["display_name", "unique_identifier"]
        verbose_name = "asset category"
        verbose_name_plural = "asset categories"
        constraints = [
            not_blank("unique_identifier", "markets_assetcategory_identifier_not_blank"),
            not_blank("display_name", "markets_assetcategory_name_not_blank"),
        ]

    def __str__(self) -> str:
        return self.display_name


class MembershipQuerySet(models.QuerySet["AssetCategoryMembership"]):
    def at(self, instant: dt.datetime | None = None) -> "MembershipQuerySet":
        """Those that hold at the instant; now when it is None."""
        return self.filter(holds_at(instant))


class AssetCategoryMembership(RegistryRow):
    """One spell of an asset in a category: from `valid_from`, included, to `valid_to`, excluded; None is open."""

    category = models.ForeignKey(AssetCategory, on_delete=models.CASCADE, related_name="memberships")
    asset = models.ForeignKey(Asset, on_delete=models.CASCADE, related_name="category_memberships")
    valid_from = models.DateTimeField("from", default=timezone.now)
    valid_to = models.DateTimeField("to", blank=True, null=True, help_text="Excluded; empty while it lasts.")

    objects = MembershipQuerySet.as_manager()

    class Meta:
        ordering = ["category", "asset", "valid_from"]
        verbose_name = "category membership"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(valid_to__isnull=True) | models.Q(valid_to__gt=models.F("valid_from")),
                name="markets_assetcategorymembership_begins_before_end",
                violation_error_message="A membership must end after it begins.",
            ),
            ExclusionConstraint(
                name="markets_assetcategorymembership_no_overlap",
                expressions=[
                    (_only("category"), RangeOperators.OVERLAPS),
                    (_only("asset"), RangeOperators.OVERLAPS),
                    (TsTzRange("valid_from", "valid_to", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                violation_error_message="The asset belongs to the category at that time already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.asset} in {self.category}"
