"""Frames of index values: which columns they have, checked once."""

import json
import re
from collections.abc import Mapping

import pandas as pd

from markets.engine.frames import ValidFrame, validate_frame
from markets.engine.text import storable_text
from markets.exceptions import FrameError, InvalidInput

FRAME_INDEX = ("time_index", "index_identifier")
OPTIONAL = {
    "observation_status": "string",
    "source_as_of": "timestamp with time zone",
    "metadata_json": "string",
}
VALUE_COLUMNS = ("value", *OPTIONAL)
LONGEST_STATUS = 32
_CADENCE = re.compile(r"[1-9][0-9]{0,12}(s|m|h|d|w|mo|q|y)")  # a number of thirteen digits is no cadence of anything
_EMPTY = {
    "observation_status": pd.Series([], dtype="str"),
    "source_as_of": pd.Series([], dtype="datetime64[us, UTC]"),
    "metadata_json": pd.Series([], dtype="str"),
}


def clean_cadence(cadence: object) -> str:
    """The cadence in its one spelling, ` 1D ` as 1d. Raises InvalidInput."""
    if isinstance(cadence, str):
        found = cadence.strip().lower()
        if _CADENCE.fullmatch(found):
            return found
    raise InvalidInput(
        f"cadence={cadence!r:.60} is none. Write a number and a unit: s, m, h, d, w, mo, q or y, such as 1d or 15m.",
        field="cadence",
    )


def index_value_frame(frame: object) -> tuple[ValidFrame, list[str]]:
    """The frame as arrays sorted by index and time, and the value columns that it has.

    Raises FrameError, naming the column and the row where there is one.
    """
    if not isinstance(frame, pd.DataFrame):
        raise FrameError(f"Index values come as a pandas DataFrame, not as {type(frame).__name__}.")
    table = frame.reset_index() if any(name in FRAME_INDEX for name in frame.index.names) else frame
    _check_names([str(name) for name in table.columns])
    for name in ("time_index", "source_as_of"):
        if name in table.columns:
            _check_resolution(table[name], name)
    given = [name for name in VALUE_COLUMNS if name in table.columns]
    columns = {"value": table["value"]} | {name: _optional(table, name) for name in OPTIONAL}
    indexed = pd.DataFrame({name: series.array for name, series in columns.items()}).set_index(
        [table[name].rename(name).reset_index(drop=True) for name in FRAME_INDEX]
    )
    valid, _ = validate_frame(
        indexed,
        index_names=FRAME_INDEX,
        key_columns=("index_identifier", "time_index"),
        contract={"value": "float64", **OPTIONAL},
        table="index values",
    )
    missing = valid.columns[0].is_null
    if missing is not None and missing.any():
        row = int(valid.rows[missing.argmax()])
        raise FrameError(f"The value in row {row} is missing or not a number. Leave out what was not observed.")
    return valid, given


def _check_names(names: list[str]) -> None:
    if "definition_uid" in names:
        raise FrameError("definition_uid belongs to published formulas; observed values have none. Remove the column.")
    if "cadence" in names:
        raise FrameError("The cadence is the same for the whole frame: give it as cadence=, not as a column.")
    needed = (*FRAME_INDEX, "value")
    missing = [name for name in needed if name not in names]
    unknown = [name for name in names if name not in (*needed, *OPTIONAL)]
    if missing or unknown or len(names) != len(set(names)):
        said = [f"lacks {', '.join(missing)}"] if missing else []
        said += [f"has {', '.join(map(repr, unknown))}, which index values do not have"] if unknown else []
        said += ["has a column twice"] if len(names) != len(set(names)) else []
        raise FrameError(
            f"The frame {' and '.join(said)}. It takes {', '.join(needed)} and, where wanted, {', '.join(OPTIONAL)}."
        )


def _check_resolution(column: pd.Series, name: str) -> None:
    """Raise FrameError for an instant that microseconds cannot tell: cut, it would be another one."""
    if not isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.unit != "ns":
        return
    stamps = pd.DatetimeIndex(column).asi8
    finer = (stamps % 1_000 != 0) & column.notna().to_numpy()
    if finer.any():
        row = int(finer.argmax())
        raise FrameError(
            f"{name} in row {row} is {column.iloc[row].isoformat()}, finer than the microseconds that are stored. "
            f"Round it: frame[{name!r}].dt.round('us')."
        )


def _optional(table: pd.DataFrame, name: str) -> pd.Series:
    """The column as its table takes it; one of nulls where the frame has none."""
    column = table[name] if name in table.columns else None
    if column is None or column.isna().all():
        return _EMPTY[name].reindex(range(len(table)))
    if name == "metadata_json":
        return pd.Series([_json_text(value, row) for row, value in enumerate(column)], dtype="str")
    if name == "observation_status":
        return pd.Series([_status(value, row) for row, value in enumerate(column)], dtype="str")
    return column


def _status(value: object, row: int) -> str | None:
    if value is None or value is pd.NA or value != value:
        return None
    if not isinstance(value, str) or len(value.strip()) > LONGEST_STATUS:
        raise FrameError(f"observation_status in row {row} must be text of at most {LONGEST_STATUS} characters.")
    return value.strip() or None


def _json_text(value: object, row: int) -> str | None:
    if value is None or value is pd.NA or value != value:
        return None
    try:
        found = json.loads(value) if isinstance(value, str) else value
        text = json.dumps(found, allow_nan=False, ensure_ascii=False)
        is_storable = "\\u0000" not in text and storable_text(text) == text
    except (TypeError, ValueError, RecursionError):
        found, text, is_storable = None, "", False
    if not isinstance(found, Mapping) or not is_storable:
        raise FrameError(f"metadata_json in row {row} must be an object of JSON, without NaN and NUL characters.")
    return text
