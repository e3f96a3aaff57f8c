"""Builds an indexed frame from batches of unordered rows: codes instead of strings, one sort, one copy of each column.

Whatever the way by which rows were read, they come through here: so all ways give the same frame, bit for bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from markets.engine.dtypes import INTEGERS, NOT_A_TIME
from markets.engine.frames import TIME_INDEX

NOT_A_DATE = np.iinfo(np.int32).min
LARGEST_KEY = 2**62  # a key composed of time and identities must fit into an int64
Values = tuple[Any, np.ndarray | None]
"""A batch of one column: (n,) values, and where they are missing, None where none is or the values themselves tell.

float32, float64: NaN where missing; int16 … int64, bool: values and mask; timestamp with time zone: int64 microseconds
since 1970, NOT_A_TIME where missing; date: int32 days since 1970, NOT_A_DATE where missing; string: an Arrow array.
"""
_STRINGS = pd.StringDtype(na_value=np.nan)
_EMPTY: Mapping[str, str] = {"timestamp with time zone": "int64", "date": "int32"}


@dataclass(frozen=True)
class SortedRows:
    """Rows by time, then by the identities' UTF-8 bytes; every key is there once.

    `moments` (m,) int64 the distinct times, microseconds since 1970; `ranks` (n,) int32 the place of each row's time
    among them; `levels` the labels of each identity level and the (n,) int32 place of each row's label; `values` the
    columns by name.
    """

    moments: np.ndarray
    ranks: np.ndarray
    levels: list[tuple[pa.Array, np.ndarray]]
    values: dict[str, Values]


class FrameBuilder:
    """`index_names`, time first; `columns` name → dtype token, in the order of the frame."""

    def __init__(self, index_names: Sequence[str], columns: Mapping[str, str]) -> None:
        self.index_names = list(index_names)
        self.columns = dict(columns)
        self.clear()

    def clear(self) -> None:
        """Forget what was added."""
        self._times: list[np.ndarray] = []
        self._levels = [_Level() for _ in self.index_names[1:]]
        self._values: dict[str, list[Values]] = {name: [] for name in self.columns}

    def add(self, times: np.ndarray, identities: Sequence[pa.Array], values: Mapping[str, Values]) -> None:
        """A batch of rows: int64 microseconds since 1970, the text of each identity level, the values."""
        self._times.append(times)
        for level, texts in zip(self._levels, identities, strict=True):
            level.add(texts)
        for name, batch in values.items():
            self._values[name].append(batch)

    def frame(self) -> pd.DataFrame:
        """All rows, ordered by time, then by the identities' UTF-8 bytes; keys are unique. Ends the builder's work."""
        moments, codes, labels, order = self._ordered()
        columns = {
            name: _column(_sorted(_joined(self._values.pop(name), token), order), token)
            for name, token in self.columns.items()
        }
        return pd.DataFrame(columns, index=self._index(moments, codes, labels), copy=False)

    def rows(self) -> SortedRows:
        """All rows in that order, as they are before pandas takes them. Ends the builder's work."""
        moments, (ranks, *codes), labels, order = self._ordered()
        values = {name: _sorted(_joined(self._values.pop(name), token), order) for name, token in self.columns.items()}
        return SortedRows(moments, ranks, list(zip(labels, codes, strict=True)), values)

    def _ordered(self) -> tuple[np.ndarray, list[np.ndarray], list[pa.Array], np.ndarray | None]:
        """The distinct times, the codes of time and of each identity level, the levels' labels, and the rows' order."""
        times = np.concatenate([np.empty(0, dtype=np.int64), *self._times])
        self._times.clear()
        moments, ranks = _ranked(times)
        del times
        levels = [level.ranked() for level in self._levels]
        codes = [ranks, *(codes for _, codes in levels)]
        order = _order(codes, [len(moments), *(len(labels) for labels, _ in levels)])
        if order is not None:
            for place, column in enumerate(codes):
                codes[place] = column[order]
        return moments, codes, [labels for labels, _ in levels], order

    def _index(self, moments: np.ndarray, codes: list[np.ndarray], labels: list[pa.Array]) -> pd.Index:
        times = pd.DatetimeIndex((moments * 1_000).view("M8[ns]"), tz="UTC", name=TIME_INDEX)
        if not labels:
            return times  # one row a time, and so in their order
        texts = [pd.Index(_STRINGS.__from_arrow__(pa.chunked_array([names]))) for names in labels]
        return pd.MultiIndex(levels=[times, *texts], codes=codes, names=self.index_names, verify_integrity=False)


class _Level:
    """The texts of one identity level as codes."""

    def __init__(self) -> None:
        self._codes: list[np.ndarray] = []
        self._labels: list[pa.Array] = []

    def add(self, texts: pa.Array) -> None:
        encoded = texts if isinstance(texts, pa.DictionaryArray) else texts.dictionary_encode()
        codes, labels = encoded.indices.to_numpy(), encoded.dictionary.cast(pa.large_string())
        if encoded is texts:  # a part of what was encoded together need not have all labels
            used = np.bincount(codes, minlength=len(labels)) > 0
            if not used.all():
                codes = (np.cumsum(used, dtype=np.int32) - np.int32(1))[codes]
                labels = labels.filter(pa.array(used))
        self._codes.append(codes)
        self._labels.append(labels)

    def ranked(self) -> tuple[pa.Array, np.ndarray]:
        """The labels by code point, as collation "C" sorts, and (n,) int32 place of each row's label among them.

        pandas slices only an index whose levels are sorted. No text becomes a Python string: of two thousand labels
        that would take longer than everything else.
        """
        if len(self._labels) == 1:
            order = pc.array_sort_indices(self._labels[0]).to_numpy()
            ranks = np.empty(len(order), dtype=np.int32)
            ranks[order] = np.arange(len(order), dtype=np.int32)
            return self._labels[0].take(pa.array(order)), ranks[self._codes.pop()]
        everything = pa.concat_arrays([pa.array([], type=pa.large_string()), *self._labels])
        distinct = pc.unique(everything)
        labels = distinct.take(pc.array_sort_indices(distinct))
        rank_of = pc.index_in(everything, labels).to_numpy(zero_copy_only=False).astype(np.int32)
        begins = np.cumsum([0, *(len(part) for part in self._labels)])
        codes = [
            np.empty(0, dtype=np.int32),
            *(rank_of[begin:][part] for begin, part in zip(begins[:-1], self._codes, strict=True)),
        ]
        self._codes.clear()
        return labels, np.concatenate(codes)


def _ranked(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct times, ascending, and (n,) int32 place of each row's time among them."""
    if len(times) and (times[1:] >= times[:-1]).all():
        is_new = np.ones(len(times), dtype=bool)
        is_new[1:] = times[1:] != times[:-1]
        return times[is_new], np.cumsum(is_new, dtype=np.int32) - np.int32(1)
    codes, distinct = pd.factorize(times)
    ascending = np.argsort(distinct)
    rank_of = np.empty(len(distinct), dtype=np.int32)
    rank_of[ascending] = np.arange(len(distinct))
    return distinct[ascending], rank_of[codes]


def _order(codes: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray | None:
    """(n,) the rows in the order of their codes, None where they are in it already."""
    count = len(codes[0])
    possible = 1
    for size in sizes:
        possible *= size
    if possible > LARGEST_KEY:
        return np.lexsort(list(reversed(codes)))
    keys = codes[0].astype(np.int64)
    for column, size in zip(codes[1:], sizes[1:], strict=True):
        keys *= size
        keys += column
    if (keys[1:] > keys[:-1]).all():
        return None
    if possible <= 2 * count:  # nearly every identity at nearly every time: a place for each, and no sort
        places = np.full(possible, -1, dtype=np.intp)
        places[keys] = np.arange(count)
        order = places if possible == count else places[places >= 0]
        if len(order) == count and (possible > count or order.min() >= 0):
            return order
    return np.argsort(keys, kind="stable")


def _joined(batches: list[Values], token: str) -> Values:
    if token == "string":
        return pa.concat_arrays([pa.array([], type=pa.large_string()), *(values for values, _ in batches)]), None
    empty = np.empty(0, dtype=_EMPTY.get(token, token))
    values = np.concatenate([empty, *(values for values, _ in batches)])
    if all(missing is None for _, missing in batches):
        return values, None
    masks = [np.zeros(len(values), dtype=bool) if missing is None else missing for values, missing in batches]
    return values, np.concatenate(masks)


def _sorted(joined: Values, order: np.ndarray | None) -> Values:
    values, missing = joined
    if order is None:
        return joined
    if isinstance(values, pa.Array):
        return values.take(pa.array(order)), missing
    return values[order], None if missing is None else missing[order]


def _column(values_and_gaps: Values, token: str) -> Any:
    """One value column in the dtype that readers are promised."""
    values, missing = values_and_gaps
    if token == "string":
        return _STRINGS.__from_arrow__(pa.chunked_array([values]))
    if token == "timestamp with time zone":
        return pd.DatetimeIndex(np.where(values == NOT_A_TIME, NOT_A_TIME, values * 1_000).view("M8[ns]"), tz="UTC")
    if token == "date":
        days = np.where(values == NOT_A_DATE, NOT_A_TIME, values.astype(np.int64))
        return days.view("M8[D]").astype(object)  # NaT becomes None
    if missing is not None and missing.any():
        if token in INTEGERS:
            return pd.arrays.IntegerArray(values, missing)
        return pd.arrays.BooleanArray(values, missing)
    return values
