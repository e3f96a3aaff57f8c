"""The words and figures of a portfolio's page."""

import datetime as dt
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from pydantic import ValidationError

from markets.admin.formatting import NOTHING, badge, counted, link, percent, utc
from markets.admin.tables import Column, Fact, Table
from markets.exceptions import Conflict
from markets.models import Asset
from portfolios.admin.series import LATEST_SHOWN, latest_weights, tickers_of
from portfolios.data_nodes.values import PortfolioConfiguration
from portfolios.models import Portfolio, TurnoverBasis, WeightsConvention
from portfolios.services.portfolios import portfolio_statistics

SMALLEST_WEIGHT = 5e-5  # less is shown as 0.00 %

WEIGHTS_IN_WORDS = {
    WeightsConvention.CONSTANT: "Constant between rebalances: every session ends back at the target, free of cost.",
    WeightsConvention.DRIFT: "Drift with prices between rebalances.",
}
TURNOVER_IN_WORDS = {
    TurnoverBasis.TARGET: "Measured from the previous target weights to the new ones.",
    TurnoverBasis.DRIFTED: "Measured from the drifted weights to the new targets.",
}
OPTIONS_IN_WORDS = {
    ("fill", "same_bar"): "Filled at the bar of the signal.",
    ("fill", "next_bar"): "Filled at the bar after the signal.",
    ("start_when", "any_priced"): "Starts when the first asset is priced.",
    ("start_when", "all_priced"): "Starts at the first session on which all assets are priced.",
    ("missing_price", "fail"): "A missing price stops the run.",
    ("signal_expiry", "hold"): "An expired signal is held, and marked.",
    ("signal_expiry", "liquidate"): "An expired signal is sold to cash.",
}


def conventions(portfolio: Portfolio) -> list[Fact]:
    """How the values are computed, in words."""
    basis_points = f"{float(portfolio.commission_fee) * 10_000:,.10g}"
    facts = [
        Fact("Weights", WEIGHTS_IN_WORDS[WeightsConvention(portfolio.weights_between_rebalances)]),
        Fact("Turnover", TURNOVER_IN_WORDS[TurnoverBasis(portfolio.turnover_basis)]),
        Fact(
            "Fee", f"{basis_points} basis points of the value traded, both legs, charged on the value before the trade."
        ),
        Fact("Valued at", format_html("<code>{}</code> of the price table", portfolio.valuation_column)),
        Fact("Calendar", _calendar(portfolio)),
    ]
    options = _options(portfolio)
    known = [text for pair, text in OPTIONS_IN_WORDS.items() if options.get(pair[0]) == pair[1]]
    if options.get("missing_price") == "hold":
        limit = options.get("maximum_price_age_sessions")
        known.append(f"A missing price is held for at most {limit} sessions; then the session is marked.")
    if known:
        facts.append(Fact("Rules", " ".join(known), wide=True))
    return facts


def _options(portfolio: Portfolio) -> dict[str, Any]:
    """The configuration of the node that computes the values, defaults included; nothing where it cannot be read."""
    if portfolio.values_node is None:
        return {}
    configuration = portfolio.values_node.build_configuration.get("arguments", {}).get("configuration")
    fields = configuration.get("fields") if isinstance(configuration, dict) else None
    try:
        return PortfolioConfiguration.model_validate(fields).model_dump()
    except ValidationError:  # another class of node, or one of another version
        return {}


def _calendar(portfolio: Portfolio) -> Any:
    if portfolio.calendar is not None:
        return link(reverse("admin:markets_calendar_change", args=(portfolio.calendar_id,)), portfolio.calendar)
    return portfolio.calendar_name or NOTHING


def statistics_facts(portfolio: Portfolio) -> dict[str, Any]:
    """`statistics` and `statistics_note`: what the closes came to, and on which basis a year is reckoned."""
    try:
        statistics = portfolio_statistics(portfolio)
    except Conflict as error:
        return {"statistics": [], "statistics_note": str(error)}
    found = statistics.figures
    if not found.number_of_periods:
        return {"statistics": [], "statistics_note": "Statistics need two sessions."}
    drawdown = percent(found.max_drawdown)
    if found.drawdown_start is not None:
        recovered = found.drawdown_recovery is not None
        end = f"recovered {_date(found.drawdown_recovery)}" if recovered else "not recovered"
        span = f"{_date(found.drawdown_start)} to {_date(found.drawdown_trough)}, {end}"
        drawdown = format_html("{} <span class='msm-quiet'>{}</span>", drawdown, span)
    return {
        "statistics": [
            Fact("Total return", percent(found.total_return)),
            Fact("Return a year", percent(found.annualised_return)),
            Fact("Volatility a year", percent(found.annualised_volatility)),
            Fact("Deepest drawdown", drawdown),
            Fact("Best session", _session(found.best_period_return, found.best_period_time)),
            Fact("Worst session", _session(found.worst_period_return, found.worst_period_time)),
        ],
        "statistics_note": (
            f"A year has {found.sessions_a_year:,.2f} sessions (the average of calendar {statistics.calendar}); "
            f"{found.number_of_periods:,} returns. The first close is the base, so the cost of entry is not in these "
            "figures."
        ),
    }


def _session(fraction: float | None, nanoseconds: int | None) -> Any:
    if nanoseconds is None:
        return NOTHING
    return format_html("{} <span class='msm-quiet'>{}</span>", percent(fraction), _date(nanoseconds))


def _date(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return NOTHING
    return dt.datetime.fromtimestamp(nanoseconds / 1e9, dt.UTC).strftime("%Y-%m-%d")


def weights_table(portfolio: Portfolio) -> Table:
    """The weights of the last session, the greatest first."""
    latest = latest_weights(portfolio)
    columns = [
        Column("Asset"),
        Column("Ticker"),
        Column("Weight", numeric=True),
        Column("Before", numeric=True),
        Column("Price", numeric=True),
        Column("Notes"),
    ]
    if latest is None:
        return Table(columns, label="Latest weights", empty="No weights are stored.")
    identifiers = [row.asset_identifier for row in latest.rows]
    tickers = tickers_of(identifiers)
    ids = dict(Asset.objects.filter(unique_identifier__in=identifiers).values_list("unique_identifier", "pk"))
    rest = latest.number_of_assets - len(latest.rows)
    cash = "; the rest is cash" if latest.total < 1 - SMALLEST_WEIGHT else ""
    more = f" The {LATEST_SHOWN} greatest of {latest.number_of_assets:,} are shown." if rest else ""
    return Table(
        columns,
        label=f"Latest weights, {utc(latest.time)}",
        rows=[
            (
                link(reverse("admin:markets_asset_change", args=(ids[row.asset_identifier],)), row.asset_identifier)
                if row.asset_identifier in ids
                else row.asset_identifier,
                tickers.get(row.asset_identifier, ""),
                percent(row.weight),
                percent(row.weight_before),
                NOTHING if row.price_current is None else f"{row.price_current:,.4f}",
                badge("price carried", "wait") if row.price_is_stale else "",
            )
            for row in latest.rows
        ],
        empty="Everything is in cash.",
        footer=f"{counted(latest.number_of_assets, 'asset')}, {percent(latest.total)} in all{cash}.{more}",
    )
