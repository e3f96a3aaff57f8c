"""Reading through DataNode.get_df_between_dates, beside pandas.read_sql of the same rows, and the memory it takes.

Run as `python -m benchmarks.data_node_read [python]`. 2,000 assets, 5 million rows: 100 assets with all their days, one
day of all assets (on the primary key alone, and in a table with the second index by time), and everything. Each is read
as it is in the first night, and again when the history is sealed, as it is from then on; the goals are those of a
sealed history, except for 100 assets, which are looked up as rows. Given the interpreter of an environment that has
ArcticDB, the same is read there, too: an outside peer, no dependency.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import _bars
from benchmarks._server import own_server, server_settings, superuser
from benchmarks.data_node_write import resident

MIDDLE = _bars.DAYS_OF_5M // 2
GOALS = {"100 assets": 4.5, "one day": 4.0, "5 M rows": 10.0}
PEER_GOALS = {"100 assets": 1.5, "one day": 1.5, "5 M rows": 0.6}
PEER = """
import sys, time
from statistics import median
import arcticdb, numpy as np, pandas as pd
where, assets, days, middle, first = sys.argv[1], *map(int, sys.argv[2:5]), pd.Timestamp(sys.argv[5])
library = arcticdb.Arctic("lmdb://" + where).get_library("bars", create_if_missing=True)
names = [f"BBG{number:06d}XY{number % 10}" for number in range(assets)]
def adb_query(some):
    query = arcticdb.QueryBuilder()
    return query[query["asset_identifier"].isin(some)]
generator = np.random.default_rng(1)
for begin in range(0, days, 252):
    times = pd.date_range(first + pd.Timedelta(days=begin), periods=min(252, days - begin))
    index = pd.MultiIndex.from_product([times, names], names=["time_index", "asset_identifier"])
    columns = ("open", "high", "low", "close", "volume", "vwap")
    frame = pd.DataFrame({name: generator.normal(100, 5, len(index)) for name in columns}, index=index)
    library.append("bars", frame) if begin else library.write("bars", frame)
day = first + pd.Timedelta(days=middle)
some = names[::20]
library.read("bars", date_range=(day, day))
for repeats, read in (
    (5, lambda: library.read("bars", query_builder=adb_query(some)).data),
    (30, lambda: library.read("bars", date_range=(day, day)).data),
    (3, lambda: library.read("bars").data),
):
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        rows = len(read())
        taken.append((time.perf_counter() - start) * 1000)
    print(median(taken), rows)
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


def peer(python: str) -> dict[str, float]:
    """Milliseconds of ArcticDB's reads, medians."""
    with tempfile.TemporaryDirectory(prefix="msm-bench-peer-") as where:
        arguments = [where, str(_bars.ASSETS), str(_bars.DAYS_OF_5M), str(MIDDLE), str(_bars.FIRST_DAY)]
        answer = subprocess.run([python, "-c", PEER, *arguments], check=True, capture_output=True, text=True)
    return {
        claim: float(line.split()[0]) for claim, line in zip(PEER_GOALS, answer.stdout.splitlines()[-3:], strict=True)
    }


def main() -> int:
    claims = _bars.Claims()
    with own_server() as directory:
        from markets.data_nodes.sealing import seal_history

        with superuser(directory) as server:
            print(server_settings(server))
        _bars.make_assets()
        node = _bars.load("bars", _bars.DAYS_OF_5M)
        indexed = _bars.load("bars by time", _bars.DAYS_OF_5M, index_by_time=True)
        engine = _bars.sql_engine(directory)
        measure(claims, node, indexed, engine, is_sealed=False)
        for table in (node, indexed):
            start = time.perf_counter()
            done = seal_history(table.get_storage())
            print(
                f"\n{done.rows:,} rows sealed in {done.blocks} blocks: {time.perf_counter() - start:.1f} s", flush=True
            )
        measure(claims, node, indexed, engine, is_sealed=True)
        engine.dispose()
        code = "from benchmarks.data_node_read import memory_of_a_read; memory_of_a_read()"
        answer = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=dict(os.environ)
        )
        growth, size = (int(part) for part in answer.stdout.split()[-2:])
        claims.at_most(f"peak memory of reading 5 M rows, a frame of {size / 2**20:.0f} MiB", growth / size, 3.0)
        if len(sys.argv) > 1:
            ours = own_reads(node)
            for claim, theirs in peer(sys.argv[1]).items():
                print(f"\n{claim}: ArcticDB {theirs:.1f} ms, sealed history {ours[claim]:.1f} ms")
                claims.at_least(f"{claim} against ArcticDB", theirs / ours[claim], PEER_GOALS[claim])
    return claims.exit_code()


def own_reads(node: Any) -> dict[str, float]:
    """Milliseconds of our reads, medians, each repeated by itself as the peer's are."""
    day = _bars.day(MIDDLE).to_pydatetime()
    some = _bars.names_of(_bars.ASSETS)[::20]
    reads: dict[str, tuple[int, Any]] = {
        "100 assets": (5, lambda: node.get_df_between_dates(unique_identifier_list=some)),
        "one day": (30, lambda: node.get_df_between_dates(day, day)),
        "5 M rows": (3, node.get_df_between_dates),
    }
    return {claim: _bars.alternated(repeats, {claim: read})[claim] for claim, (repeats, read) in reads.items()}


def measure(claims: _bars.Claims, node: Any, indexed: Any, engine: Any, *, is_sealed: bool) -> None:
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
            3,
            node.get_df_between_dates,
            lambda: _bars.read_sql(engine, table),
            GOALS["5 M rows"],
        ),
    ]
    for claim, repeats, ours, theirs, goal in kinds:
        if repeats > 3:  # the same rows; comparing five million would take longer than reading them
            left, right = ours(), theirs()
            assert left.index.equals(right.index.set_levels(right.index.levels[0].as_unit("ns"), level=0))
            assert (left.to_numpy() == right.to_numpy()).all()
        taken = _bars.alternated(repeats, {"get_df_between_dates": ours, "pandas.read_sql": theirs})
        claims.times(f"{claim}, {'sealed' if is_sealed else 'open'} history", taken)
        ratio = taken["pandas.read_sql"] / taken["get_df_between_dates"]
        if is_sealed or claim == "100 assets":
            claims.at_least(f"{claim} against read_sql", ratio, goal)
        else:
            print(f"  {claim} against read_sql, open history: {ratio:.2f} x")


if __name__ == "__main__":
    sys.exit(main())
