"""Schedules of DataNodes: what may be asked for, the task that follows, and what happens when it comes due."""

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask, PeriodicTasks

from markets import locks
from markets.exceptions import Conflict, InvalidInput, NotFound, UnknownNodeClass
from markets.models import Change, Job, JobStatus, NodeSchedule, NodeUpdate
from markets.services import node_runs, node_schedules
from markets.services.node_schedules import described, in_words, next_due, run_scheduled, set_schedule
from tests import factories
from tests.rest import nodes

pytestmark = pytest.mark.django_db
NEW_YORK = "America/New_York"
WEEKDAYS = "30 22 * * 1-5"


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def known_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    from markets.data_nodes import registry

    monkeypatch.setattr(registry, "_modules", [*registry._modules, nodes.__name__])


def node() -> NodeUpdate:
    return node_runs.register_node(nodes.Bars(f"scheduled-{factories.number()}"))


# --- what may be asked for -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("typed", "kept", "words"),
    [
        (WEEKDAYS, WEEKDAYS, "At 22:30, Monday through Friday (America/New_York)"),
        ("  0   6  1 * *  ", "0 6 1 * *", "At 06:00, on day 1 of the month (America/New_York)"),
        ("*/15 9-17 * * MON-FRI", "*/15 9-17 * * mon-fri", None),
        ("0,30 * * jan,jul *", "0,30 * * jan,jul *", None),
        ("* * * * *", "* * * * *", "Every minute (America/New_York)"),
    ],
)
def test_a_line_of_cron_is_cleaned_and_said_in_words(typed: str, kept: str, words: str | None) -> None:
    assert node_schedules.clean_cron(typed) == kept
    assert words is None or in_words(kept, NEW_YORK) == words


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "has 0 fields"),
        ("* * * *", "has 4 fields"),
        ("* * * * * *", "has 6 fields"),
        ("@daily", "has 1 fields"),
        ("60 * * * *", "The minute '60' is not understood"),
        ("* 24 * * *", "The hour '24' is not understood"),
        ("* * 0 * *", "The day of month '0' is not understood"),
        ("* * * 13 *", "The month '13' is not understood"),
        ("* * * * 7", r"The day of week '7' is not understood .* It goes from 0 to 6\. Sunday is 0\."),
        ("* * * * mo", "The day of week 'mo' is not understood"),
        ("*/0 * * * *", "The minute '\\*/0' is not understood"),
        ("5--1 * * * *", "The minute '5--1' is not understood"),
        ("-1 * * * *", "The minute '-1' is not understood"),
        ("1_0 * * * *", "The minute '1_0' is not understood"),
        ("+1 * * * *", "The minute '\\+1' is not understood"),
        ("٣ * * * *", "The minute '٣' is not understood"),
        ("1,,2 * * * *", "The minute '1,,2' is not understood"),
        ("* * L * *", "The day of month 'l' is not understood"),
        ("0 0 31 2 *", "never comes: no such month has that day"),
        ("0 0 31 4,6 *", "never comes"),
        ("\x00 * * * *", "The minute"),
        (",".join(["1"] * 200) + " * * * *", "at most 255 characters"),
        (None, "must be text"),
        (5, "must be text"),
    ],
)
def test_what_is_no_line_of_cron_is_refused_with_the_field_at_fault(typed: Any, said: str) -> None:
    update = node()
    with pytest.raises(InvalidInput, match=said) as refused:
        set_schedule(update, typed)
    assert refused.value.field == "cron"
    assert not NodeSchedule.objects.exists()
    assert not CrontabSchedule.objects.exists()


@pytest.mark.parametrize("zone", ["", "Nowhere", "america/new_york", "../UTC", "UTC\x00", None, 5])
def test_what_is_no_zone_is_refused(zone: Any) -> None:
    with pytest.raises(InvalidInput, match="is no IANA time zone") as refused:
        set_schedule(node(), WEEKDAYS, zone=zone)
    assert refused.value.field == "timezone"
    assert not NodeSchedule.objects.exists()


def test_a_node_that_no_worker_could_build_is_refused() -> None:
    with pytest.raises(UnknownNodeClass):
        set_schedule(factories.node_update(), WEEKDAYS)
    assert not PeriodicTask.objects.exists()


# --- when it comes due next ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("cron", "now", "due"),
    [
        (WEEKDAYS, "2026-03-06T12:00", "2026-03-07T03:30"),  # Friday evening, winter time
        (WEEKDAYS, "2026-03-07T12:00", "2026-03-10T02:30"),  # Monday evening, summer time
        (WEEKDAYS, "2026-10-30T12:00", "2026-10-31T02:30"),
        (WEEKDAYS, "2026-10-31T12:00", "2026-11-03T03:30"),
        ("30 2 * * *", "2026-03-08T03:31", "2026-03-08T07:30"),  # 02:30 is skipped: 03:30 on the clock
        ("30 1 * * *", "2026-11-01T04:00", "2026-11-01T05:30"),  # 01:30 comes twice: once, at the first
        ("30 1 * * *", "2026-11-01T05:30:30", "2026-11-02T06:30"),
        ("0 0 29 2 *", "2026-11-01T03:00", "2028-02-29T05:00"),
    ],
)
def test_the_next_time_is_by_the_clock_of_the_zone(cron: str, now: str, due: str) -> None:
    assert next_due(cron, NEW_YORK, at(now)) == at(due)


# --- the task of beat ------------------------------------------------------------------------------------------------
def test_setting_makes_a_task_that_follows() -> None:
    update = node()
    before = timezone.now()
    schedule = set_schedule(update, WEEKDAYS, zone=NEW_YORK)
    task = PeriodicTask.objects.get()
    assert schedule.periodic_task == task
    assert (task.task, json.loads(task.args), task.enabled) == ("markets.run_scheduled_node", [str(update.uid)], True)
    assert str(task.crontab) == "30 22 * * 1-5 (m/h/dM/MY/d) America/New_York"
    assert task.last_run_at >= before
    assert PeriodicTasks.last_change() >= before
    told = described(node_schedules.schedule_of(update), at("2026-03-06T12:00"))
    assert (told.next_due_at, told.problem) == (at("2026-03-07T03:30"), "")


def test_changing_it_changes_the_same_task_and_counts_from_now() -> None:
    # given one that last ran yesterday
    update = node()
    set_schedule(update, WEEKDAYS)
    PeriodicTask.objects.update(last_run_at=timezone.now() - dt.timedelta(days=1))
    # when the same is saved again, nothing is counted anew
    set_schedule(update, WEEKDAYS)
    assert PeriodicTask.objects.get().last_run_at < timezone.now() - dt.timedelta(hours=23)
    # and when the time is changed, what it would have missed since is not made up for
    set_schedule(update, "0 9 * * *", zone=NEW_YORK)
    task = PeriodicTask.objects.get()
    assert task.last_run_at > timezone.now() - dt.timedelta(minutes=1)
    assert (task.crontab.hour, CrontabSchedule.objects.count(), NodeSchedule.objects.count()) == ("9", 1, 1)
    changes = Change.objects.filter(table_name="markets_nodeschedule").order_by("id")
    assert [(change.operation, change.new) for change in changes][1:] == [
        ("U", {"cron": "0 9 * * *", "timezone": NEW_YORK})
    ]


def test_disabling_and_enabling() -> None:
    update = node()
    set_schedule(update, WEEKDAYS, is_enabled=False)
    assert PeriodicTask.objects.get().enabled is False
    assert described(node_schedules.schedule_of(update)).next_due_at is None
    set_schedule(update, WEEKDAYS, is_enabled=True)
    task = PeriodicTask.objects.get()
    assert (task.enabled, task.last_run_at is not None) == (True, True)


@pytest.mark.parametrize("how", ["service", "row", "queryset", "SQL", "node", "task", "crontab"])
def test_whatever_is_deleted_the_rest_goes_along(how: str) -> None:
    update, kept = node(), node()
    set_schedule(kept, "5 5 * * *")
    set_schedule(update, WEEKDAYS)
    PeriodicTasks.objects.update(last_update=at("2020-01-01T00:00"))
    schedule = NodeSchedule.objects.get(node_update=update)
    if how == "service":
        node_schedules.remove_schedule(update)
    elif how == "row":
        schedule.delete()
    elif how == "queryset":
        NodeSchedule.objects.filter(pk=schedule.pk).delete()
    elif how == "SQL":
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM markets_nodeschedule WHERE id = %s", [schedule.pk])
    elif how == "node":
        update.delete()
    elif how == "task":
        schedule.periodic_task.delete()
    else:
        schedule.periodic_task.crontab.delete()
    assert [row.node_update for row in NodeSchedule.objects.all()] == [kept]
    assert [json.loads(task.args) for task in PeriodicTask.objects.all()] == [[str(kept.uid)]]
    assert CrontabSchedule.objects.count() == 1
    assert PeriodicTasks.last_change() > at("2026-01-01T00:00")  # beat reads its tasks again
    connection.check_constraints()


def test_a_crontab_that_another_task_follows_stays() -> None:
    update = node()
    times = set_schedule(update, WEEKDAYS).periodic_task.crontab
    other = PeriodicTask.objects.create(name="other", task="markets.tidy_imports", crontab=times)
    set_schedule(update, "0 1 * * *")
    other.refresh_from_db()
    assert other.crontab.hour == "22"  # it keeps its times
    assert described(node_schedules.schedule_of(update)).problem == ""
    node_schedules.remove_schedule(update)
    other.refresh_from_db()
    assert (other.crontab.hour, PeriodicTask.objects.count()) == ("22", 1)


@pytest.mark.parametrize(
    "change", [{"enabled": False}, {"args": "[]"}, {"task": "markets.tidy_imports"}, {"one_off": True}], ids=str
)
def test_a_task_that_was_changed_elsewhere_is_told_and_put_right(change: dict[str, Any]) -> None:
    update = node()
    set_schedule(update, WEEKDAYS)
    PeriodicTask.objects.update(**change)
    assert "was changed elsewhere" in described(node_schedules.schedule_of(update)).problem
    set_schedule(update, WEEKDAYS)
    assert described(node_schedules.schedule_of(update)).problem == ""


def test_a_task_of_that_name_is_in_the_way() -> None:
    update = node()
    CrontabSchedule.objects.create()
    PeriodicTask.objects.create(name=f"run {update} {update.uid}", task="x", crontab=CrontabSchedule.objects.get())
    with pytest.raises(Conflict, match="exists already"):
        set_schedule(update, WEEKDAYS)
    assert not NodeSchedule.objects.exists()


def test_the_database_keeps_one_schedule_a_node_and_five_fields() -> None:
    update = node()
    made = set_schedule(update, WEEKDAYS)
    for fields in ({"cron": "* * * *"}, {"timezone": ""}):
        with pytest.raises(IntegrityError), transaction.atomic():
            NodeSchedule.objects.filter(pk=made.pk).update(**fields)
    times = CrontabSchedule.objects.create()
    task = PeriodicTask.objects.create(name="x", task="x", crontab=times)
    with pytest.raises(IntegrityError), transaction.atomic():
        NodeSchedule.objects.create(node_update=update, periodic_task=task, cron=WEEKDAYS, timezone="UTC")


def test_removing_what_is_not_there() -> None:
    with pytest.raises(NotFound, match="has no schedule"):
        node_schedules.remove_schedule(node())


# --- when it comes due -----------------------------------------------------------------------------------------------
def test_it_asks_for_one_run_that_names_the_schedule() -> None:
    update = node()
    set_schedule(update, WEEKDAYS, zone=NEW_YORK, update_tree=False, recompute_stale=True)
    recorded = Change.objects.count()
    job = run_scheduled(str(update.uid))
    assert job == Job.objects.get()
    assert job.title == f"Recompute {update}, scheduled 30 22 * * 1-5 America/New_York"
    assert (job.arguments, job.requested_by) == (
        {"node_update": str(update.uid), "update_tree": False, "recompute_stale": True},
        None,
    )
    assert NodeSchedule.objects.get().last_fired_at > timezone.now() - dt.timedelta(minutes=1)
    assert Change.objects.count() == recorded  # that it fired is no change of the schedule


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.RUNNING])
def test_while_a_run_is_asked_for_there_is_no_second_one(status: str) -> None:
    update = node()
    set_schedule(update, WEEKDAYS)
    asked = node_runs.request_run(update, update_tree=False)  # with other options than the schedule's
    Job.objects.update(status=status)
    assert run_scheduled(str(update.uid)) == asked
    assert Job.objects.count() == 1
    Job.objects.update(status=JobStatus.SUCCEEDED, finished_at=timezone.now())
    assert run_scheduled(str(update.uid)) != asked
    assert Job.objects.count() == 2


def test_while_it_runs_in_another_process_no_job_is_made() -> None:
    update = node()
    set_schedule(update, WEEKDAYS)
    with locks.held(locks.LockSpace.NODE_UPDATE, update.pk):
        assert run_scheduled(str(update.uid)) is None
    assert not Job.objects.exists()


@pytest.mark.parametrize("why", ["removed", "disabled", "deleted", "nonsense", "nobody", "none"])
def test_a_message_that_comes_too_late_runs_nothing(why: str) -> None:
    update = node()
    set_schedule(update, WEEKDAYS)
    name: Any = str(update.uid)
    if why == "removed":
        node_schedules.remove_schedule(update)
    elif why == "disabled":
        set_schedule(update, WEEKDAYS, is_enabled=False)
    elif why == "deleted":
        update.delete()
    else:
        name = {"nonsense": "x\x00", "nobody": str(uuid.uuid4()), "none": None}[why]
    assert run_scheduled(name) is None
    assert not Job.objects.exists()


def test_a_node_that_cannot_be_built_any_more_leaves_a_job_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from markets.data_nodes import registry

    update = node()
    set_schedule(update, WEEKDAYS)
    monkeypatch.setattr(registry, "_modules", [name for name in registry._modules if name != nodes.__name__])
    job = run_scheduled(str(update.uid))
    assert job is not None
    assert (job.status, job.finished_at is not None) == (JobStatus.FAILED, True)
    assert job.error.startswith("UnknownNodeClass: tests.rest.nodes.Bars is not in a registered module.")


# --- in Python -------------------------------------------------------------------------------------------------------
def test_a_node_sets_and_removes_its_own() -> None:
    made = nodes.Bars("python-bars")
    schedule = made.set_schedule(WEEKDAYS, zone=NEW_YORK)
    assert (str(schedule), str(schedule.node_update)) == ("30 22 * * 1-5 America/New_York", "python-bars")
    assert NodeUpdate.objects.get().update_hash == made.update_hash
    made.remove_schedule()
    assert not PeriodicTask.objects.exists()
