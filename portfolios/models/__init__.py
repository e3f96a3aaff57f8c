"""The tables of portfolios."""

from portfolios.models.portfolios import Portfolio, TurnoverBasis, WeightsConvention
from portfolios.models.series import PortfolioValue, PortfolioWeight, SignalWeight

__all__ = ["Portfolio", "PortfolioValue", "PortfolioWeight", "SignalWeight", "TurnoverBasis", "WeightsConvention"]
