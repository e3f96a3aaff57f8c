"""Published tables: read by identifier without their code, as a dependency, and in SQL as a view."""

import pytest
from django.db import connection

from markets.data_nodes.access import APIDataNode
from markets.data_nodes.configuration import build_node, encode_node
from markets.data_nodes.metadata import TableMetaData
from markets.exceptions import InvalidInput, NotFound
from markets.models import NodeUpdate, StorageNode
from tests.markets.data_nodes.nodes import DAY, START, Given, bars, exists, make_assets, stored

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def assets():
    make_assets("A", "B")


def published(identifier="daily_bars", name="given"):
    node = Given(name).returns(bars([(0, "A", 1.0), (1, "A", 2.0), (0, "B", 3.0)]))
    node.table = TableMetaData(identifier=identifier, description="Closes.")
    node.run()
    return node


def view(name):
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT * FROM "{name}" ORDER BY asset_identifier, time_index')
        return [column.name for column in cursor.description], cursor.fetchall()


class Reader(Given):
    """Counts the rows that it can read."""

    def __init__(self, source, **options):
        self.source = source
        super().__init__("reader", [source], **options)

    def update(self):
        self.seen = len(self.source.get_df_between_dates())
        return bars([(self.seen, "A", float(self.seen))])


# --- by identifier ---------------------------------------------------------------------------------------------------
def test_a_published_table_is_read_without_its_code():
    # given
    node = published()
    # when
    table = APIDataNode.build_from_identifier("daily_bars")
    # then
    assert table.is_api
    assert table.get_df_between_dates().equals(node.get_df_between_dates())
    assert table.get_df_between_dates(unique_identifier_list=["B"])["close"].tolist() == [3.0]
    assert table.get_last_observation()["close"].tolist() == [3.0, 2.0]
    assert table.get_update_statistics().index_progress == {"A": START + DAY, "B": START}
    same = APIDataNode.build_from_table_uid(StorageNode.objects.get(identifier="daily_bars").uid)
    assert same.update_hash == table.update_hash == f"API_dn_{node.storage_hash}"


def test_a_table_that_publishes_nothing_is_read_by_its_uid_and_by_its_name():
    # given
    node = Given().returns(bars([(0, "A", 1.0)]))
    node.run()
    storage = node.get_storage()
    # when
    by_uid = APIDataNode.build_from_table_uid(str(storage.uid))
    by_name = APIDataNode.build_from_table("public", f"dn_{node.storage_hash}")
    # then
    for table in (by_uid, by_name, build_node(encode_node(by_name))):
        assert table.get_df_between_dates()["close"].tolist() == [1.0]
        assert table.update_hash == f"API_dn_{node.storage_hash}"
    with pytest.raises(InvalidInput, match="cannot be run here"):
        by_name.run()


def test_a_table_that_there_is_not():
    published()
    for schema, name in (("public", "dn_nothing"), ("public", "markets_asset"), ("public", "a\x00b")):
        with pytest.raises(NotFound, match="No DataNode has a table"):
            APIDataNode.build_from_table(schema, name)
    with pytest.raises(NotFound, match="reads the schema 'public', not 'other'"):
        APIDataNode.build_from_table("other", "dn_nothing")
    with pytest.raises(NotFound, match="No table has the uid"):
        APIDataNode.build_from_table_uid("0190d7e2-3f4a-7cde-8a11-0123456789ab")
    with pytest.raises(InvalidInput, match="is no uid"):
        APIDataNode.build_from_table_uid("x")
    for arguments in ({}, {"identifier": "a", "table_name": "b"}):
        with pytest.raises(InvalidInput, match="one of the two"):
            APIDataNode(**arguments)


def test_statistics_of_what_is_read_are_those_of_its_last_run():
    # given a node that asks how far its sources have come, one of which it reads by identifier
    node = published()
    table = APIDataNode.build_from_identifier("daily_bars")
    asked = []

    class Asks(Given):
        def update(self):
            asked.append([source.update_statistics.index_progress.get("A") for source in self.reads])
            return bars([(len(asked), "A", 1.0)])

    head = Asks("asks", [node, table])
    # when
    head.run()
    node.returns(bars([(5, "A", 9.0)]))
    head.run()
    # then
    assert asked == [[START + DAY] * 2, [START + 5 * DAY] * 2]


def test_windows_begin_where_they_say_whatever_the_operand():
    node = published()
    window = {"A": {"start_date": START, "start_date_operand": ">"}}
    assert node.get_ranged_data_per_asset(window)["close"].tolist() == [2.0]
    assert node.get_ranged_data_per_asset_great_or_equal(window)["close"].tolist() == [1.0, 2.0]
    assert window["A"]["start_date_operand"] == ">"


def test_identifiers_name_assets_wherever_the_asset_stands():
    # given a table by asset, then tenor
    class ByTenor(Given):
        index_names = ("time_index", "asset_identifier", "tenor")

    index = ("time_index", "asset_identifier", "tenor")
    node = ByTenor().returns(bars([(0, "A", "1m", 1.0), (1, "A", "1y", 2.0), (0, "B", "1m", 3.0)], index=index))
    node.run()
    # then
    assert node.get_df_between_dates(unique_identifier_list=["A"])["close"].tolist() == [1.0, 2.0]
    assert node.get_df_between_dates(unique_identifier_list=["1m"]).empty
    assert node.get_ranged_data_per_asset({"A": {"start_date": START + DAY}, "B": {}})["close"].tolist() == [3.0, 2.0]
    assert node.get_ranged_data_per_asset({("A", "1m"): {}})["close"].tolist() == [1.0]
    assert node.get_last_observation(["A"])["close"].tolist() == [1.0, 2.0]
    assert node.get_update_statistics().get_asset_update_range_map_great_or_equal() == {
        "A": {"start_date_operand": ">=", "start_date": START},
        "B": {"start_date_operand": ">=", "start_date": START},
    }


def test_an_unknown_identifier_tells_near_ones():
    # given
    published()
    # when
    with pytest.raises(NotFound, match=r"No table is published as 'daily_bar'. Did you mean daily_bars\?"):
        APIDataNode.build_from_identifier("daily_bar")
    # then also names that no database could hold
    with pytest.raises(NotFound, match="No table is published as"):
        APIDataNode.build_from_identifier("daily\x00bars")


def test_it_cannot_be_run():
    # given
    published()
    # when
    with pytest.raises(InvalidInput, match=r"manage\.py run_node daily_bars"):
        APIDataNode.build_from_identifier("daily_bars").run()


def test_as_a_dependency_it_is_read_and_never_run_and_its_writers_are_the_edges():
    # given
    node = published()
    calls = len(node.calls)
    reader = Reader(APIDataNode.build_from_identifier("daily_bars"))
    # when
    reader.run()
    # then
    assert reader.seen == 3
    assert len(node.calls) == calls
    edges = NodeUpdate.objects.get(update_hash=reader.update_hash).dependencies
    assert list(edges.values_list("update_hash", flat=True)) == [node.update_hash]
    # and a second run finds the edges as they are
    reader.run()
    assert edges.count() == 1


def test_a_node_that_reads_by_identifier_is_stored_and_built_again():
    # given
    published()
    # when
    table = APIDataNode.build_from_identifier("daily_bars")
    built = build_node(encode_node(table))
    # then
    assert isinstance(built, APIDataNode)
    assert built.update_hash == table.update_hash


# --- in SQL ----------------------------------------------------------------------------------------------------------
def test_a_published_table_is_a_view_of_its_name():
    # given
    node = published()
    # then
    columns, rows = view("daily_bars")
    assert columns == ["time_index", "asset_identifier", "close"]
    assert rows == stored(node)
    # and it follows the table
    node.returns(bars([(2, "A", 9.0)])).run()
    assert len(view("daily_bars")[1]) == 4


def test_a_renamed_table_leaves_no_view_behind():
    # given
    node = published()
    # when
    node.table = TableMetaData(identifier="closes")
    node.returns(bars([(2, "A", 9.0)])).run()
    # then
    assert len(view("closes")[1]) == 4
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('daily_bars')")
        assert cursor.fetchone() == (None,)


@pytest.mark.parametrize("identifier", ["markets_asset", "pg_class", "x" * 64])
def test_a_name_that_is_taken_or_too_long_gets_no_view_and_the_run_succeeds(identifier):
    # given
    before = connection.introspection.table_names()
    # when
    node = published(identifier)
    # then
    assert exists(node)
    assert set(connection.introspection.table_names(include_views=True)) >= set(before)
    assert NodeUpdate.objects.get(update_hash=node.update_hash).runs.latest("id").log.count("has no view") == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relkind = 'v' AND relname = %s", [identifier[:63]])
        assert cursor.fetchone() == (0,)


def test_a_view_that_people_built_on_survives_the_new_name():
    # given
    node = published()
    with connection.cursor() as cursor:
        cursor.execute('CREATE VIEW mine AS SELECT close FROM "daily_bars"')
    # when
    node.table = TableMetaData(identifier="closes")
    node.returns(bars([(2, "A", 9.0)])).run()
    # then
    assert len(view("closes")[1]) == 4
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM mine")
        assert cursor.fetchone() == (4,)
