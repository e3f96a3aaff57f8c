"""REST of schedules, freshness policies and the graph of DataNodes."""

import datetime as dt
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from rest_framework.test import APIClient

from markets.models import FreshnessPolicy, NodeSchedule, NodeUpdate
from markets.services import freshness_policies
from tests import factories
from tests.rest.base import ROOT, World, is_error, stored

POLICY = {"rule": "every", "every": 6, "every_unit": "hours"}


def put(client: APIClient, path: str, body: Any, **headers: str) -> Any:
    return client.put(ROOT + path, json.dumps(body), content_type="application/json", headers=headers)


# --- freshness policy ------------------------------------------------------------------------------------------------
def test_a_policy_is_set_read_sent_back_and_removed(world: World, admin: APIClient) -> None:
    path = f"data-node/{world.node.storage.identifier}/freshness-policy/"
    calendar = world.calendar.unique_identifier
    made = put(
        admin,
        path,
        {
            "rule": "at_time",
            "calendar": calendar,
            "due_time": "18:30",
            "timezone": "America/New_York",
            "days_later": 1,
            "stamp": "date",
            "note": "The vendor's promise.",
        },
    )
    assert made.status_code == 200, made.content
    body = admin.get(ROOT + path).json()
    assert body == made.json()
    assert (body["due_time"], body["calendar"], body["every"], body["every_unit"]) == ("18:30", calendar, None, "")
    assert body["in_words"] == f"at 18:30 America/New_York, on the day after of each session of {calendar}"
    again = put(admin, path, body)
    assert again.status_code == 200
    assert {**again.json(), "updated_at": ""} == {**body, "updated_at": ""}
    assert admin.delete(ROOT + path).status_code == 204
    missing = admin.get(ROOT + path)
    assert is_error(missing, 404)
    assert "has no freshness policy. Set one with PUT" in missing.json()["errors"][0]["detail"]
    assert is_error(admin.delete(ROOT + path), 404)


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({}, "rule"),
        ({"rule": "weekly"}, "rule"),
        ({**POLICY, "every": "6"}, "every"),
        ({**POLICY, "every": 6.0}, "every"),
        ({**POLICY, "every": True}, "every"),
        ({**POLICY, "every": 10**400}, "every"),
        ({**POLICY, "every_unit": "weeks"}, "every_unit"),
        ({**POLICY, "calendar": "NOWHERE"}, "calendar"),
        ({**POLICY, "calendar": "a\x00b"}, "calendar"),
        ({**POLICY, "delay_minutes": 5}, "delay_minutes"),
        ({**POLICY, "due_time": "25:00"}, "due_time"),
        ({**POLICY, "due_time": "18:30:59"}, "due_time"),
        ({**POLICY, "due_time": 1830}, "due_time"),
        ({**POLICY, "is_active": "yes"}, "is_active"),
        ({**POLICY, "is_active": None}, "is_active"),
        ({**POLICY, "note": "x" * 501}, "note"),
        ({**POLICY, "note": None}, "note"),
        ({**POLICY, "nonsense": 1}, "nonsense"),
        ({**POLICY, "uid": "0190d7e2-3f4a-7cde-8a11-0123456789ab"}, "uid"),
        ({"rule": "at_time", "calendar": "{calendar}", "due_time": "18:30", "timezone": "Nowhere"}, "timezone"),
        ({"rule": "at_time", "calendar": "{calendar}", "due_time": "18:30"}, "timezone"),
        ({"rule": "after_close", "calendar": "{calendar}"}, "delay_minutes"),
    ],
    ids=str,
)
def test_a_wrong_policy_is_400_and_changes_nothing(body: Any, attr: str, world: World, admin: APIClient) -> None:
    if body.get("calendar") == "{calendar}":
        body = {**body, "calendar": world.calendar.unique_identifier}
    before = stored()
    answer = put(admin, f"data-node/{world.node.uid}/freshness-policy/", body)
    assert is_error(answer, 400), answer.content
    assert answer.json()["errors"][0]["attr"] == attr
    assert stored() == before


# --- schedule --------------------------------------------------------------------------------------------------------
def test_a_schedule_is_set_read_sent_back_and_removed(world: World, admin: APIClient) -> None:
    path = f"data-node/{world.node.update_hash}/schedule/"
    made = put(admin, path, {"cron": "0 6 * * MON", "timezone": "Europe/Berlin", "update_tree": False})
    assert made.status_code == 200, made.content
    body = admin.get(ROOT + path).json()
    assert (body["cron"], body["in_words"], body["is_enabled"], body["update_tree"], body["recompute_stale"]) == (
        *("0 6 * * mon", "At 06:00, only on Monday (Europe/Berlin)", True),
        *(False, False),
    )
    next_due = dt.datetime.fromisoformat(body["next_due_at"])
    assert dt.timedelta(0) < next_due - timezone.now() <= dt.timedelta(days=7)
    assert next_due.weekday() == 0
    assert (body["last_fired_at"], body["problem"]) == (None, "")
    # what goes on by itself does not stand in the way of sending it back
    again = put(admin, path, {**body, "next_due_at": "2020-01-01T00:00:00Z", "is_enabled": False})
    assert (again.status_code, again.json()["next_due_at"]) == (200, None)
    assert admin.delete(ROOT + path).status_code == 204
    assert is_error(admin.get(ROOT + path), 404)
    assert is_error(admin.delete(ROOT + path), 404)


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({}, "cron"),
        ({"cron": ""}, "cron"),
        ({"cron": "* * * *"}, "cron"),
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "0 0 31 2 *"}, "cron"),
        ({"cron": "\x00 * * * *"}, "cron"),
        ({"cron": "*" * 300}, "cron"),
        ({"cron": ["*"]}, "cron"),
        ({"cron": "* * * * *", "timezone": "Mars/Olympus"}, "timezone"),
        ({"cron": "* * * * *", "timezone": ""}, "timezone"),
        ({"cron": "* * * * *", "update_tree": "yes"}, "update_tree"),
        ({"cron": "* * * * *", "queue": "mine"}, "queue"),
    ],
    ids=str,
)
def test_a_wrong_schedule_is_400_and_changes_nothing(body: Any, attr: str, world: World, admin: APIClient) -> None:
    before = stored()
    answer = put(admin, f"data-node/{world.node.uid}/schedule/", body)
    assert is_error(answer, 400), answer.content
    assert answer.json()["errors"][0]["attr"] == attr
    assert stored() == before


@pytest.mark.parametrize(("path", "body"), [("schedule", {"cron": "1 1 * * *"}), ("freshness-policy", POLICY)])
def test_an_edit_of_what_has_changed_meanwhile_is_412(path: str, body: Any, world: World, admin: APIClient) -> None:
    path = f"data-node/{world.node.uid}/{path}/"
    read = admin.get(ROOT + path)["ETag"]
    assert put(admin, path, body, **{"If-Match": read}).status_code == 200
    before = stored()
    assert is_error(
        put(admin, path, {**body, "is_active": False} if "rule" in body else body, **{"If-Match": read}), 412
    )
    assert is_error(admin.delete(ROOT + path, headers={"If-Match": read}), 412)
    assert stored() == before
    assert admin.delete(ROOT + path, headers={"If-Match": admin.get(ROOT + path)["ETag"]}).status_code == 204
    assert is_error(put(admin, path, body, **{"If-Match": "*"}), 412)  # nothing is there to match
    assert not (NodeSchedule if "cron" in body else FreshnessPolicy).objects.exists()


# --- freshness of the list -------------------------------------------------------------------------------------------
def make_nodes(late: int, fresh: int, unwatched: int) -> dict[str, list[NodeUpdate]]:
    now = timezone.now()
    calendar = factories.calendar(*(now.date() - dt.timedelta(days=back) for back in (3, 2, 1)), valid_to=now.date())
    made: dict[str, list[NodeUpdate]] = {"late": [], "fresh": [], "unwatched": []}
    for kind, number, age in (("late", late, 9), ("fresh", fresh, 0), ("unwatched", unwatched, 900)):
        for place in range(number):
            update = factories.node_update()
            factories.node_run(update, last_time_index=now - dt.timedelta(days=age))
            if kind != "unwatched" and place % 2:
                freshness_policies.set_policy(update, rule="after_close", calendar=calendar, delay_minutes=0)
            elif kind != "unwatched":
                freshness_policies.set_policy(update, rule="every", every=1, every_unit="days")
            made[kind].append(update)
    return made


def test_the_list_tells_and_finds_what_is_overdue(admin: APIClient, db: None, django_assert_num_queries: Any) -> None:
    made = make_nodes(2, 2, 2)

    def uids(query: str) -> set[str]:
        return {row["uid"] for row in admin.get(f"{ROOT}data-node/?{query}").json()["results"]}

    assert uids("is_overdue=true") == {str(update.uid) for update in made["late"]}
    assert uids("is_overdue=false") == {str(update.uid) for update in [*made["fresh"], *made["unwatched"]]}
    assert is_error(admin.get(f"{ROOT}data-node/?is_overdue=maybe"), 400)
    late = admin.get(f"{ROOT}data-node/{made['late'][0].uid}/").json()
    assert (late["is_overdue"], late["freshness"]) == (True, "overdue, 8 d late")
    last = dt.datetime.fromisoformat(late["last_time_index"])
    assert dt.datetime.fromisoformat(late["due_at"]) == last + dt.timedelta(days=1)
    behind = admin.get(f"{ROOT}data-node/{made['late'][1].uid}/").json()
    assert behind["freshness"] == "overdue, 3 sessions behind"
    unwatched = admin.get(f"{ROOT}data-node/{made['unwatched'][0].uid}/").json()
    assert (unwatched["is_overdue"], unwatched["due_at"], unwatched["freshness"]) == (False, None, "900 d")

    # token, count, page, latest runs, calendars and sessions
    with django_assert_num_queries(6):
        admin.get(f"{ROOT}data-node/")
    make_nodes(8, 8, 8)
    with django_assert_num_queries(6):
        assert admin.get(f"{ROOT}data-node/").json()["count"] == 30
    with django_assert_num_queries(9):
        assert admin.get(f"{ROOT}data-node/?is_overdue=true").json()["count"] == 10


# --- graph -----------------------------------------------------------------------------------------------------------
def test_the_graph_has_every_node_and_edge(admin: APIClient, db: None, django_assert_num_queries: Any) -> None:
    prices, signal, values = (factories.node_update() for _ in range(3))
    signal.dependencies.add(prices)
    values.dependencies.add(signal, prices)
    factories.node_run(prices, last_time_index=dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
    factories.freshness_policy(prices)
    with django_assert_num_queries(4):  # token, that it was used, edges, nodes: no calendar is named
        body = admin.get(f"{ROOT}data-node/graph/").json()
    assert [node["uid"] for node in body["nodes"]] == [str(update.uid) for update in (prices, signal, values)]
    assert body["nodes"][0]["is_overdue"] is True
    assert (body["nodes"][0]["due_at"], body["nodes"][0]["tone"], body["nodes"][0]["last_status"]) == (
        *("2026-01-03T00:00:00Z", "bad"),
        "succeeded",
    )
    assert (body["nodes"][1]["freshness"], body["nodes"][1]["last_status"]) == ("no data yet", None)
    edges = {(edge["source"], edge["target"]) for edge in body["edges"]}
    assert edges == {
        (str(prices.uid), str(signal.uid)),
        (str(signal.uid), str(values.uid)),
        (str(prices.uid), str(values.uid)),
    }


def test_the_graph_of_nothing(admin: APIClient, db: None) -> None:
    assert admin.get(f"{ROOT}data-node/graph/").json() == {"nodes": [], "edges": []}


def test_the_command_prints_the_same_graph_and_one_for_graphviz(db: None, admin: APIClient, capsys: Any) -> None:
    prices = factories.node_update(storage=factories.storage(identifier='say "prices"\\'))
    reader, other = factories.node_update(), factories.node_update()
    reader.dependencies.add(prices)
    call_command("node_graph", "--format", "json")
    assert json.loads(capsys.readouterr().out) == admin.get(f"{ROOT}data-node/graph/").json()
    call_command("node_graph")
    printed = capsys.readouterr()
    assert printed.err == "3 nodes, 1 edges\n"
    lines = printed.out.splitlines()
    assert (lines[0], lines[-1]) == ("digraph lineage {", "}")
    assert f'  "{prices.uid}" -> "{reader.uid}";' in lines
    assert any(
        line.startswith(f'  "{prices.uid}" [label="say \\"prices\\"\\\\\\nNode\\nno data yet"') for line in lines
    )
    call_command("node_graph", "--node", reader.update_hash, "--json")
    assert {node["uid"] for node in json.loads(capsys.readouterr().out)["nodes"]} == {str(prices.uid), str(reader.uid)}
    assert str(other.uid) not in capsys.readouterr().out
