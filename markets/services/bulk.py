"""Bulk upsert: many rows by natural key, cleaned and checked as a set, written by COPY and one merge.

A field that is omitted keeps what is stored, None clears it. Each row is created, updated, unchanged or rejected; one
rejected row refuses the call unless the caller says `on_error="skip"`.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, TypeAlias, get_args

import pandas as pd
from django.db import Error, IntegrityError, OperationalError, transaction
from django.utils import timezone

from markets.engine.text import storable_text
from markets.exceptions import Conflict, InvalidInput, RejectedRows, Rejection
from markets.models.base import new_uid
from markets.services.bulk_clean import Chunk, clean_columns, clean_keys
from markets.services.bulk_stage import MEANWHILE, Entity
from markets.services.values import UNSET, as_uid, cannot_be_changed, listed

OnError: TypeAlias = Literal["refuse", "skip"]
Rows: TypeAlias = pd.DataFrame | Iterable[Mapping[str, Any]]
OUTCOMES = ("created", "updated", "unchanged", "rejected")
ROWS_IN_CHUNK = 10_000
_CREATED, _UPDATED, _UNCHANGED, _REJECTED = range(4)
_TRY_AGAIN = ("23505", "40001", "40P01")


@dataclass(frozen=True)
class RowOutcome:
    """What became of the row at this position of the input; `key` is None when it could not be read."""

    row: int
    key: str | None
    outcome: str
    field: str | None = None
    reason: str | None = None


@dataclass
class BulkOutcome:
    """What became of each row. `rejections` has every fault, several of one row included."""

    rejections: list[Rejection] = field(default_factory=list)
    _keys: list[str | None] = field(default_factory=list, repr=False)
    _codes: bytearray = field(default_factory=bytearray, repr=False)

    @classmethod
    def of(cls, rows: Iterable[tuple[str | None, str]], rejections: Sequence[Rejection]) -> "BulkOutcome":
        """From the key and the outcome of each row."""
        found = cls(list(rejections))
        for key, outcome in rows:
            found._keys.append(key)
            found._codes.append(OUTCOMES.index(outcome))
        return found

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def created(self) -> int:
        return self._codes.count(_CREATED)

    @property
    def updated(self) -> int:
        return self._codes.count(_UPDATED)

    @property
    def unchanged(self) -> int:
        return self._codes.count(_UNCHANGED)

    @property
    def rejected(self) -> int:
        return self._codes.count(_REJECTED)

    @property
    def counts(self) -> dict[str, int]:
        return {name: self._codes.count(code) for code, name in enumerate(OUTCOMES)}

    def rows(self) -> Iterator[RowOutcome]:
        """Row by row, in the order of the input; a rejected one with its first fault."""
        faults: dict[int, Rejection] = {}
        for fault in self.rejections:
            faults.setdefault(fault.row, fault)
        for row, (key, code) in enumerate(zip(self._keys, self._codes, strict=True)):
            found = faults.get(row)
            yield RowOutcome(row, key, OUTCOMES[code], found.field if found else None, found.reason if found else None)


def bulk_upsert(entity: Entity, rows: Rows, *, on_error: OnError = "refuse") -> BulkOutcome:
    """Write the rows in one transaction; a DataFrame's missing values (NaN, NaT, NA) clear a field.

    Of several rows with one key the first counts and the others are rejected. Raises RejectedRows, with every fault,
    when a row is rejected and `on_error` is not "skip"; Conflict when another caller wrote the same key meanwhile. Then
    nothing was written.
    """
    if on_error not in get_args(OnError):
        raise InvalidInput(f"on_error={on_error!r} must be refuse or skip.", field="on_error")
    chunks = _frame_chunks(entity, rows) if isinstance(rows, pd.DataFrame) else _row_chunks(entity, rows)
    call = _Call(entity)
    try:
        with transaction.atomic():
            call.stage.create()
            for chunk in chunks:
                call.take(chunk)
            call.stage.settle()
            call.check()
            if call.outcome.rejections:
                if on_error == "refuse":
                    raise RejectedRows(call.outcome.rejections, rows=len(call.outcome), noun=entity.noun)
                call.stage.remove(call.rejected)
            call.write()
            call.stage.drop()
    except (IntegrityError, OperationalError) as error:
        raise _of_database(error) from error
    return call.outcome


@dataclass
class _Chunk(Chunk):
    """A part of the input, from position `first` to before `last`, with what could not be read as rows."""

    read_only: dict[int, dict[str, Any]]
    faults: list[Rejection]
    first: int
    last: int


class _Call:
    def __init__(self, entity: Entity) -> None:
        self.entity = entity
        self.stage = entity.stage()
        self.outcome = BulkOutcome()
        self.rejected: set[int] = set()
        self.seen: dict[str, int] = {}
        self.read_only: dict[int, dict[str, Any]] = {}

    def take(self, chunk: _Chunk) -> None:
        """Clean a chunk and stage the rows that are sound."""
        self.outcome._codes.extend([_UNCHANGED] * (chunk.last - chunk.first))
        self.outcome._keys.extend([None] * (chunk.last - chunk.first))
        self.note(chunk.faults)
        keys, faults = clean_keys(self.entity, chunk)
        self.note(faults)
        self._refuse_duplicates(chunk.positions, keys)
        clean = clean_columns(self.entity, chunk, keys, self.stage.bits)
        self.note(clean.faults)
        rejected = self.rejected
        self.read_only |= {row: given for row, given in chunk.read_only.items() if row not in rejected}
        self.stage.copy(
            (
                (row, mask | clean.always, new_uid(), key, *values)
                for row, mask, key, *values in zip(chunk.positions, clean.masks, keys, *clean.columns, strict=True)
                if row not in rejected
            ),
            ever=clean.ever,
            always=clean.always,
        )

    def check(self) -> None:
        """What only the stored rows can tell."""
        for name in self.entity.required:
            for row in self.stage.missing(name):
                self.reject(row, name, f"{name} is missing. A new {self.entity.noun} needs it.")
        for row, name, reason in self.stage.faults():
            self.reject(row, name, reason)
        positions = list(self.read_only)
        for start in range(0, len(positions), ROWS_IN_CHUNK):
            self._check_read_only(positions[start : start + ROWS_IN_CHUNK])
        self.outcome.rejections.sort(key=lambda fault: fault.row)

    def write(self) -> None:
        for row, created in self.stage.merge(timezone.now()):
            self.outcome._codes[row] = _CREATED if created else _UPDATED
        if self.entity.after is not None:
            self.entity.after(self.stage)

    def reject(self, row: int, name: str | None, reason: str) -> None:
        self.rejected.add(row)
        self.outcome._codes[row] = _REJECTED
        self.outcome.rejections.append(Rejection(row, name, reason))

    def note(self, faults: Iterable[Rejection]) -> None:
        for fault in faults:
            self.reject(fault.row, fault.field, fault.reason)

    def _refuse_duplicates(self, positions: Sequence[int], keys: list[str | None]) -> None:
        name = self.entity.key
        for row, key in zip(positions, keys, strict=True):
            if key is None:
                continue
            self.outcome._keys[row] = key
            first = self.seen.setdefault(key, row)
            if first != row:
                reason = f"{name}={key!r} stands in row {first} already. Name each {self.entity.noun} once."
                self.reject(row, name, reason)

    def _check_read_only(self, positions: list[int]) -> None:
        names = sorted({name for row in positions for name in self.read_only[row]})
        lookups = [self.entity.read_only[name] for name in names]
        found = self.entity.model._default_manager.filter(
            **{f"{self.entity.key}__in": [self.outcome._keys[row] for row in positions]}
        ).values_list(self.entity.key, *lookups)
        stored = {key: dict(zip(names, values, strict=True)) for key, *values in found}
        for row in positions:
            row_stored = stored.get(self.outcome._keys[row])
            for name, value in self.read_only[row].items():
                if row_stored is None:
                    self.reject(row, name, cannot_be_changed(name))
                elif not _same(row_stored[name], value):
                    self.reject(row, name, cannot_be_changed(name, row_stored[name]))


def _frame_chunks(entity: Entity, frame: pd.DataFrame) -> Iterator[_Chunk]:
    if entity.key not in frame.columns and frame.index.names == [entity.key]:
        frame = frame.reset_index()
    names = list(frame.columns)
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"The frame has the column {listed(twice)} twice.", field=twice[0])
    for name in names:
        if name != entity.key and name not in entity.read_only and name not in entity.cleaners:
            raise InvalidInput(_unknown(entity, name), field=_shown(name))
    for start in range(0, len(frame), ROWS_IN_CHUNK):
        part = frame.iloc[start : start + ROWS_IN_CHUNK]
        last = start + len(part)
        columns = {name: _objects(part[name]) for name in names}
        keys = columns.pop(entity.key, None) or [UNSET] * len(part)
        fixed = {name: columns.pop(name) for name in names if name in entity.read_only}
        read_only = {
            start + place: {name: values[place] for name, values in fixed.items()} for place in range(len(part))
        }
        yield _Chunk(range(start, last), keys, columns, read_only if fixed else {}, [], start, last)


def _objects(column: pd.Series) -> list[Any]:
    """Python values; what is missing is None."""
    values = column.astype(object).tolist()
    return [None if missing else value for value, missing in zip(values, column.isna().tolist(), strict=True)]


def _row_chunks(entity: Entity, rows: object) -> Iterator[_Chunk]:
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise InvalidInput("rows must be a list of rows or a DataFrame.", field="rows")
    source = enumerate(rows)
    first = 0
    while numbered := list(islice(source, ROWS_IN_CHUNK)):
        yield _chunk_of_rows(entity, numbered, first)
        first += len(numbered)


def _chunk_of_rows(entity: Entity, numbered: list[tuple[int, object]], first: int) -> _Chunk:
    faults: list[Rejection] = []
    positions: list[int] = []
    flat: list[Mapping[str, Any]] = []
    read_only: dict[int, dict[str, Any]] = {}
    known = {*entity.cleaners, *entity.read_only, entity.key}
    for row, given in numbered:
        if not isinstance(given, Mapping):
            faults.append(Rejection(row, None, f"A row must be an object of fields, not a {type(given).__name__}."))
            continue
        try:
            unpacked = entity.unpack(given) if entity.unpack is not None else given
        except InvalidInput as error:
            faults.append(Rejection(row, error.field, str(error)))
            unpacked = {name: value for name, value in given.items() if name in known}
        if not known.issuperset(unpacked):
            faults += [Rejection(row, _shown(name), _unknown(entity, name)) for name in unpacked if name not in known]
        fixed = {name: unpacked[name] for name in entity.read_only if name in unpacked}
        if fixed:
            read_only[row] = fixed
        positions.append(row)
        flat.append(unpacked)
    columns = {
        name: [row.get(name, UNSET) for row in flat] for name in entity.cleaners if any(name in row for row in flat)
    }
    keys = [row.get(entity.key, UNSET) for row in flat]
    return _Chunk(positions, keys, columns, read_only, faults, first, first + len(numbered))


def _unknown(entity: Entity, name: object) -> str:
    return f"Unknown field {_shown(name)!r}. It takes {', '.join((entity.key, *entity.cleaners))}."


def _shown(name: object) -> str:
    return storable_text(str(name)[:60])


def _same(stored: object, given: object) -> bool:
    """Whether a read-only value is as it is stored, in Python's form or in JSON's."""
    if isinstance(stored, uuid.UUID):
        return as_uid(given) == stored
    if isinstance(stored, dt.datetime):
        if isinstance(given, str):
            try:
                given = dt.datetime.fromisoformat(given)
            except ValueError:
                return False
        return isinstance(given, dt.datetime) and given.tzinfo is not None and given == stored
    return type(given) is type(stored) and given == stored


def _of_database(error: Error) -> Exception:
    """Conflict for what a repetition may mend; any other error as it is."""
    state = getattr(error.__cause__, "sqlstate", None)
    if state not in _TRY_AGAIN:
        return error
    return Conflict(MEANWHILE)
