"""The ways by which rows are read, COPY, Arrow and sealed blocks, give the same frame bit for bit."""

import datetime as dt
import itertools
import logging

import numpy as np
import pandas as pd
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from markets.data_nodes import read_arrow, reads, sealed_reads, sealing, selection
from markets.data_nodes.metadata import ColumnMetaData
from markets.models import Asset
from markets.services.sealing import open_history
from tests.markets.data_nodes.nodes import DAY, START, ByBook, ByTime, Given, bars, make_assets

pytestmark = pytest.mark.usefixtures("transactional_db")
NAMES = ["A", "BBG000BLNNH6", "é", "z" * 40]
NEVER = 10**12  # rows
TEXTS = (
    st.none()
    | st.sampled_from(["", "USD", "line\n2", "Ω" * 200])
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=9)
)
MOMENTS = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2250, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001
CELLS = {
    "float64": st.floats(allow_infinity=False, width=64),
    "float32": st.floats(allow_infinity=False, width=32),
    "int64": st.none() | st.integers(-(2**63), 2**63 - 1),
    "int32": st.none() | st.integers(-(2**31), 2**31 - 1),
    "int16": st.none() | st.integers(-(2**15), 2**15 - 1),
    "bool": st.none() | st.booleans(),
    "timestamp with time zone": st.none() | MOMENTS,
    "date": st.none() | st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31)),
    "string": TEXTS,
}
DTYPES = {
    "int64": "Int64",
    "int32": "Int32",
    "int16": "Int16",
    "bool": "boolean",
    "timestamp with time zone": "datetime64[ns, UTC]",
    "date": "object",
    "string": "str",
}
_number = itertools.count()


def read(node, most_by_copy, **options):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reads, "ROWS_BY_COPY", most_by_copy)
        return node.get_df_between_dates(**options)


def every_way(node, **options):
    """The frame, once it is known that every way gives it."""
    by_copy = read(node, NEVER, **options)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reads, "read_by_copy", None)  # calling it would fail
        by_arrow = read(node, -1, **options)
    identical(by_copy, by_arrow)
    identical(by_copy, from_blocks(node, **options))
    return by_copy


def from_blocks(node, **options):
    """The frame as it is read when the table is sealed, in small blocks; afterwards it is open again."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sealing, "FEWEST_ROWS", 1)
        patched.setattr(sealing, "CELLS_IN_BLOCK", 40)
        patched.setattr(sealed_reads, "SHARE_WORTH_A_SCAN", 0)
        patched.setattr(sealed_reads, "FEWEST_INSIDE", 0)
        assert sealing.seal_history(node.get_storage()).blocks > 0
        try:
            return node.get_df_between_dates(**options)
        finally:
            assert open_history(node.get_storage()) > 0


def identical(left, right):
    assert left.dtypes.to_dict() == right.dtypes.to_dict()
    assert list(left.columns) == list(right.columns)
    assert left.index.names == right.index.names
    if isinstance(left.index, pd.MultiIndex):
        assert [level.dtype for level in left.index.levels] == [level.dtype for level in right.index.levels]
        assert [level.tolist() for level in left.index.levels] == [level.tolist() for level in right.index.levels]
        assert [codes.tolist() for codes in left.index.codes] == [codes.tolist() for codes in right.index.codes]
    else:
        assert left.index.dtype == right.index.dtype
        assert left.index.tolist() == right.index.tolist()
    for name in left.columns:
        assert bits(left[name]) == bits(right[name]), name


def bits(series):
    values = series.array
    if isinstance(series.dtype, np.dtype) and series.dtype != object:
        return series.to_numpy().tobytes()
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return values.asi8.tobytes()
    if hasattr(values, "_mask"):
        return values._mask.tobytes(), values.to_numpy(dtype=values._data.dtype, na_value=0).tobytes()
    return [None if value is None or value != value else (type(value), value) for value in series.tolist()]


@st.composite
def frames(draw):
    keys = draw(st.lists(st.tuples(st.integers(0, 6), st.sampled_from(NAMES)), unique=True, max_size=12, min_size=1))
    columns = {f"c_{position}": token for position, token in enumerate(CELLS)}
    index = pd.MultiIndex.from_tuples(
        [(pd.Timestamp(START + day * DAY + day * dt.timedelta(microseconds=1)), name) for day, name in keys],
        names=["time_index", "asset_identifier"],
    )
    series = {
        name: pd.Series(
            draw(st.lists(CELLS[token], min_size=len(keys), max_size=len(keys))),
            dtype=DTYPES.get(token, token),
        ).array
        for name, token in columns.items()
    }
    frame = pd.DataFrame(series, index=index)
    frame.index = frame.index.set_levels(frame.index.levels[0].as_unit("ns"), level=0)
    return frame, columns


@settings(
    deadline=None,
    max_examples=25,
    phases=[Phase.explicit, Phase.generate],  # an example takes too long to be made smaller
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(frames(), st.integers(0, 6), st.integers(0, 6))
def test_every_dtype_with_and_without_nulls(transactional_db, made, first, last):
    # given a frame of every dtype, as it comes
    frame, tokens = made
    if not Asset.objects.exists():
        make_assets(*NAMES)
    node = Given(f"every {next(_number)}")
    node.declared = [ColumnMetaData(column_name=name, dtype=token) for name, token in tokens.items()]
    node.returns(frame).run()
    # when it is read in every way, then all give the same, and that is what was written
    found = every_way(node)
    expected = frame.sort_index()
    assert found.index.tolist() == expected.index.tolist()
    for name, token in tokens.items():
        left, right = found[name], expected[name]
        assert left.isna().tolist() == right.isna().tolist()
        if token in ("float64", "float32"):
            assert left.dropna().to_numpy().tobytes() == right.dropna().to_numpy().tobytes()
        else:
            assert left.dropna().tolist() == right.dropna().tolist()
    # and of a part of it, too
    bounds = {"start_date": START + first * DAY, "end_date": START + last * DAY + DAY / 2}
    part = every_way(node, **bounds)
    inside = [bounds["start_date"] <= time <= bounds["end_date"] for time in expected.index.get_level_values(0)]
    assert part.index.tolist() == expected.index[inside].tolist()


@pytest.fixture
def books():
    make_assets("A", "B")
    names = ["time_index", "book", "asset_identifier"]
    rows = [
        (day, book, name, float(day)) for day in range(40) for book in "xy" for name in "AB" if day % 7 or book > "x"
    ]
    node = ByBook().returns(bars(rows, index=names))
    node.run()
    return node


SELECTIONS = [
    {},
    {"unique_identifier_list": ["B", "unknown"]},
    {"unique_identifier_list": []},
    {"start_date": START + 7 * DAY, "end_date": START + 8 * DAY},
    {"start_date": START + 9 * DAY, "great_or_equal": False, "end_date": START + 12 * DAY, "less_or_equal": False},
    {"unique_identifier_range_map": {"A": {"start_date": START + 38 * DAY}, "B": {"end_date": START}}},
    {"unique_identifier_range_map": {("y", "A"): {"start_date": START}, "B": {"start_date": START + 39 * DAY}}},
    {"columns": []},
]


def test_every_selection_by_every_statement(books, monkeypatch):
    everything = every_way(books)
    for options in SELECTIONS:
        # given every way, and rows found by a scan or by a probe for each identity
        monkeypatch.setattr(selection, "SCANNED_ROW", -1)
        scanned = every_way(books, **options)
        monkeypatch.setattr(selection, "SCANNED_ROW", 10**9)
        identical(scanned, every_way(books, **options))
        # then they are those that pandas finds in the whole
        wanted = everything[[is_wanted(options, *key) for key in everything.index]]
        assert scanned.index.tolist() == wanted.index.tolist(), options
        assert options == {"columns": []} or scanned["close"].tolist() == wanted["close"].tolist()


def is_wanted(options, time, book, name):
    """Whether a row is wanted, told row by row."""
    window = {}
    if "unique_identifier_range_map" in options:
        windows = options["unique_identifier_range_map"]
        window = windows.get((book, name), windows.get(name))
    if window is None or name not in options.get("unique_identifier_list", "AB"):
        return False
    start, end = options.get("start_date"), options.get("end_date")
    after = start is None or time > start or (time == start and options.get("great_or_equal", True))
    before = end is None or time < end or (time == end and options.get("less_or_equal", True))
    return after and before and window.get("start_date", time) <= time <= window.get("end_date", time)


def test_time_alone():
    node = ByTime().returns(bars([(day, float(day)) for day in (3, 1, 2)], index=["time_index"]))
    node.run()
    assert every_way(node)["close"].tolist() == [1.0, 2.0, 3.0]
    assert every_way(node, start_date=START + 2 * DAY)["close"].tolist() == [2.0, 3.0]


# --- which way is taken ----------------------------------------------------------------------------------------------
@pytest.fixture
def node():
    make_assets("A", "B")
    node = Given().returns(bars([(day, name, float(day)) for day in range(5) for name in "AB"]))
    node.run()
    return node


@pytest.fixture
def by_arrow(monkeypatch):
    """How many reads went by Arrow, with success or not; all are large enough."""
    taken = []

    def counted(*args, **options):
        taken.append(read_arrow.read_by_arrow(*args, **options))
        return taken[-1]

    monkeypatch.setattr(reads, "read_by_arrow", counted)
    monkeypatch.setattr(reads, "ROWS_BY_COPY", 9)
    return taken


def test_a_large_read_goes_by_arrow_and_a_small_one_does_not(node, by_arrow):
    assert len(node.get_df_between_dates()) == 10
    assert by_arrow == [True]
    assert len(node.get_df_between_dates(start_date=START + 3 * DAY)) == 4
    assert by_arrow == [True]


def test_what_a_transaction_has_written_is_read_in_it(node, by_arrow):
    # given rows that no other connection sees yet
    with transaction.atomic():
        node.returns(bars([(day, name, float(day)) for day in range(5, 9) for name in "AB"])).run()
        # when, then
        assert len(node.get_df_between_dates()) == 18
    assert by_arrow == []
    assert len(node.get_df_between_dates()) == 18
    assert by_arrow == [True]


def test_without_autocommit_a_read_stays_on_its_connection(node, by_arrow):
    connection.set_autocommit(False)
    try:
        assert len(node.get_df_between_dates()) == 10
        connection.rollback()
    finally:
        connection.set_autocommit(True)
    assert by_arrow == []


def sessions():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return cursor.fetchone()[0]


def test_a_server_that_takes_no_more_connections_is_read_by_the_one_there_is(node, by_arrow, caplog):
    # given a database whose connections are all taken
    with connection.cursor() as cursor:
        name = connection.settings_dict["NAME"]
        cursor.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 1')
        try:
            # when
            with caplog.at_level(logging.WARNING, "msm.nodes.reads"):
                frame = node.get_df_between_dates()
        finally:
            cursor.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
    # then
    assert len(frame) == 10
    assert by_arrow == [False]
    assert "a large read goes by COPY, because its own connection failed" in caplog.text


def test_a_read_leaves_no_connection_behind(node, by_arrow):
    before = sessions()
    for _ in range(3):
        node.get_df_between_dates()
    assert by_arrow == [True] * 3
    assert sessions() == before


def test_arrow_reads_the_schema_that_the_connection_sees(node, by_arrow):
    # given another schema with a table of the same name, to which the connection is turned
    name = node.get_storage().table_name
    options = connection.settings_dict["OPTIONS"]
    before = dict(options)
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE SCHEMA theirs; CREATE TABLE theirs."{name}" AS TABLE public."{name}"')
        cursor.execute(f'UPDATE theirs."{name}" SET close = close + 100')
    try:
        connection.close()
        options["options"] = "-c search_path=theirs,public"
        # when
        frame = node.get_df_between_dates()
    finally:
        connection.close()
        options.clear()
        options.update(before)
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA theirs CASCADE")
    # then
    assert by_arrow == [True]
    assert frame["close"].unique().tolist() == [100.0, 101.0, 102.0, 103.0, 104.0]


@pytest.mark.parametrize("rows", [NEVER, -1])
def test_neither_way_takes_another_query_for_more_rows(node, django_assert_num_queries, rows, monkeypatch):
    monkeypatch.setattr(reads, "ROWS_BY_COPY", rows)
    storage = node.get_storage()
    with django_assert_num_queries(3 if rows == NEVER else 2):  # blocks, statistics; the rows, on whatever connection
        assert len(reads.read_frame(storage)) == 10
