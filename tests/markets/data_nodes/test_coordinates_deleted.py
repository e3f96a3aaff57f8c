"""Deleting the tails of identities by their coordinates: exactly those rows, and nothing when it is refused."""

import datetime as dt

import pytest

from markets.data_nodes.output import NodeOutput
from markets.exceptions import InvalidInput
from markets.models import NodeUpdate
from tests.markets.data_nodes.book_nodes import LONG, ROWS, XA, YA, YB, full_books, full_shelf
from tests.markets.data_nodes.nodes import DAY, START, ByBook, Given, bars, make_assets, recount, statistics, stored

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def assets():
    make_assets("A", "B")


@pytest.fixture
def books():
    return full_books()


def left(node):
    return sorted(row[-1] for row in stored(node))


@pytest.mark.parametrize(
    ("asked", "gone"),
    [
        ({"index_coordinates": [XA]}, {("x", "A"): [2.0, 3.0]}),
        ({"index_coordinates": [XA, YB, XA]}, {("x", "A"): [2.0, 3.0], ("y", "B"): [8.0]}),
        ({"index_coordinates": [{"unique_identifier": "B", "book": "x"}]}, {("x", "B"): [5.0]}),
        ({"index_coordinates": [XA, YB], "dimension_filters": {"book": ["y"]}}, {("y", "B"): [8.0]}),
        ({"index_coordinates": [{"book": "z", "asset_identifier": "A"}]}, {}),
        ({"index_coordinates": [{"book": "x\x00", "asset_identifier": "A"}]}, {}),
        ({"index_coordinates": []}, {}),
        ({"dimension_filters": {"book": []}}, {}),
    ],
)
def test_the_tail_of_exactly_these_is_deleted(books, asked, gone):
    # when
    deleted = books.delete_after_date(START + DAY, **asked)
    # then
    lost = [value for values in gone.values() for value in values]
    assert (deleted.deleted_count, deleted.table_empty) == (len(lost), False)
    assert deleted.identities == {identity: len(values) for identity, values in gone.items()}
    assert left(books) == [row[-1] for row in ROWS if row[-1] not in lost]
    assert statistics(books) == recount(books)


def test_deleted_rows_come_again_and_only_readers_of_them_are_stale(books):
    # given readers of either asset
    class Reads(Given):
        def assets_read(self):
            return [self.name]

    readers = [Reads(name, [books]).returns(bars([(3, name, 1.0)])) for name in "AB"]
    for reader in readers:
        reader.run()
    # when
    books.delete_after_date(START + 2 * DAY, index_coordinates=[YA])
    # then
    assert [NodeUpdate.objects.get(update_hash=reader.update_hash).stale_from for reader in readers] == [
        START + 2 * DAY,
        None,
    ]
    assert left(books) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]
    books.run()
    assert left(books) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert statistics(books) == recount(books)


def test_an_emptied_table_says_so():
    flat = Given().returns(bars([(0, "A", 1.0), (1, "A", 2.0), (1, "B", 3.0)]))
    flat.run()
    every = [{"asset_identifier": name} for name in "AB"]
    deleted = flat.delete_after_date(START, index_coordinates=every)
    assert (deleted.deleted_count, deleted.table_empty) == (3, True)
    assert (stored(flat), statistics(flat)) == ([], [])


def test_any_number_of_coordinates_is_taken(books):
    # regression: thousands of them exceeded the depth of PostgreSQL's stack
    strangers = [{"book": "x", "asset_identifier": f"S{number}"} for number in range(20_000)]
    assert books.delete_after_date(START, index_coordinates=[*strangers, YB]).identities == {("y", "B"): 1}
    assert left(books) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    frame = books.get_df_between_dates(index_coordinates=[*strangers, YA])
    assert frame["close"].tolist() == [6.0, 7.0]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"index_coordinates": [{"asset_identifier": "A"}]}, "does not name book"),
        ({"index_coordinates": [{**XA, "venue": "N"}]}, "has no dimension 'venue'"),
        ({"index_coordinates": XA}, "index_coordinates is a dict"),
        ({"index_coordinates": [{"book": None, "asset_identifier": "A"}]}, "has book=None"),
        ({"dimension_filters": {"book": None}}, "has no values for book"),
        ({"after_date": dt.datetime(2026, 1, 3), "index_coordinates": [XA]}, "no time zone"),  # noqa: DTZ001
    ],
)
def test_what_is_refused_deletes_nothing(books, asked, message):
    with pytest.raises(InvalidInput, match=message):
        books.delete_after_date(**{"after_date": START, **asked})
    assert left(books) == [row[-1] for row in ROWS]
    assert statistics(books) == recount(books)


def test_a_node_deletes_rows_of_its_own_part_alone():
    """Regression: a filter that named another node's book deleted this node's."""
    x, _ = full_shelf()
    for asked in ({"index_coordinates": [YA]}, {"dimension_filters": {"book": ["y"]}}):
        assert x.delete_after_date(START, **asked).deleted_count == 0
    assert left(x) == [row[-1] for row in ROWS]
    # and its own part may be left out
    assert x.delete_after_date(START, index_coordinates=[{"asset_identifier": "B"}]).identities == {("x", "B"): 2}
    assert left(x) == [1.0, 2.0, 3.0, 6.0, 7.0, 8.0]


class Details(ByBook):
    """The companion's table: by book and asset."""


class WithDetails(Given):
    """A row a book, and beside it one for each asset in the book."""

    index_names = ("time_index", "book")

    def __init__(self) -> None:
        super().__init__("sums")
        self.details = Details("details")

    def companions(self):
        return (self.details,)

    def update(self):
        sums = [(0, "x", 1.0), (1, "x", 2.0), (0, "y", 3.0)]
        return NodeOutput(bars(sums, index=("time_index", "book")), [(self.details, bars(ROWS, index=LONG))])


def test_the_companions_rows_of_the_same_coordinates_go_along():
    # given
    node = WithDetails()
    node.run()
    # when
    deleted = node.delete_after_date(START + DAY, index_coordinates=[{"book": "x"}])
    # then
    assert deleted.identities == {("x",): 1}
    assert left(node) == [1.0, 3.0]
    assert left(node.details) == [1.0, 4.0, 6.0, 7.0, 8.0]
    assert (statistics(node), statistics(node.details)) == (recount(node), recount(node.details))
    # and none for none
    assert node.delete_after_date(START, index_coordinates=[]).deleted_count == 0
    assert left(node.details) == [1.0, 4.0, 6.0, 7.0, 8.0]
