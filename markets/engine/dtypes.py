"""The dtypes a DataNode's column may have, and what each is in pandas, in PostgreSQL and on the wire."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api import types as pandas_types

from markets.exceptions import FrameError

EPOCH_2000_US = 946_684_800_000_000  # PostgreSQL counts timestamps from 2000-01-01T00:00Z
EPOCH_2000_DAYS = 10_957
NOT_A_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True)
class ColumnType:
    """`wire` is the big-endian dtype of binary COPY, None for text; `sql` the column's type in the database."""

    token: str
    sql: str
    wire: str | None


COLUMN_TYPES = {
    kind.token: kind
    for kind in (
        ColumnType("float64", "double precision", ">f8"),
        ColumnType("float32", "real", ">f4"),
        ColumnType("int64", "bigint", ">i8"),
        ColumnType("int32", "integer", ">i4"),
        ColumnType("int16", "smallint", ">i2"),
        ColumnType("bool", "boolean", "u1"),
        ColumnType("timestamp with time zone", "timestamp with time zone", ">i8"),
        ColumnType("date", "date", ">i4"),
        ColumnType("string", 'text COLLATE "C"', None),
    )
}
INTEGERS = ("int16", "int32", "int64")
ALIASES = {
    "object": "string",
    "str": "string",
    "text": "string",
    "varchar": "string",
    "integer": "int32",
    "int": "int32",
    "bigint": "int64",
    "double precision": "float64",
    "float": "float64",
    "boolean": "bool",
    "timestamptz": "timestamp with time zone",
    "datetime64[ns, UTC]": "timestamp with time zone",
}
# Lossless conversions that a table's contract accepts: what the frame has → what the table holds.
WIDENINGS = {
    "int16": {"int32", "int64", "float32", "float64"},
    "int32": {"int64", "float64"},
    "int64": {"float64"},
    "float32": {"float64"},
}
_NUMPY_TOKENS = {
    "f8": "float64",
    "f4": "float32",
    "i8": "int64",
    "i4": "int32",
    "i2": "int16",
    "i1": "int16",
    "u1": "int16",
    "u2": "int32",
    "u4": "int64",
    "b1": "bool",
}


def canonical_token(name: str) -> str:
    """The canonical name of a declared dtype; FrameError lists the known ones."""
    token = ALIASES.get(name, name)
    if token not in COLUMN_TYPES:
        raise FrameError(f"dtype {name!r} is not one of {', '.join(COLUMN_TYPES)}.")
    return token


def token_of(column: pd.Series) -> str | None:
    """The dtype token of a column, None when it holds nothing but nulls of no particular type.

    Raises FrameError for dtypes that no table can hold, naming the column.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return token_of(pd.Series(dtype.categories, name=column.name))
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "timestamp with time zone"
    if pandas_types.is_datetime64_dtype(dtype):
        raise FrameError(
            f"Column {column.name!r} holds datetimes without a time zone. Give them one: "
            f"frame[{column.name!r}].dt.tz_localize('UTC')."
        )
    if isinstance(dtype, pd.StringDtype):
        return "string"
    if isinstance(dtype, pd.ArrowDtype) and getattr(dtype.pyarrow_dtype, "tz", None) is not None:
        return "timestamp with time zone"
    if pandas_types.is_extension_array_dtype(dtype) and hasattr(dtype, "numpy_dtype"):
        dtype = dtype.numpy_dtype
    if isinstance(dtype, np.dtype) and dtype.kind != "O":
        token = _NUMPY_TOKENS.get(dtype.str[1:])
        if token:
            return token
    elif pandas_types.is_object_dtype(dtype):
        return _token_of_objects(column)
    raise FrameError(
        f"Column {column.name!r} has dtype {column.dtype}, which no table holds. Use {', '.join(COLUMN_TYPES)}."
    )


def _token_of_objects(column: pd.Series) -> str | None:
    kind = pandas_types.infer_dtype(column, skipna=True)
    if kind == "empty":
        return None
    token = {"string": "string", "boolean": "bool", "date": "date", "floating": "float64", "integer": "int64"}.get(kind)
    if token is None:
        raise FrameError(
            f"Column {column.name!r} mixes types or holds objects ({kind}). Use one of {', '.join(COLUMN_TYPES)}."
        )
    return token
