"""The rows of a DataNode's page: the right ones, found along the key whatever the size of the table."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest
from django.db import connection
from psycopg import sql

from markets.data_nodes.node import DataNode
from markets.models import NodeUpdate
from markets.services import node_data
from markets.services.node_data import NodeRows
from tests import factories

FIRST = pd.Timestamp("2026-01-01T21:00:00Z")
pytestmark = pytest.mark.django_db


class Ragged(DataNode):
    """Assets that begin and end at different times; whoever comes first in the key has the oldest rows."""

    def update(self) -> pd.DataFrame:
        parts = [
            pd.MultiIndex.from_product(
                [pd.date_range(FIRST + pd.Timedelta(days=start), periods=days, freq="D"), [name]],
                names=list(self.index_names),
            )
            for name, start, days in (("A", 0, 5), ("B", 3, 40), ("C", 40, 2), ("D", 10, 30))
        ]
        index = parts[0].append(parts[1:])
        values = np.arange(len(index), dtype=float)
        values[7] = np.nan
        return pd.DataFrame({"value": values, "number": np.arange(len(index)), "note": "x"}, index=index)


class Whole(DataNode):
    index_names = ("time_index",)

    def update(self) -> pd.DataFrame:
        times = pd.date_range(FIRST, periods=30, freq="D", name="time_index")
        return pd.DataFrame({"value": np.arange(30.0)}, index=times)


class Stamped(DataNode):
    """The time stands before the asset in the key, behind a dimension that one node fixes."""

    index_names = ("time_index", "signal_uid", "asset_identifier")
    key_columns = ("signal_uid", "time_index", "asset_identifier")
    _ARGS_IGNORE_IN_STORAGE_HASH = ("signal",)

    def __init__(self, signal: str) -> None:
        self.signal = signal
        super().__init__()

    def statistics_scope(self) -> dict[str, str]:
        return {"signal_uid": self.signal}

    def update(self) -> pd.DataFrame:
        index = pd.MultiIndex.from_product(
            [pd.date_range(FIRST, periods=10, freq="D"), [self.signal], ["A", "B"]], names=list(self.index_names)
        )
        return pd.DataFrame({"weight": np.arange(20.0)}, index=index)


@pytest.fixture
def ragged() -> tuple[NodeRows, pd.DataFrame]:
    for name in "ABCD":
        factories.asset(unique_identifier=name)
    node = Ragged()
    frame = node.run()
    return NodeRows(node.get_storage(), {}), frame


def shown(head: node_data.Head) -> list[tuple[str, str]]:
    return [(row[0].strftime("%m-%d"), row[1]) for row in head.rows]


@pytest.mark.parametrize("order", ["latest", "first"])
@pytest.mark.parametrize("number", [1, 3, 12, 200])
def test_the_rows_at_an_end_are_those_of_the_whole_table(order, number, ragged: tuple[NodeRows, pd.DataFrame]) -> None:
    of, frame = ragged
    flat = frame.reset_index().sort_values(["time_index", "asset_identifier"], ascending=[order == "first", True])
    expected = [
        (time.strftime("%m-%d"), name) for time, name in zip(flat.time_index, flat.asset_identifier, strict=True)
    ]

    assert shown(node_data.head(of, order=order, number=number)) == expected[:number]


def test_the_rows_of_one_identity(ragged: tuple[NodeRows, pd.DataFrame]) -> None:
    of, _ = ragged
    head = node_data.head(of, order="latest", identity=of.find("A"), number=2)
    assert shown(head) == [("01-05", "A"), ("01-04", "A")]
    assert head.names == ["time_index", "asset_identifier", "value", "number", "note"]
    assert head.rows[0][2:] == (4.0, 4, "x")
    assert of.find("a") is None
    assert of.find("A\x00") == of.find("A")


def test_no_table_is_sorted_or_read_whole(ragged: tuple[NodeRows, pd.DataFrame]) -> None:
    of, _ = ragged
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # so small a table would be read whole
        for identity in (None, of.find("B")):
            prefixes = node_data._prefixes(of, "latest", identity, 12)
            query = node_data.head_query(of, prefixes, order="latest", identity=identity, number=12)
            cursor.execute(sql.SQL("EXPLAIN (FORMAT json) ") + query)
            found = cursor.fetchone()[0]
            plan = json.dumps(found if isinstance(found, list) else json.loads(found))
            assert '"Node Type": "Seq Scan"' not in plan
            assert "Index Scan" in plan
            inner = plan[plan.index("Index Scan") :]
            assert '"Scan Direction": "Backward"' in inner
            assert '"Node Type": "Sort"' not in inner


def test_a_table_by_time_alone() -> None:
    node = Whole()
    node.run()
    of = NodeRows(node.get_storage(), {})
    head = node_data.head(of, order="latest", number=2)
    assert [row[1] for row in head.rows] == [29.0, 28.0]
    newest = of.newest()
    assert newest is not None
    assert of.name_of(newest) == ""
    assert node_data.series(of, newest, "value").tolist() == list(np.arange(30.0))


def test_a_node_shows_its_own_part_of_a_table_that_others_write_too() -> None:
    for name in "AB":
        factories.asset(unique_identifier=name)
    for signal in ("one", "two"):
        Stamped(signal).run()
    storage = Stamped("one").get_storage()
    of = NodeRows(storage, {"signal_uid": "one"})

    assert of.dimensions == ["asset_identifier"]
    head = node_data.head(of, order="latest", number=4)
    assert [(row[0].day, *row[1:]) for row in head.rows] == [
        (10, "one", "A", 18.0),
        (10, "one", "B", 19.0),
        (9, "one", "A", 16.0),
        (9, "one", "B", 17.0),
    ]
    one = of.find("B")
    assert [row[2:] for row in node_data.head(of, order="first", identity=one, number=2).rows] == [
        ("B", 1.0),
        ("B", 3.0),
    ]
    all_of_it = NodeRows(storage, {})
    assert all_of_it.find("B") is None
    named = all_of_it.find("two / B")
    assert named is not None
    assert all_of_it.name_of(named) == "two / B"
    assert {row[1] for row in node_data.head(all_of_it, order="first", number=4).rows} == {"one", "two"}


def test_the_series_keeps_gaps_and_reads_no_more_than_can_be_drawn(ragged, monkeypatch) -> None:
    of, _ = ragged
    identity = of.find("B")
    values = node_data.series(of, identity, "value")
    assert len(values) == 40
    assert np.flatnonzero(values.isna()).tolist() == [2]
    assert values.index[0] == FIRST + dt.timedelta(days=3)
    assert node_data.series(of, identity, "number").dtype == np.float64

    monkeypatch.setattr(node_data, "MOST_DRAWN", 10)
    assert node_data.series(of, identity, "value").tolist() == values.tolist()[-10:]


def test_what_can_be_drawn_and_what_is_found(ragged: tuple[NodeRows, pd.DataFrame]) -> None:
    of, _ = ragged
    assert of.numbers == ["value", "number"]
    assert [of.name_of(row) for row in of.matching("", start=1, number=2)] == ["B", "C"]
    assert [of.name_of(row) for row in of.matching("C", start=0, number=5)] == ["C"]
    assert of.matching("100%_\x00", start=0, number=5) == []
    assert of.name_of(of.newest()) == "B"  # of those that end together, the first by name
    assert node_data.null_shares(of.storage) == {}


def test_a_node_that_never_ran_has_no_rows() -> None:
    of = NodeRows(factories.node_update().storage, {})
    assert NodeUpdate.objects.count() == 1
    assert node_data.head(of, order="latest").rows == []
    assert of.newest() is None
