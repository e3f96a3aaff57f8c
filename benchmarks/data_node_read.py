"""Reading through DataNode.get_df_between_dates, beside pandas.read_sql of the same rows, and the memory it takes.

Run as `python -m benchmarks.data_node_read [python]`. 2,000 assets, 5 million rows: 100 assets with all their days, one
day of all assets (on the primary key alone, and in a table with the second index by time), and everything. Given the
interpreter of an environment that has ArcticDB, one day is measured there, too: an outside peer, no dependency.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import _bars
from benchmarks._server import own_server, server_settings, superuser
from benchmarks.data_node_write import resident

MIDDLE = _bars.DAYS_OF_5M // 2
GOALS = {"100 assets": 4.5, "one day": 4.0, "5 M rows": 10.0, "memory": 3.0, "peer": 1.5}
PEER = """
import sys, time
from statistics import median
import arcticdb, numpy as np, pandas as pd
where, assets, days, middle, first = sys.argv[1], *map(int, sys.argv[2:5]), pd.Timestamp(sys.argv[5])
library = arcticdb.Arctic("lmdb://" + where).get_library("bars", create_if_missing=True)
names = [f"BBG{number:06d}XY{number % 10}" for number in range(assets)]
generator = np.random.default_rng(1)
for begin in range(0, days, 252):
    times = pd.date_range(first + pd.Timedelta(days=begin), periods=min(252, days - begin))
    index = pd.MultiIndex.from_product([times, names], names=["time_index", "asset_identifier"])
    columns = ("open", "high", "low", "close", "volume", "vwap")
    frame = pd.DataFrame({name: generator.normal(100, 5, len(index)) for name in columns}, index=index)
    library.append("bars", frame) if begin else library.write("bars", frame)
taken = []
day = first + pd.Timedelta(days=middle)
for _ in range(30):
    start = time.perf_counter()
    read = library.read("bars", date_range=(day, day)).data
    taken.append((time.perf_counter() - start) * 1000)
    assert len(read) == assets
print(median(taken))
"""


def memory_of_a_read() -> None:
    """In a fresh process: print the growth of its memory while everything is read, and the size of the frame."""
    import django

    django.setup()
    node = _bars.node_of("bars")
    node.get_df_between_dates(start_date=_bars.day(_bars.DAYS_OF_5M - 200), columns=["open"])  # imports, connections
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    frame = node.get_df_between_dates()
    print(resident("VmHWM") - before, int(frame.memory_usage(deep=True, index=True).sum()))


def peer_day(python: str) -> float:
    """Milliseconds of ArcticDB's read of one day, the median of 30."""
    with tempfile.TemporaryDirectory(prefix="msm-bench-peer-") as where:
        arguments = [where, str(_bars.ASSETS), str(_bars.DAYS_OF_5M), str(MIDDLE), str(_bars.FIRST_DAY)]
        answer = subprocess.run([python, "-c", PEER, *arguments], check=True, capture_output=True, text=True)
    return float(answer.stdout.split()[-1])


def main() -> int:
    claims = _bars.Claims()
    with own_server() as directory:
        with superuser(directory) as server:
            print(server_settings(server))
        _bars.make_assets()
        node = _bars.load("bars", _bars.DAYS_OF_5M)
        indexed = _bars.load("bars by time", _bars.DAYS_OF_5M, index_by_time=True)
        engine = _bars.sql_engine(directory)
        measure(claims, node, indexed, engine)
        engine.dispose()
        code = "from benchmarks.data_node_read import memory_of_a_read; memory_of_a_read()"
        answer = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=dict(os.environ)
        )
        growth, size = (int(part) for part in answer.stdout.split()[-2:])
        claims.at_most(f"peak memory of reading 5 M rows, a frame of {size / 2**20:.0f} MiB", growth / size, 3.0)
        if len(sys.argv) > 1:
            day = _bars.day(MIDDLE).to_pydatetime()
            ours = _bars.alternated(30, {"day": lambda: indexed.get_df_between_dates(day, day)})["day"]
            theirs = peer_day(sys.argv[1])
            print(f"\none day: ArcticDB {theirs:.1f} ms, the table with the second index {ours:.1f} ms")
            claims.at_least("one day against ArcticDB", theirs / ours, GOALS["peer"])
    return claims.exit_code()


def measure(claims: _bars.Claims, node: Any, indexed: Any, engine: Any) -> None:
    table, by_time = node.get_storage().table_name, indexed.get_storage().table_name
    some = _bars.names_of(_bars.ASSETS)[::20]
    day = _bars.day(MIDDLE).to_pydatetime()
    of_some, of_day = "WHERE asset_identifier = ANY (:names)", "WHERE time_index = :day"
    kinds: list[tuple[str, int, Any, Any, float]] = [
        (
            "100 assets",
            5,
            lambda: node.get_df_between_dates(unique_identifier_list=some),
            lambda: _bars.read_sql(engine, table, of_some, {"names": some}),
            GOALS["100 assets"],
        ),
        (
            "one day, primary key alone",
            30,
            lambda: node.get_df_between_dates(day, day),
            lambda: _bars.read_sql(engine, table, of_day, {"day": day}),
            GOALS["one day"],
        ),
        (
            "one day, index_by_time",
            30,
            lambda: indexed.get_df_between_dates(day, day),
            lambda: _bars.read_sql(engine, by_time, of_day, {"day": day}),
            GOALS["one day"],
        ),
        (
            "5 M rows",
            2,
            node.get_df_between_dates,
            lambda: _bars.read_sql(engine, table),
            GOALS["5 M rows"],
        ),
    ]
    for claim, repeats, ours, theirs, goal in kinds:
        if repeats > 2:  # the same rows; comparing five million would take longer than reading them
            left, right = ours(), theirs()
            assert left.index.equals(right.index.set_levels(right.index.levels[0].as_unit("ns"), level=0))
            assert (left.to_numpy() == right.to_numpy()).all()
        taken = _bars.alternated(repeats, {"get_df_between_dates": ours, "pandas.read_sql": theirs})
        claims.times(claim, taken)
        claims.at_least(f"{claim} against read_sql", taken["pandas.read_sql"] / taken["get_df_between_dates"], goal)


if __name__ == "__main__":
    sys.exit(main())
