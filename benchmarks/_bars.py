"""Tables of daily bars for the benchmarks of DataNodes, and how their figures are taken and shown."""

import os
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

COLUMNS = ("open", "high", "low", "close", "volume", "vwap")
ASSETS = 2_000
DAYS_OF_5M = 2_520
DAYS_OF_20M = 10_080
DAYS_A_RUN = 252
FIRST_DAY = pd.Timestamp("1990-01-01 21:00", tz="UTC")
FULL = os.environ.get("MSM_BENCH_FULL", "") not in ("", "0")  # the measures at 20 million rows, too


def names_of(assets: int) -> list[str]:
    return [f"BBG{number:06d}XY{number % 10}" for number in range(assets)]


def day(number: int) -> pd.Timestamp:
    return FIRST_DAY + pd.Timedelta(days=number)


def bars(first_day: int, days: int, assets: int = ASSETS, seed: int = 20260102) -> pd.DataFrame:
    """Bars by time: all assets of a day, then those of the next."""
    generator = np.random.default_rng([seed, first_day])
    times = pd.date_range(day(first_day), periods=days)
    index = pd.MultiIndex.from_product([times, names_of(assets)], names=["time_index", "asset_identifier"])
    return pd.DataFrame({name: generator.normal(100, 5, len(index)) for name in COLUMNS}, index=index)


def node_of(name: str, frame: pd.DataFrame | None = None, **attributes: Any) -> Any:
    """A node whose update() returns the frame; `attributes` are set on its class."""
    from markets.data_nodes.node import DataNode

    class Bars(DataNode):
        def __init__(self, name: str) -> None:
            self.name = name
            super().__init__()

        def update(self) -> pd.DataFrame:
            assert frame is not None
            return frame

    for key, value in attributes.items():
        setattr(Bars, key, value)
    return Bars(name)


def make_assets(assets: int = ASSETS) -> None:
    from markets.models import Asset

    Asset.objects.bulk_create((Asset(unique_identifier=name) for name in names_of(assets)), ignore_conflicts=True)


def load(name: str, days: int, *, since: int = 0, assets: int = ASSETS, **attributes: Any) -> Any:
    """The node's table filled up to so many days, a year a run, and looked at by VACUUM as after some quiet time."""
    from django.db import connection

    start = time.perf_counter()
    for first in range(since, days, DAYS_A_RUN):
        node_of(name, bars(first, min(DAYS_A_RUN, days - first), assets), **attributes).run()
    node = node_of(name, **attributes)
    with connection.cursor() as cursor:
        cursor.execute(f'VACUUM (ANALYZE) "{node.get_storage().table_name}"')
    print(f"{days * assets:,} rows stored; loading took {time.perf_counter() - start:.0f} s", flush=True)
    return node


def alternated(repeats: int, actions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Milliseconds of each action, the median of runs in turn: what disturbs the machine disturbs all of them."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            taken[name].append((time.perf_counter() - start) * 1_000)
    return {name: median(values) for name, values in taken.items()}


class Claims:
    """The lines of a benchmark's result, and whether every goal was reached."""

    def __init__(self) -> None:
        self.missed = 0

    def times(self, title: str, taken: dict[str, float]) -> None:
        print(f"\n{title}")
        shortest = min(taken.values())
        for name, value in taken.items():
            print(f"    {name:44}{value:12,.1f} ms{value / shortest:9.2f} x")

    def at_least(self, claim: str, figure: float, goal: float) -> None:
        self._line(claim, figure, f"at least {goal:g}", is_met=figure >= goal)

    def at_most(self, claim: str, figure: float, goal: float) -> None:
        self._line(claim, figure, f"at most {goal:g}", is_met=figure <= goal)

    def _line(self, claim: str, figure: float, goal: str, *, is_met: bool) -> None:
        self.missed += not is_met
        print(f"  {claim}: {figure:.2f} x (goal: {goal}) {'ok' if is_met else 'MISSED'}", flush=True)

    def exit_code(self) -> int:
        return 1 if self.missed else 0


def read_sql(engine: Any, table: str, where: str = "", values: dict[str, Any] | None = None) -> pd.DataFrame:
    """What a script without MSM does: pandas.read_sql in the order and under the index of a DataNode's frame."""
    import sqlalchemy

    statement = f'SELECT * FROM "{table}" {where} ORDER BY time_index, asset_identifier'
    return pd.read_sql(sqlalchemy.text(statement), engine, params=values, index_col=["time_index", "asset_identifier"])


def sql_engine(directory: Any) -> Any:
    import sqlalchemy

    from msm_project.embedded.locations import embedded_locations

    host = embedded_locations(directory).postgres_socket_directory
    return sqlalchemy.create_engine(f"postgresql+psycopg://msm@/msm?host={host}")


def explained(statement: str, parameters: Sequence[Any] = ()) -> list[str]:
    """The server's plan of a statement, its main lines."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {statement}", parameters)
        return [line for (line,) in cursor.fetchall() if "Scan" in line or "Execution" in line or "Join" in line]
