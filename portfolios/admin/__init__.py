"""The back-office of portfolios, and its dashboard."""

from portfolios.admin import dashboard, portfolios

__all__ = ["dashboard", "portfolios"]
