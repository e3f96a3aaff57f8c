"""Identifiers changed: days, renames, ends; and two writers at once."""

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, close_old_connections, connection, transaction

from markets.exceptions import Conflict, InvalidInput, NotFound
from markets.models import Asset, AssetIdentifier
from markets.services.assets import upsert_asset
from markets.services.identifier_changes import change_identifier, delete_identifier, update_identifier
from markets.services.identifier_resolution import Outcome, resolve
from markets.services.identifiers import add_identifier, identifier_row, record_identifiers

D = dt.date


def asset(name: str) -> Asset:
    return upsert_asset(unique_identifier=name).row


def spells() -> list[tuple]:
    rows = AssetIdentifier.objects.order_by("valid_from", "value")
    return list(rows.values_list("asset__unique_identifier", "value", "valid_from", "valid_to"))


@pytest.mark.django_db
def test_other_days_are_refused_where_another_has_it_then():
    row = add_identifier(asset("A"), "ticker", "X", venue="XNYS", valid_from=D(2000, 1, 1), valid_to=D(2001, 1, 1))
    add_identifier(asset("B"), "ticker", "X", venue="XNYS", valid_from=D(2001, 1, 1))
    with pytest.raises(Conflict) as caught:
        update_identifier(row, valid_to=D(2001, 1, 2))
    assert str(caught.value) == (
        "Ticker X of A (from 2000-01-01 to before 2001-01-02) overlaps that of B (from 2001-01-01). Nothing was "
        "changed: give other days, or change that one first."
    )
    assert spells() == [("A", "X", D(2000, 1, 1), D(2001, 1, 1)), ("B", "X", D(2001, 1, 1), None)]
    update_identifier(row, valid_from=None, valid_to="2000-12-31", source="y")
    assert sorted(spells())[0] == ("A", "X", None, D(2000, 12, 31))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"value": "Y"}, "value"),
        ({"valid_to": D(2000, 1, 1)}, "valid_to"),
        ({"valid_from": "2000-02-30"}, "valid_from"),
        ({"valid_to": D.max}, "valid_to"),
        ({"evidence": {"a": float("nan")}}, "evidence"),
        ({"source": "x" * 65}, "source"),
    ],
)
def test_what_cannot_be_changed_so_names_the_field(fields, field):
    row = add_identifier(asset("A"), "ticker", "X", valid_from=D(2000, 1, 1))
    with pytest.raises(InvalidInput) as caught:
        update_identifier(row, **fields)
    assert caught.value.field == field
    assert spells() == [("A", "X", D(2000, 1, 1), None)]


@pytest.mark.django_db
def test_one_that_is_deleted_meanwhile():
    row = add_identifier(asset("A"), "ticker", "X")
    delete_identifier(AssetIdentifier.objects.get(pk=row.pk))
    with pytest.raises(NotFound, match="is deleted"):
        update_identifier(row, valid_to=D(2000, 1, 1))


@pytest.mark.django_db
def test_a_rename_ends_the_value_that_it_replaces_and_holds_as_long():
    row = asset("A")
    add_identifier(row, "vendor_id", "old", valid_from=D(2000, 1, 1), valid_to=D(2010, 1, 1))
    add_identifier(row, "vendor_id", "other", valid_from=D(2000, 1, 1))
    change_identifier(row, "vendor_id", "new", effective=D(2005, 1, 1), replaces="old")
    assert spells() == [
        ("A", "old", D(2000, 1, 1), D(2005, 1, 1)),
        ("A", "other", D(2000, 1, 1), None),
        ("A", "new", D(2005, 1, 1), D(2010, 1, 1)),
    ]
    with pytest.raises(InvalidInput, match="A has no vendor_id old on 2006-01-01"):
        change_identifier(row, "vendor_id", "newer", effective=D(2006, 1, 1), replaces="old")
    with pytest.raises(InvalidInput, match="goes by vendor_id new already on 2006-01-01"):
        change_identifier(row, "vendor_id", "new", effective=D(2006, 1, 1))
    assert len(spells()) == 3


@pytest.mark.django_db
def test_a_rename_to_what_another_has_changes_nothing():
    row = asset("A")
    add_identifier(row, "ticker", "X", venue="XNYS", valid_from=D(2000, 1, 1))
    add_identifier(asset("B"), "ticker", "Y", venue="XNYS", valid_from=D(2005, 1, 1))
    with pytest.raises(Conflict, match="overlaps that of B"):
        change_identifier(row, "ticker", "Y", venue="XNYS", effective=D(2004, 1, 1))
    assert spells() == [("A", "X", D(2000, 1, 1), None), ("B", "Y", D(2005, 1, 1), None)]


@pytest.mark.django_db
@pytest.mark.parametrize("day", ["infinity", "-infinity", "1899-12-31", "2200-01-01"])
def test_the_database_refuses_days_that_no_calendar_has(day):
    row = add_identifier(asset("A"), "ticker", "X")
    with (
        pytest.raises(IntegrityError, match="markets_assetidentifier_days"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE markets_assetidentifier SET valid_to = %s WHERE id = %s", [day, row.pk])
    assert spells() == [("A", "X", None, None)]


@pytest.mark.django_db
def test_the_first_and_last_days_of_the_calendar_can_be_asked_for():
    add_identifier(asset("A"), "ticker", "X", valid_from=D(1900, 1, 1), valid_to=D(2199, 12, 31))
    found = resolve("ticker", "X", (D.min, D.max))
    assert (found.outcome, found.gaps) == (
        Outcome.PARTIAL,
        ((D.min, D(1899, 12, 31)), (D(2199, 12, 31), D.max)),
    )
    add_identifier(asset("B"), "ticker", "Y")
    assert resolve("ticker", "Y", (D.min, D.max)).gaps == ()


def _at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each call, in a thread and on a connection of its own, gave or raised; all begin together."""
    start = threading.Barrier(len(calls))
    found: list[Any] = [None] * len(calls)

    def run(place: int, call: Callable[[], Any]) -> None:
        close_old_connections()
        start.wait()
        try:
            found[place] = call()
        except Exception as error:
            found[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


@pytest.mark.django_db(transaction=True)
def test_two_who_write_the_same_tickers_in_opposite_order_end_with_one_told_who_has_them():
    asset("A"), asset("B")
    tickers = [f"T{place}" for place in range(300)]

    def load(name: str, order: int) -> Callable[[], Any]:
        rows = [identifier_row(name, "ticker", ticker, venue="XNYS") for ticker in tickers[::order]]
        return lambda: record_identifiers(rows, source=name)

    for _ in range(5):
        found = _at_once(load("A", 1), load("B", -1))
        [refused] = [item for item in found if item != 300]
        assert isinstance(refused, Conflict), refused
        assert "overlaps that of" in str(refused)
        assert "295 more" in str(refused)
        assert len({owner for owner, *_ in spells()}) == 1
        assert len(spells()) == 300
        AssetIdentifier.objects.all().delete()


@pytest.mark.django_db(transaction=True)
def test_two_renames_of_one_asset_at_once_leave_one_value():
    row = asset("A")
    add_identifier(row, "ticker", "OLD", venue="XNYS", valid_from=D(2000, 1, 1))
    found = _at_once(
        *(
            lambda value=value: change_identifier(row, "ticker", value, venue="XNYS", effective=D(2010, 1, 1)).value
            for value in ("ONE", "TWO")
        )
    )
    assert sum(isinstance(item, Conflict) for item in found) == 1
    [won] = [item for item in found if isinstance(item, str)]
    assert spells() == [("A", "OLD", D(2000, 1, 1), D(2010, 1, 1)), ("A", won, D(2010, 1, 1), None)]
