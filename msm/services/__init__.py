"""Operations that span several tables."""

from markets.data_nodes.node import DataNode
from markets.services.gaps import gap_report
from markets.services.identifier_resolution import resolve as resolve_identifier
from markets.services.index_values import delete_index_values, read_index_values, write_index_values
from markets.services.node_runs import register_node
from markets.services.snapshots import (
    AssetReferenceDetails,
    asset_reference_details,
    asset_reference_details_by_uids,
    record_snapshots,
)
from msm.api.portfolios import Portfolio
from msm.services.openfigi import (
    FigiRow,
    query_by_figi,
    query_by_isin,
    query_figi,
    register_index_from_figi,
    register_index_future_from_figis,
    search_figi,
)
from portfolios.data_nodes.signals import SignalWeights
from portfolios.data_nodes.values import PortfolioConfiguration, PortfolioValues
from portfolios.engine.positions import (
    build_account_holdings_frame,
    build_target_positions_frame,
    validate_holdings_frame,
    validate_target_positions_frame,
)
from portfolios.services import construction

__all__ = [
    "AssetReferenceDetails",
    "FigiRow",
    "asset_reference_details",
    "asset_reference_details_by_uids",
    "build_account_holdings_frame",
    "build_portfolio",
    "build_target_positions_frame",
    "delete_index_values",
    "gap_report",
    "query_by_figi",
    "query_by_isin",
    "query_figi",
    "read_index_values",
    "record_snapshots",
    "register_index_from_figi",
    "register_index_future_from_figis",
    "register_node",
    "resolve_identifier",
    "search_figi",
    "validate_holdings_frame",
    "validate_target_positions_frame",
    "write_index_values",
]


def build_portfolio(
    configuration: PortfolioConfiguration,
    *,
    price_source: DataNode,
    signal: SignalWeights,
    display_name: str = "",
    description: str = "",
) -> tuple[Portfolio, PortfolioValues]:
    """Register a portfolio with its conventions and its nodes; `run()` the node that is returned to compute it.

    Raises NotFound or InvalidInput for a calendar that is missing or has no sessions, Conflict when values of another
    configuration are stored under the identifier.
    """
    row, node = construction.build_portfolio(
        configuration, price_source=price_source, signal=signal, display_name=display_name, description=description
    )
    return Portfolio._of(row), node
