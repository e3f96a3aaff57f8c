"""Late and corrected data: which updates it makes stale, and how they are computed again."""

import pandas as pd
import pytest

from markets.exceptions import InvalidInput
from markets.models import NodeRun, NodeUpdate
from tests.markets.data_nodes.nodes import DAY, START, ByTime, Given, bars, make_assets, recount, statistics, stored

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def assets():
    make_assets("A", "B", "C")


class Source(Given):
    write_mode = "overwrite"


class Doubled(Given):
    """Twice its source's closes, of what it has not read yet."""

    def __init__(self, source, **options):
        self.source = source
        super().__init__("doubled", [source], **options)

    def update(self):
        rows = self.source.get_df_between_dates()
        last = self.update_statistics.index_progress
        times, names = (rows.index.get_level_values(level) for level in (0, 1))
        keep = [name not in last or time > last[name] for time, name in zip(times, names, strict=True)]
        return rows[keep] * 2


class Total(ByTime):
    """The sum over assets, by time."""

    def __init__(self, source, read=None, **options):
        self.source = source
        self.read = read
        super().__init__("total", [source], **options)

    def assets_read(self):
        return self.read

    def update(self):
        rows = self.source.get_df_between_dates()
        sums = rows.groupby(level=0)[["close"]].sum()
        last = self.update_statistics.max_time_index_value
        return sums if last is None else sums[sums.index > pd.Timestamp(last)]


def stale(node):
    return NodeUpdate.objects.get(update_hash=node.update_hash).stale_from


def closes(node):
    return [row[-1] for row in stored(node)]


def chain():
    source = Source("source").returns(bars([(day, name, 1.0) for day in range(4) for name in "AB"]))
    doubled = Doubled(source)
    total = Total(doubled)
    total.run()
    assert closes(total) == [4.0, 4.0, 4.0, 4.0]
    return source, doubled, total


def test_new_rows_at_the_end_make_nothing_stale():
    # given
    source, doubled, total = chain()
    # when
    source.returns(bars([(4, "A", 1.0), (4, "B", 1.0)])).run()
    # then
    assert (stale(source), stale(doubled), stale(total)) == (None, None, None)


def test_a_correction_marks_every_reader_from_the_corrected_instant_on():
    # given
    source, doubled, total = chain()
    # when
    source.returns(bars([(2, "A", 10.0), (3, "B", 1.0)])).run()
    # then
    assert (stale(source), stale(doubled), stale(total)) == (None, START + 2 * DAY, START + 2 * DAY)
    assert "has late, changed or deleted rows" in NodeUpdate.objects.get(update_hash=doubled.update_hash).stale_reason


def test_a_plain_run_of_a_stale_node_adds_what_is_new_and_says_that_it_is_stale():
    # given
    source, _doubled, total = chain()
    source.returns(bars([(2, "A", 10.0)])).run()
    # when
    total.run()
    # then
    assert closes(total) == [4.0, 4.0, 4.0, 4.0]
    assert stale(total) == START + 2 * DAY
    run = NodeRun.objects.filter(node_update__update_hash=total.update_hash).latest("id")
    assert "Rows from 2026-01-04 21:00:00 UTC on are stale" in run.log
    assert "force_update=True" in run.log


def test_force_update_computes_stale_nodes_again_from_the_change():
    # given
    source, doubled, total = chain()
    source.returns(bars([(2, "A", 10.0)])).run()
    # when
    frame = total.run(force_update=True)
    # then only the tail was computed again, and everything agrees
    assert closes(total) == [4.0, 4.0, 22.0, 4.0]
    assert list(frame.index) == [pd.Timestamp(START + 2 * DAY), pd.Timestamp(START + 3 * DAY)]
    for node in (doubled, total):
        assert statistics(node) == recount(node)
        assert stale(node) is None


def test_a_failed_recomputation_leaves_rows_statistics_and_mark_as_they_were():
    # given
    source, doubled, _total = chain()
    source.returns(bars([(2, "A", 10.0)])).run()
    before = stored(doubled), statistics(doubled)
    doubled.update = lambda: bars([(2, "nobody", 1.0)])
    # when
    with pytest.raises(Exception, match="nobody"):
        doubled.run(force_update=True)
    # then
    assert (stored(doubled), statistics(doubled)) == before
    assert stale(doubled) == START + 2 * DAY


def test_an_asset_that_comes_late_marks_those_that_had_gone_past_it():
    # given a reader by asset and a reader over all assets
    source, doubled, total = chain()
    # when C arrives with a bar at an instant that the total has already summed
    source.returns(bars([(1, "C", 5.0)])).run()
    doubled.run(update_tree=False)
    # then the reader by asset has lost nothing, the total is stale
    assert stale(doubled) is None
    assert stale(total) == START + DAY
    total.run(force_update=True)
    assert closes(total) == [4.0, 14.0, 4.0, 4.0]


def test_late_data_of_assets_that_a_node_does_not_read_leave_it_fresh():
    # given
    source = Source("source").returns(bars([(day, "A", 1.0) for day in range(3)]))
    total = Total(source, read=["A", "B"])
    total.run()
    # when
    source.returns(bars([(1, "C", 5.0)])).run()
    # then
    assert stale(total) is None
    # and what it does read makes it stale
    source.returns(bars([(1, "B", 5.0)])).run()
    assert stale(total) == START + DAY


def test_the_earlier_of_two_marks_stays_and_a_mark_made_meanwhile_is_not_cleared():
    # given
    source, doubled, _ = chain()
    source.returns(bars([(1, "A", 10.0)])).run()
    source.returns(bars([(3, "A", 10.0)])).run()
    assert stale(doubled) == START + DAY
    # when the source changes again while the reader computes
    read = doubled.update

    def update():
        rows = read()
        source.returns(bars([(0, "B", 7.0)])).run()
        return rows

    doubled.update = update
    doubled.run(update_tree=False, force_update=True)
    # then
    assert stale(doubled) == START
    doubled.update = read
    doubled.run(update_tree=False, force_update=True)
    assert stale(doubled) is None
    assert closes(doubled) == [2.0, 20.0, 2.0, 20.0, 14.0, 2.0, 2.0, 2.0]


def test_deleting_a_tail_marks_the_readers():
    # given
    source, doubled, total = chain()
    # when
    source.delete_after_date(START + 2 * DAY)
    # then
    assert (stale(doubled), stale(total)) == (START + 2 * DAY, START + 2 * DAY)
    total.run(update_tree=True, force_update=True)
    assert closes(total) == [4.0, 4.0, 4.0, 4.0]
    assert stale(total) is None


# --- several writers, several readers --------------------------------------------------------------------------------
class Shard(Given):
    """A part of a table that others fill too: which assets it has does not change what the rows mean."""

    _ARGS_IGNORE_IN_STORAGE_HASH = ("assets", "reads", "name")

    def __init__(self, name, assets, reads, **options):
        self.assets = assets
        super().__init__(name, reads, **options)

    def get_asset_list(self):
        return self.assets

    def update(self):
        (source,) = self.reads
        rows = source.get_df_between_dates(unique_identifier_list=self.assets)
        last = {name: self.update_statistics[name] for name in self.assets}
        times, names = (rows.index.get_level_values(level) for level in (0, 1))
        seen = self.update_statistics.index_min
        keep = [name not in seen or time > last[name] for time, name in zip(times, names, strict=True)]
        return rows[keep]


def test_recomputing_one_shard_leaves_the_rows_of_the_others():
    # given two updates that fill one table
    source = Source("source").returns(bars([(day, name, 1.0) for day in range(4) for name in "AB"]))
    first, second = Shard("first", ["A"], [source]), Shard("second", ["B"], [source])
    first.run()
    second.run()
    assert first.storage_hash == second.storage_hash
    # when a late row of A makes the first stale
    source.returns(bars([(1, "A", 5.0)])).run()
    assert (stale(first), stale(second)) == (START + DAY, None)
    first.run(update_tree=False, force_update=True)
    # then
    assert closes(first) == [1.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert statistics(first) == recount(first)
    assert (stale(first), stale(second)) == (None, None)


def test_marking_goes_on_through_tables_of_another_shape():
    # given prices by time, a reader by asset, and a reader of that one which names its assets
    rates = type("Rates", (ByTime,), {"write_mode": "overwrite"})("rates")
    rates.returns(bars([(day, 1.0) for day in range(3)], index=("time_index",)))

    class Spread(Given):
        def update(self):
            return bars([(day, name, 1.0) for day in range(3) for name in "AB"])

    spread = Spread("spread", [rates])
    total = Total(spread, read=["A"])
    total.run()
    # when
    rates.returns(bars([(1, 9.0)], index=("time_index",))).run()
    # then
    assert (stale(spread), stale(total)) == (START + DAY, START + DAY)


def test_a_reader_by_asset_of_a_table_by_something_else_is_marked():
    # given
    books = type("Books", (Given,), {"index_names": ("time_index", "book"), "write_mode": "overwrite"})("books")
    books.returns(bars([(day, "core", 1.0) for day in range(3)], index=("time_index", "book")))
    reader = Given("reader", [books]).returns(bars([(day, "A", 1.0) for day in range(3)]))
    reader.run()
    # when
    books.returns(bars([(1, "core", 9.0)], index=("time_index", "book"))).run()
    # then
    assert stale(reader) == START + DAY


def test_a_correction_while_a_reader_computes_marks_it():
    # given a reader that has come to day 1
    source = Source("source").returns(bars([(day, "A", 1.0) for day in range(2)]))
    doubled = Doubled(source)
    doubled.run()
    source.returns(bars([(2, "A", 1.0), (3, "A", 1.0)])).run()
    read = doubled.update

    def update():  # when day 3 is corrected after it was read
        rows = read()
        source.returns(bars([(3, "A", 99.0)])).run()
        return rows

    doubled.update = update
    doubled.run(update_tree=False)
    # then
    assert closes(doubled) == [2.0, 2.0, 2.0, 2.0]
    assert stale(doubled) == START + 3 * DAY


def test_of_two_paths_the_earlier_change_counts():
    # given D reads B and C, which read A; each keeps to an asset
    source = Source("source").returns(bars([(day, name, 1.0) for day in range(5) for name in "AB"]))
    left, right = Shard("left", ["A"], [source]), Shard("right", ["B"], [source])
    left.run()
    right.run()
    total = Total(left)
    total.run()
    # when
    source.returns(bars([(4, "A", 9.0), (1, "B", 9.0)])).run()
    # then
    assert (stale(left), stale(right)) == (START + 4 * DAY, START + DAY)
    assert stale(total) == START + DAY


def test_a_filter_given_as_text_deletes_nothing():
    # given
    node = Given().returns(bars([(0, name, 1.0) for name in "AB"]))
    node.run()
    # when
    with pytest.raises(InvalidInput, match="takes a list of identifiers"):
        node.delete_after_date(START, dimension_filters={"asset_identifier": "AB"})
    # then
    assert len(stored(node)) == 2
