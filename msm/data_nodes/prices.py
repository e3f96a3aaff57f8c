"""Price nodes: bars from files, and bars on the sessions of a calendar."""

from markets.data_nodes.interpolated_prices import InterpolatedPrices, InterpolatedPricesConfiguration
from markets.data_nodes.prices import ExternalPrices, ExternalPricesConfiguration

__all__ = [
    "ExternalPrices",
    "ExternalPricesConfiguration",
    "InterpolatedPrices",
    "InterpolatedPricesConfiguration",
]
