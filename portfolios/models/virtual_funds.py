"""Virtual funds: slices of an account that are earmarked for one target portfolio each."""

from django.db import models
from django.db.models import Q

from markets.models.base import RegistryRow, identifier_field, not_blank
from portfolios.models.accounts import Account, AccountTargetAllocation
from portfolios.models.portfolios import Portfolio


class VirtualFund(RegistryRow):
    unique_identifier = identifier_field("identifier", unique=True, help_text="It never changes.")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="virtual_funds")
    target_portfolio = models.ForeignKey(Portfolio, on_delete=models.PROTECT, related_name="virtual_funds")
    account_target_allocation = models.ForeignKey(
        AccountTargetAllocation,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="virtual_funds",
        verbose_name="target allocation",
        help_text="The account's allocation that the fund serves; one fund a portfolio in each.",
    )

    class Meta:
        ordering = ["unique_identifier"]
        verbose_name = "virtual fund"
        constraints = [
            not_blank("unique_identifier", "portfolios_virtualfund_identifier_not_blank"),
            models.UniqueConstraint(
                fields=["account_target_allocation", "target_portfolio"],
                condition=Q(account_target_allocation__isnull=False),
                name="portfolios_virtualfund_one_a_portfolio",
                violation_error_message="Another fund serves this portfolio in the allocation.",
            ),
        ]

    def __str__(self) -> str:
        return self.unique_identifier
