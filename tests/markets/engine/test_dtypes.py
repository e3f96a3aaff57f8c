"""Dtype tokens of columns."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from markets.engine.dtypes import canonical_token, token_of
from markets.exceptions import FrameError


@pytest.mark.parametrize(
    ("values", "token"),
    [
        (np.array([1.0]), "float64"),
        (np.array([1.0], dtype=np.float32), "float32"),
        (np.array([1]), "int64"),
        (np.array([1], dtype=np.int32), "int32"),
        (np.array([1], dtype=np.int16), "int16"),
        (np.array([1], dtype=np.int8), "int16"),
        (np.array([1], dtype=np.uint8), "int16"),
        (np.array([1], dtype=np.uint16), "int32"),
        (np.array([1], dtype=np.uint32), "int64"),
        (np.array([True]), "bool"),
        (pd.array([1, None], dtype="Int32"), "int32"),
        (pd.array([1.5, None], dtype="Float32"), "float32"),
        (pd.array([True, None], dtype="boolean"), "bool"),
        (pd.array(["a", None], dtype="str"), "string"),
        (pd.array([1, None], dtype="int64[pyarrow]"), "int64"),
        (pd.array(["a", None], dtype="string[pyarrow]"), "string"),
        (pd.to_datetime(["2026-01-02"], utc=True), "timestamp with time zone"),
        (pd.to_datetime(["2026-01-02"]).tz_localize("America/New_York"), "timestamp with time zone"),
        (pd.to_datetime(["2026-01-02"], utc=True).astype("timestamp[us, tz=UTC][pyarrow]"), "timestamp with time zone"),
        (np.array([dt.date(2026, 1, 2), None], dtype=object), "date"),
        (np.array(["a", None], dtype=object), "string"),
        (np.array([True, None], dtype=object), "bool"),
        (np.array([1, None], dtype=object), "int64"),
        (np.array([1.5, None], dtype=object), "float64"),
        (np.array([None, None], dtype=object), None),
        (pd.Categorical(["a", "b"]), "string"),
        (pd.Categorical([1, 2]), "int64"),
    ],
)
def test_token_of_a_column(values, token):
    assert token_of(pd.Series(values, name="x")) == token


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pd.to_datetime(["2026-01-02"]), "Column 'x' holds datetimes without a time zone. Give them one: "),
        (np.array([1 + 2j]), "Column 'x' has dtype complex128, which no table holds. Use float64, "),
        (np.array([1], dtype=np.uint64), "Column 'x' has dtype uint64, which no table holds."),
        (np.array([1, "a"], dtype=object), r"Column 'x' mixes types or holds objects \(mixed-integer\)"),
        (np.array([Decimal("1.5")], dtype=object), r"Column 'x' mixes types or holds objects \(decimal\)"),
        (np.array([{}], dtype=object), r"Column 'x' mixes types or holds objects \(mixed\)"),
        (pd.to_timedelta(["1 day"]), "Column 'x' has dtype timedelta64"),
    ],
)
def test_what_no_table_holds_is_refused(values, message):
    with pytest.raises(FrameError, match=message):
        token_of(pd.Series(values, name="x"))


@pytest.mark.parametrize(
    ("name", "token"),
    [("float64", "float64"), ("object", "string"), ("int", "int32"), ("timestamptz", "timestamp with time zone")],
)
def test_declared_names(name, token):
    assert canonical_token(name) == token


def test_an_unknown_declared_name_lists_the_known_ones():
    with pytest.raises(FrameError) as caught:
        canonical_token("money")
    assert str(caught.value) == (
        "dtype 'money' is not one of float64, float32, int64, int32, int16, bool, timestamp with time zone, date, "
        "string."
    )
