"""Writing 500,000 rows through DataNode.run(), beside what PostgreSQL itself needs and the usual ways, in one run.

Run as `python -m benchmarks.data_node_write [identifiers] [days]`. The floor is the server's own `COPY FROM 'file'
(FORMAT binary)` of the same rows, sorted by key, into a fresh table with the same primary key. `run()` gets the rows by
time, as data arrive, and does all that it does: validation, statistics, run record, one transaction.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._server import own_server, server_settings, superuser

COLUMNS = ("open", "high", "low", "close", "volume", "vwap")
REPEATS = 5
GOALS = {"floor": 0.70, "to_sql": 8.0, "bulk_create": 12.0, "memory": 3.0}
FLOOR, FIRST = "floor: COPY FROM file", "run(), the first load"
APPEND_FLOOR, APPEND = "floor, one older day stored", "run(), one older day stored"
SQL, BULK = "pandas.to_sql", "bulk_create, batches of 5,000"
TABLE = """
CREATE TABLE {name} (
    asset_identifier text COLLATE "C" NOT NULL, time_index timestamptz NOT NULL,
    open float8, high float8, low float8, close float8, volume float8, vwap float8,
    PRIMARY KEY (asset_identifier, time_index)
)"""


def made_up_frame(identifiers: int, days: int, first_day: str = "2016-01-01") -> pd.DataFrame:
    """Bars by time: all identifiers of a day, then those of the next."""
    generator = np.random.default_rng(20260102)
    times = pd.date_range(first_day, periods=days, tz="UTC") + pd.Timedelta(hours=21)
    names = [f"BBG{number:06d}XY{number % 10}" for number in generator.permutation(identifiers)]
    index = pd.MultiIndex.from_product([times, names], names=["time_index", "asset_identifier"])
    return pd.DataFrame({name: generator.normal(100, 5, len(index)) for name in COLUMNS}, index=index)


def node_of(name: str, frame: pd.DataFrame) -> Any:
    from markets.data_nodes.node import DataNode

    class Bars(DataNode):
        def __init__(self, name: str) -> None:
            self.name = name
            super().__init__()

        def update(self) -> pd.DataFrame:
            return frame

    return Bars(name)


def milliseconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1_000


def bulk_create(table: str, frame: pd.DataFrame) -> Callable[[], object]:
    from django.db import models

    class Bar(models.Model):
        pk = models.CompositePrimaryKey("asset_identifier", "time_index")
        asset_identifier = models.TextField()
        time_index = models.DateTimeField()
        open = models.FloatField(null=True)
        high = models.FloatField(null=True)
        low = models.FloatField(null=True)
        close = models.FloatField(null=True)
        volume = models.FloatField(null=True)
        vwap = models.FloatField(null=True)

        class Meta:
            app_label = "benchmarks"
            managed = False
            db_table = table

    def write() -> None:
        rows = (Bar(**dict(zip(names, values, strict=True))) for values in flat.itertuples(index=False, name=None))
        Bar.objects.bulk_create(rows, batch_size=5_000)

    flat = frame.reset_index()
    names = list(flat.columns)
    return write


def memory_of_a_run(identifiers: int, days: int) -> None:
    """In a fresh process: print the growth of its memory during run(), and the size of the frame, in bytes."""
    import django

    django.setup()
    frame = made_up_frame(identifiers, days)
    node_of("warm up", frame.iloc[:identifiers]).run()  # imports, connection
    node = node_of("memory", frame)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    node.run()
    print(resident("VmHWM") - before, int(frame.memory_usage(deep=True, index=True).sum()))


def resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def main() -> None:
    identifiers = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    days = int(sys.argv[2]) if len(sys.argv) > 2 else 2_500
    with own_server() as directory:
        measure(directory, identifiers, days)


def measure(directory: Path, identifiers: int, days: int) -> None:
    from markets.models import Asset

    frame = made_up_frame(identifiers, days)
    Asset.objects.bulk_create(Asset(unique_identifier=name) for name in frame.index.levels[1])
    server = superuser(directory)
    print(f"{len(frame):,} rows, {len(COLUMNS)} float columns, by time; {server_settings(server)}")

    # The server writes its own file, so that it can read it whoever it runs as.
    file = server.execute("SHOW data_directory").fetchone()[0] + "/benchmark.bin"  # type: ignore[index]
    node_of("source", frame).run()
    source = node_of("source", frame).get_storage().table_name
    names = ", ".join(("asset_identifier", "time_index", *COLUMNS))
    server.execute(
        f"COPY (SELECT {names} FROM {source} ORDER BY asset_identifier, time_index) TO '{file}' (FORMAT binary)"
    )
    eve = made_up_frame(identifiers, 1, "2015-12-31")

    def fresh_table(name: str) -> None:
        server.execute(f"DROP TABLE IF EXISTS {name}")
        server.execute(TABLE.format(name=name))
        server.execute(f"GRANT ALL ON {name} TO msm")

    def settle() -> None:
        server.execute("CHECKPOINT")

    def copy_from_file() -> None:
        server.execute(f"COPY floor FROM '{file}' (FORMAT binary)")

    times: dict[str, list[float]] = {FLOOR: [], FIRST: [], APPEND_FLOOR: [], APPEND: []}
    for repeat in range(REPEATS):
        fresh_table("floor")
        settle()
        times[FLOOR].append(milliseconds(copy_from_file))
        settle()
        times[FIRST].append(milliseconds(node_of(f"first {repeat}", frame).run))
        node_of(f"append {repeat}", eve).run()
        fresh_table("floor")
        server.execute(f"INSERT INTO floor SELECT * FROM {node_of(f'append {repeat}', eve).get_storage().table_name}")
        settle()
        times[APPEND_FLOOR].append(milliseconds(copy_from_file))
        settle()
        node = node_of(f"append {repeat}", frame)
        times[APPEND].append(milliseconds(node.run))
    fresh_table("to_sql_rows")
    settle()
    times[SQL] = [milliseconds(lambda: to_sql(directory, frame))]
    fresh_table("bulk_rows")
    create = bulk_create("bulk_rows", frame)
    settle()
    times[BULK] = [milliseconds(create)]
    fresh_table("floor")
    copy_from_file()
    check_equal(server, ["floor", "to_sql_rows", "bulk_rows"], source)
    server.close()

    growth, size = (int(part) for part in child_memory(directory, identifiers, days))
    report(times, growth / size, size)


def to_sql(directory: Path, frame: pd.DataFrame) -> None:
    import sqlalchemy

    from msm_project.embedded.locations import embedded_locations

    host = embedded_locations(directory).postgres_socket_directory
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://msm@/msm?host={host}")
    frame.to_sql("to_sql_rows", engine, if_exists="append")
    engine.dispose()


def check_equal(server: Any, tables: list[str], source: str) -> None:
    """All ways have written the same."""
    sums = ", ".join(f"sum({name}::numeric)" for name in COLUMNS)
    query = "SELECT count(*), min(time_index), max(time_index), {} FROM {}"
    expected = server.execute(query.format(sums, source)).fetchone()
    for table in tables:
        found = server.execute(query.format(sums, table)).fetchone()
        assert found == expected, (table, found, expected)


def child_memory(directory: Path, identifiers: int, days: int) -> list[str]:
    code = f"from benchmarks.data_node_write import memory_of_a_run; memory_of_a_run({identifiers}, {days})"
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=dict(os.environ)
    )
    return answer.stdout.split()[-2:]


def report(times: dict[str, list[float]], memory: float, size: int) -> None:
    ms = {name: median(values) for name, values in times.items()}
    print(f"{'':32}{'ms':>9}{'x floor':>9}")
    for name, value in ms.items():
        print(f"{name:32}{value:9,.0f}{value / ms[FLOOR]:9.2f}")
    print(f"run() at {ms[FLOOR] / ms[FIRST]:.2f} of the floor's speed (goal {GOALS['floor']})")
    print(f"run() beside older rows at {ms[APPEND_FLOOR] / ms[APPEND]:.2f} of their floor's speed")
    print(f"run() {ms[SQL] / ms[FIRST]:.1f} x as fast as to_sql (goal {GOALS['to_sql']})")
    print(f"run() {ms[BULK] / ms[FIRST]:.1f} x as fast as bulk_create (goal {GOALS['bulk_create']})")
    print(f"peak memory of run(): {memory:.2f} x the frame's {size / 2**20:.0f} MiB (goal at most {GOALS['memory']})")


if __name__ == "__main__":
    main()
