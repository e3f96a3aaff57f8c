"""Builds portfolios: the row with its conventions, and the nodes that compute its weights and values."""

from decimal import Decimal

from django.db import transaction

from markets.data_nodes.configuration import decode
from markets.data_nodes.node import DataNode
from markets.data_nodes.sessions import load_sessions
from markets.exceptions import Conflict, InvalidInput, NotFound
from markets.models import Calendar
from markets.services.node_runs import register_node
from markets.services.values import clean_identifier
from portfolios.data_nodes.signals import SignalWeights
from portfolios.data_nodes.values import PortfolioConfiguration, PortfolioValues
from portfolios.models import Portfolio, PortfolioValue


@transaction.atomic
def build_portfolio(
    configuration: PortfolioConfiguration,
    *,
    price_source: DataNode,
    signal: SignalWeights,
    display_name: str = "",
    description: str = "",
) -> tuple[Portfolio, PortfolioValues]:
    """Register a portfolio with its conventions and its nodes; nothing is computed yet.

    The calendar must exist and have sessions. Building it again with the same configuration changes nothing but the
    names; with another one it is refused (Conflict) once values are stored, because they would mix two conventions.
    """
    if clean_identifier(configuration.portfolio_identifier) != configuration.portfolio_identifier:
        raise InvalidInput(
            f"portfolio_identifier={configuration.portfolio_identifier!r} begins or ends with a space.",
            field="portfolio_identifier",
        )
    calendar = Calendar.objects.filter(unique_identifier=configuration.calendar_identifier).first()
    if calendar is None:
        raise NotFound(f"There is no calendar {configuration.calendar_identifier!r}. Create it first.")
    load_sessions(configuration.calendar_identifier)
    node = PortfolioValues(configuration, price_source, signal)
    existing = (
        Portfolio.objects.select_for_update(of=("self",))
        .select_related("values_node")
        .filter(unique_identifier=configuration.portfolio_identifier)
        .first()
    )
    if existing is not None and not _same_definition(existing, node) and _has_values(existing):
        raise Conflict(
            f"The portfolio {configuration.portfolio_identifier} has values computed with another configuration. Give "
            "the new configuration another identifier, or delete the portfolio first."
        )
    update = register_node(node)
    portfolio, _ = Portfolio.objects.update_or_create(
        unique_identifier=configuration.portfolio_identifier,
        defaults={
            "display_name": display_name or (existing.display_name if existing else ""),
            "description": description or (existing.description if existing else ""),
            "calendar": calendar,
            "calendar_name": calendar.unique_identifier,
            "weights_between_rebalances": configuration.weights_between_rebalances,
            "turnover_basis": configuration.effective_turnover_basis,
            "commission_fee": Decimal(repr(configuration.commission_fee)),
            "valuation_column": configuration.valuation_column,
            "signal_uid": signal.signal_uid,
            "signal_weights_node": register_node(signal),
            "values_node": update,
        },
    )
    if existing is not None and existing.values_node not in (None, update) and not existing.values_node.runs.exists():
        existing.values_node.delete()  # it never ran, and now it never will
    return portfolio, node


def _has_values(portfolio: Portfolio) -> bool:
    return PortfolioValue.objects.filter(portfolio_identifier=portfolio.unique_identifier).exists()


def _same_definition(portfolio: Portfolio, node: PortfolioValues) -> bool:
    """Whether a stored portfolio rests on the same rules, signal and price table, wherever the prices come from."""
    stored = portfolio.values_node
    if stored is None:
        return True
    prices = stored.dependencies.filter(storage__storage_hash=node.price_source.storage_hash)
    return (
        portfolio.signal_uid == node.signal.signal_uid
        and decode(stored.build_configuration["arguments"]["configuration"]) == node.configuration
        and prices.exists()
    )
