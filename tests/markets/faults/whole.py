"""The one question after every fault: is the table whole, and does every record tell the truth?"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.db import connection

from markets import locks
from markets.models import Job, JobStatus, NodeRun, NodeUpdate, RunStatus, StorageNode
from tests.markets.data_nodes.nodes import exists, recount, statistics, stored

SUCCEEDED, UP_TO_DATE = ("succeeded", ""), ("up_to_date", "")


def assert_table_is_whole(
    node: Any,
    rows: Sequence[tuple[Any, ...]],
    runs: Sequence[tuple[str, str]],
    *,
    written: int | None = None,
    jobs_are_done: bool = True,
) -> None:
    """The table has exactly these rows, its statistics are a recount, its runs ended so and wrote what they say.

    `runs` are (status, error type) of every run into the table, oldest first; `written` is how many rows they wrote
    together where that is not one for each row. No job waits or runs, unless the test says that some may.
    """
    storage = StorageNode.objects.get(storage_hash=node.storage_hash)
    if rows:
        _assert_keys_are_unique(storage, len(rows))
        assert list(map(_bits, stored(node))) == list(map(_bits, rows))
        assert statistics(node) == recount(node)
    else:
        assert not exists(node)
        assert statistics(node) == []
    records = list(NodeRun.objects.filter(node_update__storage=storage).order_by("id"))
    assert [(run.status, run.error_type) for run in records] == list(runs)
    assert sum(run.rows_written for run in records) == (len(rows) if written is None else written)
    for run in records:
        assert run.status != RunStatus.RUNNING
        assert run.finished_at is not None
        assert run.finished_at >= run.started_at
        if run.status == RunStatus.FAILED:
            assert (run.rows_written, run.error_message == "") == (0, False)
    assert not jobs_are_done or not Job.objects.filter(status__in=[JobStatus.QUEUED, JobStatus.RUNNING]).exists()
    for update in NodeUpdate.objects.filter(storage=storage):
        assert not locks.is_held(locks.LockSpace.NODE_UPDATE, update.pk)


def _assert_keys_are_unique(storage: StorageNode, count: int) -> None:
    """Counted from the heap and from the index, which a crash could set at odds, and promised by a valid key."""
    keys = ", ".join(f'"{name}"' for name in storage.key_columns)
    with connection.cursor() as cursor:
        for hidden in ("enable_indexscan = off; SET enable_indexonlyscan = off", "enable_seqscan = off"):
            cursor.execute(f"SET {hidden}")
            cursor.execute(f'SELECT count(*), count(DISTINCT ({keys})) FROM "{storage.table_name}"')
            assert cursor.fetchone() == (count, count)
            cursor.execute("RESET enable_indexscan; RESET enable_indexonlyscan; RESET enable_seqscan")
        cursor.execute(
            "SELECT array_agg(a.attname::text ORDER BY place) FROM pg_index AS i, "
            "unnest(i.indkey::int[]) WITH ORDINALITY AS k(number, place), pg_attribute AS a "
            "WHERE i.indrelid = %s::regclass AND i.indisprimary AND i.indisvalid "
            "AND a.attrelid = i.indrelid AND a.attnum = k.number",
            [f'"{storage.table_name}"'],
        )
        assert cursor.fetchone() == (list(storage.key_columns),)


def _bits(row: tuple[Any, ...]) -> tuple[Any, ...]:
    def exact(value: Any) -> Any:
        if isinstance(value, float):
            return value.hex()
        return value.astimezone(dt.UTC).isoformat() if isinstance(value, dt.datetime) else value

    return tuple(map(exact, row))
