"""Reads what a portfolio's page draws: its values, its weights over time, its latest weights."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from markets.figures.reduction import evenly_spaced_rows
from markets.models import OpenFigiDetails
from portfolios.figures.weights import MOST_ROWS, OTHERS
from portfolios.models import Portfolio, PortfolioValue, PortfolioWeight
from portfolios.services.portfolios import latest_cross_section

LATEST_SHOWN = 100


@dataclass(frozen=True)
class LatestWeights:
    """The greatest weights of the last session, and how many assets and how much weight there are in all."""

    time: dt.datetime
    rows: list[PortfolioWeight]
    number_of_assets: int
    total: float


def values_of(portfolio: Portfolio) -> pd.DataFrame:
    """`close` and `is_incomplete` by `time_index` (UTC), increasing."""
    rows = list(
        PortfolioValue.objects.filter(portfolio_identifier=portfolio.unique_identifier)
        .order_by("time_index")
        .values_list("time_index", "close", "is_incomplete")
    )
    index = pd.DatetimeIndex([row[0] for row in rows], tz="UTC", name="time_index")
    return pd.DataFrame(
        {
            "close": np.array([row[1] for row in rows], dtype=float),
            "is_incomplete": np.array([row[2] for row in rows], dtype=bool),
        },
        index=index,
    )


def weights_of(portfolio: Portfolio, times: pd.DatetimeIndex) -> pd.DataFrame:
    """Weights by time (UTC), one column an asset, of sessions evenly spaced.

    A long history of many assets is millions of rows: only the sessions that are drawn are read.
    """
    drawn = times[evenly_spaced_rows(len(times), MOST_ROWS)]
    rows = PortfolioWeight.objects.filter(
        portfolio_identifier=portfolio.unique_identifier, time_index__in=list(drawn.to_pydatetime())
    ).values_list("time_index", "asset_identifier", "weight")
    frame = pd.DataFrame.from_records(list(rows), columns=["time_index", "asset", "weight"])
    if frame.empty:
        return pd.DataFrame(index=drawn[:0])
    wide = frame.pivot(index="time_index", columns="asset", values="weight").fillna(0.0)
    wide.index = pd.DatetimeIndex(wide.index).tz_convert("UTC")
    return wide.sort_index()


def named_by_ticker(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns named by tickers where the assets have them and no two share one."""
    names = tickers_of(str(name) for name in frame.columns)
    labels = [names.get(str(name)) or str(name) for name in frame.columns]
    twice = {label for label in labels if labels.count(label) > 1} | {OTHERS}
    frame = frame.copy()
    frame.columns = pd.Index(
        [
            str(name) if label in twice and name != OTHERS else label
            for name, label in zip(frame.columns, labels, strict=True)
        ]
    )
    return frame


def tickers_of(identifiers: Any) -> dict[str, str]:
    """Identifier → ticker, of the assets that have one."""
    rows = OpenFigiDetails.objects.filter(asset__unique_identifier__in=list(identifiers), ticker__isnull=False)
    return {
        identifier: ticker for identifier, ticker in rows.values_list("asset__unique_identifier", "ticker") if ticker
    }


def latest_weights(portfolio: Portfolio) -> LatestWeights | None:
    rows = PortfolioWeight.objects.filter(portfolio_identifier=portfolio.unique_identifier)
    last = latest_cross_section(portfolio)
    if last is None:
        return None
    session = [row for row in rows.filter(time_index=last) if row.weight]
    session.sort(key=lambda row: (-abs(row.weight), row.asset_identifier))
    return LatestWeights(last, session[:LATEST_SHOWN], len(session), float(sum(row.weight for row in session)))
