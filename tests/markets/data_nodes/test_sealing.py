"""Sealed history: what a block holds, who removes it, and that no read ever sees less or other than the rows."""

import datetime as dt
import itertools
import threading

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from markets.data_nodes import sealed_reads, sealing
from markets.data_nodes.progress import lock_progress
from markets.models import Asset, SealedBlock, SealedColumn
from markets.services import sealing as service
from markets.services.merging import merge_assets, undo_merge
from tests.markets.data_nodes.nodes import DAY, START, Given, bars, make_assets, recount, statistics

pytestmark = pytest.mark.usefixtures("transactional_db", "small")
NAMES = "ABC"
DAYS = 120  # from 2 January 2026: to 1 May


@pytest.fixture
def small(monkeypatch):
    """Tables of any size are sealed, in months; a block is used for whatever lies in it."""
    monkeypatch.setattr(sealing, "FEWEST_ROWS", 1)
    monkeypatch.setattr(sealing, "CELLS_IN_BLOCK", 200)
    monkeypatch.setattr(sealed_reads, "SHARE_WORTH_A_SCAN", 0)


class Overwriting(Given):
    write_mode = "overwrite"


@pytest.fixture
def node():
    make_assets(*NAMES, "D")
    node = Overwriting().returns(bars([(day, name, day + 0.5) for day in range(DAYS) for name in NAMES]))
    node.run()
    return node


@pytest.fixture
def sealed(node):
    sealing.seal_history(node.get_storage())
    return node


def spans():
    return [
        (f"{begin:%m-%d}", f"{end:%m-%d}")
        for begin, end in SealedBlock.objects.values_list("covers_from", "covers_until")
    ]


def rows(node, **options):
    """The rows as they are read from the table: within a transaction no block is of use."""
    with transaction.atomic():
        return node.get_df_between_dates(**options)


def agree(node):
    """Whatever is sealed: a read gives the rows."""
    left, right = node.get_df_between_dates(), rows(node)
    assert left.equals(right)
    assert left.index.equals(right.index)
    assert statistics(node) == recount(node)


def is_from_blocks(node, **options):
    """Whether a read needs no row of the table: it gives the same when they are gone behind MSM's back."""
    before = rows(node, **options)
    with connection.cursor() as cursor:
        name = node.get_storage().table_name
        cursor.execute(f'CREATE TABLE kept AS TABLE "{name}"; DELETE FROM "{name}"')
        try:
            return node.get_df_between_dates(**options).equals(before)
        finally:
            cursor.execute(f'INSERT INTO "{name}" TABLE kept; DROP TABLE kept')


# --- what is sealed --------------------------------------------------------------------------------------------------
def test_whole_months_and_the_days_after_them_are_sealed(node):
    # when
    done = sealing.seal_history(node.get_storage())
    # then the last block ends with the last day that has a row
    assert spans() == [
        ("01-01", "02-01"),
        ("02-01", "03-01"),
        ("03-01", "04-01"),
        ("04-01", "05-01"),
        ("05-01", "05-02"),
    ]
    assert (done.blocks, done.rows) == (5, DAYS * len(NAMES))
    assert done.until == dt.datetime(2026, 5, 2, tzinfo=dt.UTC)
    # and again there is nothing to do
    assert sealing.seal_history(node.get_storage()).blocks == 0


def test_the_blocks_alone_give_everything_and_every_part(sealed):
    assert is_from_blocks(sealed)
    assert is_from_blocks(sealed, start_date=START + 10 * DAY, end_date=START + 10 * DAY)
    assert is_from_blocks(sealed, start_date=START + 20 * DAY, end_date=START + 70 * DAY, columns=[])
    assert is_from_blocks(sealed, unique_identifier_list=["B", "nobody"])
    assert not is_from_blocks(sealed, unique_identifier_range_map={"A": {"start_date": START}})


@pytest.mark.parametrize("at", [sealed_reads.EARLIEST, sealed_reads.LATEST])
@pytest.mark.parametrize("is_included", [True, False])
def test_the_ends_of_all_time_are_bounds_like_others(sealed, at, is_included):
    after = sealed.get_df_between_dates(start_date=at, great_or_equal=is_included)
    before = sealed.get_df_between_dates(end_date=at, less_or_equal=is_included)
    assert sorted([len(after), len(before)]) == [0, DAYS * len(NAMES)]


def test_when_a_month_is_over_its_blocks_become_one(sealed):
    # given days of May, sealed by and by
    sealed.returns(bars([(DAYS, name, 1.0) for name in NAMES])).run()
    assert sealing.seal_history(sealed.get_storage()).rows == 2 * len(NAMES)
    assert spans()[-1] == ("05-01", "05-03")
    # when it is June
    sealed.returns(bars([(day, name, 1.0) for day in range(DAYS + 1, 155) for name in NAMES])).run()
    sealing.seal_history(sealed.get_storage())
    # then
    assert spans()[-2:] == [("05-01", "06-01"), ("06-01", "06-06")]
    agree(sealed)


def test_today_is_never_sealed(node, monkeypatch):
    monkeypatch.setattr(sealing.timezone, "now", lambda: START + 10 * DAY)  # nine in the evening
    done = sealing.seal_history(node.get_storage())
    assert done.until == (START + 10 * DAY).replace(hour=0)
    assert done.rows == 10 * len(NAMES)
    agree(node)


@pytest.mark.parametrize(
    ("first", "last", "in_block", "expected"),
    [
        # 12 rows a year: years, then what is over of this one
        (
            "2023-06-05",
            "2026-05-04",
            36,
            "2023-01-01 2024-01-01 2025-01-01 2026-01-01 2026-04-01 2026-05-01 2026-05-05",
        ),
        ("2026-01-05", "2026-01-20", 18, "2026-01-05 2026-01-12 2026-01-19 2026-01-21"),
        ("2026-01-05", "2026-01-06", 1, "2026-01-05 2026-01-06 2026-01-07"),
    ],
)
def test_how_history_is_cut(monkeypatch, first, last, in_block, expected):
    monkeypatch.setattr(sealing, "CELLS_IN_BLOCK", in_block)
    begin, end = (dt.datetime.fromisoformat(f"{day}T21:00:00Z") for day in (first, last))
    cut = list(sealing._spans(begin, end, 36))
    assert [f"{since:%Y-%m-%d}" for since, _ in cut] + [f"{cut[-1][1]:%Y-%m-%d}"] == expected.split()
    assert all(left[1] == right[0] for left, right in itertools.pairwise(cut))


def test_months_that_have_far_more_rows_than_others_are_cut(node, monkeypatch):
    # given 93 rows in January and February each, of a table whose average allows three a block
    monkeypatch.setattr(sealing, "CELLS_IN_BLOCK", 12)
    old = Overwriting("old").returns(bars([(START - 9_000 * DAY, "A", 1.0)]))
    old.run()
    old.returns(bars([(day, name, 1.0) for day in range(60) for name in NAMES])).run()
    # when
    sealing.seal_history(old.get_storage())
    # then no block has more than sixteen, but every row lies in one
    counts = list(SealedBlock.objects.filter(storage=old.get_storage()).values_list("row_count", flat=True))
    assert max(counts) <= sealing.DENSEST * 12 // 3
    assert sum(counts) == 60 * len(NAMES) + 1
    assert is_from_blocks(old)
    agree(old)
    # and another night finds nothing to do
    assert sealing.seal_history(old.get_storage()).blocks == 0


def test_a_block_with_very_many_times_is_used_where_most_of_it_is_wanted(sealed, monkeypatch):
    monkeypatch.setattr(sealed_reads, "FEW_MOMENTS", 5)
    assert is_from_blocks(sealed)
    assert is_from_blocks(sealed, start_date=START + 10 * DAY, end_date=START + 25 * DAY)
    assert not is_from_blocks(sealed, start_date=START + 10 * DAY, end_date=START + 12 * DAY)
    agree(sealed)


def test_small_tables_and_tables_without_rows_are_left(node, monkeypatch):
    monkeypatch.setattr(sealing, "FEWEST_ROWS", DAYS * len(NAMES) + 1)
    assert sealing.seal_history(node.get_storage()) == sealing.Sealed(0, 0, None)
    empty = Given("empty").returns(bars([]).astype({"close": float}))
    empty.run()
    monkeypatch.setattr(sealing, "FEWEST_ROWS", 0)
    assert sealing.seal_history(empty.get_storage()) == sealing.Sealed(0, 0, None)


# --- who opens it ----------------------------------------------------------------------------------------------------
def test_a_late_row_opens_its_block_alone(sealed):
    sealed.returns(bars([(45, "D", 9.0)])).run()  # 16 February
    assert [begin for begin, _ in spans()] == ["01-01", "03-01", "04-01", "05-01"]
    agree(sealed)
    assert len(sealed.get_df_between_dates(unique_identifier_list=["D"])) == 1


def test_a_corrected_row_opens_its_block_and_the_same_row_does_not(sealed):
    sealed.returns(bars([(45, "A", 45.5)])).run()
    assert len(spans()) == 5
    sealed.returns(bars([(45, "A", 46.0)])).run()
    assert len(spans()) == 4
    agree(sealed)


def test_a_new_day_opens_nothing(sealed):
    sealed.returns(bars([(DAYS, name, 1.0) for name in NAMES])).run()
    assert len(spans()) == 5
    agree(sealed)


def test_what_is_rolled_back_leaves_the_block(sealed):
    with transaction.atomic():
        sealed.returns(bars([(45, "A", 46.0)])).run()
        assert len(spans()) == 4
        transaction.set_rollback(True)
    assert len(spans()) == 5
    agree(sealed)


def test_a_deleted_tail_opens_what_lies_after_it(sealed):
    sealed.delete_after_date(START + 70 * DAY)
    assert [begin for begin, _ in spans()] == ["01-01", "02-01"]
    agree(sealed)


def test_a_backfill_opens_what_it_writes(sealed):
    sealed.returns(bars([(day, name, 7.0) for day in range(40, 44) for name in NAMES]))
    sealed.backfill(START + 40 * DAY, START + 43 * DAY)
    assert [begin for begin, _ in spans()] == ["01-01", "03-01", "04-01", "05-01"]
    agree(sealed)


def test_a_merge_and_its_undoing_open_what_they_move(sealed):
    kept, dropped = Asset.objects.get(unique_identifier="D"), Asset.objects.get(unique_identifier="B")
    merge = merge_assets(dropped, kept, rows="fill", reason="the same paper")
    assert spans() == []
    agree(sealed)
    sealing.seal_history(sealed.get_storage())
    assert is_from_blocks(sealed)
    undo_merge(merge, reason="it was not")
    assert spans() == []
    agree(sealed)


# --- side by side ----------------------------------------------------------------------------------------------------
def elsewhere(action):
    """Run in a thread with a connection of its own; returns it, started."""

    def run():
        try:
            action()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_table_that_is_written_now_is_sealed_another_time(node):
    storage = node.get_storage()
    with transaction.atomic():
        # given a writer who has not committed
        node.returns(bars([(45, "D", 9.0)])).run()
        # when sealing comes
        other = elsewhere(lambda: sealing.seal_history(storage))
        other.join(30)
        # then it waits for nobody
        assert not other.is_alive()
        assert spans() == []
    # and afterwards the row is in its block
    sealing.seal_history(storage)
    assert is_from_blocks(node, unique_identifier_list=["D"])
    agree(node)


def test_who_writes_while_history_is_sealed_waits_and_opens_it(node):
    storage, other = node.get_storage(), Overwriting().returns(bars([(45, "A", 46.0)]))
    with transaction.atomic():
        # given sealing that has not committed
        lock_progress(storage, alone=True)
        writing = elsewhere(other.run)
        sealing.seal_history(storage)
        writing.join(0.5)
        assert writing.is_alive()
    writing.join(30)
    assert len(spans()) == 4
    agree(node)


def test_two_who_seal_make_each_block_once(node):
    storage = node.get_storage()
    others = [elsewhere(lambda: sealing.seal_history(storage)) for _ in range(3)]
    for other in others:
        other.join(30)
    sealing.seal_history(storage)  # what each left to the others
    assert len(spans()) == 5
    agree(node)


def test_a_block_that_is_gone_when_its_columns_are_asked_for(sealed, monkeypatch):
    # given a block that is opened between two statements of a reader
    asked = sealed_reads._columns

    def late(*args):
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM markets_sealedcolumn; DELETE FROM markets_sealedblock")
        return asked(*args)

    monkeypatch.setattr(sealed_reads, "_columns", late)
    # when, then
    assert len(sealed.get_df_between_dates(START, START + 5 * DAY)) == 6 * len(NAMES)


def test_sealing_that_is_cut_off_leaves_whole_blocks_only(node, monkeypatch):
    made = []

    def fails(block, packed):
        if len(made) == 2:
            raise OSError("no space left on device")
        made.append(block)
        return insert(block, packed)

    insert = sealing._insert_columns
    monkeypatch.setattr(sealing, "_insert_columns", fails)
    with pytest.raises(OSError, match="no space"):
        sealing.seal_history(node.get_storage())
    assert len(spans()) == 2
    agree(node)
    monkeypatch.setattr(sealing, "_insert_columns", insert)
    sealing.seal_history(node.get_storage())
    assert len(spans()) == 5
    assert SealedColumn.objects.count() == 10  # the identifier and the close of each
    agree(node)


def test_blocks_of_another_contract_are_not_read(sealed):
    SealedColumn.objects.filter(name="close").update(token="float32")
    agree(sealed)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_written_sealed_and_deleted_in_turn(node, seed):
    chance = np.random.default_rng(seed)
    for _ in range(12):
        begin, length = int(chance.integers(0, 150)), int(chance.integers(1, 40))
        match chance.integers(0, 4):
            case 0:
                names = [name for name in "ABCD" if chance.random() < 0.7] or ["A"]
                values = [(day, name, float(chance.normal())) for day in range(begin, begin + length) for name in names]
                node.returns(bars(values)).run()
            case 1:
                node.delete_after_date(START + (begin + 60) * DAY)
            case _:
                sealing.seal_history(node.get_storage())
        agree(node)
        part = {"start_date": START + begin * DAY, "end_date": START + (begin + length) * DAY}
        some = {"unique_identifier_list": ["A", "D"], **part}
        assert node.get_df_between_dates(**part).equals(rows(node, **part))
        assert node.get_df_between_dates(**some).equals(rows(node, **some))


# --- by hand ---------------------------------------------------------------------------------------------------------
def test_the_command_seals_proves_and_opens(node, capsys):
    name = node.get_storage().table_name
    call_command("seal_history")
    assert (
        f"{node.get_storage()}: sealed up to 2026-05-02 00:00 UTC; 5 new blocks with 360 rows"
        in capsys.readouterr().out
    )
    call_command("seal_history", name, "--verify")
    assert "every block holds what the table holds" in capsys.readouterr().out
    # given a row that somebody changed past MSM
    with connection.cursor() as cursor:
        cursor.execute(f'UPDATE "{name}" SET close = -1 WHERE asset_identifier = %s AND time_index = %s', ["A", START])
    # when, then it is found, and read as it is
    with pytest.raises(SystemExit, match="1"):
        call_command("seal_history", "--verify")
    assert "2026-01-01 to 2026-02-01 differed from the table and is removed" in capsys.readouterr().out
    agree(node)
    call_command("seal_history", name, "--open")
    assert "4 blocks removed" in capsys.readouterr().out
    assert spans() == []
    with pytest.raises(CommandError, match="No table of a DataNode is called nothing"):
        call_command("seal_history", "nothing")


def test_a_table_that_somebody_dropped_does_not_keep_others_from_it(node, caplog):
    other = Overwriting("other").returns(bars([(day, "A", 1.0) for day in range(40)]))
    other.run()
    with connection.cursor() as cursor:
        cursor.execute(f'DROP TABLE "{node.get_storage().table_name}"')
    assert service.seal_all() == 2
    assert "cannot be sealed now" in caplog.text


def test_a_table_that_cannot_be_sealed_does_not_keep_others_from_it(node, monkeypatch, caplog):
    other = Overwriting("other").returns(bars([(day, "A", 1.0) for day in range(40)]))
    other.run()

    def fails(storage):
        if storage == node.get_storage():
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 / 0")
        return seal(storage)

    seal = sealing.seal_history
    monkeypatch.setattr(sealing, "seal_history", fails)
    assert service.seal_all() == 2
    assert "cannot be sealed now" in caplog.text
    agree(other)
