"""The demo: four stocks, their real daily prices, an equal-weights portfolio; every step through the usual services."""

import datetime as dt
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from bokeh_sampledata import stocks
from django.db import transaction

from markets.data_nodes.interpolated_prices import InterpolatedPrices, InterpolatedPricesConfiguration
from markets.data_nodes.prices import ExternalPrices, ExternalPricesConfiguration
from markets.data_nodes.runs import execution_order
from markets.data_nodes.sessions import load_sessions
from markets.engine.price_files import read_price_file
from markets.models import Asset, NodeRun, RunStatus
from markets.services import asset_types, calendars, categories, universes
from portfolios.data_nodes.signals import EqualWeights, EqualWeightsConfiguration
from portfolios.data_nodes.values import PortfolioConfiguration, PortfolioValues
from portfolios.engine.statistics import PerformanceStatistics, performance_statistics
from portfolios.models import Portfolio
from portfolios.services.construction import build_portfolio
from portfolios.services.demo_stocks import STOCKS, register_stocks

CALENDAR = "XNYS"
CATEGORY = "demo-tech"
PORTFOLIO = "demo-equal-weights"
FEE = 0.00018


Say = Callable[[str], None]


@dataclass(frozen=True)
class DemoResult:
    """What the portfolio came to; `close` is the value of 1 invested at the start."""

    sessions: int
    first: dt.date
    last: dt.date
    close: float
    statistics: PerformanceStatistics


def prepare(data_directory: Path, say: Say) -> tuple[Portfolio, PortfolioValues]:
    """Everything that precedes the first run; a second call changes nothing."""
    return _prepare(register_stocks(say), data_directory, say)


@transaction.atomic
def _prepare(rows: list[Asset], data_directory: Path, say: Say) -> tuple[Portfolio, PortfolioValues]:
    asset_types.upsert_asset_type(asset_type="equity", display_name="Equity")
    prices = write_price_file(data_directory)
    dates = read_price_file(prices).dates
    assert dates is not None
    first, last = dates.min().astype(dt.date), dates.max().astype(dt.date)
    horizon = (dt.date(first.year, 1, 1), dt.date(last.year, 12, 31))
    calendars.create_from_pandas_calendar(
        source_identifier=CALENDAR,
        unique_identifier=CALENDAR,
        display_name="New York Stock Exchange",
        valid_from=horizon[0],
        valid_to=horizon[1],
    )
    say(f"calendar: {CALENDAR}, {len(load_sessions(CALENDAR)):,} sessions from {horizon[0]} to {horizon[1]}")
    category = categories.get_or_create_category(
        unique_identifier=CATEGORY,
        display_name="Demo: technology",
        description="The four stocks of the demo.",
    ).row
    categories.replace_members(category, [row.uid for row in rows])
    universes.register_spells(category, [(row, horizon[0], None) for row in rows])
    say(f"category: {CATEGORY} with {len(rows)} assets")
    say(f"prices: {len(dates):,} daily bars in {prices}")
    return _define_portfolio(prices, horizon[0], say)


def _define_portfolio(prices: Path, start: dt.date, say: Say) -> tuple[Portfolio, PortfolioValues]:
    source = ExternalPrices(
        ExternalPricesConfiguration(
            dataset="demo-daily-prices",
            path=str(prices),
            calendar_identifier=CALENDAR,
            description="Daily bars of the demo's stocks, 2000 to 2013 (bokeh-sampledata, public domain).",
        )
    )
    interpolated = InterpolatedPrices(
        InterpolatedPricesConfiguration(
            dataset="demo-session-prices", calendar_identifier=CALENDAR, assets_category_unique_id=CATEGORY
        ),
        source,
    )
    signal = EqualWeights(
        EqualWeightsConfiguration(
            starts_at=dt.datetime.combine(start, dt.time(), dt.UTC), assets_category_unique_id=CATEGORY
        )
    )
    configuration = PortfolioConfiguration(
        portfolio_identifier=PORTFOLIO,
        calendar_identifier=CALENDAR,
        valuation_column="adjusted_close",
        commission_fee=FEE,
        weights_between_rebalances="constant",
        start_when="all_priced",
    )
    portfolio, node = build_portfolio(
        configuration,
        price_source=interpolated,
        signal=signal,
        display_name="Demo: equal weights",
        description="A quarter in each of AAPL, GOOG, IBM and MSFT, from the first session on which all are priced.",
    )
    say(f"portfolio: {PORTFOLIO}, {len(execution_order(node))} DataNodes")
    return portfolio, node


def write_price_file(data_directory: Path) -> Path:
    """The sample data as one price file, written once; the same bytes on every call."""
    frames = []
    for stock in STOCKS:
        frame = pd.DataFrame(getattr(stocks, stock.ticker)).rename(columns={"adj_close": "adjusted_close"})
        frame.insert(0, "figi", stock.figi)
        frames.append(frame)
    content = pd.concat(frames).to_csv(index=False, lineterminator="\n").encode()
    path = data_directory / "media" / "demo_daily_prices.csv"
    if path.exists() and path.read_bytes() == content:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}")
    staged.write_bytes(content)
    staged.replace(path)
    return path


def is_up_to_date(node: PortfolioValues) -> bool:
    """Whether every node of the tree ended its last run well, so that the fixed price file holds nothing new."""
    for member in execution_order(node):
        last = NodeRun.objects.filter(node_update__update_hash=member.update_hash).order_by("-id").first()
        if last is None or last.status not in {RunStatus.SUCCEEDED, RunStatus.UP_TO_DATE}:
            return False
    return not node.get_df_between_dates(columns=["close"]).empty


def result(node: PortfolioValues) -> DemoResult:
    """The stored values of the portfolio, summed up."""
    values = node.get_df_between_dates(columns=["close"])
    sessions = load_sessions(CALENDAR)
    times = values.index.get_level_values("time_index").asi8
    closes = values["close"].to_numpy()
    place = sessions.closes.searchsorted(times)
    return DemoResult(
        sessions=len(values),
        first=sessions.dates[place[0]].astype(dt.date),
        last=sessions.dates[place[-1]].astype(dt.date),
        close=float(closes[-1]),
        statistics=performance_statistics(times, closes, sessions_a_year=sessions.sessions_a_year),
    )
