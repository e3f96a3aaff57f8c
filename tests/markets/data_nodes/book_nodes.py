"""Tables by book and asset for the tests of coordinates: the books x and y, with A and B in each."""

from markets.data_nodes.metadata import TableMetaData
from tests.markets.data_nodes.nodes import ByBook, bars

LONG = ("time_index", "book", "asset_identifier")
ROWS = [
    (0, "x", "A", 1.0),
    (1, "x", "A", 2.0),
    (2, "x", "A", 3.0),
    (0, "x", "B", 4.0),
    (1, "x", "B", 5.0),
    (0, "y", "A", 6.0),
    (2, "y", "A", 7.0),
    (1, "y", "B", 8.0),
]
XA, XB, YA, YB = ({"book": book, "asset_identifier": asset} for book in "xy" for asset in "AB")


def full_books() -> ByBook:
    node = ByBook().returns(bars(ROWS, index=LONG))
    node.table = TableMetaData(identifier="books")
    node.run()
    return node


class OneBook(ByBook):
    """Has one book of a table that several nodes write."""

    _ARGS_IGNORE_IN_STORAGE_HASH = ("book",)

    def __init__(self, book: str) -> None:
        self.book = book
        super().__init__("shelf")
        self.returns(bars([row for row in ROWS if row[1] == book], index=LONG))

    def statistics_scope(self) -> dict[str, str]:
        return {"book": self.book}


def full_shelf() -> tuple[OneBook, OneBook]:
    nodes = OneBook("x"), OneBook("y")
    for node in nodes:
        node.run()
    assert nodes[0].storage_hash == nodes[1].storage_hash
    return nodes
