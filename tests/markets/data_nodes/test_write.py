"""What a run writes: every dtype, append mode, what is refused; and that a failed run leaves nothing but its record."""

import datetime as dt
import logging

import numpy as np
import pandas as pd
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.node import NodeOutput
from markets.exceptions import (
    ColumnContractError,
    Conflict,
    DuplicateKeys,
    FrameError,
    InvalidInput,
    UnknownIdentifiers,
)
from markets.models import NodeRun, RunStatus, StorageNode, UpdateStatistic
from tests.markets.data_nodes.nodes import (
    DAY,
    START,
    ByBook,
    ByTime,
    Given,
    bars,
    exists,
    make_assets,
    numbers,
    recount,
    same,
    statistics,
    stored,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def assets():
    make_assets("A", "B", "C")


def values(frame, name):
    return frame[name].tolist()


# --- rows ------------------------------------------------------------------------------------------------------------
def test_the_first_run_makes_the_table_with_its_key_and_collation():
    # given
    node = Given().returns(bars([(1, "B", 3.0), (0, "B", 2.0), (0, "A", 1.0)]))
    # when
    frame = node.run()
    # then the frame comes back as it was given
    assert values(frame, "close") == [3.0, 2.0, 1.0]
    assert stored(node) == [(START, "A", 1.0), (START, "B", 2.0), (START + DAY, "B", 3.0)]
    assert statistics(node) == recount(node) == [(["A"], START, START, 1), (["B"], START, START + DAY, 2)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'",
            [f"dn_{node.storage_hash}"],
        )
        assert cursor.fetchall() == [("PRIMARY KEY (asset_identifier, time_index)",)]
        cursor.execute(
            "SELECT collation_name FROM information_schema.columns WHERE table_name = %s AND column_name = %s",
            [f"dn_{node.storage_hash}", "asset_identifier"],
        )
        assert cursor.fetchall() == [("C",)]


def test_append_mode_keeps_only_what_is_later_than_the_last_row_of_its_asset():
    # given A up to day 1, B up to day 0
    node = Given().returns(bars([(0, "A", 1.0), (1, "A", 2.0), (0, "B", 1.0)]))
    node.run()
    # when the whole history comes again, corrected, with new rows and a new asset
    node.returns(bars([(2, "A", 3.0), (1, "A", 99.0), (0, "A", 99.0), (0, "B", 99.0), (1, "B", 2.0), (0, "C", 1.0)]))
    frame = node.run()
    # then only what is new was written and returned
    assert values(frame, "close") == [3.0, 2.0, 1.0]
    assert stored(node) == [
        (START, "A", 1.0),
        (START + DAY, "A", 2.0),
        (START + 2 * DAY, "A", 3.0),
        (START, "B", 1.0),
        (START + DAY, "B", 2.0),
        (START, "C", 1.0),
    ]
    assert statistics(node) == recount(node)
    run = node.last_run.run
    assert (run.status, run.rows_returned, run.rows_written, run.last_time_index) == (
        RunStatus.SUCCEEDED,
        6,
        3,
        START + 2 * DAY,
    )


def test_a_second_run_on_the_same_frame_writes_nothing():
    node = Given().returns(bars([(0, "A", 1.0), (1, "B", 2.0)]))
    node.run()
    before = statistics(node)
    frame = node.run()
    assert len(frame) == 0
    assert node.last_run.status == RunStatus.UP_TO_DATE
    assert node.last_run.rows_written == 0
    assert len(stored(node)) == 2
    assert statistics(node) == before


def test_an_empty_frame_is_nothing_new_whatever_its_columns():
    node = Given().returns(pd.DataFrame())
    assert len(node.run()) == 0
    assert node.last_run.status == RunStatus.UP_TO_DATE
    assert not exists(node)
    assert node.get_df_between_dates().empty
    # and then the table is made by the first frame with rows
    node.returns(bars([(0, "A", 1.0)])).run()
    assert stored(node) == [(START, "A", 1.0)]
    node.returns(pd.DataFrame({"another": []})).run()
    assert stored(node) == [(START, "A", 1.0)]


def test_a_row_at_exactly_offset_start_is_kept():
    node = Given()
    node.scope = ["A"]
    node.returns(bars([(node.OFFSET_START, "A", 1.0)])).run()
    assert stored(node) == [(node.OFFSET_START, "A", 1.0)]


def test_time_alone():
    node = ByTime().returns(bars([(1, 2.0), (0, 1.0)], index=["time_index"]))
    node.run()
    node.returns(bars([(1, 9.0), (2, 3.0)], index=["time_index"])).run()
    assert stored(node) == [(START, 1.0), (START + DAY, 2.0), (START + 2 * DAY, 3.0)]
    assert statistics(node) == recount(node) == [([], START, START + 2 * DAY, 3)]


def test_three_levels_advance_identity_by_identity():
    index = ["time_index", "book", "asset_identifier"]
    node = ByBook().returns(bars([(0, "x", "A", 1.0), (0, "y", "A", 2.0), (1, "x", "A", 3.0)], index=index))
    node.run()
    node.returns(bars([(1, "x", "A", 9.0), (1, "y", "A", 4.0), (0, "y", "B", 5.0)], index=index)).run()
    assert stored(node) == [
        (START, "x", "A", 1.0),
        (START + DAY, "x", "A", 3.0),
        (START, "y", "A", 2.0),
        (START + DAY, "y", "A", 4.0),
        (START, "y", "B", 5.0),
    ]
    assert statistics(node) == recount(node)


def test_more_rows_than_a_chunk():
    # given 70,000 rows by time, for 3 assets, with gaps
    count = 70_000
    times = pd.DatetimeIndex(np.repeat(pd.date_range(START, periods=count // 2, freq="min"), 2))
    index = pd.MultiIndex.from_arrays([times, ["A", "B"] * (count // 2)], names=["time_index", "asset_identifier"])
    close = np.where(np.arange(count) % 7 == 0, np.nan, numbers(count))
    node = Given().returns(pd.DataFrame({"close": close}, index=index))
    # when
    node.run()
    # then
    assert statistics(node) == recount(node)
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT count(*), count(close), sum(close), max(close) FROM "dn_{node.storage_hash}"')
        assert cursor.fetchone() == (count, 60_000, float(np.nansum(close)), 69_999.0)
    same(node.get_df_between_dates(), pd.DataFrame({"close": close}, index=index))


# --- dtypes ----------------------------------------------------------------------------------------------------------
EVERYTHING = {
    "f8": np.array([1.5, np.nan, -0.0]),
    "f4": np.array([1.5, np.nan, 3e38], dtype=np.float32),
    "i8": np.array([2**63 - 1, -(2**63), 0]),
    "i8n": pd.array([2**63 - 1, None, 0], dtype="Int64"),
    "i4": np.array([2**31 - 1, -(2**31), 0], dtype=np.int32),
    "i4n": pd.array([None, 1, 2], dtype="Int32"),
    "i2": np.array([2**15 - 1, -(2**15), 0], dtype=np.int16),
    "i2n": pd.array([1, 2, None], dtype="Int16"),
    "b": np.array([True, False, True]),
    "bn": pd.array([True, None, False], dtype="boolean"),
    "t": pd.DatetimeIndex(["1700-01-01T00:00:00.000001Z", "2026-01-02T00:00Z", "2260-12-30T00:00Z"]).as_unit("ns"),
    "tn": pd.DatetimeIndex(["2026-01-02T21:00Z", None, "1970-01-01T00:00Z"]).as_unit("ns"),
    "d": np.array([dt.date(1, 1, 1), dt.date(2026, 1, 2), dt.date(9999, 12, 31)], dtype=object),
    "dn": np.array([dt.date(2000, 1, 1), None, dt.date(1999, 12, 31)], dtype=object),
}
TEXTS = {"s": ["", "é€😀", "x" * 100_000], "sn": ["a", None, " "]}
INDEX = pd.MultiIndex.from_arrays([pd.DatetimeIndex([START] * 3), ["A", "B", "C"]], names=Given.index_names)


@pytest.mark.parametrize("columns", [EVERYTHING, EVERYTHING | TEXTS], ids=["fixed", "with text"])
def test_every_dtype_comes_back_as_it_was(columns):
    frame = pd.DataFrame(columns, index=INDEX)
    node = Given().returns(frame)
    node.run()
    same(node.get_df_between_dates(), frame)
    storage = StorageNode.objects.get(storage_hash=node.storage_hash)
    tokens = {column["column_name"]: column["dtype"] for column in storage.columns}
    assert tokens == {
        "f8": "float64",
        "f4": "float32",
        "i8": "int64",
        "i8n": "int64",
        "i4": "int32",
        "i4n": "int32",
        "i2": "int16",
        "i2n": "int16",
        "b": "bool",
        "bn": "bool",
        "t": "timestamp with time zone",
        "tn": "timestamp with time zone",
        "d": "date",
        "dn": "date",
    } | dict.fromkeys(set(columns) & {"s", "sn"}, "string")


@pytest.mark.parametrize("name", [*EVERYTHING, *TEXTS])
@pytest.mark.parametrize("alone", [True, False])
def test_a_column_of_nulls_in_a_table_of_any_dtype(name, alone):
    # given a table with a column of this dtype, read by COPY or, beside text, by the driver
    columns = {name: (EVERYTHING | TEXTS)[name]} | ({} if alone else {"text": ["a", "b", "c"]})
    node = Given().returns(pd.DataFrame(columns, index=INDEX))
    node.run()
    # when a frame brings nothing but nulls
    later = INDEX.set_levels(INDEX.levels[0] + DAY, level=0)
    node.returns(pd.DataFrame(dict.fromkeys(columns, np.nan), index=later)).run()
    # then nulls are stored
    assert [row[2] for row in stored(node) if row[0] > START] == [None] * 3
    found = node.get_df_between_dates(start_date=START + DAY)
    assert found[name].isna().all()


def test_nan_is_stored_as_null_so_that_sql_can_compute():
    node = Given().returns(bars([(0, "A", np.nan), (1, "A", 2.0)]))
    node.run()
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT max(close), avg(close), count(close) FROM "dn_{node.storage_hash}"')
        assert cursor.fetchone() == (2.0, 2.0, 1)


def test_integers_widen_to_the_floats_of_the_table():
    node = Given().returns(bars([(0, "A", 1.5)]))
    node.run()
    node.returns(bars([(1, "A", 2)])).run()
    assert stored(node) == [(START, "A", 1.5), (START + DAY, "A", 2.0)]
    assert "warning close: whole numbers where" in NodeRun.objects.latest("id").log
    # and floats never narrow to the integers of a table
    whole = Given("whole").returns(bars([(0, "A", 1)]))
    whole.run()
    for value in (2.0, 2.5):
        with pytest.raises(FrameError, match="Column 'close' is float64"):
            whole.returns(bars([(1, "A", value)])).run()
    assert stored(whole) == [(START, "A", 1)]


def test_whole_floats_with_gaps_are_refused_and_leave_the_table_as_it_was():
    # given a table of whole numbers
    node = Given("counts").returns(bars([(0, "A", 1)]))
    node.run()
    gaps = bars([(1, "A", 2), (2, "A", None), (3, "A", 4)])
    assert str(gaps["close"].dtype) == "float64"  # which is pandas' doing
    # when
    with pytest.raises(FrameError, match=r"a float is never stored as an integer.*frame\['close'\]\.astype\('Int64'\)"):
        node.returns(gaps).run()
    # then
    assert stored(node) == [(START, "A", 1)]
    assert NodeRun.objects.latest("id").error_type == "FrameError"
    # when it is converted as told
    node.returns(gaps.astype("Int64")).run()
    # then
    assert [row[2] for row in stored(node)] == [1, 2, None, 4]
    assert str(node.get_df_between_dates()["close"].dtype) == "Int64"


def test_a_declared_dtype_is_the_contract_from_the_first_frame_on():
    node = Given().returns(bars([(0, "A", 1, None)], columns=["size", "note"]))
    node.declared = [
        ColumnMetaData(column_name="size", dtype="float64", label="Size", description="In lots."),
        ColumnMetaData(column_name="note", dtype="string"),
    ]
    node.run()
    storage = StorageNode.objects.get(storage_hash=node.storage_hash)
    assert storage.columns == [
        {"column_name": "size", "dtype": "float64", "label": "Size", "description": "In lots."},
        {"column_name": "note", "dtype": "string", "label": "", "description": ""},
    ]


# --- what is refused, and leaves nothing -----------------------------------------------------------------------------
def nothing_was_written(node, error_type, message):
    run = NodeRun.objects.get(node_update__update_hash=node.update_hash)
    assert (run.status, run.error_type, run.error_message) == (RunStatus.FAILED, error_type, message)
    assert run.finished_at is not None
    assert (run.rows_written, run.last_time_index) == (0, None)
    assert not exists(node)
    assert UpdateStatistic.objects.count() == 0
    assert StorageNode.objects.get(storage_hash=node.storage_hash).columns == []
    assert node.last_run.status == RunStatus.FAILED
    assert node.last_run.run == run


NEW_YORK = pd.DatetimeIndex([START]).tz_convert("America/New_York")


def at(times):
    return pd.DataFrame({"close": 1.0}, index=pd.MultiIndex.from_arrays([times, ["A"]], names=Given.index_names))


@pytest.mark.parametrize(
    ("frame", "kind", "message"),
    [
        (None, FrameError, "update() returned None. Return a DataFrame; an empty one means that there is nothing new."),
        (
            at(NEW_YORK.tz_localize(None)),
            FrameError,
            "time_index has no time zone. MSM stores instants in UTC: use tz_localize('UTC') where the times are UTC, "
            "or tz_localize(<zone>).tz_convert('UTC') where they are local.",
        ),
        (at(NEW_YORK), FrameError, "time_index is in America/New_York, not in UTC. Use tz_convert('UTC')."),
        (
            at(pd.DatetimeIndex([pd.NaT], tz="UTC")),
            FrameError,
            "time_index is missing in 1 of 1 rows. Drop or stamp them.",
        ),
        (
            bars([(0, "A", np.inf)]),
            FrameError,
            "Column 'close' holds an infinite value (row 0, index (Timestamp('2026-01-02 21:00:00+0000', tz='UTC'), "
            "'A')). Replace it by NaN or mend its source.",
        ),
        (
            bars([(0, "A", "a\x00b")]),
            FrameError,
            "Column 'close' holds text with a NUL character ('a\\x00b'), which PostgreSQL cannot store.",
        ),
        (
            bars([(0, "A", 1.0), (0, "B", 2.0), (0, "A", 3.0)]),
            DuplicateKeys,
            "The frame holds 1 key more than once, the first (2026-01-02T21:00:00+00:00, A), counted in microseconds. "
            "Keep one row a key.",
        ),
        (
            bars([(0, "Z", 1.0), (0, "A", 1.0), (0, "É", 1.0), (1, "Z", 1.0)]),
            UnknownIdentifiers,
            "2 identifiers (Z, É) are not registered as assets. Register them first.",
        ),
    ],
)
def test_a_frame_that_is_refused_leaves_nothing_but_the_record(frame, kind, message):
    node = Given().returns(frame)
    with pytest.raises(kind) as caught:
        node.run()
    assert str(caught.value) == message
    nothing_was_written(node, kind.__name__, message)
    assert node.calls[-1] == "run_post_update_routines(True)"


@pytest.mark.parametrize("step", ["get_asset_list", "update", "get_column_metadata", "get_table_metadata", "after"])
def test_a_failure_in_any_step_leaves_nothing_but_the_record(step):
    node = Given().returns(bars([(0, "A", 1.0)]))

    def fail(*_):
        raise RuntimeError(f"{step} is broken")

    setattr(node, "make" if step == "update" else step, fail)
    with pytest.raises(RuntimeError, match=f"^{step} is broken$"):
        node.run()
    nothing_was_written(node, "RuntimeError", f"{step} is broken")
    run = NodeRun.objects.get()
    assert "Traceback (most recent call last)" in run.log  # a fault of the node's code is shown with its place
    assert StorageNode.objects.get().identifier is None


def test_the_first_error_is_raised_even_when_the_last_hook_fails_too():
    node = Given().returns(None)

    def fail(_):
        raise RuntimeError("the hook is broken")

    node.after = fail
    with pytest.raises(FrameError, match="returned None"):
        node.run()
    assert NodeRun.objects.get().error_type == "FrameError"


def test_a_query_that_fails_in_update_does_not_take_the_record_with_it():
    # regression: within a transaction of the caller's the record could not be written and hid the error
    node = Given()

    def fail(_):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    node.make = fail
    with pytest.raises(Exception, match="division by zero"):
        node.run()
    nothing_was_written(node, "DataError", "division by zero")
    # and the lock is free again
    node.returns(bars([(0, "A", 1.0)])).run()
    assert stored(node) == [(START, "A", 1.0)]


def test_an_error_message_that_postgresql_cannot_store_is_stored_all_the_same():
    # regression: a lone surrogate, as in a file name, made the record fail and hid the error
    node = Given()

    def fail(_):
        raise RuntimeError("bad\x00 name \udcff")

    node.make = fail
    with pytest.raises(RuntimeError):
        node.run()
    assert NodeRun.objects.get().error_message == "bad name ?"


def test_a_log_line_that_cannot_be_formatted_is_no_reason_to_fail(monkeypatch):
    # regression: it raised into the node
    monkeypatch.setattr(logging.getLogger("msm.nodes"), "propagate", False)  # pytest's own handler is strict
    node = Given()

    def make(node):
        node.logger.info("%d rows", "many")
        node.logger.info("%d rows", 3)
        return bars([(0, "A", 1.0)])

    node.make = make
    node.run()
    assert [line.split(" ", 1)[1] for line in NodeRun.objects.get().log.splitlines()] == [
        "info 3 rows",
        "info 1 rows written, 1 returned",
    ]


def test_a_changed_column_set_is_refused_whole():
    node = Given().returns(bars([(0, "A", 1.0)]))
    node.run()
    before = statistics(node)
    node.returns(bars([(1, "A", 1.0, 2.0)], columns=["close", "volume"]))
    with pytest.raises(ColumnContractError) as caught:
        node.run()
    assert (caught.value.missing, caught.value.extra) == ([], ["volume"])
    assert stored(node) == [(START, "A", 1.0)]
    assert statistics(node) == before
    assert NodeRun.objects.first().error_type == "ColumnContractError"


def test_a_key_that_the_table_already_holds_is_named_and_nothing_is_written():
    # given a table with rows that its statistics do not know (written past the engine)
    node = Given().returns(bars([(0, "A", 1.0)]))
    node.run()
    with connection.cursor() as cursor:
        cursor.execute(f'INSERT INTO "dn_{node.storage_hash}" VALUES (%s, %s, %s)', ["B", START + DAY, 5.0])
    before = statistics(node)
    # when
    node.returns(bars([(1, "A", 2.0), (0, "B", 1.0), (1, "B", 2.0)]))
    with pytest.raises(DuplicateKeys) as caught:
        node.run()
    # then
    assert str(caught.value) == (
        f"dn_{node.storage_hash} already holds a key of the frame: (asset_identifier, time_index)=(B, 2026-01-03 "
        "21:00:00+00) already exists. Nothing was written."
    )
    assert stored(node) == [(START, "A", 1.0), (START + DAY, "B", 5.0)]
    assert statistics(node) == before


def test_companions_are_written_with_the_node_or_not_at_all():
    companion = Given("companion")
    node = Given("head").returns(NodeOutput(bars([(0, "A", 1.0)]), [(companion, bars([(0, "B", 2.0)]))]))
    node.run()
    assert (stored(node), stored(companion)) == ([(START, "A", 1.0)], [(START, "B", 2.0)])
    assert node.last_run.rows_written == 2
    node.returns(NodeOutput(bars([(1, "A", 1.0)]), [(companion, bars([(1, "Z", 2.0)]))]))
    with pytest.raises(UnknownIdentifiers):
        node.run()
    assert (stored(node), stored(companion)) == ([(START, "A", 1.0)], [(START, "B", 2.0)])


# --- metadata --------------------------------------------------------------------------------------------------------
def test_metadata_is_renewed_in_place():
    node = Given().returns(bars([(0, "A", 1.0)]))
    node.table = TableMetaData(identifier="bars", description="first", data_frequency_id="1d")
    node.declared = [ColumnMetaData(column_name="close", dtype="float64", label="Close")]
    node.run()
    node.table = TableMetaData(identifier="daily-bars", description="second", data_frequency_id="1d")
    node.declared = [ColumnMetaData(column_name="close", dtype="float64", label="Last", description="Last price.")]
    node.run()
    storage = StorageNode.objects.get()
    assert (storage.identifier, storage.description, storage.data_frequency_id) == ("daily-bars", "second", "1d")
    assert storage.columns == [
        {"column_name": "close", "dtype": "float64", "label": "Last", "description": "Last price."}
    ]


def test_an_identifier_that_names_another_table_is_refused_with_its_owner():
    owner, other = Given("owner"), Given("other")
    owner.table = other.table = TableMetaData(identifier="bars")
    owner.run()
    with pytest.raises(Conflict) as caught:
        other.run()
    assert str(caught.value) == (
        f"The identifier 'bars' already names the table {owner.storage_hash} of tests.markets.data_nodes.nodes.Given. "
        "Give this node another identifier."
    )
    assert not exists(other)


def test_an_experiment_is_published_in_its_namespace():
    # regression: an experiment with a published node took or was refused the name of the real table
    real, experiment = Given(), Given(hash_namespace="test")
    real.table = experiment.table = TableMetaData(identifier="bars")
    real.run()
    experiment.run()
    assert sorted(StorageNode.objects.values_list("identifier", flat=True)) == ["bars", "test.bars"]
    assert real.storage_hash != experiment.storage_hash


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def test_metadata_that_cannot_be_stored_is_refused_where_it_is_made(text):
    # regression: a NUL character in a label or description was an error of the database
    for make in (
        lambda: ColumnMetaData(column_name="close", dtype="float64", label=text),
        lambda: ColumnMetaData(column_name="close", dtype="float64", description=text),
        lambda: TableMetaData(identifier="bars", description=text),
        lambda: TableMetaData(identifier="bars", data_frequency_id=text),
    ):
        with pytest.raises(ValueError, match=r"cannot be stored|valid string"):
            make()


def test_metadata_of_a_column_that_is_not_there():
    node = Given().returns(bars([(0, "A", 1.0)]))
    node.declared = [ColumnMetaData(column_name="open", dtype="float64")]
    with pytest.raises(InvalidInput, match=r"^get_column_metadata\(\) describes open, which the frame does not have"):
        node.run()
    assert not exists(node)


# --- queries ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("names", "updated", "inserted", "total"),
    [("A", 1, 0, 21), ("BC", 0, 1, 22), ("ABC", 1, 1, 23), ("ABCDEFGH", 1, 1, 23)],
)
def test_a_run_takes_one_copy_and_one_statement_each_for_known_and_new_statistics(names, updated, inserted, total):
    # given a table that knows A
    make_assets(*"DEFGH")
    node = Given().returns(bars([(0, "A", 1.0)]))
    node.run()
    # when
    node.returns(bars([(day, name, 1.0) for name in names for day in range(1, 50)]))
    with CaptureQueriesContext(connection) as captured:
        node.run()
    # then
    statements = [str(query["sql"]) for query in captured.captured_queries]
    assert sum("COPY" in sql for sql in statements) == 1
    assert sum('UPDATE "markets_updatestatistic"' in sql for sql in statements) == updated
    assert sum('INSERT INTO "markets_updatestatistic"' in sql for sql in statements) == inserted
    assert len(statements) == total, "\n".join(statements)
    assert statistics(node) == recount(node)
