"""Portfolios: what they are built from, and the conventions by which their values are computed."""

from django.db import models
from django.db.models import Q

from markets.models.base import RegistryRow, identifier_field, not_blank
from markets.models.calendars import Calendar
from markets.models.data_nodes import NodeUpdate


class WeightsConvention(models.TextChoices):
    CONSTANT = "constant", "Constant: back at target on every session, free of cost"
    DRIFT = "drift", "Drift: weights move with prices until the next rebalance"


class TurnoverBasis(models.TextChoices):
    TARGET = "target", "Against the previous target"
    DRIFTED = "drifted", "Against the drifted weights"


class Portfolio(RegistryRow):
    unique_identifier = identifier_field("identifier", unique=True)
    display_name = models.CharField(max_length=255, blank=True, default="")
    description = models.TextField(blank=True, default="")
    calendar = models.ForeignKey(Calendar, on_delete=models.PROTECT, null=True, blank=True, related_name="portfolios")
    calendar_name = models.CharField(max_length=255, blank=True, null=True)
    weights_between_rebalances = models.CharField(
        max_length=16, choices=WeightsConvention, default=WeightsConvention.CONSTANT
    )
    turnover_basis = models.CharField(max_length=16, choices=TurnoverBasis, default=TurnoverBasis.TARGET)
    commission_fee = models.DecimalField(
        max_digits=38,
        decimal_places=18,
        default=0,
        help_text="Fraction of the traded value, charged on the sum of both legs: 0.00018 is 1.8 basis points.",
    )
    valuation_column = models.CharField(max_length=63, default="close")
    signal_uid = models.CharField(max_length=255, blank=True, null=True)
    signal_weights_node = models.ForeignKey(
        NodeUpdate, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    values_node = models.ForeignKey(
        NodeUpdate, on_delete=models.PROTECT, null=True, blank=True, related_name="portfolios"
    )

    class Meta:
        ordering = ["unique_identifier"]
        constraints = [
            not_blank("unique_identifier", "portfolios_portfolio_identifier_not_blank"),
            models.CheckConstraint(
                condition=Q(commission_fee__gte=0) & Q(commission_fee__lt=1),
                name="portfolios_portfolio_fee_is_fraction",
                violation_error_message="The fee is a fraction of the traded value: at least 0 and below 1.",
            ),
            models.CheckConstraint(
                condition=~Q(weights_between_rebalances="drift", turnover_basis="target"),
                name="portfolios_portfolio_drift_trades_drifted",
                violation_error_message="Drifting weights are traded from where they drifted to.",
            ),
        ]

    def __str__(self) -> str:
        return self.display_name or self.unique_identifier
