"""Values of indices, as they are observed: written from frames, read by time, deleted by range."""

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from django.db import IntegrityError, connection, transaction
from django.db.models import Min, QuerySet
from psycopg import sql
from psycopg.errors import UniqueViolation

from markets.data_nodes import staleness
from markets.data_nodes.index_values import index_value_storage
from markets.data_nodes.reads import aware
from markets.data_nodes.storage import TableContract, append_rows
from markets.engine.frames import ValidFrame
from markets.engine.index_values import FRAME_INDEX, VALUE_COLUMNS, clean_cadence, index_value_frame
from markets.exceptions import DuplicateKeys, InvalidInput, UnknownIdentifiers
from markets.models import Index, IndexValue, StorageNode, UpdateStatistic
from markets.services.values import listed

Mode = Literal["append", "upsert"]
Order = Literal["desc", "asc"]
MODES = ("append", "upsert")
ORDERS = ("desc", "asc")
DEFAULT_LIMIT, MOST_ROWS = 500, 5_000
READ_INDEX = ("time_index", "cadence", "index_identifier")
STAGE = "msm_index_values_stage"
_TABLE = sql.Identifier(IndexValue._meta.db_table)
_KEY = sql.SQL("index_identifier, cadence, time_index")


@dataclass(frozen=True)
class WrittenValues:
    """What a write did, in rows; each row of the frame is one of the three."""

    inserted: int
    updated: int
    unchanged: int


def write_index_values(frame: pd.DataFrame, *, cadence: str, mode: Mode = "append") -> WrittenValues:
    """Store values of one cadence, such as 1d or 15m; all or nothing.

    `frame` has `time_index` (datetime64, aware) and `index_identifier` as its index, or as columns, and the columns
    `value` (finite) and, where wanted, `observation_status`, `source_as_of` (aware) and `metadata_json` (objects).
    `append` refuses a key that is stored already; `upsert` changes it: a column that is left out keeps what is stored,
    a null clears it. Doing an upsert again changes nothing. DataNodes that had read past a value which is new or
    differs are stale from its time on.
    Raises InvalidInput (FrameError among it) for a wrong frame or cadence, UnknownIdentifiers listing every index that
    does not exist, DuplicateKeys when the frame, or the frame and the table, hold one key twice.
    """
    if mode not in MODES:
        raise InvalidInput(f"mode={mode!r} is none of {', '.join(MODES)}.", field="mode")
    cadence = clean_cadence(cadence)
    valid, columns = index_value_frame(frame)
    if not len(valid):
        return WrittenValues(0, 0, 0)
    identifiers = valid.levels[0].labels.tolist()
    with transaction.atomic():
        _lock(identifiers)
        storage = index_value_storage()
        with _staged(valid):
            changes = _changes(cadence, [name for name in columns if name in _columns_of(storage)])
            written = _append(cadence, len(valid)) if mode == "append" else _upsert(cadence, len(valid), columns)
        _record(storage, cadence, identifiers)
        staleness.mark_dependents(storage, changes)
    return written


def read_index_values(
    indices: Index | str | Iterable[str],
    *,
    cadence: str | None = None,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    order: Order = "desc",
    limit: int = DEFAULT_LIMIT,
) -> pd.DataFrame:
    """Values from `start` to `end`, both included and aware, the latest first unless told; at most `limit` (to 5,000).

    Indexed by `time_index` (datetime64[ns, UTC]), `cadence`, `index_identifier`; columns `value` (float64),
    `observation_status` (str), `source_as_of` (datetime64[ns, UTC]) and `metadata_json` (dict or None). All cadences
    when none is named. Raises InvalidInput; UnknownIdentifiers listing the indices that do not exist.
    """
    rows = values_of(_identifiers(indices), cadence=cadence, start=start, end=end)
    if order not in ORDERS:
        raise InvalidInput(f"order={order!r} is none of {', '.join(ORDERS)}.", field="order")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_ROWS:
        raise InvalidInput(f"limit={limit!r} must be a whole number from 1 to {MOST_ROWS:,}.", field="limit")
    sign = "-" if order == "desc" else ""
    names = ("index_id" if name == "index_identifier" else name for name in (*READ_INDEX, *VALUE_COLUMNS))
    found = rows.order_by(f"{sign}time_index", "index_id", "cadence").values_list(*names)[:limit]
    return _frame(list(found))


def with_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with `metadata_json` as the text of JSON, as files have it."""
    texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in frame["metadata_json"]]
    return frame.assign(metadata_json=pd.Series(texts, index=frame.index, dtype=object))


def delete_index_values(
    index: Index, *, cadence: str, start: dt.datetime | None = None, end: dt.datetime | None = None
) -> int:
    """Delete an index's values of one cadence from `start` to `end`, both included; returns how many there were.

    DataNodes that had read past the first of them are stale from its time on.
    """
    cadence = clean_cadence(cadence)
    rows = values_of([index.unique_identifier], cadence=cadence, start=start, end=end)
    with transaction.atomic():
        _lock([index.unique_identifier])
        first = rows.aggregate(first=Min("time_index"))["first"]
        if first is None:
            return 0
        storage = index_value_storage()
        deleted, _ = rows.delete()
        _record(storage, cadence, [index.unique_identifier])
        staleness.mark_dependents(storage, {(cadence, index.unique_identifier): first})
    return deleted


def values_of(
    identifiers: list[str],
    *,
    cadence: str | None = None,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
) -> "QuerySet[IndexValue]":
    first, last = aware(start, "start"), aware(end, "end")
    if first is not None and last is not None and first > last:
        raise InvalidInput(f"end={last.isoformat()} is before start={first.isoformat()}. Swap them.", field="end")
    rows = IndexValue.objects.filter(index_id__in=identifiers)
    if cadence is not None:
        rows = rows.filter(cadence=clean_cadence(cadence))
    if first is not None:
        rows = rows.filter(time_index__gte=first)
    return rows if last is None else rows.filter(time_index__lte=last)


def cadences_of(index: Index) -> list[str]:
    """The cadences in which the index has values."""
    return sorted(IndexValue.objects.filter(index=index).values_list("cadence", flat=True).distinct())


def _identifiers(indices: Index | str | Iterable[str]) -> list[str]:
    if isinstance(indices, Index):
        return [indices.unique_identifier]
    wanted = [indices] if isinstance(indices, str) else list(indices)
    wrong = next((item for item in wanted if not isinstance(item, str) or "\x00" in item), None)
    if wrong is not None:
        raise InvalidInput(f"index_identifier={wrong!r} must be text without NUL characters.", field="index_identifier")
    _refuse_unknown(wanted, Index.objects.filter(unique_identifier__in=wanted))
    return wanted


def _lock(identifiers: list[str]) -> None:
    """Writers of one index take turns, so that its statistics agree with its rows; nobody deletes it meanwhile."""
    rows = Index.objects.select_for_update(no_key=True).filter(unique_identifier__in=identifiers)
    _refuse_unknown(identifiers, rows.order_by("unique_identifier"))


def _refuse_unknown(identifiers: Iterable[str], found: "QuerySet[Index]") -> None:
    missing = set(identifiers) - set(found.values_list("unique_identifier", flat=True))
    if missing:
        raise UnknownIdentifiers(missing, kind="indices")


@contextmanager
def _staged(frame: ValidFrame) -> Iterator[None]:
    contract = TableContract(
        STAGE, FRAME_INDEX, ("index_identifier", "time_index"), {column.name: column.token for column in frame.columns}
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f'CREATE TEMPORARY TABLE {STAGE} (index_identifier varchar(255) COLLATE "C", time_index timestamptz, value '
            "double precision, observation_status text, source_as_of timestamptz, metadata_json text) ON COMMIT DROP"
        )
        append_rows(contract, frame)
        cursor.execute(f"ANALYZE {STAGE}")
        yield
        cursor.execute(f"DROP TABLE {STAGE}")


def _columns_of(storage: StorageNode) -> set[str]:
    """What DataNodes can read of a value."""
    return {column["column_name"] for column in storage.columns}


def _changes(cadence: str, columns: list[str]) -> staleness.Changes:
    """Identity → the earliest of its staged values that is not stored, or differs there in one of these columns."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT s.index_identifier, min(s.time_index) FROM {} s LEFT JOIN {} t ON t.index_identifier = "
                "s.index_identifier AND t.cadence = %s AND t.time_index = s.time_index "
                "WHERE t.time_index IS NULL OR ({}) IS DISTINCT FROM ({}) GROUP BY 1"
            ).format(
                sql.Identifier(STAGE),
                _TABLE,
                sql.SQL(", ").join(sql.Identifier("t", name) for name in columns),
                sql.SQL(", ").join(sql.Identifier("s", name) for name in columns),
            ),
            [cadence],
        )
        return {(cadence, name): first.astimezone(dt.UTC) for name, first in cursor.fetchall()}


def _append(cadence: str, count: int) -> WrittenValues:
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT s.index_identifier, s.time_index FROM {0} s JOIN {1} t ON t.index_identifier = "
                "s.index_identifier AND t.cadence = %s AND t.time_index = s.time_index ORDER BY 1, 2 LIMIT 11"
            ).format(sql.Identifier(STAGE), _TABLE),
            [cadence],
        )
        stored = [f"({name}, {time.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ})" for name, time in cursor.fetchall()]
        if stored:
            raise DuplicateKeys(
                f"Values of cadence {cadence} are stored already for {listed(stored)}. Leave them out, or upsert. "
                "Nothing was written."
            )
        try:
            cursor.execute(_insert(), [cadence])
        except IntegrityError as error:
            if not isinstance(error.__cause__, UniqueViolation):
                raise
            raise DuplicateKeys(
                "Another program wrote one of these values at this moment. Nothing was written. Try again, or upsert."
            ) from error
    return WrittenValues(count, 0, 0)


def _upsert(cadence: str, count: int, given: list[str]) -> WrittenValues:
    """Only the columns that the frame has are changed."""
    columns = [sql.Identifier(name) for name in given]
    statement = sql.SQL(
        "WITH merged AS ({insert} ON CONFLICT ({key}) DO UPDATE SET {changes} WHERE ({old}) IS DISTINCT FROM ({new}) "
        "RETURNING (xmax = 0) AS is_new) "
        "SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM merged"
    ).format(
        insert=_insert(),
        key=_KEY,
        changes=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(column) for column in columns),
        old=sql.SQL(", ").join(sql.SQL("t.{}").format(column) for column in columns),
        new=sql.SQL(", ").join(sql.SQL("excluded.{}").format(column) for column in columns),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [cadence])
        inserted, updated = cursor.fetchone()
    return WrittenValues(inserted, updated, count - inserted - updated)


def _insert() -> sql.Composed:
    return sql.SQL(
        "INSERT INTO {} AS t ({}, value, observation_status, source_as_of, metadata_json) SELECT index_identifier, %s, "
        "time_index, value, observation_status, source_as_of, metadata_json::jsonb FROM {} ORDER BY 1, 3"
    ).format(_TABLE, _KEY, sql.Identifier(STAGE))


def _record(storage: StorageNode, cadence: str, identifiers: list[str]) -> None:
    """Count anew how far each index has come; must run in the transaction that wrote."""
    statistics = UpdateStatistic._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "INSERT INTO {0} AS s (storage_id, identity, first_time_index, last_time_index, row_count, updated_at) "
                "SELECT %s, ARRAY[cadence, index_identifier], min(time_index), max(time_index), count(*), "
                "clock_timestamp() FROM {1} WHERE index_identifier = ANY(%s) AND cadence = %s "
                "GROUP BY cadence, index_identifier ORDER BY index_identifier "
                "ON CONFLICT (storage_id, identity) DO UPDATE SET first_time_index = excluded.first_time_index, "
                "last_time_index = excluded.last_time_index, row_count = excluded.row_count, "
                "updated_at = excluded.updated_at"
            ).format(sql.Identifier(statistics), _TABLE),
            [storage.pk, identifiers, cadence],
        )
    with_values = IndexValue.objects.filter(index_id__in=identifiers, cadence=cadence).values_list(
        "index_id", flat=True
    )
    emptied = set(identifiers) - set(with_values.distinct())
    for name in emptied:
        UpdateStatistic.objects.filter(storage=storage, identity=[cadence, name]).delete()


def _frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame.from_records(rows, columns=[*READ_INDEX, *VALUE_COLUMNS])
    for name in ("time_index", "source_as_of"):
        frame[name] = pd.to_datetime(frame[name], utc=True).dt.as_unit("ns")
    for name in ("cadence", "index_identifier", "observation_status"):
        frame[name] = frame[name].astype("str")
    frame["value"] = frame["value"].astype("float64")
    frame["metadata_json"] = frame["metadata_json"].astype(object)
    return frame.set_index(list(READ_INDEX))
