"""A node may ask for a second index by time: made with the table or later, used by reads, and never twice."""

import pytest
from django.db import connection

from markets.data_nodes import selection
from markets.data_nodes.selection import Selection
from markets.data_nodes.storage import TableContract
from tests.markets.data_nodes.nodes import DAY, START, Given, bars, make_assets, table_of

pytestmark = pytest.mark.django_db


class ByTimeToo(Given):
    index_by_time = True


def indexes(node):
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s ORDER BY indexdef", [table_of(node)])
        return [definition.partition("USING ")[2] for (definition,) in cursor.fetchall()]


KEY, TIME = "btree (asset_identifier, time_index)", "btree (time_index, asset_identifier)"


@pytest.mark.parametrize("kind", [Given, ByTimeToo])
def test_it_is_made_with_the_table_where_it_is_asked_for(kind):
    make_assets("A")
    node = kind().returns(bars([(0, "A", 1.0)]))
    node.run()
    assert indexes(node) == ([TIME, KEY] if kind is ByTimeToo else [KEY])


def test_it_is_made_by_the_next_run_of_a_table_that_has_none(monkeypatch):
    # given a table without it
    make_assets("A")
    node = Given().returns(bars([(0, "A", 1.0)]))
    node.run()
    # when the class asks for it, and runs twice
    monkeypatch.setattr(Given, "index_by_time", True)
    for day in (1, 2):
        node.returns(bars([(day, "A", 1.0)])).run()
    # then it is there once
    assert indexes(node) == [TIME, KEY]
    # and it stays where the class asks no longer: dropping it is an operator's decision
    monkeypatch.setattr(Given, "index_by_time", False)
    node.returns(bars([(3, "A", 1.0)])).run()
    assert indexes(node) == [TIME, KEY]


@pytest.mark.parametrize("kind", [Given, ByTimeToo])
def test_a_cross_section_looks_identities_up_only_where_there_is_no_such_index(kind, monkeypatch):
    # given two assets with a year of days each
    make_assets("A", "B")
    node = kind().returns(bars([(day, name, float(day)) for day in range(365) for name in "AB"]))
    node.run()
    storage = node.get_storage()
    day = [(">=", START + 9 * DAY), ("<=", START + 9 * DAY)]
    # when, then
    expected = Selection(TableContract.of(storage), storage.pk, {}, day).expected()
    assert (expected.identities, expected.rows, expected.by_probes) == (2, 2, kind is Given)
    assert node.get_df_between_dates(START + 9 * DAY, START + 9 * DAY)["close"].tolist() == [9.0, 9.0]
    # and a year is not looked up row by row
    assert not Selection(TableContract.of(storage), storage.pk, {}, []).expected().by_probes


def test_how_many_rows_are_expected(monkeypatch):
    make_assets("A", "B")
    node = Given().returns(bars([(day, name, 0.0) for day in range(101) for name in "AB"]))
    node.run()
    storage = node.get_storage()

    def rows(filters, *bounds):
        return Selection(TableContract.of(storage), storage.pk, filters, bounds).expected().rows

    assert rows({}) == 2 * 101 + 2
    assert rows({"asset_identifier": ["B", "unknown"]}) == 101 + 1
    assert rows({}, (">=", START + 50 * DAY)) == pytest.approx(2 * 50.5 + 2)
    assert rows({}, (">=", START + 50 * DAY), ("<=", START + 40 * DAY)) == 2  # never fewer than none
    assert rows({}, (">", START + 100 * DAY)) == 0
    assert (
        selection.Expected(0, 0, by_probes=False)
        == Selection(TableContract.of(storage), storage.pk, {"asset_identifier": []}, []).expected()
    )
