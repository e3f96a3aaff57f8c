"""Seals history that no longer changes into blocks, and removes a block when somebody writes into its time.

Sealing and writing exclude each other by the lock of the table's progress: a writer takes it before his rows, sealing
before it reads them. So a block never holds less or other than the rows that are committed.
"""

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import psycopg
from django.db import connection, transaction
from django.db.models import Max, Min, QuerySet, Sum
from django.utils import timezone
from psycopg import sql

from markets import locks
from markets.data_nodes.plain_rows import prepared_cursor
from markets.data_nodes.read_copy import read_by_copy
from markets.data_nodes.selection import Selection
from markets.data_nodes.storage import TableContract
from markets.engine.frame_building import FrameBuilder
from markets.engine.sealed_blocks import PackedBlock, pack_block
from markets.models import SealedBlock, SealedColumn, StorageNode, UpdateStatistic

logger = logging.getLogger("msm.nodes.sealing")
FEWEST_ROWS = 100_000  # a smaller table is read at once as it is
CELLS_IN_BLOCK = 6_000_000  # about so many at most: some fifty megabytes at a time when one is read or sealed
DENSEST = 4  # times as many as that, where some years have more rows than others; what has more is cut in two
# What a block holds when it is whole, with its length in days; and into what the rest of one is cut until it is.
_UNITS = {"Y": 365.25, "Q": 91.3, "M": 30.4, "W": 7.0, "D": 1.0}
_FINER = {"Y": "YQM", "Q": "QM", "M": "M", "W": "W", "D": "D"}


@dataclass(frozen=True)
class Sealed:
    """What sealing a table did: how many blocks it made, with how many rows, and up to when all is sealed now."""

    blocks: int
    rows: int
    until: dt.datetime | None


def seal_history(storage: StorageNode) -> Sealed:
    """Seal what is open of the table's history, all days before today (UTC), a block a transaction.

    Can be ended at any moment and run again. Tables that a migration made, small ones and those without rows are left.
    """
    if not storage.is_engine_table or not storage.columns:
        return Sealed(0, 0, None)
    told = UpdateStatistic.objects.filter(storage=storage).aggregate(
        first=Min("first_time_index"), last=Max("last_time_index"), rows=Sum("row_count")
    )
    blocks = rows = 0
    if (told["rows"] or 0) >= FEWEST_ROWS:
        width = len(storage.columns) + len(storage.index_names) - 1
        for since, until in _spans(told["first"], told["last"], told["rows"] * width):
            for sealed in _seal(storage, since, until):
                blocks, rows = blocks + 1, rows + sealed
    if blocks:
        logger.info("%s: %s rows sealed in %s blocks", storage, f"{rows:,}", blocks)
    return Sealed(blocks, rows, sealed_until(storage))


def sealed_until(storage: StorageNode) -> dt.datetime | None:
    """The end of the last block, None where nothing is sealed."""
    until: dt.datetime | None = SealedBlock.objects.filter(storage=storage).aggregate(until=Max("covers_until"))[
        "until"
    ]
    return until


def unseal(storage: StorageNode, since: dt.datetime, until: dt.datetime | None) -> int:
    """Remove the blocks with times from `since` up to and including `until`; returns how many.

    For whoever changes rows there, in his transaction and holding the lock of the table's progress.
    """
    if not storage.is_engine_table:
        return 0
    table = SealedBlock._meta.db_table
    with prepared_cursor() as cursor:  # every append asks
        cursor.execute(
            f'SELECT id FROM "{table}" WHERE storage_id = %s AND covers_until > %s AND covers_from <= %s',
            [storage.pk, since, until or dt.datetime.max.replace(tzinfo=dt.UTC)],
        )
        found = [pk for (pk,) in cursor.fetchall()]
    if found:
        SealedBlock.objects.filter(pk__in=found).delete()
        logger.info("%s blocks of history are open again, because rows of their time changed", len(found))
    return len(found)


def _spans(first: dt.datetime, last: dt.datetime, cells: int) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """All days that are over: whole years, or quarters, …, of CELLS_IN_BLOCK at most, about, then finer ones."""
    days = max((last - first).total_seconds() / 86_400, 1.0)
    unit = next((unit for unit, length in _UNITS.items() if cells / days * length <= CELLS_IN_BLOCK), "D")
    at, end = _begin_of(first, unit), min(_begin_of(last, "D", later=1), _begin_of(timezone.now(), "D"))
    for kind in _FINER[unit]:
        while (following := _begin_of(at, kind, later=1)) <= end:
            yield at.to_pydatetime(), following.to_pydatetime()
            at = following
    if at < end:
        yield at.to_pydatetime(), end.to_pydatetime()


def _begin_of(instant: dt.datetime, unit: str, *, later: int = 0) -> pd.Timestamp:
    """The first instant of the unit that holds this one, or of so many units later."""
    period = pd.Timestamp(instant).tz_convert("UTC").tz_localize(None).to_period(unit)
    return (period + later).start_time.tz_localize("UTC")


def _seal(storage: StorageNode, since: dt.datetime, until: dt.datetime) -> Iterator[int]:
    """Make this span one block in place of those that lie in it, or several where it has too many rows; their rows.

    Nothing is done where it is one already, where a block reaches beyond it, and where somebody writes the table at
    this moment: who waited for him would keep others waiting.
    """
    touching = SealedBlock.objects.filter(storage=storage, covers_from__lt=until, covers_until__gt=since)
    most = DENSEST * CELLS_IN_BLOCK // (len(storage.columns) + len(storage.index_names))
    if not _is_free(touching, since, until):
        return
    rows = touching.aggregate(rows=Sum("row_count"))["rows"] or 0
    if rows <= most:
        rows = _seal_whole(storage, touching, since, until, most)
    if rows <= most:
        if rows:
            yield rows
        return
    middle = _begin_of(since + (until - since) / 2, "D").to_pydatetime()
    if since < middle < until:  # a day is read as it is, however many rows it has
        yield from _seal(storage, since, middle)
        yield from _seal(storage, middle, until)


def _seal_whole(
    storage: StorageNode, touching: QuerySet[SealedBlock], since: dt.datetime, until: dt.datetime, most: int
) -> int:
    """Seal the span unless it has more than so many rows; how many it has, 0 where there is nothing to do now."""
    with transaction.atomic():
        if not locks.try_lock_for_transaction(locks.LockSpace.TABLE_PROGRESS, storage.pk):
            return 0
        storage.refresh_from_db(fields=["columns"])
        if not _is_free(touching, since, until):  # another process was quicker
            return 0
        packed = _packed(storage, since, until, most)
        if packed is None:
            return 0
        if packed.row_count <= most:
            touching.delete()
            _insert(storage, since, until, packed)
    return packed.row_count


def _is_free(touching: QuerySet[SealedBlock], since: dt.datetime, until: dt.datetime) -> bool:
    spans = list(touching.values_list("covers_from", "covers_until"))
    return (since, until) not in spans and all(since <= begin and end <= until for begin, end in spans)


def _packed(storage: StorageNode, since: dt.datetime, until: dt.datetime, most: int) -> PackedBlock | None:
    """The rows of the span, or `most` of them and one more; None where it has none."""
    contract = TableContract.of(storage)
    assert contract.columns is not None
    selection = Selection(contract, storage.pk, {}, [(">=", since), ("<", until)])
    expected = selection.expected()
    if not expected.identities:
        return None
    source = sql.SQL("{} LIMIT {}").format(selection.source(by_probes=expected.by_probes), sql.Literal(most + 1))
    builder = FrameBuilder(contract.index_names, contract.columns)
    read_by_copy(contract, contract.columns, source, builder)
    rows = builder.rows()
    return pack_block(rows, contract.identity_columns, contract.columns) if len(rows.ranks) else None


def _insert(storage: StorageNode, since: dt.datetime, until: dt.datetime, packed: PackedBlock) -> None:
    block = SealedBlock.objects.create(
        storage=storage,
        covers_from=since,
        covers_until=until,
        row_count=packed.row_count,
        moments=packed.moments,
        starts=packed.starts,
    )
    _insert_columns(block, packed)


def _insert_columns(block: SealedBlock, packed: PackedBlock) -> None:
    """Sent as bytes; Django's way would write them out in hexadecimal, twice as long."""
    names = "block_id, name, token, width, cells, labels, is_null"
    statement = f'INSERT INTO "{SealedColumn._meta.db_table}" ({names}) VALUES (%s, %s, %s, %s, %b, %b, %b)'
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        for column in packed.columns:
            values = [column.name, column.token, column.width, column.cells, column.labels, column.is_null]
            cursor.execute(statement, [block.pk, *values])
