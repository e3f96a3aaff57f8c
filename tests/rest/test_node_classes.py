"""DataNode classes over REST, and nodes made of them: 201, 200 for the same again, 4xx with the place of each fault."""

import json
import sys
from typing import Any

import pytest
from rest_framework.test import APIClient

from markets.models import NodeUpdate, StorageNode
from markets.services.node_runs import register_node
from tests.admin.nodes import Closes
from tests.markets.services import form_nodes
from tests.rest.base import ROOT, is_error, stored

MODULE = form_nodes.__name__
CLASSES = f"{ROOT}data-node-class/"
NODES = f"{ROOT}data-node/"
RAW = json.dumps({"node_class": f"{MODULE}.Plain", "arguments": {"text": "a", "count": "VALUE"}}).replace(
    '"VALUE"', "VALUE"
)
SETTINGS = {
    "dataset": "averages",
    "side": "sell",
    "since": "2026-01-31T21:00:00Z",
    "is_live": True,
    "window": {"length": 3},
}


@pytest.fixture(autouse=True)
def registered(settings, db: None) -> None:
    settings.NODE_MODULES = [MODULE, "no_such_module"]


def post(client: APIClient, body: Any) -> Any:
    return client.post(NODES, data=body if isinstance(body, str) else json.dumps(body), content_type="application/json")


def plain(**arguments: Any) -> dict[str, Any]:
    return {"node_class": f"{MODULE}.Plain", "arguments": arguments}


def attributes(response: Any) -> list[str]:
    assert is_error(response, 400), response.content
    return [error["attr"] for error in response.json()["errors"]]


def test_classes_have_schemas_and_broken_modules_are_told(viewer: APIClient) -> None:
    answer = viewer.get(CLASSES).json()
    found = {row["name"]: row for row in answer["results"]}

    assert answer["count"] == len(answer["results"])
    averages = found["Averages"]
    assert averages["path"] == f"{MODULE}.Averages"
    assert averages["summary"] == "Averages of another node's closes."
    schema = averages["arguments"]
    assert schema["required"] == ["configuration", "prices"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["lag"]["default"] == 0
    assert schema["properties"]["prices"]["type"] == "string"
    assert schema["$defs"]["Window"]["properties"]["length"]["maximum"] == 250
    assert found["Unreadable"]["arguments"] is None
    assert "Register it in Python" in found["Unreadable"]["problem"]
    broken = answer["results"][-1]
    assert (broken["path"], broken["name"], broken["arguments"]) == ("no_such_module", "", None)
    assert "MSM_NODE_MODULES names 'no_such_module', which cannot be imported" in broken["problem"]


def test_classes_are_paged(viewer: APIClient) -> None:
    whole = viewer.get(CLASSES).json()["results"]
    walked, page = [], viewer.get(f"{CLASSES}?limit=2").json()
    assert page["previous"] is None
    while True:
        walked += page["results"]
        if page["next"] is None:
            break
        page = viewer.get(page["next"]).json()
    assert walked == whole


def test_a_node_is_registered_once(admin: APIClient) -> None:
    prices = register_node(Closes("closes", ["A"]))
    body = {"node_class": f"{MODULE}.Averages", "arguments": {"configuration": SETTINGS, "prices": "closes"}}

    first = post(admin, body)

    assert first.status_code == 201, first.content
    made = NodeUpdate.objects.exclude(pk=prices.pk).get()
    assert first["Location"].endswith(f"{NODES}{made.uid}/")
    assert first.json()["identifier"] == "averages"
    assert first.json()["dependencies"] == [
        {"uid": str(prices.uid), "identifier": "closes", "update_hash": prices.update_hash}
    ]
    assert first.json() == admin.get(first["Location"]).json()

    again = post(admin, body)
    assert again.status_code == 200
    assert again.json() == first.json()
    assert NodeUpdate.objects.count() == 2


@pytest.mark.parametrize("path", ["antigravity.x", "os.system", f"{MODULE}.Base", f"{MODULE}._Private", "", "a\x00.b"])
def test_a_class_that_is_not_registered_is_refused_and_nothing_is_imported(path: str, admin: APIClient) -> None:
    sys.modules.pop("antigravity", None)
    assert attributes(post(admin, {"node_class": path, "arguments": {}})) == ["node_class"]
    assert "antigravity" not in sys.modules
    assert not NodeUpdate.objects.exists()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (plain(), ["arguments.text"]),
        (plain(text=1), ["arguments.text"]),
        (plain(text="a\x00"), ["arguments.text"]),
        (plain(text="\ud800"), ["arguments.text"]),
        (plain(text="x" * 1_000_000), ["arguments.text"]),
        (plain(text="a", count=10**400), ["arguments.count"]),
        (plain(text="a", count="1"), ["arguments.count"]),
        (plain(text="a", colour="red"), ["arguments.colour"]),
        (plain(text="a", trouble="raise"), [None]),
        (plain(text="a", trouble="circle"), [None]),
        (plain(text="a", trouble="describe"), [None]),
        ({"node_class": f"{MODULE}.Plain", "arguments": [1]}, ["arguments"]),
        ({"node_class": f"{MODULE}.Plain", "arguments": None}, ["arguments"]),
        ({"node_class": 7}, ["node_class"]),
        ({"node_class": f"{MODULE}.Plain", "colour": 1}, ["colour"]),
        ({"arguments": {}}, ["node_class"]),
        (
            {"node_class": f"{MODULE}.Averages", "arguments": {"configuration": {**SETTINGS, "window": {"length": 0}}}},
            ["arguments.configuration.window.length", "arguments.prices"],
        ),
        (
            {"node_class": f"{MODULE}.Averages", "arguments": {"configuration": SETTINGS, "prices": "nobody"}},
            ["arguments.prices"],
        ),
        (RAW.replace("VALUE", "NaN"), [None]),
        (RAW.replace("VALUE", "1e999"), ["arguments.count"]),
        (RAW.replace("VALUE", "[" * 9000 + "1" + "]" * 9000), None),
    ],
)
def test_what_is_wrong_is_named_by_its_path_and_nothing_is_written(body: Any, expected: Any, admin: APIClient) -> None:
    before = stored()
    found = attributes(post(admin, body))
    if expected is not None:
        assert found == expected
    assert stored() == before
    assert not StorageNode.objects.exists()


def test_an_identifier_of_another_table_is_409(admin: APIClient) -> None:
    register_node(Closes("closes", ["A"]))
    settings = {**SETTINGS, "dataset": "closes"}
    body = {"node_class": f"{MODULE}.Averages", "arguments": {"configuration": settings, "prices": "closes"}}
    assert is_error(post(admin, body), 409)
    assert NodeUpdate.objects.count() == 1


def test_the_right_to_add_is_needed(viewer: APIClient) -> None:
    assert post(viewer, plain(text="a")).status_code == 403
    assert not NodeUpdate.objects.exists()
