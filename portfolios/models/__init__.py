"""The tables of accounts and portfolios."""

from portfolios.models.accounts import (
    Account,
    AccountAllocationModel,
    AccountGroup,
    AccountHoldingsSet,
    AccountTargetAllocation,
    PositionSet,
)
from portfolios.models.portfolios import Portfolio, TurnoverBasis, WeightsConvention
from portfolios.models.series import PortfolioValue, PortfolioWeight, SignalWeight
from portfolios.models.virtual_funds import VirtualFund

__all__ = [
    "Account",
    "AccountAllocationModel",
    "AccountGroup",
    "AccountHoldingsSet",
    "AccountTargetAllocation",
    "Portfolio",
    "PortfolioValue",
    "PortfolioWeight",
    "PositionSet",
    "SignalWeight",
    "TurnoverBasis",
    "VirtualFund",
    "WeightsConvention",
]
