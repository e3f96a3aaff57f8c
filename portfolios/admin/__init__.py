"""The back-office of accounts and portfolios, and its dashboard."""

from portfolios.admin import accounts, dashboard, portfolios, virtual_funds

__all__ = ["accounts", "dashboard", "portfolios", "virtual_funds"]
