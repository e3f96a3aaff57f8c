"""One day of 2,000 assets appended by DataNode.run(), beside the bare COPY of the same rows into the same table.

Run as `python -m benchmarks.data_node_append_day`; MSM_BENCH_FULL=1 adds 20 million stored rows. Both take turns at the
days that follow: run() with validation, statistics and run record in one transaction, COPY with nothing but the rows.
"""

import sys
from typing import Any

import numpy as np

from benchmarks import _bars
from benchmarks._server import own_server, server_settings, superuser

REPEATS = 15
SIZES = {"0.5 M": 252, "5 M": _bars.DAYS_OF_5M} | ({"20 M": _bars.DAYS_OF_20M} if _bars.FULL else {})
COPY_GOAL, GROWTH_GOAL = 3.0, 1.5


def bare_copy(table: str, number: int) -> Any:
    """The COPY of one day, its bytes ready."""
    from django.db import connection

    from markets.engine.binary_copy import FixedField, TextField, pack_rows
    from markets.engine.dtypes import EPOCH_2000_US

    frame = _bars.bars(number, 1)
    time = _bars.day(number).value // 1_000 - EPOCH_2000_US
    rows = len(frame)
    fields = [TextField(np.arange(rows), _bars.names_of(rows)), FixedField(np.full(rows, time), ">i8")]
    fields += [FixedField(frame[name].to_numpy(), ">f8") for name in _bars.COLUMNS]
    data = b"".join(pack_rows(fields, rows))
    names = ", ".join(("asset_identifier", "time_index", *_bars.COLUMNS))

    def copy() -> None:
        with connection.cursor() as cursor, cursor.copy(f'COPY "{table}" ({names}) FROM STDIN (FORMAT binary)') as to:
            to.write(data)

    return copy


def main() -> int:
    claims = _bars.Claims()
    runs: dict[str, float] = {}
    with own_server() as directory:
        with superuser(directory) as server:
            print(f"one day of {_bars.ASSETS:,} assets; {server_settings(server)}")
        _bars.make_assets()
        stored = 0
        for size, days in SIZES.items():
            table = _bars.load("bars", days, since=stored).get_storage().table_name
            coming = iter(range(days, days + 2 * REPEATS + 2))
            nodes = [_bars.node_of("bars", _bars.bars(next(coming), 1)) for _ in range(1)]
            nodes[0].run()  # imports, connection
            todo = [
                (_bars.node_of("bars", _bars.bars(next(coming), 1)), bare_copy(table, next(coming)))
                for _ in range(REPEATS)
            ]
            turns = iter(todo)
            pair: list[Any] = []

            def run(turns: Any = turns, pair: list[Any] = pair) -> None:
                pair[:] = next(turns)
                pair[0].run()

            taken = _bars.alternated(REPEATS, {"DataNode.run()": run, "bare COPY": lambda pair=pair: pair[1]()})
            claims.times(f"a day more on {size} rows", taken)
            claims.at_most(
                f"run() against the bare COPY, {size}", taken["DataNode.run()"] / taken["bare COPY"], COPY_GOAL
            )
            runs[size] = taken["DataNode.run()"]
            stored = days + 2 * REPEATS + 1
    largest = list(SIZES)[-1]
    claims.at_most(f"run() at {largest} against run() at 0.5 M", runs[largest] / runs["0.5 M"], GROWTH_GOAL)
    return claims.exit_code()


if __name__ == "__main__":
    sys.exit(main())
