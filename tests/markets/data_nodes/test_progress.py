"""How statistics travel to the database, and that two writers of one table take turns instead of losing each other."""

import threading

import pytest
from django.db import connection, transaction

from markets.data_nodes.progress import array_of_numbers, array_of_texts, lock_progress, locked_progress
from markets.exceptions import MergedAsset
from markets.models import Asset
from tests.markets.data_nodes.nodes import DAY, START, Given, bars, make_assets, recount, statistics

AWKWARD = ["A", 'a"b', "back\\slash", "{1,2}", "null", "NULL", "é", "a,b", "\\", '"', "\x1f", "O'Neil", "%s"]


@pytest.mark.django_db
@pytest.mark.parametrize("values", [[], AWKWARD, ["A", "B"], ["A"], ['"'], ["\\"]])
def test_texts_arrive_as_they_are(values):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[]", [array_of_texts(values)])
        assert cursor.fetchone()[0] == values


@pytest.mark.django_db
@pytest.mark.parametrize("values", [[], [1], [-(2**63), None, 2**63 - 1]])
def test_numbers_arrive_as_they_are(values):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::bigint[]", [array_of_numbers(values)])
        assert cursor.fetchone()[0] == values


@pytest.mark.django_db
def test_identifiers_of_any_letters_keep_their_statistics():
    names = [name for name in AWKWARD if name.strip() == name and name != "\x1f"]
    make_assets(*names)
    node = Given().returns(bars([(day, name, 1.0) for day in range(3) for name in names]))
    node.run()
    node.returns(bars([(day, name, 1.0) for day in range(3, 5) for name in names])).run()
    assert statistics(node) == recount(node)
    assert len(node.get_df_between_dates(unique_identifier_list=names)) == 5 * len(names)
    assert set(node.get_update_statistics().index_progress.values()) == {START + 4 * DAY}


def test_a_writer_holds_its_progress_and_not_what_a_deletion_looks_at(transactional_db):
    # given a writer that has locked the progress of A
    make_assets("A", "B")
    node = Given().returns(bars([(0, name, 1.0) for name in "AB"]))
    node.run()
    storage = node.get_storage()
    outcome = []

    def elsewhere():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '300ms'")
                # what the foreign key of a deleted asset asks is answered at once
                cursor.execute("SELECT 1 FROM markets_updatestatistic WHERE identity = '{A}' FOR KEY SHARE")
                outcome.append(len(cursor.fetchall()))
                outcome.append(sorted(locked_progress(storage, [("B",)])))
                locked_progress(storage, [("A",)])
                outcome.append("not locked")
        except Exception as error:
            outcome.append(type(error).__name__)
        finally:
            connection.close()

    with transaction.atomic():
        found = locked_progress(storage, [("A",), ("unknown",)])
        # when another one comes
        other = threading.Thread(target=elsewhere)
        other.start()
        other.join(20)
    # then it waits for A alone
    assert list(found) == [("A",)]
    assert outcome == [1, [("B",)], "OperationalError"]
    assert Asset.objects.count() == 2


@pytest.mark.parametrize(
    ("first", "second", "waits"), [(True, True, True), (True, False, True), (False, True, True), (False, False, False)]
)
def test_who_is_alone_on_a_table_lets_nobody_beside(transactional_db, first, second, waits):
    # given a writer of the table
    make_assets("A")
    node = Given().returns(bars([(0, "A", 1.0)]))
    node.run()
    storage, outcome = node.get_storage(), []

    def elsewhere():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '300ms'")
                lock_progress(storage, alone=second)
                outcome.append("went on")
        except Exception as error:
            outcome.append(type(error).__name__)
        finally:
            connection.close()

    with transaction.atomic():
        lock_progress(storage, alone=first)
        # when another comes
        other = threading.Thread(target=elsewhere)
        other.start()
        other.join(20)
    # then only those who share stand side by side
    assert outcome == ["OperationalError" if waits else "went on"]


@pytest.mark.django_db
@pytest.mark.parametrize("day", [1, 0])
def test_rows_of_a_merged_asset_are_refused_whether_they_continue_or_not(day):
    # given rows of A, which became B since
    a, b = make_assets("A", "B")
    node = Given().returns(bars([(0, "A", 1.0)]))
    node.run()
    Asset.objects.filter(pk=a.pk).update(merged_into=b)
    before = statistics(node)
    # when more come for A
    node.returns(bars([(day, "A", 2.0)]))
    # then they are refused with the asset that A became, and nothing is written
    with pytest.raises(MergedAsset, match="B"):
        node.run()
    assert statistics(node) == before == recount(node)


@pytest.mark.django_db
def test_where_one_identity_does_not_continue_none_is_counted_twice():
    # given A up to day 3 and B up to day 1
    make_assets("A", "B")
    node = Given().returns(bars([(0, "A", 1.0), (3, "A", 1.0), (0, "B", 1.0), (1, "B", 1.0)]))
    node.run()
    # when rows of both come, those of A late
    node.returns(bars([(4, "B", 2.0), (2, "A", 2.0)])).run()
    # then only the row of B was appended, and the statistics are those of a recount
    assert len(node.get_df_between_dates()) == 5
    assert statistics(node) == recount(node)
    assert node.get_update_statistics().index_progress == {"A": START + 3 * DAY, "B": START + 4 * DAY}
