"""What certain kinds of assets have beyond identity: currency pairs, bonds and futures, one row an asset at most."""

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper

from markets.models.assets import Asset
from markets.models.base import not_blank
from markets.models.indices import Index
from markets.models.issuers import Issuer

CURRENCY_TYPES = ("currency", "crypto")


class DetailsManager(models.Manager):
    """Rows carry the asset's `uid`, `unique_identifier` and `asset_type`, and `<reference>_uid` of each reference."""

    def get_queryset(self) -> models.QuerySet:
        shown = {name: F(f"asset__{name}") for name in ("uid", "unique_identifier", "asset_type")}
        shown |= {f"{name}_uid": F(f"{name}__uid") for name in self.model.references}
        return super().get_queryset().select_related("asset", *self.model.references).annotate(**shown)


class AssetDetails(models.Model):
    """The asset is the primary key; its uid is the row's public identity."""

    references: tuple[str, ...] = ()

    asset = models.OneToOneField(Asset, on_delete=models.CASCADE, primary_key=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = DetailsManager()

    uid: uuid.UUID
    unique_identifier: str
    asset_type: str | None

    class Meta:
        abstract = True
        ordering = ["asset__unique_identifier"]

    def __str__(self) -> str:
        return self.asset.unique_identifier


def _currency(name: str, related: str) -> models.ForeignKey:
    return models.ForeignKey(
        Asset,
        verbose_name=name,
        on_delete=models.PROTECT,
        related_name=related,
        limit_choices_to={"asset_type__in": CURRENCY_TYPES},
    )


class CurrencySpot(AssetDetails):
    references = ("base_currency", "quote_currency")

    base_currency = _currency("base currency", "spots_as_base")
    quote_currency = _currency("quote currency", "spots_as_quote")

    class Meta(AssetDetails.Meta):
        verbose_name = "currency spot"
        constraints = [
            models.UniqueConstraint(
                fields=["base_currency", "quote_currency"], name="markets_currencyspot_pair_unique"
            ),
            models.CheckConstraint(
                condition=~Q(base_currency=F("quote_currency")),
                name="markets_currencyspot_two_currencies",
                violation_error_message="Base and quote are the same currency.",
            ),
        ]


class BondStatus(models.TextChoices):
    ACTIVE = "ACTIVE", "Active"
    MATURED = "MATURED", "Matured"
    DEFAULTED = "DEFAULTED", "Defaulted"
    CALLED = "CALLED", "Called"
    REDEEMED = "REDEEMED", "Redeemed"
    UNKNOWN = "UNKNOWN", "Unknown"


class Bond(AssetDetails):
    references = ("issuer", "currency_asset")

    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="bonds")
    currency_asset = _currency("currency", "bonds_denominated")
    issue_date = models.DateField()
    maturity_date = models.DateField(blank=True, null=True, db_index=True, help_text="Nothing for a perpetual bond.")
    status = models.CharField(max_length=32, choices=BondStatus, db_index=True)

    class Meta(AssetDetails.Meta):
        constraints = [
            models.CheckConstraint(
                condition=Q(maturity_date__isnull=True) | Q(maturity_date__gte=F("issue_date")),
                name="markets_bond_dates_ordered",
                violation_error_message="The bond matures before it is issued.",
            ),
            models.CheckConstraint(condition=Q(status__in=BondStatus.values), name="markets_bond_status_known"),
        ]


class FutureKind(models.TextChoices):
    PERPETUAL = "PERPETUAL", "Perpetual"
    EXPIRING = "EXPIRING", "Expiring"


class SettlementModel(models.TextChoices):
    LINEAR = "LINEAR", "Linear"
    INVERSE = "INVERSE", "Inverse"
    QUANTO = "QUANTO", "Quanto"
    UNKNOWN = "UNKNOWN", "Unknown"


class SettlementMethod(models.TextChoices):
    CASH = "CASH", "Cash"
    PHYSICAL = "PHYSICAL", "Physical"
    UNKNOWN = "UNKNOWN", "Unknown"


class Future(AssetDetails):
    references = ("underlying_index", "settlement_asset", "margin_asset")

    kind = models.CharField(max_length=32, choices=FutureKind)
    underlying_index = models.ForeignKey(Index, on_delete=models.PROTECT, related_name="futures")
    quote_unit = models.CharField(max_length=64, help_text="What prices are quoted in: USD, INDEX_POINT.")
    settlement_asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="futures_settled")
    margin_asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="futures_margined")
    settlement_model = models.CharField(max_length=32, choices=SettlementModel)
    settlement_method = models.CharField(max_length=32, choices=SettlementMethod)
    contract_size = models.DecimalField(max_digits=38, decimal_places=18, help_text="Contract units in one contract.")
    contract_unit = models.CharField(max_length=64, help_text="What the size counts: INDEX_POINT, BTC.")
    expires_at = models.DateTimeField(
        "expires at (UTC)",
        blank=True,
        null=True,
        db_index=True,
        help_text="An expiring future has it, a perpetual none.",
    )
    settles_at = models.DateTimeField("settles at (UTC)", blank=True, null=True)
    metadata = models.JSONField(blank=True, null=True)

    class Meta(AssetDetails.Meta):
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="PERPETUAL", expires_at__isnull=True) | Q(kind="EXPIRING", expires_at__isnull=False),
                name="markets_future_expiry_by_kind",
                violation_error_message="An expiring future has an expiry, a perpetual one has none.",
            ),
            models.CheckConstraint(
                condition=Q(settles_at__isnull=True) | Q(expires_at__isnull=True) | Q(settles_at__gte=F("expires_at")),
                name="markets_future_settles_after_expiry",
                violation_error_message="The future settles before it expires.",
            ),
            models.CheckConstraint(
                condition=Q(contract_size__gt=0),
                name="markets_future_size_positive",
                violation_error_message="The contract size must be positive.",
            ),
            models.CheckConstraint(
                condition=Q(settlement_model__in=SettlementModel.values), name="markets_future_model_known"
            ),
            models.CheckConstraint(
                condition=Q(settlement_method__in=SettlementMethod.values), name="markets_future_method_known"
            ),
            not_blank("quote_unit", "markets_future_quote_unit_not_blank"),
            not_blank("contract_unit", "markets_future_contract_unit_not_blank"),
            models.CheckConstraint(
                condition=Q(quote_unit=Upper("quote_unit"), contract_unit=Upper("contract_unit")),
                name="markets_future_units_upper",
            ),
        ]
