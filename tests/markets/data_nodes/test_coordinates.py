"""Reading identities by their coordinates: exactly those, each in a window of its own; and what is refused."""

import pytest

from markets.data_nodes.access import APIDataNode
from markets.exceptions import InvalidInput, NotFound, WrongType
from tests.markets.data_nodes.book_nodes import LONG, XA, XB, YA, YB, full_books, full_shelf
from tests.markets.data_nodes.nodes import DAY, START, ByBook, ByTime, Given, bars, make_assets, same

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def assets():
    make_assets("A", "B")


@pytest.fixture
def books():
    return full_books()


@pytest.fixture
def flat():
    node = Given().returns(bars([(0, "A", 1.0), (1, "A", 2.0), (1, "B", 3.0)]))
    node.run()
    return node


def closes(frame):
    return frame["close"].tolist()


# --- read ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"index_coordinates": [XA]}, [1.0, 2.0, 3.0]),
        ({"index_coordinates": [XA, YB]}, [1.0, 2.0, 8.0, 3.0]),  # not x-B, not y-A
        ({"index_coordinates": [YB, XA, YB]}, [1.0, 2.0, 8.0, 3.0]),  # one twice
        ({"index_coordinates": (item for item in [XA, YB])}, [1.0, 2.0, 8.0, 3.0]),
        ({"index_coordinates": [{"unique_identifier": "B", "book": "x"}]}, [4.0, 5.0]),
        ({"index_coordinates": [XA, {"book": "x", "asset_identifier": "nobody"}]}, [1.0, 2.0, 3.0]),
        ({"index_coordinates": [{"book": "x\x00", "asset_identifier": "\ud800"}]}, []),
        ({"index_coordinates": [XA, YB], "start_date": START + DAY}, [2.0, 8.0, 3.0]),
        ({"index_coordinates": [XA, YB], "end_date": START + DAY, "less_or_equal": False}, [1.0]),
        # whatever else is given narrows it
        ({"index_coordinates": [XA, YB], "unique_identifier_list": ["B"]}, [8.0]),
        ({"index_coordinates": [XA, YB], "dimension_filters": {"book": ["x"]}}, [1.0, 2.0, 3.0]),
        ({"index_coordinates": [XA], "dimension_filters": {"book": ["y"]}}, []),
        ({"dimension_filters": {"book": ["y"]}}, [6.0, 8.0, 7.0]),
        ({"dimension_filters": {"book": ["y", "nowhere"], "asset_identifier": ["A"]}}, [6.0, 7.0]),
        ({"dimension_filters": {"unique_identifier": ["B"]}}, [4.0, 5.0, 8.0]),
        ({"dimension_filters": {"asset_identifier": ["A", "B"]}, "unique_identifier_list": ["B"]}, [4.0, 5.0, 8.0]),
        ({"dimension_filters": {"asset_identifier": ["A"]}, "unique_identifier_list": ["B"]}, []),
        ({"dimension_filters": {}}, [1.0, 4.0, 6.0, 2.0, 5.0, 8.0, 3.0, 7.0]),
        ({"dimension_filters": {"book": ["x"]}, "unique_identifier_range_map": {"A": {"start_date": START + DAY}}},
         [2.0, 3.0]),
    ],
)  # fmt: skip
def test_rows_of_exactly_these(books, asked, expected):
    assert closes(books.get_df_between_dates(**asked)) == expected


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([{"coordinate": XA}], [1.0, 2.0, 3.0]),
        ([{"coordinate": XA, "start_date": START + DAY}, {"coordinate": YA, "end_date": START}], [6.0, 2.0, 3.0]),
        ([{"coordinate": XA, "start_date": START + DAY, "start_date_operand": ">"}], [3.0]),
        ([{"coordinate": XA, "end_date": START + DAY, "end_date_operand": "<"}], [1.0]),
        ([{"coordinate": XA, "start_date": START.isoformat(), "end_date": START + DAY}], [1.0, 2.0]),
        ([{"coordinate": {"book": "z", "asset_identifier": "A"}, "start_date": START}], []),
    ],
)
def test_each_coordinate_in_a_window_of_its_own(books, ranges, expected):
    assert closes(books.get_df_between_dates(dimension_range_map=ranges)) == expected


def test_windows_of_coordinates_are_narrowed_by_whatever_else_is_given(books):
    ranges = [{"coordinate": XA, "start_date": START + DAY}, {"coordinate": YA}]
    assert closes(books.get_df_between_dates(dimension_range_map=ranges, end_date=START + DAY)) == [6.0, 2.0]
    only_x = {"book": ["x"]}
    assert closes(books.get_df_between_dates(dimension_range_map=ranges, dimension_filters=only_x)) == [2.0, 3.0]
    assert books.get_df_between_dates(dimension_range_map=ranges, unique_identifier_list=["B"]).empty


@pytest.mark.parametrize(
    "asked",
    [{"index_coordinates": []}, {"dimension_range_map": []}, {"dimension_filters": {"book": []}}],
)
def test_an_empty_list_is_no_wish_for_everything(books, flat, asked):
    empty = books.get_df_between_dates(**asked)
    assert len(empty) == 0
    same(empty, books.get_df_between_dates(start_date=START + 99 * DAY))
    assert list(empty.index.names) == list(LONG)
    assert list(empty.columns) == ["close"]


def test_one_dimension_is_named_too(flat):
    assert closes(flat.get_df_between_dates(index_coordinates=[{"asset_identifier": "A"}])) == [1.0, 2.0]
    window = {"coordinate": {"asset_identifier": "A"}, "start_date": START + DAY}
    assert closes(flat.get_df_between_dates(dimension_range_map=[window])) == [2.0]


def test_columns_narrow_the_values_and_keep_the_index(books):
    frame = books.get_df_between_dates(index_coordinates=[YB], columns=[])
    assert (list(frame.columns), list(frame.index)) == ([], [(START + DAY, "y", "B")])


def test_a_table_without_rows_has_the_names_already():
    node = ByBook().returns(bars([], index=LONG))
    node.run()
    frame = node.get_df_between_dates(index_coordinates=[XA])
    assert (len(frame), list(frame.index.names)) == (0, list(LONG))
    with pytest.raises(NotFound, match="has no table yet"):
        ByBook("other").get_df_between_dates(index_coordinates=[XA])


def test_a_table_read_by_identifier_takes_them_as_well(books):
    table = APIDataNode.build_from_identifier("books")
    assert closes(table.get_df_between_dates(index_coordinates=[YB, XB])) == [4.0, 5.0, 8.0]


def test_it_takes_as_many_queries_whatever_their_number(books, django_assert_num_queries):
    for coordinates in ([XA], [XA, XB, YA, YB]):
        with django_assert_num_queries(3):  # the table's contract, its identities, its rows
            books.get_df_between_dates(index_coordinates=coordinates)


@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        (
            {"index_coordinates": [XA, {"book": "x", "venue": "N"}]},
            InvalidInput,
            "index_coordinates[1]: books has no dimension 'venue'; its dimensions are book, asset_identifier.",
        ),
        (
            {"index_coordinates": [{**XA, "time_index": "2026-01-02"}]},
            InvalidInput,
            "index_coordinates[0]: books has no dimension 'time_index'; its dimensions are book, asset_identifier. "
            "Times are asked for by start_date and end_date.",
        ),
        (
            {"index_coordinates": [{"asset_identifier": "A"}]},
            InvalidInput,
            "index_coordinates[0] does not name book. Name every dimension but the time (book, asset_identifier); some "
            "of them alone are asked for by dimension_filters.",
        ),
        (
            {"index_coordinates": [{}]},
            InvalidInput,
            "index_coordinates[0] does not name book and asset_identifier. Name every dimension but the time (book, "
            "asset_identifier); some of them alone are asked for by dimension_filters.",
        ),
        (
            {"index_coordinates": [{**XA, "unique_identifier": "B"}]},
            InvalidInput,
            "index_coordinates[0] names asset_identifier twice, once as unique_identifier. Keep one.",
        ),
        (
            {"index_coordinates": [{"book": "x", "asset_identifier": ["A", "B"]}]},
            WrongType,
            "index_coordinates[0] has asset_identifier=['A', 'B']; a coordinate has one text for each dimension. "
            "Several values of a dimension are asked for by dimension_filters.",
        ),
        (
            {"index_coordinates": [{"book": 1, "asset_identifier": "A"}]},
            WrongType,
            "index_coordinates[0] has book=1; a coordinate has one text for each dimension. Several values of a "
            "dimension are asked for by dimension_filters.",
        ),
        (
            {"index_coordinates": XA},
            WrongType,
            "index_coordinates is a dict. Give a list of mappings: [{'book': …, 'asset_identifier': …}].",
        ),
        (
            {"index_coordinates": [XA, ("x", "A")]},
            WrongType,
            "index_coordinates[1] is a tuple. Give a mapping: {'book': …, 'asset_identifier': …}.",
        ),
        (
            {"index_coordinates": 3},
            WrongType,
            "index_coordinates is a int. Give a list of mappings: [{'book': …, 'asset_identifier': …}].",
        ),
        (
            {"index_coordinates": [XA], "unique_identifier_range_map": {"A": {}}},
            InvalidInput,
            "Give unique_identifier_range_map or index_coordinates, not both: each names identities.",
        ),
        (
            {"index_coordinates": [], "dimension_range_map": []},
            InvalidInput,
            "Give index_coordinates or dimension_range_map, not both: each names identities.",
        ),
        (
            {"dimension_filters": {"venue": ["N"]}},
            InvalidInput,
            "dimension_filters: books has no dimension 'venue'; its dimensions are book, asset_identifier.",
        ),
        (
            {"dimension_filters": {"book": "x"}},
            InvalidInput,
            "book takes a list of identifiers, not 'x'. Write ['x'].",
        ),
        (
            {"dimension_filters": {"book": None}},
            InvalidInput,
            "dimension_filters has no values for book. List them, or leave the dimension out.",
        ),
        (
            {"dimension_filters": [("book", ["x"])]},
            WrongType,
            "dimension_filters is a list. Give a mapping: {'asset_identifier': ['A', 'B']}.",
        ),
        (
            {"dimension_range_map": [{"coordinate": {"asset_identifier": "A"}, "start_date": START}]},
            InvalidInput,
            "dimension_range_map[0] does not name book. Name every dimension but the time (book, asset_identifier); "
            "some of them alone are asked for by dimension_filters.",
        ),
        (
            {"dimension_range_map": [{"start_date": START}]},
            InvalidInput,
            "dimension_range_map[0] has no coordinate. Give one: {'coordinate': {'book': …, 'asset_identifier': …}, "
            "'start_date': …}.",
        ),
        (
            {"dimension_range_map": [{"coordinate": XA}, {"coordinate": XA, "start_date": START}]},
            InvalidInput,
            "dimension_range_map[1] names x / A once more. Give each identity one window.",
        ),
        (
            {"dimension_range_map": [{"coordinate": XA, "since": START}]},
            InvalidInput,
            "The range of ('x', 'A') has unknown keys: since.",
        ),
        (
            {"dimension_range_map": [{"coordinate": XA, "start_date": START.replace(tzinfo=None)}]},
            InvalidInput,
            "start_date of ('x', 'A')=2026-01-02T21:00:00 has no time zone. Add one: 2026-01-02T21:00:00Z, or "
            "tzinfo=datetime.UTC.",
        ),
        (
            {"dimension_range_map": {"A": {}}},
            WrongType,
            "dimension_range_map is a dict. Give a list of mappings: [{'book': …, 'asset_identifier': …}].",
        ),
    ],
)
def test_what_is_refused(books, asked, kind, message):
    with pytest.raises(kind) as caught:
        books.get_df_between_dates(**asked)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["index_coordinates", "dimension_range_map"])
def test_time_alone_has_no_coordinates(name):
    node = ByTime().returns(bars([(0, 1.0)], index=("time_index",)))
    node.run()
    with pytest.raises(InvalidInput, match=f"is indexed by time alone: it takes no {name}"):
        node.get_df_between_dates(**{name: []})


# --- a node that writes a part of a table ----------------------------------------------------------------------------
@pytest.fixture
def shelf():
    return full_shelf()


def test_what_the_node_fixes_may_be_left_out_and_nothing_else_is_read(shelf):
    x, _ = shelf
    assert closes(x.get_df_between_dates(index_coordinates=[{"asset_identifier": "B"}])) == [4.0, 5.0]
    assert closes(x.get_df_between_dates(index_coordinates=[XB, YB])) == [4.0, 5.0]
    assert closes(x.get_df_between_dates(dimension_filters={"book": ["x", "y"], "asset_identifier": ["B"]})) == [
        4.0,
        5.0,
    ]
    assert x.get_df_between_dates(dimension_filters={"book": ["y"]}).empty
    assert closes(x.get_df_between_dates(dimension_range_map=[{"coordinate": YB}, {"coordinate": XA}])) == [
        1.0,
        2.0,
        3.0,
    ]
