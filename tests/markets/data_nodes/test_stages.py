"""Rows as parameters of a statement arrive as they are, whatever their type and their gaps."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from markets.data_nodes.stages import staged
from markets.data_nodes.storage import TableContract
from markets.engine.frames import validate_frame

pytestmark = pytest.mark.django_db
KINDS = {
    "float64": st.floats(allow_infinity=False, allow_nan=False),
    "float32": st.floats(allow_infinity=False, allow_nan=False, width=32),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "bool": st.booleans(),
    "string": st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=80),
    "date": st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1)),
    "timestamp with time zone": st.integers(-8 * 10**15, 7 * 10**15).map(
        lambda number: dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=number)
    ),
}
DTYPES = {"int64": "Int64", "int32": "Int32", "int16": "Int16", "bool": "boolean", "string": "str"}


@pytest.mark.parametrize("token", KINDS)
@given(data=st.data())
def test_every_value_and_every_gap_arrives(token, data):
    values = data.draw(st.lists(st.none() | KINDS[token], min_size=1, max_size=40))
    # given a frame with such a column
    names = [f"é{number}" * (number % 3 + 1) for number in range(len(values))]
    at = pd.DatetimeIndex([dt.datetime(2026, 1, 2, 21, tzinfo=dt.UTC)] * len(values))
    index = pd.MultiIndex.from_arrays([at, names], names=["time_index", "asset_identifier"])
    dtype = DTYPES.get(token) or (
        "datetime64[us, UTC]" if token.startswith("timestamp") else object if token == "date" else token
    )
    column = pd.Series(values, dtype=dtype, index=index)
    frame, _ = validate_frame(
        pd.DataFrame({"value": column}),
        index_names=("time_index", "asset_identifier"),
        key_columns=("asset_identifier", "time_index"),
        contract={"value": token},
        table="t",
    )
    contract = TableContract(
        "t", ("time_index", "asset_identifier"), ("asset_identifier", "time_index"), {"value": token}
    )
    # when
    with staged(contract, frame) as stage:
        rows = stage.fetch(sql.SQL("SELECT s.asset_identifier, s.time_index, s.value FROM {}").format(stage.rows))
    # then
    expected = sorted(zip(names, values, strict=True), key=lambda row: row[0])
    if token == "float32":
        expected = [(name, None if value is None else float(np.float32(value))) for name, value in expected]
        rows = [(name, time, None if value is None else float(np.float32(value))) for name, time, value in rows]
    assert [(name, value) for name, _, value in rows] == expected
    assert {time for _, time, _ in rows} == {at[0].to_pydatetime()}
