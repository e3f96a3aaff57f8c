"""Signals and portfolio nodes."""

from portfolios.data_nodes.signals import EqualWeights, EqualWeightsConfiguration, SignalWeights
from portfolios.data_nodes.values import PortfolioConfiguration, PortfolioValues, PortfolioWeights

__all__ = [
    "EqualWeights",
    "EqualWeightsConfiguration",
    "PortfolioConfiguration",
    "PortfolioValues",
    "PortfolioWeights",
    "SignalWeights",
]
