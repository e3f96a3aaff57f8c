"""Validation of a frame: what is accepted, in which order it comes out, and what each refusal says."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.engine.frames import validate_frame
from markets.exceptions import ColumnContractError, DuplicateKeys, FrameError

INDEX = ("time_index", "asset_identifier")
KEY = ("asset_identifier", "time_index")
TIMES = pd.to_datetime(["2026-01-02T21:00Z", "2026-01-05T21:00Z"])


def frame(columns, times=TIMES, identifiers=("A", "B"), names=INDEX):
    labels = pd.Index(list(identifiers), dtype=object)
    return pd.DataFrame(columns, index=pd.MultiIndex.from_arrays([times, labels], names=list(names)))


def validated(data, contract=None, declared=None, index_names=INDEX, key_columns=KEY):
    return validate_frame(
        data, index_names=index_names, key_columns=key_columns, contract=contract, declared=declared, table="bars"
    )


def refused(data, message, kind=FrameError, **options):
    with pytest.raises(kind) as caught:
        validated(data, **options)
    assert str(caught.value) == message


def column(data, **options):
    return validated(data, **options)[0].columns[0]


# --- shape and order -------------------------------------------------------------------------------------------------
def test_rows_come_out_sorted_by_key_with_their_places():
    # given rows by time, identifiers in another order than that of their bytes
    data = frame({"close": [1.0, 2.0, 3.0, 4.0]}, times=TIMES[[0, 0, 1, 1]], identifiers=["é", "Z", "é", "Z"])
    # when
    valid, tokens = validated(data)
    # then
    assert tokens == {"close": "float64"}
    assert valid.levels[0].labels.tolist() == ["Z", "é"]
    assert valid.levels[0].codes.tolist() == [0, 0, 1, 1]
    assert valid.columns[0].values.tolist() == [2.0, 4.0, 1.0, 3.0]
    assert valid.rows.tolist() == [1, 3, 0, 2]
    assert valid.times.tolist() == [1_767_387_600_000_000, 1_767_646_800_000_000] * 2


@given(
    st.lists(
        st.tuples(st.integers(0, 2**52), st.text("aZ9é€", min_size=1, max_size=3), st.text("bY", min_size=1)),
        unique=True,
        max_size=40,
    )
)
def test_any_three_level_frame_is_sorted_as_python_sorts_its_keys(keys):
    times = pd.DatetimeIndex(np.array([key[0] for key in keys], dtype="M8[us]"), tz="UTC")
    names = ("time_index", "portfolio", "asset_identifier")
    index = pd.MultiIndex.from_arrays(
        [times, [key[1] for key in keys], pd.Index([key[2] for key in keys], dtype=object)], names=names
    )
    data = pd.DataFrame({"x": np.arange(len(keys), dtype=np.float64)}, index=index)
    key_columns = ("portfolio", "time_index", "asset_identifier")
    valid, _ = validated(data, index_names=names, key_columns=key_columns)
    order = sorted(range(len(keys)), key=lambda row: (keys[row][1].encode(), keys[row][0], keys[row][2].encode()))
    assert valid.rows.tolist() == order
    codes, identities = valid.identity_codes()
    assert [identities[code] for code in codes.tolist()] == [(keys[row][1], keys[row][2]) for row in order]


def test_keys_too_wide_for_one_integer_are_sorted_all_the_same():
    # given two instants 500 years apart and coprime in microseconds, beside 2,000 identifiers in two levels
    names = ("time_index", "left", "right")
    stamps = np.array([-9_000_000_000_000_001, 9_000_000_000_000_000], dtype="M8[us]")
    times = pd.DatetimeIndex(np.tile(stamps, 1000), tz="UTC")
    left = [f"{number % 999:04}" for number in range(2000)]
    right = [f"{number:04}" for number in range(2000)]
    data = pd.DataFrame({"x": 1.0}, index=pd.MultiIndex.from_arrays([times, left, right], names=names))
    valid, _ = validated(data, index_names=names, key_columns=("left", "time_index", "right"))
    order = sorted(range(2000), key=lambda row: (left[row], times[row], right[row]))
    assert valid.rows.tolist() == order


def test_unique_identifier_is_accepted_for_asset_identifier():
    assert len(validated(frame({"x": [1.0, 2.0]}, names=("time_index", "unique_identifier")))[0]) == 2


def test_time_alone():
    data = pd.DataFrame({"x": [2.0, 1.0]}, index=pd.DatetimeIndex(TIMES[::-1], name="time_index"))
    valid, _ = validated(data, index_names=("time_index",), key_columns=("time_index",))
    assert valid.columns[0].values.tolist() == [1.0, 2.0]
    assert valid.identity_codes()[1] == [()]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "update() returned None. Return a DataFrame; an empty one means that there is nothing new."),
        ([1], "update() returned list instead of a pandas DataFrame."),
        (
            frame({"x": [1.0, 2.0]}, names=("time_index", "ticker")),
            "The frame is indexed by (time_index, ticker); its table by (time_index, asset_identifier). Return "
            "frame.set_index(['time_index', 'asset_identifier']).",
        ),
        (
            pd.DataFrame({"x": [1.0]}),
            "The frame is indexed by (None); its table by (time_index, asset_identifier). Return "
            "frame.set_index(['time_index', 'asset_identifier']).",
        ),
    ],
)
def test_wrong_shape(data, message):
    refused(data, message)


# --- times -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_every_resolution(unit):
    assert validated(frame({"x": [1.0, 2.0]}, times=TIMES.as_unit(unit)))[0].times.tolist() == [
        1_767_387_600_000_000,
        1_767_646_800_000_000,
    ]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (
            TIMES.tz_localize(None),
            "time_index has no time zone. MSM stores instants in UTC: use tz_localize('UTC') where the times are UTC, "
            "or tz_localize(<zone>).tz_convert('UTC') where they are local.",
        ),
        (TIMES.tz_convert("America/New_York"), "time_index is in America/New_York, not in UTC. Use tz_convert('UTC')."),
        ([1, 2], "time_index has dtype int64, not a UTC datetime. Use pd.to_datetime(…, utc=True)."),
        (TIMES.insert(1, pd.NaT)[:2], "time_index is missing in 1 of 2 rows. Drop or stamp them."),
        # regression: with no time at all this ended in an IndexError
        (pd.DatetimeIndex([pd.NaT, pd.NaT], tz="UTC"), "time_index is missing in 2 of 2 rows. Drop or stamp them."),
        (
            pd.DatetimeIndex(np.array(["3000-01-01", "2026-01-01"], dtype="M8[s]"), tz="UTC"),
            "time_index holds an instant outside the years 1678 to 2260.",
        ),
    ],
)
def test_wrong_times(times, message):
    refused(frame({"x": [1.0, 2.0]}, times=times), message)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_first_year_is_the_same_in_every_resolution(unit):
    # regression: 1678 was refused in all resolutions but nanoseconds
    times = pd.DatetimeIndex(np.array(["1678-02-01", "1678-03-01"], dtype="M8[s]"), tz="UTC").as_unit(unit)
    assert len(validated(frame({"x": [1.0, 2.0]}, times=times))[0]) == 2


# --- identifiers -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("identifiers", "message"),
    [
        ([1, 2], "asset_identifier holds 1, a int; identifiers are text."),
        (["A", None], "asset_identifier is missing in 1 of 2 rows."),
        (["A", " "], "asset_identifier holds ' ': an identifier neither is blank nor begins or ends with a space."),
        (["A", "B "], "asset_identifier holds 'B ': an identifier neither is blank nor begins or ends with a space."),
        (
            ["A", "b\x00c"],
            "asset_identifier holds text with a NUL character ('b\\x00c'), which PostgreSQL cannot store.",
        ),
        (["A", "b\udc80"], "asset_identifier holds text that is not valid Unicode ('b\\udc80')."),
        (
            ["A", "x" * 256],
            f"asset_identifier holds an identifier of 256 characters ({'x' * 40}…); 255 is the most.",
        ),
    ],
)
def test_wrong_identifiers(identifiers, message):
    refused(frame({"x": [1.0, 2.0]}, identifiers=pd.Index(identifiers, dtype=object)), message)


def test_duplicates_are_counted_and_the_first_is_named():
    data = frame({"x": [1.0, 2.0, 3.0]}, times=TIMES[[0, 0, 0]], identifiers=["A", "A", "A"])
    refused(
        data,
        "The frame holds 2 keys more than once, the first (2026-01-02T21:00:00+00:00, A), counted in microseconds. "
        "Keep one row a key.",
        DuplicateKeys,
    )


def test_keys_that_differ_by_nanoseconds_only_are_duplicates():
    times = pd.DatetimeIndex([TIMES[0], TIMES[0] + pd.Timedelta(1, "ns")])
    with pytest.raises(DuplicateKeys, match="holds 1 key more than once"):
        validated(frame({"x": [1.0, 2.0]}, times=times, identifiers=["A", "A"]))


# --- columns ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"Close": [1.0, 2.0]}, "Column 'Close': names are lower case, have a letter, and at most 63 bytes."),
        ({"_": [1.0, 2.0]}, "Column '_': names are lower case, have a letter, and at most 63 bytes."),
        ({"é" * 32: [1.0, 2.0]}, f"Column '{'é' * 32}': names are lower case, have a letter, and at most 63 bytes."),
        ({1: [1.0, 2.0]}, "Column 1 is named by a int; column names are text."),
        ({"time_index": [1.0, 2.0]}, "Column 'time_index' has the name of an index level."),
        # regression: PostgreSQL's own columns ended in a database error
        ({"xmin": [1.0, 2.0]}, "Column 'xmin' has a name that PostgreSQL keeps for itself. Give it another."),
        ({}, "The frame has no value column."),
        (
            {f"c{number}": [1.0, 2.0] for number in range(1_599)},
            "The frame has 1,599 columns; a table holds 1,598 beside its index. Return long rows instead of wide ones.",
        ),
    ],
)
def test_wrong_columns(columns, message):
    refused(frame(columns), message)


def test_a_column_twice():
    data = frame({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    data.columns = ["x", "x"]
    refused(data, "Columns appear twice: x.")


def test_a_changed_column_set_names_what_is_missing_and_what_is_extra():
    with pytest.raises(ColumnContractError) as caught:
        validated(frame({"x": [1.0, 2.0], "z": [1.0, 2.0]}), contract={"x": "float64", "y": "float64"})
    assert caught.value.missing == ["y"]
    assert caught.value.extra == ["z"]
    assert str(caught.value) == (
        "The frame's columns differ from those of bars (missing y; not in the table: z). A DataNode must return the "
        "same columns on every run; change its configuration to write another table, or restore the columns."
    )


def test_columns_come_in_the_order_of_the_contract():
    valid, _ = validated(frame({"y": [1, 2], "x": [1.0, 2.0]}), contract={"x": "float64", "y": "int64"})
    assert [item.name for item in valid.columns] == ["x", "y"]


def test_a_declared_column_that_the_frame_does_not_have():
    refused(
        frame({"x": [1.0, 2.0]}),
        "get_column_metadata() describes y, which the frame does not have. It has x.",
        declared={"y": "float64"},
    )


def test_a_declaration_that_contradicts_the_table_is_refused():
    # regression: it was silently ignored
    refused(
        frame({"x": [1.0, 2.0]}),
        "get_column_metadata() declares 'x' as int64; bars holds float64 there. Declare what the table holds, or "
        "change the node's configuration to write another table.",
        contract={"x": "float64"},
        declared={"x": "int64"},
    )


@pytest.mark.parametrize(
    ("values", "wanted", "expected"),
    [
        (np.array([1, 2]), "float64", [1.0, 2.0]),
        (np.array([1, 2], dtype=np.int16), "int64", [1, 2]),
        (np.array([1, 2], dtype=np.int32), "float64", [1.0, 2.0]),
        (np.array([1.5, 2], dtype=np.float32), "float64", [1.5, 2.0]),
        (pd.array([2, None], dtype="Int64"), "int64", [2, 0]),
        (pd.array([2**63 - 1, None], dtype="Int64"), "int64", [2**63 - 1, 0]),
        (pd.array([2**15 - 1, None], dtype="Int16"), "int16", [32_767, 0]),
        (np.array([3, None], dtype=object), "int64", [3, 0]),
        (np.array([2**53, -(2**53)]), "float64", [2.0**53, -(2.0**53)]),
        (pd.array([7, None], dtype="Int64"), "float64", [7.0, np.nan]),
        # a column without a value fits every contract, whatever dtype pandas gave it
        (np.array([np.nan, np.nan]), "bool", [False, False]),
        (np.array([None, None], dtype=object), "int64", [0, 0]),
    ],
)
def test_what_fits_without_loss_is_accepted(values, wanted, expected):
    found = column(frame({"x": values}), contract={"x": wanted})
    assert found.token == wanted
    np.testing.assert_array_equal(found.values, expected)


@pytest.mark.parametrize(
    ("values", "token", "wanted"),
    [
        (np.array([1, 2]), "int64", "int32"),
        (np.array([True, False]), "bool", "float64"),
        (np.array([1.0, 2.0]), "float64", "float32"),
        (np.array(["a", "b"], dtype=object), "string", "float64"),
        # regressions: these were stored rounded, or ended in an OverflowError
        (np.array([2**53 + 1, 0]), "int64", "float64"),
    ],
)
def test_what_would_lose_something_is_refused(values, token, wanted):
    refused(
        frame({"x": values}),
        f"Column 'x' is {token}; bars holds {wanted} there. Convert it without loss (frame['x'].astype(…)), or write "
        "another table.",
        contract={"x": wanted},
    )


@pytest.mark.parametrize(
    ("values", "token", "wanted", "nullable"),
    [
        (np.array([1.0, 2.0]), "float64", "int64", "Int64"),
        (np.array([1.5, np.nan]), "float64", "int64", "Int64"),
        (np.array([1.0, 2.0], dtype=np.float32), "float32", "int32", "Int32"),
        (np.array([1.0, None], dtype=object), "float64", "int64", "Int64"),
        # regressions: whole numbers were taken back where they had gaps, and 2^53 + 1 had come as 2^53
        (np.array([3.0, np.nan]), "float64", "int64", "Int64"),
        (np.array([32_767.0, np.nan]), "float64", "int16", "Int16"),
        (np.array([float(2**53 + 1), np.nan]), "float64", "int64", "Int64"),
    ],
)
def test_a_float_is_never_stored_as_an_integer(values, token, wanted, nullable):
    refused(
        frame({"x": values}),
        f"Column 'x' is {token}; bars holds {wanted} there, and a float is never stored as an integer. Keep whole "
        f"numbers with gaps as {nullable} from where they are read, or convert them: frame['x'].astype('{nullable}'), "
        "which refuses fractions.",
        contract={"x": wanted},
    )


def test_whole_floats_with_gaps_are_stored_once_they_are_converted_as_told():
    # given
    given = frame({"x": [3.0, np.nan]})
    # when
    found = column(given.assign(x=given["x"].astype("Int64")), contract={"x": "int64"})
    # then
    assert (found.values.tolist(), found.is_null.tolist()) == ([3, 0], [False, True])
    # and fractions are not cut off on the way
    with pytest.raises(TypeError, match="safely cast"):
        pd.Series([1.5, np.nan]).astype("Int64")


def test_a_missing_text_column_may_come_as_floats():
    # regression: pandas' way to write "nothing at all" was refused by a text column
    found = column(frame({"x": [np.nan, np.nan]}), contract={"x": "string"})
    assert found.token == "string"
    assert found.is_null.tolist() == [True, True]


def test_a_first_column_of_nulls_becomes_numbers_unless_declared():
    nothing = frame({"x": np.array([None, None], dtype=object)})
    assert validated(nothing)[1] == {"x": "float64"}
    assert validated(nothing, declared={"x": "string"})[1] == {"x": "string"}


def test_an_integer_that_does_not_fit():
    # regression: this ended in an OverflowError
    refused(frame({"x": np.array([2**70, 1], dtype=object)}), "Column 'x' holds a number that does not fit into int64.")


@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
def test_infinity_is_refused_with_its_place(infinity):
    refused(
        frame({"x": [1.0, infinity]}),
        "Column 'x' holds an infinite value (row 1, index (Timestamp('2026-01-05 21:00:00+0000', tz='UTC'), 'B')). "
        "Replace it by NaN or mend its source.",
    )


def test_text_with_a_nul_character():
    refused(
        frame({"x": ["a", "b\x00"]}),
        "Column 'x' holds text with a NUL character ('b\\x00'), which PostgreSQL cannot store.",
    )


def test_times_in_a_value_column():
    values = pd.Series([pd.Timestamp("2026-01-02T16:00", tz="America/New_York"), pd.NaT])
    found = column(frame({"x": pd.array(values)}))
    assert found.values[0] == 1_767_387_600_000_000
    assert found.is_null.tolist() == [False, True]


def test_times_that_could_not_be_read_back_are_refused():
    # regression: the year 3000 was stored, and read back as a year in the past
    far = pd.DatetimeIndex(np.array(["2026-01-01", "3000-01-01"], dtype="M8[us]"), tz="UTC")
    refused(
        frame({"x": far}),
        "Column 'x' holds 3000-01-01 00:00:00+00:00 (row 1), outside the years 1678 to 2260. Leave the cell empty, or "
        "use a date column.",
    )


def test_dates():
    found = column(frame({"x": np.array([dt.date(1970, 1, 11), None], dtype=object)}))
    assert found.token == "date"
    assert found.values.tolist() == [10, 0]
    assert found.is_null.tolist() == [False, True]
