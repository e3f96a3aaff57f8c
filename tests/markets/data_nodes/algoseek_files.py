"""Generated files of AlgoSeek over real FIGIs, and what the tests of its nodes ask of a table."""

import datetime as dt
from pathlib import Path

import pandas as pd

from markets.engine.algoseek_sample import SECURITIES, daily_frame, write_daily
from tests.markets.data_nodes.nodes import stored

ALCOA, HOWMET, APPLE, QQQ = "BBG000B9WH86", "BBG00DYNJGH9", "BBG000B9XRY4", "BBG000BSWKH7"
SAMPLES = SECURITIES[:4]  # SecIds 33008, 33449, 551883 and 1140088, as AlgoSeek documents them
DAYS = [dt.date(2022, 1, 3), dt.date(2022, 1, 4), dt.date(2022, 7, 1)]
STAMP = pd.Timestamp("1900-01-01T00:01Z")


def add_daily(directory: Path, secid: int, days: list[dt.date], **columns) -> pd.DataFrame:
    frame = daily_frame(secid, f"T{secid}", days, seed=secid).assign(**columns)
    write_daily(directory / "daily" / f"{secid}.csv", frame, "adjusted")
    return frame


def identifiers(node) -> list[str]:
    return sorted(row[1] for row in stored(node))


def log_of(node) -> str:
    return node.last_run.run.log
