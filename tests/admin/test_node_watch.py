"""The pages that schedule and watch a DataNode, and the picture of all of them."""

import datetime as dt
import re
import time
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from markets.models import FreshnessPolicy, NodeRun, NodeSchedule, NodeUpdate, StorageNode
from markets.services import freshness_policies, node_schedules
from tests import factories
from tests.admin import rows

LINEAGE = "/admin/markets/nodeupdate/lineage/"
SCHEDULE = {"cron": "30 22 * * 1-5", "timezone": "America/New_York", "update_tree": "on", "is_enabled": "on"}
POLICY = {"rule": "every", "every": "6", "every_unit": "hours", "stamp": "close", "is_active": "on"}


def page(update: NodeUpdate, step: str = "change") -> str:
    return f"/admin/markets/nodeupdate/{update.pk}/{step}/"


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


@pytest.fixture
def node(db: None) -> NodeUpdate:
    return rows.priced_node(rows.assets(1), run=False)


# --- schedule --------------------------------------------------------------------------------------------------------
def test_a_schedule_is_set_shown_changed_and_removed(node: NodeUpdate, boss: Client) -> None:
    assert "It is run only when somebody asks for it." in boss.get(page(node)).content.decode()
    answer = boss.post(page(node, "schedule"), SCHEDULE)
    assert (answer.status_code, answer["Location"]) == (302, f"{page(node)}#schedule")
    assert said(answer) == ["test-closes runs At 22:30, Monday through Friday (America/New_York)."]
    schedule = NodeSchedule.objects.get()
    assert (schedule.update_tree, schedule.recompute_stale, schedule.is_enabled) == (True, False, True)
    text = boss.get(page(node)).content.decode()
    assert "At 22:30, Monday through Friday (America/New_York)" in text
    assert "never" in text
    form = boss.get(page(node, "schedule")).content.decode()
    assert 'value="30 22 * * 1-5"' in form
    assert re.search(r'<option value="America/New_York"\s+selected', form)
    boss.post(page(node, "schedule"), {"cron": "0 6 * * *", "timezone": "UTC"})
    schedule.refresh_from_db()
    assert (schedule.cron, schedule.is_enabled) == ("0 6 * * *", False)
    assert "disabled" in boss.get(page(node)).content.decode()
    assert "Remove the schedule of test-closes" in boss.get(page(node, "schedule/remove")).content.decode()
    assert NodeSchedule.objects.exists()
    assert said(boss.post(page(node, "schedule/remove"))) == ["test-closes has no schedule any more."]
    assert not NodeSchedule.objects.exists()
    gone = boss.post(page(node, "schedule/remove"))
    assert (gone.status_code, "test-closes has no schedule." in gone.content.decode()) == (200, True)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"cron": text} for text in ("", "x", "* * * *", "61 * * * *", "a\x00b", "9" * 300, "<script> * * * *")),
        *({"timezone": text} for text in ("", "Nowhere", "\x00", "../UTC")),
    ],
    ids=str,
)
def test_a_schedule_that_is_none_is_shown_with_its_fault(wrong: dict[str, str], node: NodeUpdate, boss: Client) -> None:
    response = boss.post(page(node, "schedule"), {**SCHEDULE, **wrong})
    assert response.status_code == 200
    assert 'role="alert"' in response.content.decode()
    assert "<script> *" not in response.content.decode()
    assert not NodeSchedule.objects.exists()
    assert not PeriodicTask.objects.exists()


# --- freshness policy ------------------------------------------------------------------------------------------------
def test_a_policy_is_set_shown_changed_and_removed(node: NodeUpdate, boss: Client) -> None:
    assert "so it is never overdue" in boss.get(page(node)).content.decode()
    calendar = rows.calendar(3)
    timed = {
        "rule": "at_time",
        "calendar": str(calendar.pk),
        "due_time": "18:30",
        "timezone": "Europe/Berlin",
        "days_later": "1",
        "stamp": "close",
        "is_active": "on",
        "note": "Why",
    }
    answer = boss.post(page(node, "freshness"), timed)
    assert said(answer) == [
        "The data of test-closes are expected at 18:30 Europe/Berlin, on the day after of each session of XTEST."
    ]
    text = boss.get(page(node)).content.decode()
    assert "overdue, no data yet" in text
    assert "The sessions of XTEST end on 2020-01-03: extend the calendar." in text
    boss.post(page(node, "freshness"), POLICY)
    policy = FreshnessPolicy.objects.get()
    assert (policy.rule, policy.calendar, policy.every, policy.note) == ("every", None, 6, "")
    boss.post(page(node, "freshness/remove"))
    assert not FreshnessPolicy.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        *({"rule": text} for text in ("", "x", "\x00")),
        *({"every": text} for text in ("", "0", "-1", "x", "9" * 5_000, "1.5", "\x00")),
        *({"calendar": text} for text in ("x", "\x00", "9" * 30, "-1")),
        *({"due_time": text} for text in ("x", "25:00", "\x00", "18:30")),
        *({"note": text} for text in ("\x00", "x" * 501)),
        *({"stamp": ""}, {"every_unit": "weeks"}, {"timezone": "Nowhere"}, {"days_later": "99"}),
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_a_policy_that_is_none_is_shown_with_its_fault(wrong: dict[str, str], node: NodeUpdate, boss: Client) -> None:
    response = boss.post(page(node, "freshness"), {**POLICY, **wrong})
    assert response.status_code == 200
    assert 'role="alert"' in response.content.decode()
    assert not FreshnessPolicy.objects.exists()


@pytest.mark.parametrize("step", ["schedule", "schedule/remove", "freshness", "freshness/remove"])
def test_a_node_that_is_none_is_404(step: str, boss: Client) -> None:
    for key in ("0", "9" * 30):
        assert boss.get(f"/admin/markets/nodeupdate/{key}/{step}/").status_code == 404
        assert boss.post(f"/admin/markets/nodeupdate/{key}/{step}/").status_code == 404


def test_a_viewer_sees_both_and_changes_neither(node: NodeUpdate, viewer: Client) -> None:
    node_schedules.set_schedule(node, "30 22 * * 1-5")
    factories.freshness_policy(node)
    text = viewer.get(page(node)).content.decode()
    assert "At 22:30, Monday through Friday (UTC)" in text
    assert "every day" in text
    for step in ("schedule", "schedule/remove", "freshness", "freshness/remove"):
        assert f'href="{page(node, step)}"' not in text
        assert viewer.post(page(node, step), SCHEDULE).status_code == 403


# --- beat's own pages ------------------------------------------------------------------------------------------------
def test_the_task_of_a_node_is_changed_on_the_page_of_the_node_alone(node: NodeUpdate, boss: Client) -> None:
    task = node_schedules.set_schedule(node, "30 22 * * 1-5").periodic_task
    tasks, crontabs = (
        reverse(f"admin:django_celery_beat_{name}_changelist") for name in ("periodictask", "crontabschedule")
    )
    shown = boss.get(f"{tasks}{task.pk}/change/")
    assert shown.status_code == 200
    assert f"{page(node)}#schedule" in shown.content.decode()
    assert boss.post(f"{tasks}{task.pk}/change/", {"name": "mine", "enabled": ""}).status_code == 403
    assert boss.post(f"{tasks}{task.pk}/delete/", {"post": "yes"}).status_code == 403
    assert boss.post(f"{crontabs}{task.crontab_id}/change/", {"minute": "1"}).status_code == 403
    assert boss.post(f"{crontabs}{task.crontab_id}/delete/", {"post": "yes"}).status_code == 403
    other = PeriodicTask.objects.create(name="x", task="markets.tidy_imports", crontab=CrontabSchedule.objects.create())
    for action in ("disable_tasks", "toggle_tasks", "delete_selected"):
        answer = boss.post(tasks, {"action": action, "_selected_action": [task.pk, other.pk], "post": "yes"})
        assert answer.status_code in (200, 302, 403), action
        task.refresh_from_db()
        assert (task.enabled, task.name) == (True, f"run test-closes {node.uid}"), action
    assert node_schedules.described(node_schedules.schedule_of(node)).problem == ""


# --- overdue on the dashboard ----------------------------------------------------------------------------------------
def test_the_dashboard_lists_what_is_overdue(node: NodeUpdate, boss: Client) -> None:
    def overdue() -> str:
        text = boss.get("/admin/").content.decode()
        return text[text.index('id="overdue"') : text.index("Freshness</h2>")]

    assert "No node has a freshness policy: set one on its page." in overdue()
    now = timezone.now()
    run = factories.node_run(node, last_time_index=now)
    freshness_policies.set_policy(node, rule="every", every=2, every_unit="hours")
    assert "Nothing is overdue." in overdue()
    last = now.replace(minute=0, second=0, microsecond=0) - dt.timedelta(hours=5)
    NodeRun.objects.filter(pk=run.pk).update(last_time_index=last)
    text = overdue()
    assert f'href="{page(node)}#freshness"' in text
    assert "new data" in text
    assert f"{last + dt.timedelta(hours=2):%Y-%m-%d %H:%M} UTC" in text
    assert "3 h late" in text
    assert "Succeeded" in text


# --- lineage ---------------------------------------------------------------------------------------------------------
def boxes(text: str) -> dict[str, str]:
    """Of each box of the picture, its address and what it says to who cannot see it."""
    found = re.findall(r'<a href="([^"]+)" class="msm-node ([^"]+)" aria-label="([^"]+)"', text)
    return {url: f"{classes}: {label}" for url, classes, label in found}


def many(number: int) -> list[NodeUpdate]:
    """Nodes in layers of ten: each reads two of the layer before."""
    storages = StorageNode.objects.bulk_create(
        StorageNode(
            storage_hash=f"many{place}",
            identifier=f"table-{place:04d}",
            node_class="somewhere.Node",
            table_name=f"dn_many{place}",
        )
        for place in range(number)
    )
    updates = NodeUpdate.objects.bulk_create(
        NodeUpdate(update_hash=f"many{place}", storage=storage, node_class="somewhere.Node")
        for place, storage in enumerate(storages)
    )
    through = NodeUpdate.dependencies.through
    through.objects.bulk_create(
        through(from_nodeupdate_id=updates[place].pk, to_nodeupdate_id=updates[place - 10 - back].pk)
        for place in range(20, number)
        for back in (0, 3)
    )
    return updates


def test_no_node_at_all(boss: Client) -> None:
    text = boss.get(LINEAGE).content.decode()
    assert "There are no DataNodes yet" in text
    assert "<svg width" not in text


def test_every_node_is_a_link_that_says_how_it_is_without_colour(boss: Client) -> None:
    prices, signal, values, alone = (factories.node_update() for _ in range(4))
    signal.dependencies.add(prices)
    values.dependencies.add(signal)
    now = timezone.now()
    factories.node_run(prices, last_time_index=now - dt.timedelta(days=3))
    factories.freshness_policy(prices)
    factories.node_run(signal, status="failed", last_time_index=now)
    factories.node_run(values, status="running", finished_at=None)
    NodeUpdate.objects.filter(pk=alone.pk).update(stale_from=now, stale_marked_at=now, stale_reason="<b>late rows</b>")
    text = boss.get(LINEAGE).content.decode()
    shown = boxes(text)
    assert len(shown) == 4
    assert shown[page(prices)] == f"msm-node-bad: {prices}, Node: overdue, 2 d late."
    assert shown[page(signal)] == f"msm-node-bad: {signal}, Node: failed, just now."
    assert shown[page(values)] == f"msm-node-busy: {values}, Node: running, no data yet."
    assert "stale, no data yet. Rows from" in shown[page(alone)]
    assert "<b>late" not in text
    for sign in ("! overdue, 2 d late", "✕ failed, just now", "▶ running, no data yet", "↻ stale, no data yet"):
        assert f">{sign}<" in text, sign
    assert text.count('class="msm-edge"') == 2
    assert "4 DataNodes of 4" in text


def test_only_what_feeds_a_node_or_rests_on_it(boss: Client) -> None:
    first, second, third, aside, reader = (factories.node_update() for _ in range(5))
    second.dependencies.add(first)
    third.dependencies.add(second)
    reader.dependencies.add(first)
    for name in (str(second.uid), second.update_hash, second.storage.identifier):
        shown = boxes(boss.get(LINEAGE, {"node": name}).content.decode())
        assert set(shown) == {page(update) for update in (first, second, third)}
        assert "msm-node-current" in shown[page(second)]
    found = boxes(boss.get(LINEAGE, {"q": aside.storage.identifier.upper()}).content.decode())
    assert set(found) == {page(aside)}
    nothing = boss.get(LINEAGE, {"q": "zzz"}).content.decode()
    assert "No DataNode matches." in nothing
    assert boxes(nothing) == {}
    # and on its own page a node shows its neighbours
    assert set(boxes(boss.get(page(second)).content.decode())) == {page(update) for update in (first, second, third)}
    assert "It reads no other DataNode, and none reads it." in boss.get(page(aside)).content.decode()


@pytest.mark.parametrize(
    "query",
    ["node=nobody", "node=%00", "node=" + "x" * 5_000, "q=%00", "q=" + "%" * 999, "zoom=9999", "zoom=x", "node[]=1"],
)
def test_addresses_that_nobody_made(query: str, boss: Client) -> None:
    update = factories.node_update()
    response = boss.get(f"{LINEAGE}?{query}")
    assert response.status_code == 200
    if query.startswith("node=nobody"):
        text = response.content.decode()
        assert "No DataNode is named" in text
        assert set(boxes(text)) == {page(update)}


def test_a_hostile_name_is_text(boss: Client) -> None:
    factories.node_update(storage=factories.storage(identifier=f"{rows.HOSTILE}{rows.LONG}"[:255]))
    text = boss.get(LINEAGE).content.decode()
    assert rows.HOSTILE not in text
    assert "&lt;script&gt;" in text


def test_runs_policies_and_calendars_of_more_nodes_cost_no_more_queries(boss: Client) -> None:
    # given nodes with runs, some with policies, the others with a calendar in their configuration
    day = timezone.now().date()
    first, second = factories.calendar(day), factories.calendar(day)

    def cost(number: int) -> list[int]:
        NodeUpdate.objects.all().delete()
        StorageNode.objects.all().delete()
        updates = many(number)
        for place, update in enumerate(updates):
            factories.node_run(update, status="failed" if place % 3 else "succeeded", last_time_index=timezone.now())
            calendar = (first, second)[place % 4 == 1]
            if place % 2:
                factories.freshness_policy(
                    update, rule="after_close", delay_minutes=5, calendar=calendar, every=None, every_unit=""
                )
            else:
                update.build_configuration = {"arguments": {"calendar_identifier": calendar.unique_identifier}}
                update.save()
        found = []
        for url in (LINEAGE, f"{LINEAGE}?node={updates[21].uid}", "/api/v1/data-node/graph/"):
            boss.get(url)
            with CaptureQueriesContext(connection) as captured:
                assert boss.get(url).status_code == 200
            found.append(len(captured))
        return found

    # then session, user, edges, nodes, calendars, sessions and what the page's frame asks; two more find the node
    assert cost(30) == cost(90) == [7, 9, 6]


def test_the_page_bears_five_hundred_nodes_with_as_many_queries_as_two(boss: Client) -> None:
    def cost(url: str) -> int:
        boss.get(url)
        with CaptureQueriesContext(connection) as captured:
            assert boss.get(url).status_code == 200
        return len(captured)

    some = many(30)
    few = cost(LINEAGE), cost(page(some[15]))
    NodeUpdate.objects.all().delete()
    StorageNode.objects.all().delete()
    updates = many(500)
    assert (cost(LINEAGE), cost(page(updates[250]))) == few
    began = time.perf_counter()
    text = boss.get(LINEAGE).content.decode()
    assert time.perf_counter() - began < 30  # under half a second on a quiet machine
    assert len(boxes(text)) == 500
    assert text.count('class="msm-edge"') == 960
    assert len(text) < 1_500_000
    # a node that all read shows some of its neighbours, and says so
    through = NodeUpdate.dependencies.through
    hub = factories.node_update()
    through.objects.bulk_create(
        through(from_nodeupdate_id=update.pk, to_nodeupdate_id=hub.pk) for update in updates[:100]
    )
    text = boss.get(page(hub)).content.decode()
    assert len(boxes(text)) == 25
    assert "76 neighbours more are not shown here." in text
