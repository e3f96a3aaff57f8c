"""How far a table has come, and the recent rows of each asset since an instant of its own.

Run as `python -m benchmarks.data_node_statistics`; MSM_BENCH_FULL=1 adds 20 million rows. The kept statistics are
beside GROUP BY over the rows, as whoever keeps none must ask; the range map, one query, beside a query for each asset.
"""

import sys
from typing import Any

from benchmarks import _bars
from benchmarks._server import own_server, server_settings, superuser

SIZES = {"0.5 M": 252, "5 M": _bars.DAYS_OF_5M} | ({"20 M": _bars.DAYS_OF_20M} if _bars.FULL else {})
GROUP_BY_GOAL, GROWTH_GOAL, QUERIES_GOAL = 50.0, 1.5, 4.0
DAYS_BACK = 5


def group_by(table: str) -> dict[str, Any]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT asset_identifier, min(time_index), max(time_index), count(*) "
            f'FROM "{table}" GROUP BY asset_identifier'
        )
        return {name: last for name, _, last, _ in cursor.fetchall()}


def queries(table: str, windows: dict[str, Any]) -> int:
    """A query for each asset, as a loop over assets makes them."""
    from django.db import connection

    rows = 0
    with connection.cursor() as cursor:
        for name, window in windows.items():
            cursor.execute(
                f'SELECT * FROM "{table}" WHERE asset_identifier = %s AND time_index >= %s ORDER BY time_index',
                [name, window["start_date"]],
            )
            rows += len(cursor.fetchall())
    return rows


def main() -> int:
    claims = _bars.Claims()
    kept: dict[str, float] = {}
    with own_server() as directory:
        with superuser(directory) as server:
            print(server_settings(server))
        _bars.make_assets()
        stored = 0
        for size, days in SIZES.items():
            node = _bars.load("bars", days, since=stored)
            stored = days
            table = node.get_storage().table_name
            assert node.get_update_statistics().index_progress == group_by(table)
            taken = _bars.alternated(
                7, {"update statistics": node.get_update_statistics, "GROUP BY": lambda table=table: group_by(table)}
            )
            claims.times(f"the progress of {_bars.ASSETS:,} assets in {size} rows", taken)
            kept[size] = taken["update statistics"]
            if size != "0.5 M":
                figure = taken["GROUP BY"] / kept[size]
                claims.at_least(f"update statistics against GROUP BY, {size}", figure, GROUP_BY_GOAL)
            windows = {
                name: {"start_date": _bars.day(days - 1 - number % DAYS_BACK).to_pydatetime()}
                for number, name in enumerate(_bars.names_of(_bars.ASSETS))
            }
            found = len(node.get_ranged_data_per_asset(windows))
            assert found == queries(table, windows) == _bars.ASSETS * (DAYS_BACK + 1) / 2
            taken = _bars.alternated(
                7,
                {
                    "range map": lambda node=node, windows=windows: node.get_ranged_data_per_asset(windows),
                    f"{_bars.ASSETS:,} queries": lambda table=table, windows=windows: queries(table, windows),
                },
            )
            claims.times(f"the last 1 to {DAYS_BACK} days of {_bars.ASSETS:,} assets in {size} rows", taken)
            figure = taken[f"{_bars.ASSETS:,} queries"] / taken["range map"]
            claims.at_least(f"range map against a query for each asset, {size}", figure, QUERIES_GOAL)
    largest = list(SIZES)[-1]
    claims.at_most(f"update statistics at {largest} against 0.5 M", kept[largest] / kept["0.5 M"], GROWTH_GOAL)
    return claims.exit_code()


if __name__ == "__main__":
    sys.exit(main())
