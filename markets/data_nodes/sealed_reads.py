"""Reads rows from sealed blocks where a selection lies in them, or most of it does; the rest from the table."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from django.db import connection, transaction

from markets.data_nodes.plain_rows import prepared_cursor
from markets.data_nodes.read_copy import read_by_copy
from markets.data_nodes.selection import Bound, Selection
from markets.data_nodes.storage import TableContract
from markets.data_nodes.stored_statistics import microseconds
from markets.engine.frame_building import FrameBuilder, Values
from markets.engine.sealed_blocks import (
    PackedColumn,
    rows_between,
    unpacked_identity,
    unpacked_times,
    unpacked_values,
)
from markets.models import SealedBlock, SealedColumn, StorageNode

SHARE_WORTH_A_SCAN = 1 / 6  # of a block's rows: below, the rows are looked up by themselves in less time
FEW_MOMENTS = 4_096  # times of a block; fewer come with it, and cost nothing to speak of
FEWEST_INSIDE = 0.5  # of the rows: where more lie outside the blocks, the other ways are as fast
EARLIEST, LATEST = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class BlockGone(Exception):
    """Somebody wrote into the time of a block after it was found: the rows are to be read as they are now."""


@dataclass(frozen=True)
class _Block:
    id: int
    covers_from: dt.datetime
    covers_until: dt.datetime
    row_count: int
    moment_count: int
    moments: bytes | None
    starts: bytes | None


def read_sealed(selection: Selection, wanted: Mapping[str, str], into: FrameBuilder) -> bool:
    """Add the rows of a selection to the builder; whether blocks were of use. If not, nothing was added.

    Never in a transaction of the caller's: it may hold rows that no block knows.
    """
    try:
        since, until = _inclusive(selection.bounds)
    except OverflowError:  # the first or the last instant of all, excluded
        return False
    if since > until:
        return False
    try:
        blocks = _blocks(selection.storage_id, since, until)
        if not blocks:
            return False
        is_alone = len(blocks) == 1 and blocks[0].covers_from <= since and until < blocks[0].covers_until
        is_plain = is_alone and not selection.filters and blocks[0].moments is not None
        if not is_plain and not _is_worth(selection, blocks, since, until):
            return False
        if is_alone:
            return _read_block(blocks[0], selection, wanted, since, until, into)
        with transaction.atomic():  # one view of blocks and rows
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            blocks = _blocks(selection.storage_id, since, until)
            at = since
            for block in blocks:
                _read_rows(selection, wanted, at, block.covers_from - _MICROSECOND, into)
                if not _read_block(block, selection, wanted, since, until, into):
                    raise BlockGone
                at = max(at, block.covers_until)
            _read_rows(selection, wanted, at, until, into)
    except BlockGone:
        into.clear()
        return False
    return True


def frame_of(storage: StorageNode, block_id: int) -> pd.DataFrame:
    """The rows of one block, indexed as `read_frame` gives them. Raises BlockGone where it is no more."""
    contract = TableContract.of(storage)
    builder = FrameBuilder(contract.index_names, contract.columns or {})
    span = SealedBlock.objects.filter(pk=block_id).values_list("covers_from", "covers_until").first()
    if span is None:
        raise BlockGone
    (block,) = _blocks(storage.pk, span[0], span[0])
    selection = Selection(contract, storage.pk, {}, [])
    if not _read_block(block, selection, contract.columns or {}, EARLIEST, LATEST, builder):
        raise BlockGone
    return builder.frame()


def _inclusive(bounds: Sequence[Bound]) -> tuple[dt.datetime, dt.datetime]:
    """The first and the last instant that meet all bounds; the database counts microseconds."""
    since, until = EARLIEST, LATEST
    for operand, instant in bounds:
        if operand.startswith(">"):
            since = max(since, instant if operand == ">=" else instant + _MICROSECOND)
        else:
            until = min(until, instant if operand == "<=" else instant - _MICROSECOND)
    return since, until


def _blocks(storage_id: int, since: dt.datetime, until: dt.datetime) -> list[_Block]:
    rows = _fetch(
        "SELECT id, covers_from, covers_until, row_count, octet_length(moments) / 8, "
        f"{_few('moments')}, {_few('starts')} "
        f'FROM "{SealedBlock._meta.db_table}" WHERE storage_id = %s AND covers_until > %s AND covers_from <= %s '
        "ORDER BY covers_from",
        [storage_id, since, until],
    )
    return [_Block(*row) for row in rows]


def _few(column: str) -> str:
    """The times where they are few; of a block with very many they are fetched when it is known to be of use."""
    return f"CASE WHEN octet_length(moments) <= {8 * FEW_MOMENTS} THEN {column} END"


def _with_moments(block: _Block) -> _Block:
    if block.moments is not None:
        return block
    rows = _fetch(f'SELECT moments, starts FROM "{SealedBlock._meta.db_table}" WHERE id = %s', [block.id])
    if not rows:
        raise BlockGone
    return replace(block, moments=rows[0][0], starts=rows[0][1])


def _is_worth(selection: Selection, blocks: Sequence[_Block], since: dt.datetime, until: dt.datetime) -> bool:
    """Whether most of the time's rows lie in the blocks, and those that are wanted are a good part of them."""
    scanned = sum(_rows_about(block, since, until) for block in blocks)
    everything = Selection(selection.contract, selection.storage_id, {}, selection.bounds).expected().rows
    if scanned < FEWEST_INSIDE * everything:
        return False
    moments = sum(block.moment_count for block in blocks if block.moments is None)
    wanted = selection.expected().rows if selection.filters else everything
    return wanted >= moments and (not selection.filters or wanted >= SHARE_WORTH_A_SCAN * scanned)


def _rows_about(block: _Block, since: dt.datetime, until: dt.datetime) -> float:
    if block.moments is not None:
        first, last = _rows(block, since, until)
        return last - first
    span = min(until, block.covers_until) - max(since, block.covers_from)
    return block.row_count * (span / (block.covers_until - block.covers_from))


def _rows(block: _Block, since: dt.datetime, until: dt.datetime) -> tuple[int, int]:
    assert block.moments is not None
    assert block.starts is not None
    return rows_between(
        block.moments,
        block.starts,
        block.row_count,
        None if since <= block.covers_from else microseconds(since),
        None if until >= block.covers_until else microseconds(until),
    )


def _read_rows(
    selection: Selection, wanted: Mapping[str, str], since: dt.datetime, until: dt.datetime, into: FrameBuilder
) -> None:
    if since > until:
        return
    bounds: list[Bound] = [(">=", since)] if since != EARLIEST else []
    bounds += [("<=", until)] if until != LATEST else []
    rest = Selection(selection.contract, selection.storage_id, selection.filters, bounds)
    expected = rest.expected()
    if expected.identities:
        read_by_copy(selection.contract, wanted, rest.source(by_probes=expected.by_probes), into)


def _read_block(
    block: _Block,
    selection: Selection,
    wanted: Mapping[str, str],
    since: dt.datetime,
    until: dt.datetime,
    into: FrameBuilder,
) -> bool:
    """Add the rows of one block; False where it is gone or was packed under another contract."""
    block = _with_moments(block)
    assert block.moments is not None
    assert block.starts is not None
    first, last = _rows(block, since, until)
    if first == last:
        return True
    levels = list(selection.contract.identity_columns)
    columns = _columns(block, [*levels, *wanted], first, last)
    if columns.keys() != {*levels, *wanted} or any(columns[name].token != token for name, token in wanted.items()):
        return False
    identities = [unpacked_identity(columns[name]) for name in levels]
    times = unpacked_times(block.moments, block.starts, block.row_count, first, last)
    kept = _kept(dict(zip(levels, identities, strict=True)), selection.filters)
    values = {name: unpacked_values(columns[name]) for name in wanted}
    if kept is None:
        into.add(times, identities, values)
    elif len(kept):
        taken = pa.array(kept)
        into.add(
            times[kept],
            [codes.take(taken) for codes in identities],
            {name: _taken(column, kept) for name, column in values.items()},
        )
    return True


def _columns(block: _Block, names: Sequence[str], first: int, last: int) -> dict[str, PackedColumn]:
    if first == 0 and last == block.row_count:
        cells, is_null = "cells", "is_null"
        cut: list[int] = []
    else:
        cells = "substring(cells FROM %s::int * width + 1 FOR %s::int * width)"
        is_null = "substring(is_null FROM %s::int + 1 FOR %s::int)"
        cut = [first, last - first, first, last - first]
    rows = _fetch(
        f"SELECT name, token, width, {cells}, labels, {is_null} "
        f'FROM "{SealedColumn._meta.db_table}" WHERE block_id = %s AND name = ANY(%s)',
        [*cut, block.id, list(names)],
    )
    return {row[0]: PackedColumn(*row) for row in rows}


def _kept(identities: Mapping[str, pa.DictionaryArray], filters: Mapping[str, Sequence[str]]) -> np.ndarray | None:
    """(k,) the numbers of the rows that the filters keep, None for all."""
    mask: np.ndarray | None = None
    for name, values in filters.items():
        column = identities[name]
        is_wanted = pc.is_in(column.dictionary, pa.array(list(values), type=pa.large_string()))
        of_rows = is_wanted.to_numpy(zero_copy_only=False)[column.indices.to_numpy()]
        mask = of_rows if mask is None else mask & of_rows
    return None if mask is None or mask.all() else np.flatnonzero(mask)


def _taken(column: Values, rows: np.ndarray) -> Values:
    values, missing = column
    if isinstance(values, pa.Array):
        return values.take(pa.array(rows)), missing
    return values[rows], None if missing is None else missing[rows]


def _fetch(statement: str, parameters: Sequence[Any]) -> list[tuple]:
    with prepared_cursor(binary=True) as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()
