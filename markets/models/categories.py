"""Asset categories: named universes, and who belongs to them."""

from django.db import models

from markets.models.assets import Asset
from markets.models.base import RegistryRow, identifier_field, not_blank


class AssetCategory(RegistryRow):
    unique_identifier = identifier_field(
        "identifier", unique=True, help_text="A stable key such as sp500_constituents."
    )
    display_name = models.CharField(max_length=255, db_index=True)
    description = models.TextField(blank=True, null=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)
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


class AssetCategoryMembership(RegistryRow):
    category = models.ForeignKey(AssetCategory, on_delete=models.CASCADE, related_name="memberships")
    asset = models.ForeignKey(Asset, on_delete=models.CASCADE, related_name="category_memberships")

    class Meta:
        ordering = ["category", "asset"]
        verbose_name = "category membership"
        constraints = [
            models.UniqueConstraint(fields=["category", "asset"], name="markets_assetcategorymembership_unique")
        ]

    def __str__(self) -> str:
        return f"{self.asset} in {self.category}"
