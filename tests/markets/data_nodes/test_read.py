"""Reading a table: bounds, identifiers, windows of their own, and the frame's shape even when it is empty."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from markets.exceptions import InvalidInput
from markets.models import Asset, UpdateStatistic
from tests.markets.data_nodes.nodes import DAY, START, ByBook, ByTime, Given, bars, make_assets, same

pytestmark = pytest.mark.django_db
MICROSECOND = dt.timedelta(microseconds=1)
LONG = ["time_index", "book", "asset_identifier"]


@pytest.fixture
def node():
    """A on days 0 to 3, B on days 1 and 2, é on day 1, each with close = day."""
    make_assets("A", "B", "é")
    rows = [*((day, "A", float(day)) for day in range(4)), (1, "B", 1.0), (2, "B", 2.0), (1, "é", 1.0)]
    node = Given().returns(bars(rows))
    node.run()
    return node


@pytest.fixture
def books():
    if not Asset.objects.exists():
        make_assets("A", "B")
    rows = [(0, "y", "A", 1.0), (0, "x", "B", 2.0), (1, "x", "A", 3.0), (1, "y", "A", 4.0)]
    node = ByBook().returns(bars(rows, index=LONG))
    node.run()
    return node


def keys(frame):
    return [((time - START) // DAY, *rest) for time, *rest in frame.index]


def test_everything_ordered_by_time_then_identifier(node):
    frame = node.get_df_between_dates()
    assert keys(frame) == [(0, "A"), (1, "A"), (1, "B"), (1, "é"), (2, "A"), (2, "B"), (3, "A")]
    assert frame["close"].tolist() == [0, 1, 1, 1, 2, 2, 3]
    assert frame.index.names == ["time_index", "asset_identifier"]
    assert str(frame.index.levels[0].dtype) == "datetime64[ns, UTC]"
    assert frame.index.is_monotonic_increasing


@pytest.mark.parametrize(
    ("bounds", "days"),
    [
        ({"start_date": START + DAY}, [1, 2, 3]),
        ({"start_date": START + DAY, "great_or_equal": False}, [2, 3]),
        ({"end_date": START + DAY}, [0, 1]),
        ({"end_date": START + DAY, "less_or_equal": False}, [0]),
        ({"start_date": START + DAY, "end_date": START + 2 * DAY}, [1, 2]),
        ({"start_date": START + DAY + MICROSECOND}, [2, 3]),
        ({"end_date": START + DAY - MICROSECOND}, [0]),
        ({"start_date": START + 9 * DAY}, []),
        ({"start_date": pd.Timestamp(START + DAY).tz_convert("America/New_York")}, [1, 2, 3]),
        ({"start_date": "2026-01-03T21:00:00Z"}, [1, 2, 3]),
    ],
)
def test_bounds(node, bounds, days):
    frame = node.get_df_between_dates(unique_identifier_list=["A"], **bounds)
    assert [key[0] for key in keys(frame)] == days


@pytest.mark.parametrize(
    ("identifiers", "expected"),
    [
        (["B"], [(1, "B"), (2, "B")]),
        (["é", "B"], [(1, "B"), (1, "é"), (2, "B")]),
        (["B", "B", "unknown"], [(1, "B"), (2, "B")]),
        (["unknown"], []),
        (["nul\x00", "half\ud800"], []),  # regression: what PostgreSQL cannot even hold ended in a database error
        ([], []),
    ],
)
def test_identifiers(node, identifiers, expected):
    frame = node.get_df_between_dates(unique_identifier_list=identifiers)
    assert keys(frame) == expected


def test_one_identifier_instead_of_a_list(node):
    # regression: "AB" was read as the identifiers A and B
    with pytest.raises(InvalidInput, match="asset_identifier takes a list of identifiers, not 'AB'"):
        node.get_df_between_dates(unique_identifier_list="AB")


@pytest.mark.parametrize(
    ("window", "days"),
    [
        ({}, [0, 1, 2, 3]),
        ({"start_date": None, "end_date": None}, [0, 1, 2, 3]),
        ({"start_date": START + DAY}, [1, 2, 3]),
        ({"start_date": START + DAY, "start_date_operand": ">"}, [2, 3]),
        ({"start_date": START + DAY - MICROSECOND, "start_date_operand": ">"}, [1, 2, 3]),
        ({"start_date": START + DAY + MICROSECOND, "start_date_operand": ">="}, [2, 3]),
        ({"end_date": START + DAY}, [0, 1]),
        ({"end_date": START + DAY, "end_date_operand": "<"}, [0]),
        ({"end_date": START + DAY + MICROSECOND, "end_date_operand": "<"}, [0, 1]),
        ({"start_date": START + 2 * DAY, "end_date": START}, []),
    ],
)
def test_a_window_of_its_own(node, window, days):
    assert [key[0] for key in keys(node.get_ranged_data_per_asset({"A": window}))] == days


def test_windows_are_combined_with_the_global_bounds(node):
    frame = node.get_df_between_dates(
        start_date=START + DAY,
        end_date=START + 2 * DAY,
        unique_identifier_range_map={"A": {"end_date": START + DAY}, "B": {"start_date": START + 2 * DAY}, "Z": {}},
    )
    assert keys(frame) == [(1, "A"), (2, "B")]


def test_an_empty_map_is_no_wish_for_everything(node):
    assert keys(node.get_ranged_data_per_asset({})) == []


@pytest.mark.parametrize(
    "read",
    [
        lambda node: node.get_df_between_dates(unique_identifier_list=[]),
        lambda node: node.get_df_between_dates(unique_identifier_list=["unknown"]),
        lambda node: node.get_ranged_data_per_asset({}),
        lambda node: node.get_df_between_dates(start_date=START + 99 * DAY),
    ],
)
@pytest.mark.parametrize("with_text", [True, False])
def test_an_empty_frame_has_the_columns_and_dtypes_of_a_full_one(read, with_text):
    make_assets("A")
    columns = {"x": 1.5, "n": 1, "b": True, "t": pd.Timestamp(START), "d": START.date()} | (
        {"s": "text"} if with_text else {}
    )
    frame = bars([(0, "A", *columns.values())], columns=list(columns))
    node = Given().returns(frame)
    node.run()
    empty = read(node)
    assert len(empty) == 0
    full = node.get_df_between_dates()
    assert empty.dtypes.astype(str).to_dict() == full.dtypes.astype(str).to_dict()
    assert empty.index.names == full.index.names
    assert [str(level.dtype) for level in empty.index.levels] == [str(level.dtype) for level in full.index.levels]


def test_columns(node):
    assert list(node.get_df_between_dates(columns=["close"]).columns) == ["close"]
    assert list(node.get_df_between_dates(columns=["asset_identifier", "close", "close"]).columns) == ["close"]
    empty = node.get_df_between_dates(columns=[])
    assert (list(empty.columns), len(empty)) == ([], 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["close", "vwap"]}, "TABLE has no column 'vwap'. It has close."),
        (
            {"start_date": START.replace(tzinfo=None)},
            "start_date=2026-01-02T21:00:00 has no time zone. Add one: 2026-01-02T21:00:00Z, or tzinfo=datetime.UTC.",
        ),
        (
            {"end_date": "2026-01-02"},
            "end_date=2026-01-02T00:00:00 has no time zone. Add one: 2026-01-02T00:00:00Z, or tzinfo=datetime.UTC.",
        ),
        ({"end_date": "soon"}, "end_date='soon' is not a time. Use ISO 8601: 2026-01-31T21:00:00Z."),
        ({"end_date": START.date()}, "end_date=datetime.date(2026, 1, 2) is not a datetime."),
        (
            {"unique_identifier_list": ["A"], "unique_identifier_range_map": {"A": {}}},
            "Give either a list of identifiers or a range map, not both.",
        ),
        (
            {"unique_identifier_range_map": {"A": {"start_date_operand": "=>"}}},
            "start_date_operand of A is '=>'; use >= or >.",
        ),
        ({"unique_identifier_range_map": {"A": {"since": START}}}, "The range of A has unknown keys: since."),
        # regression: the window of an identifier without rows was not looked at
        (
            {"unique_identifier_range_map": {"Z": {"start_date": START.replace(tzinfo=None)}}},
            "start_date of Z=2026-01-02T21:00:00 has no time zone. Add one: 2026-01-02T21:00:00Z, or "
            "tzinfo=datetime.UTC.",
        ),
    ],
)
def test_wrong_filters(node, options, message):
    with pytest.raises(InvalidInput) as caught:
        node.get_df_between_dates(**options)
    assert str(caught.value) == message.replace("TABLE", node.storage_hash)


# --- other shapes ----------------------------------------------------------------------------------------------------
def test_time_alone():
    node = ByTime().returns(bars([(0, 1.0), (1, 2.0), (2, 3.0)], index=["time_index"]))
    node.run()
    frame = node.get_df_between_dates(start_date=START + DAY)
    same(frame, bars([(1, 2.0), (2, 3.0)], index=["time_index"]).tz_convert("UTC"))
    assert node.get_last_observation()["close"].tolist() == [3.0]  # regression: this was refused
    for options in ({"unique_identifier_list": ["A"]}, {"unique_identifier_range_map": {"A": {}}}):
        with pytest.raises(InvalidInput, match=r"is indexed by time alone: it takes no (identifiers|range map)\.$"):
            node.get_df_between_dates(**options)


def test_three_levels(books):
    frame = books.get_df_between_dates()
    assert keys(frame) == [(0, "x", "B"), (0, "y", "A"), (1, "x", "A"), (1, "y", "A")]
    assert frame["close"].tolist() == [2.0, 1.0, 3.0, 4.0]
    assert keys(books.get_df_between_dates(unique_identifier_list=["A"])) == [
        (0, "y", "A"),
        (1, "x", "A"),
        (1, "y", "A"),
    ]
    assert keys(books.get_ranged_data_per_asset({"A": {"end_date": START}})) == [(0, "y", "A")]
    # a window for each identity
    ranges = {("x", "A"): {"start_date": START}, ("y", "A"): {"start_date": START + DAY}}
    assert keys(books.get_ranged_data_per_asset(ranges)) == [(1, "x", "A"), (1, "y", "A")]


def test_three_levels_can_be_sliced(books):
    # regression: pandas refuses to slice an index whose levels are not sorted
    frame = books.get_df_between_dates()
    assert frame.loc[(slice(None), slice("x", "y"), slice("A", "A")), "close"].tolist() == [1.0, 3.0, 4.0]


def test_the_last_observation_of_each_identity(node, books):
    assert keys(node.get_last_observation()) == [(1, "é"), (2, "B"), (3, "A")]
    assert keys(node.get_last_observation(["B", "unknown"])) == [(2, "B")]
    # regression: with more than one identity level nothing was found
    assert keys(books.get_last_observation()) == [(0, "x", "B"), (1, "x", "A"), (1, "y", "A")]
    assert keys(books.get_last_observation(["B"])) == [(0, "x", "B")]


@pytest.mark.parametrize("text", [True, False])
def test_a_read_takes_one_query_for_the_rows_whatever_their_number(node, django_assert_num_queries, text):
    if text:
        node = Given("text").returns(bars([(day, name, str(day)) for day in range(9) for name in "AB"]))
        node.run()
    windows = {name: {"start_date": START + DAY} for name in ("A", "B")}
    with django_assert_num_queries(3):  # the table's contract, its identities, its rows
        assert len(node.get_ranged_data_per_asset(windows)) > 3


def test_what_was_written_is_read_byte_for_byte():
    # given prices with awkward digits at awkward instants
    make_assets(*(f"ID{number:04}" for number in range(100)))
    generator = np.random.default_rng(7)
    micros = np.sort(generator.choice(2**52, 700, replace=False))
    times = pd.DatetimeIndex(micros.astype("M8[us]"), tz="UTC").as_unit("ns")
    index = pd.MultiIndex.from_product(
        [times, [f"ID{number:04}" for number in range(100)]], names=["time_index", "asset_identifier"]
    )
    frame = pd.DataFrame(
        {"a": generator.standard_normal(70_000), "b": generator.integers(-(2**63), 2**63 - 1, 70_000)}, index=index
    )
    node = Given().returns(frame)
    node.run()
    found = node.get_df_between_dates()
    assert found.index.equals(index)
    assert found["a"].to_numpy().tobytes() == frame["a"].to_numpy().tobytes()
    assert found["b"].to_numpy().tobytes() == frame["b"].to_numpy().tobytes()
    assert UpdateStatistic.objects.count() == 100
