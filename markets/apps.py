"""The Django application of the market's reference data and DataNodes."""

from django.apps import AppConfig


class MarketsConfig(AppConfig):
    name = "markets"
    verbose_name = "Market"

    def ready(self) -> None:
        from markets.data_nodes.registry import register_module

        register_module("markets.data_nodes.access")
        register_module("markets.data_nodes.prices")
        register_module("markets.data_nodes.snapshots")
        register_module("markets.data_nodes.interpolated_prices")
