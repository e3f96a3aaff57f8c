"""Issuers: who owes what a bond promises. An issuer is no asset."""

from django.db import models

from markets.models.base import RegistryRow, identifier_field, not_blank


class Issuer(RegistryRow):
    unique_identifier = identifier_field("identifier", unique=True, help_text="For example US_TREASURY or a LEI.")
    display_name = models.CharField("name", max_length=255, db_index=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        ordering = ["unique_identifier"]
        constraints = [
            not_blank("unique_identifier", "markets_issuer_identifier_not_blank"),
            not_blank("display_name", "markets_issuer_name_not_blank"),
        ]

    def __str__(self) -> str:
        return self.display_name
