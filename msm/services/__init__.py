"""Operations that span several tables."""

from markets.services.node_runs import register_node
from portfolios.services.construction import build_portfolio

__all__ = ["build_portfolio", "register_node"]
