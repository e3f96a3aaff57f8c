"""The Django application of portfolios."""

from django.apps import AppConfig


class PortfoliosConfig(AppConfig):
    name = "portfolios"
    verbose_name = "Portfolios"

    def ready(self) -> None:
        from markets.data_nodes.registry import register_module

        register_module("portfolios.data_nodes.signals")
        register_module("portfolios.data_nodes.values")
