"""Freshness of stored nodes by their policies, on the real sessions of New York; and the command that watches them."""

import datetime as dt
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from markets.exceptions import InvalidInput, NotFound, ProtectedRow
from markets.models import Calendar, Change, FreshnessPolicy, NodeUpdate
from markets.services import freshness, freshness_policies
from markets.services.calendars import create_from_pandas_calendar
from markets.services.deletion import delete
from markets.services.freshness import Freshness
from tests import factories

pytestmark = pytest.mark.django_db
NEW_YORK = "America/New_York"


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def xnys(first: str = "2026-10-01", last: str = "2026-12-31") -> Calendar:
    return create_from_pandas_calendar(
        source_identifier="XNYS",
        unique_identifier=f"XNYS-{factories.number()}",
        display_name="New York",
        valid_from=first,
        valid_to=last,
    ).calendar


def node(last: str | None = None, **policy: Any) -> NodeUpdate:
    update = factories.node_update()
    if last is not None:
        factories.node_run(update, last_time_index=at(last))
    if policy:
        freshness_policies.set_policy(update, **policy)
    return update


def judged(update: NodeUpdate, now: str) -> Freshness:
    row = freshness.with_latest_run(NodeUpdate.objects.filter(pk=update.pk)).get()
    return freshness.freshness_of([row], {row.pk: row.last_time}, at(now))[row.pk]  # type: ignore[attr-defined]


# --- on real sessions ------------------------------------------------------------------------------------------------
def test_thanksgiving_and_its_early_close() -> None:
    update = node("2026-11-25T21:00", rule="after_close", calendar=xnys(), delay_minutes=60)
    for now in ("2026-11-25T23:00", "2026-11-26T23:00", "2026-11-27T19:00"):
        assert (judged(update, now).text, judged(update, now).tone) == ("up to date", "good"), now
        assert judged(update, now).due_at == at("2026-11-27T19:00")
    late = judged(update, "2026-11-27T19:01")
    assert (late.text, late.tone, late.is_overdue) == ("overdue, 1 session behind", "bad", True)
    assert late.due_at == at("2026-11-27T19:00")
    assert late.verdict is not None
    assert late.verdict.expected_date == dt.date(2026, 11, 27)
    assert judged(update, "2026-12-01T22:00").text == "overdue, 2 sessions behind"
    assert judged(update, "2026-12-01T22:01").text == "overdue, 3 sessions behind"


def test_a_time_of_day_over_the_end_of_summer_time() -> None:
    update = node("2026-10-29T20:00", rule="at_time", calendar=xnys(), due_time=dt.time(18), timezone=NEW_YORK)
    assert judged(update, "2026-10-30T22:00").is_overdue is False
    assert judged(update, "2026-10-30T22:00:01").due_at == at("2026-10-30T22:00")  # summer time
    friday = node("2026-10-30T20:00", rule="at_time", calendar=xnys(), due_time=dt.time(18), timezone=NEW_YORK)
    assert judged(friday, "2026-11-02T23:00").due_at == at("2026-11-02T23:00")  # winter time
    assert judged(friday, "2026-11-02T23:01").is_overdue is True


def test_a_calendar_that_ended_asks_to_be_extended() -> None:
    calendar = xnys(last="2026-11-25")
    update = node("2026-11-25T21:00", rule="after_close", calendar=calendar, delay_minutes=0)
    found = judged(update, "2026-12-20T00:00")
    assert (found.text, found.tone, found.is_overdue) == ("cannot tell", "wait", False)
    assert found.problem == f"The sessions of {calendar} end on 2026-11-25: extend the calendar."
    # and long after, what is missing is still known
    behind = node("2026-11-23T21:00", rule="after_close", calendar=calendar, delay_minutes=0)
    found = judged(behind, "2029-01-01T00:00")
    assert (found.text, found.problem) == (
        "overdue, 2 sessions behind",
        f"The sessions of {calendar} end on 2026-11-25: extend the calendar.",
    )


def test_a_calendar_without_sessions_cannot_tell() -> None:
    update = node("2026-11-25T21:00", rule="after_close", calendar=factories.calendar(), delay_minutes=0)
    found = judged(update, "2026-11-26T00:00")
    assert (found.text, found.is_overdue) == ("cannot tell", False)
    assert "has no sessions" in found.problem


def test_a_node_without_data() -> None:
    update = node(rule="after_close", calendar=xnys(), delay_minutes=0)
    assert judged(update, "2026-11-27T12:00").text == "overdue, no data yet"
    young = node(rule="every", every=2, every_unit="hours")
    assert judged(young, timezone.now().replace(tzinfo=None).isoformat()).text == "no data yet"


def test_a_policy_that_is_switched_off_is_none() -> None:
    update = node("2026-10-01T20:00", rule="every", every=1, every_unit="minutes", is_active=False)
    found = judged(update, "2026-11-27T12:00")
    assert (found.is_overdue, found.due_at, found.verdict) == (False, None, None)
    assert found.text == "56 d"
    assert freshness.overdue(at("2026-11-27T12:00")) == []
    assert not freshness.any_policy()


def test_without_a_policy_nothing_is_overdue_however_old() -> None:
    found = judged(node("2001-01-01T00:00"), "2026-11-27T12:00")
    assert (found.is_overdue, found.due_at) == (False, None)


# --- many at once ----------------------------------------------------------------------------------------------------
def test_the_queries_do_not_grow_with_nodes_or_calendars() -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            freshness.overdue(at("2026-11-27T22:00"))
        return len(captured)

    for _ in range(2):
        node("2026-11-20T21:00", rule="after_close", calendar=xnys(), delay_minutes=0)
    few = cost()
    for _ in range(6):
        node("2026-11-20T21:00", rule="after_close", calendar=xnys(), delay_minutes=0)
        node("2026-11-20T21:00", rule="every", every=1, every_unit="days")
        node()
    assert cost() == few == 3


def test_each_is_judged_by_its_own_calendar_and_the_longest_overdue_comes_first() -> None:
    calendar, ended = xnys(), xnys(last="2026-11-25")
    day = node("2026-11-25T21:00", rule="after_close", calendar=calendar, delay_minutes=0)
    week = node("2026-11-20T21:00", rule="after_close", calendar=calendar, delay_minutes=0)
    fine = node("2026-11-27T18:00", rule="after_close", calendar=calendar, delay_minutes=0)
    untold = node("2026-11-25T21:00", rule="after_close", calendar=ended, delay_minutes=0)
    found = freshness.overdue(at("2026-11-27T22:00"))
    assert [item.update for item in found] == [week, day, untold]
    assert [item.freshness.is_overdue for item in found] == [True, True, False]
    assert fine not in [item.update for item in found]


# --- what a policy may be --------------------------------------------------------------------------------------------
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"rule": "sometimes"}, "rule"),
    ({"rule": None}, "rule"),
    ({"rule": "every"}, "every"),
    ({"rule": "every", "every": 3}, "every_unit"),
    ({"rule": "every", "every": 0, "every_unit": "days"}, "every"),
    ({"rule": "every", "every": True, "every_unit": "days"}, "every"),
    ({"rule": "every", "every": 10**400, "every_unit": "days"}, "every"),
    ({"rule": "every", "every": 3, "every_unit": "weeks"}, "every_unit"),
    ({"rule": "every", "every": 3, "every_unit": "days", "delay_minutes": 5}, "delay_minutes"),
    ({"rule": "every", "every": 3, "every_unit": "days", "timezone": "UTC"}, "timezone"),
    ({"rule": "every", "every": 3, "every_unit": "days", "stamp": "noon"}, "stamp"),
    ({"rule": "every", "every": 3, "every_unit": "days", "note": "x" * 501}, "note"),
    ({"rule": "every", "every": 3, "every_unit": "days", "note": "a\x00b"}, "note"),
    ({"rule": "after_close", "delay_minutes": 5}, "calendar"),
    ({"rule": "at_time", "due_time": dt.time(18), "timezone": "UTC"}, "calendar"),
]
WITH_CALENDAR: list[tuple[dict[str, Any], str]] = [
    ({"rule": "after_close"}, "delay_minutes"),
    ({"rule": "after_close", "delay_minutes": -1}, "delay_minutes"),
    ({"rule": "after_close", "delay_minutes": 20_161}, "delay_minutes"),
    ({"rule": "after_close", "delay_minutes": 1.5}, "delay_minutes"),
    ({"rule": "every", "every": 3, "every_unit": "days"}, "calendar"),
    ({"rule": "at_time", "timezone": "UTC"}, "due_time"),
    ({"rule": "at_time", "due_time": dt.time(18)}, "timezone"),
    ({"rule": "at_time", "due_time": dt.time(18), "timezone": "Nowhere/City"}, "timezone"),
    ({"rule": "at_time", "due_time": dt.time(18), "timezone": "../../etc/passwd"}, "timezone"),
    ({"rule": "at_time", "due_time": dt.time(18, 0, 5), "timezone": "UTC"}, "due_time"),
    ({"rule": "at_time", "due_time": dt.time(18, tzinfo=dt.UTC), "timezone": "UTC"}, "due_time"),
    ({"rule": "at_time", "due_time": "18:00", "timezone": "UTC"}, "due_time"),
    ({"rule": "at_time", "due_time": dt.time(18), "timezone": "UTC", "days_later": 8}, "days_later"),
]


@pytest.mark.parametrize(("values", "field"), WRONG, ids=str)
def test_a_wrong_policy_names_the_field_and_writes_nothing(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        freshness_policies.set_policy(factories.node_update(), **values)
    assert refused.value.field == field
    assert not FreshnessPolicy.objects.exists()


@pytest.mark.parametrize(("values", "field"), WITH_CALENDAR, ids=str)
def test_a_wrong_policy_of_a_calendar(values: dict[str, Any], field: str) -> None:
    update = node(rule="every", every=1, every_unit="days")
    with pytest.raises(InvalidInput) as refused:
        freshness_policies.set_policy(update, calendar=factories.calendar(), **values)
    assert refused.value.field == field
    assert FreshnessPolicy.objects.get().rule == "every"


@pytest.mark.parametrize(
    "fields",
    [
        {"rule": "every", "every": 1, "every_unit": ""},
        {"rule": "every", "every": None, "every_unit": "days"},
        {"rule": "every", "every": 0, "every_unit": "days"},
        {"rule": "after_close", "delay_minutes": 5},
        {"rule": "after_close", "every": 1, "every_unit": "days"},
        {"rule": "other", "every": 1, "every_unit": "days"},
        {"rule": "every", "every": 1, "every_unit": "days", "days_later": 1},
        {"rule": "every", "every": 1, "every_unit": "days", "stamp": "noon"},
    ],
    ids=str,
)
def test_the_database_refuses_what_is_no_policy(fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        FreshnessPolicy.objects.create(node_update=factories.node_update(), **fields)


def test_half_a_policy_with_a_calendar_is_refused_by_the_database_too() -> None:
    # a comparison with NULL is neither true nor false, which a check would let pass
    for fields in ({"rule": "after_close"}, {"rule": "at_time", "due_time": dt.time(1), "timezone": "UTC"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            FreshnessPolicy.objects.create(node_update=factories.node_update(), calendar=factories.calendar(), **fields)


def test_setting_again_replaces_it_and_is_recorded() -> None:
    calendar = factories.calendar()
    update = node(rule="at_time", calendar=calendar, due_time=dt.time(18, 30), timezone=NEW_YORK, note="Why")
    first = FreshnessPolicy.objects.get()
    assert freshness.in_words(first) == f"at 18:30 {NEW_YORK}, on the day of each session of {calendar}"
    second = freshness_policies.set_policy(update, rule="every", every=1, every_unit="hours")
    assert (second.pk, second.calendar, second.due_time, second.timezone, second.days_later, second.note) == (
        *(first.pk, None, None, ""),
        *(None, ""),
    )
    assert freshness.in_words(second) == "every hour"
    changes = list(Change.objects.filter(table_name="markets_freshnesspolicy").order_by("id"))
    assert [change.operation for change in changes] == ["I", "U"]
    assert changes[0].row_name == f"freshness of {update.update_hash}"
    freshness_policies.remove_policy(update)
    assert not FreshnessPolicy.objects.exists()
    with pytest.raises(NotFound, match="has no freshness policy"):
        freshness_policies.remove_policy(update)


def test_a_calendar_that_a_policy_needs_cannot_be_deleted_and_a_node_takes_its_policy_along() -> None:
    calendar = factories.calendar()
    update = node(rule="after_close", calendar=calendar, delay_minutes=1)
    with pytest.raises(ProtectedRow, match="1 of freshness policies"):
        delete(calendar)
    update.delete()
    assert not FreshnessPolicy.objects.exists()
    delete(calendar)


# --- the command -----------------------------------------------------------------------------------------------------
def test_the_command_ends_with_0_when_nothing_is_overdue(capsys: Any) -> None:
    factories.node_run(node(rule="every", every=1, every_unit="days"), last_time_index=timezone.now())
    call_command("overdue_nodes")
    assert capsys.readouterr().out == "0 overdue, 0 cannot be told\n"
    call_command("overdue_nodes", "--json")
    assert json.loads(capsys.readouterr().out) == {"overdue": 0, "cannot_tell": 0, "nodes": []}


def test_the_command_ends_with_1_and_names_what_is(capsys: Any) -> None:
    late = node("2026-01-02T21:00", rule="every", every=1, every_unit="days")
    untold = node("2026-01-02T21:00", rule="after_close", calendar=factories.calendar(), delay_minutes=0)
    with pytest.raises(SystemExit) as ended:
        call_command("overdue_nodes")
    assert ended.value.code == 1
    first, second, total = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{late} ({late.update_hash}): overdue, ")
    assert first.endswith("due since 2026-01-03 21:00 UTC; last run succeeded")
    assert second.startswith(f"{untold} ({untold.update_hash}): cannot tell; The calendar ")
    assert total == "1 overdue, 1 cannot be told"
    with pytest.raises(SystemExit):
        call_command("overdue_nodes", "--json")
    body = json.loads(capsys.readouterr().out)
    assert (body["overdue"], body["cannot_tell"]) == (1, 1)
    assert body["nodes"][0]["due_at"] == "2026-01-03T21:00:00Z"
    assert [row["is_overdue"] for row in body["nodes"]] == [True, False]
