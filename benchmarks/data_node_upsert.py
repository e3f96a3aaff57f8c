"""One corrected day of 2,000 assets written over the stored one by a DataNode, beside the usual ways.

Run as `python -m benchmarks.data_node_upsert`. All of them write the same kind of change into the same table of 0.5
million rows, in turn: the node's upsert, which validates the frame, counts what differs and keeps the statistics in one
transaction; psycopg's executemany with ON CONFLICT; Django's bulk_create(update_conflicts=True). The goals are the
upsert's; the whole run(), which also reads the statistics, keeps its record and looks for readers, is shown beside it.
"""

import itertools
import sys
from typing import Any

import pandas as pd

from benchmarks import _bars
from benchmarks._server import own_server, server_settings, superuser

REPEATS = 9
DAY = 125
MANY_GOAL, BULK_GOAL = 2.0, 3.0
_number = itertools.count(1)


def corrected() -> pd.DataFrame:
    """The day with other values than ever before."""
    return _bars.bars(DAY, 1, seed=next(_number))


def executemany(table: str, frame: pd.DataFrame) -> Any:
    from django.db import connection, transaction

    rows = [
        (name, time.to_pydatetime(), *values)
        for (time, name), values in zip(frame.index, frame.to_numpy().tolist(), strict=True)
    ]
    names = ("asset_identifier", "time_index", *_bars.COLUMNS)
    statement = (
        f'INSERT INTO "{table}" ({", ".join(names)}) VALUES ({", ".join(["%s"] * len(names))}) '
        "ON CONFLICT (asset_identifier, time_index) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in _bars.COLUMNS)
    )

    def write() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(statement, rows)

    return write


def upsert(frame: pd.DataFrame) -> Any:
    from django.db import transaction

    from markets.data_nodes.writes import Write

    node = _bars.node_of("bars", frame, write_mode="overwrite")
    storage = node.get_storage()
    assert node.update_statistics.max_time_index_value is not None  # both read before update(), as in a run

    def write() -> None:
        with transaction.atomic():
            todo = Write(node, storage, frame, [], is_whole=True)
            todo.validate()
            todo.execute()

    return write


def model_of(table: str) -> Any:
    from django.db import models

    fields = {name: models.FloatField(null=True) for name in _bars.COLUMNS}
    meta = type("Meta", (), {"app_label": "benchmarks", "managed": False, "db_table": table})
    return type(
        "UpsertedBar",
        (models.Model,),
        {
            "__module__": __name__,
            "pk": models.CompositePrimaryKey("asset_identifier", "time_index"),
            "asset_identifier": models.TextField(),
            "time_index": models.DateTimeField(),
            **fields,
            "Meta": meta,
        },
    )


def bulk_create(model: Any, frame: pd.DataFrame) -> Any:
    flat = frame.reset_index()
    names = list(flat.columns)

    def write() -> None:
        rows = [model(**dict(zip(names, values, strict=True))) for values in flat.itertuples(index=False, name=None)]
        model.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["asset_identifier", "time_index"],
            update_fields=list(_bars.COLUMNS),
        )

    return write


def main() -> int:
    claims = _bars.Claims()
    with own_server() as directory:
        with superuser(directory) as server:
            print(f"a day of {_bars.ASSETS:,} assets; {server_settings(server)}")
        _bars.make_assets()
        table = _bars.load("bars", 252).get_storage().table_name
        model = model_of(table)
        turns = iter(
            [
                (
                    upsert(corrected()),
                    _bars.node_of("bars", corrected(), write_mode="overwrite").run,
                    executemany(table, corrected()),
                    bulk_create(model, corrected()),
                )
                for _ in range(REPEATS + 1)
            ]
        )
        for write in next(turns):  # imports, prepared statements
            write()
        now: list[Any] = []

        def first() -> None:
            now[:] = next(turns)
            now[0]()

        taken = _bars.alternated(
            REPEATS,
            {
                "the node's upsert": first,
                "executemany … ON CONFLICT": lambda: now[2](),
                "bulk_create(update_conflicts)": lambda: now[3](),
                "DataNode.run()": lambda: now[1](),
            },
        )
    claims.times("a day written over the stored one", taken)
    ours = taken["the node's upsert"]
    claims.at_least("upsert against executemany", taken["executemany … ON CONFLICT"] / ours, MANY_GOAL)
    claims.at_least("upsert against bulk_create", taken["bulk_create(update_conflicts)"] / ours, BULK_GOAL)
    return claims.exit_code()


if __name__ == "__main__":
    sys.exit(main())
