"""Identifiers that wait for OpenFIGI: registered from a file, or from the FIGI alone, and not yet resolved."""

from django.db import models
from django.db.models import Q

from markets.models.assets import Asset
from markets.models.base import RegistryRow, not_blank


class ResolutionStatus(models.TextChoices):
    PENDING = "pending", "Waiting"
    RESOLVED = "resolved", "Resolved"
    REFUSED = "refused", "Not resolvable"


class ResolutionScheme(models.TextChoices):
    FIGI = "figi", "FIGI"


class PendingResolution(RegistryRow):
    """An operational record: one row an identifier, made in the transaction that registers its asset."""

    scheme = models.CharField(max_length=16, choices=ResolutionScheme)
    value = models.CharField("identifier", max_length=64, db_collation="C")
    asset = models.ForeignKey(Asset, on_delete=models.CASCADE, related_name="pending_resolutions")
    source = models.CharField(max_length=255, blank=True, help_text="What asked for the registration: a file, a call.")
    status = models.CharField(max_length=16, choices=ResolutionStatus, default=ResolutionStatus.PENDING)
    requested_at = models.DateTimeField("asked (UTC)")
    attempts = models.PositiveIntegerField(default=0, help_text="How often OpenFIGI was asked.")

    class Meta:
        ordering = ["-requested_at", "-id"]
        verbose_name = "pending resolution"
        verbose_name_plural = "waiting for OpenFIGI"
        constraints = [
            models.UniqueConstraint(fields=["scheme", "value"], name="markets_pendingresolution_unique"),
            models.CheckConstraint(
                condition=Q(status__in=ResolutionStatus.values), name="markets_pendingresolution_status_known"
            ),
            not_blank("value", "markets_pendingresolution_value_not_blank"),
        ]
        indexes = [
            models.Index(fields=["status", "requested_at", "id"], name="markets_resolution_status"),
            models.Index(fields=["requested_at", "id"], name="markets_resolution_requested"),
        ]

    def __str__(self) -> str:
        return f"{self.scheme.upper()} {self.value}"
