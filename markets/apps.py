"""The Django application of the market's reference data and DataNodes."""

from django.apps import AppConfig


class MarketsConfig(AppConfig):
    name = "markets"
    verbose_name = "Market"
