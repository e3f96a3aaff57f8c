"""The page of a DataNode: rows, chart, downloads and logs, whatever is in the address."""

import io
from typing import Any

import pandas as pd
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from markets.models import NodeRun, NodeUpdate
from markets.services import node_runs
from tests import factories
from tests.admin import rows
from tests.rest.nodes import NAMES, Bars

HOSTILE = ["\x00", "' OR 1=1 --", "x" * 3000, "<script>alert(1)</script>", " / ", "%", "-1", "9" * 40]


@pytest.fixture
def update(db) -> NodeUpdate:
    return rows.priced_node(rows.assets())


def page(client: Client, update: NodeUpdate, **query: str) -> Any:
    response = client.get(reverse("admin:markets_nodeupdate_change", args=(update.pk,)), query)
    assert response.status_code == 200
    return response


def url(name: str, update: NodeUpdate) -> str:
    return reverse(f"admin:data_node_{name}", args=(update.pk,))


def test_the_latest_rows_of_all_and_the_first_ones_of_one(boss: Client, update: NodeUpdate) -> None:
    latest = page(boss, update).context["head"]
    assert latest.label == "Latest rows"
    assert [row[:2] for row in latest.rows[:5]] == [
        *(["2020-10-26 21:00", f"BBG00000000{place}"] for place in range(4)),
        ["2020-10-25 21:00", "BBG000000000"],
    ]
    first = page(boss, update, of="BBG000000002", order="first")
    assert [row[:2] for row in first.context["head"].rows[:2]] == [
        ["2020-01-01 21:00", "BBG000000002"],
        ["2020-01-02 21:00", "BBG000000002"],
    ]
    text = first.content.decode()
    assert '<option value="BBG000000002" selected>BBG000000002 · TCK2</option>' in text
    assert "Chart of BBG000000002" in text


@pytest.mark.parametrize("value", HOSTILE)
def test_what_the_address_names_wrongly_breaks_no_page(value: str, boss: Client, update: NodeUpdate) -> None:
    answer = page(boss, update, of=value, order=value, identity=value)
    assert len(answer.context["head"].rows) == 12
    assert "<script>alert" not in answer.content.decode()
    for query in ({"column": value, "identity": value}, {"column": "close", "identity": value}):
        assert "empty" in boss.get(url("chart", update), query).json()
    assert boss.get(url("identities", update), {"term": value, "page": value}).status_code == 200
    for query in ({"format": value}, {"start": value}, {"end": value}):
        assert boss.get(url("rows", update), query).status_code == 400, query
    got = boss.get(url("rows", update), {"identity": value})
    assert b"".join(got.streaming_content).count(b"\n") == 1


def test_the_columns_have_labels_and_descriptions(boss: Client, update: NodeUpdate) -> None:
    table = page(boss, update).context["columns_table"]
    assert [[str(cell) for cell in row] for row in table.rows] == [
        ["<code>time_index</code>", "timestamp with time zone", "", "", "Index.", "—"],
        ["<code>asset_identifier</code>", "string", "", "", "Index.", "—"],
        ["<code>close</code>", "float64", "Close", "", "Last price.", "—"],
    ]


def test_only_numbers_are_offered_to_the_chart(boss: Client, db: None) -> None:
    for name in NAMES:
        factories.asset(unique_identifier=name)
    node = Bars("bars")
    update = node_runs.register_node(node)
    node.run()
    assert [chart["label"] for chart in page(boss, update).context["charts"]] == ["Close", "Ratio", "Volume"]
    for column in ("note", "is_final", "seen_at", "settles_on"):
        assert "empty" in boss.get(url("chart", update), {"column": column, "identity": "AAA"}).json()
    drawn = boss.get(url("chart", update), {"column": "volume", "identity": NAMES[2]})
    assert "root_id" in drawn.json()


def test_the_chart_is_that_of_the_asset(boss: Client, update: NodeUpdate) -> None:
    answer = boss.get(url("chart", update), {"column": "close", "identity": "BBG000000001", "theme": "dark"})
    assert answer["Content-Type"] == "application/json"
    assert '"axis_label": "Close"' in answer.content.decode()
    assert boss.get(url("chart", update), {"column": "close", "identity": "nobody"}).json() == {
        "empty": "test-closes has no rows of 'nobody'. Choose another above."
    }


def test_assets_are_found_by_identifier_and_by_ticker(boss: Client, update: NodeUpdate) -> None:
    assert boss.get(url("identities", update), {"term": "tck3"}).json() == {
        "results": [{"id": "BBG000000003", "text": "BBG000000003 · TCK3"}],
        "pagination": {"more": False},
    }
    everything = boss.get(url("identities", update)).json()
    assert [row["id"] for row in everything["results"]] == [f"BBG00000000{place}" for place in range(4)]


def test_what_is_shown_can_be_taken_along(boss: Client, update: NodeUpdate) -> None:
    shown = page(boss, update, of="BBG000000002", order="first").context
    these, all_of_it = shown["downloads"]
    assert (these["label"], all_of_it["label"]) == ("These rows", "All of BBG000000002")

    csv = boss.get(these["links"][0]["url"])
    assert csv["Content-Disposition"] == 'attachment; filename="test-closes.csv"'
    frame = pd.read_csv(io.BytesIO(b"".join(csv.streaming_content)))
    assert len(frame) == 12
    assert set(frame["asset_identifier"]) == {"BBG000000002"}
    assert frame["time_index"].iloc[-1] == "2020-01-12T21:00:00Z"

    parquet = pd.read_parquet(io.BytesIO(b"".join(boss.get(all_of_it["links"][1]["url"]).streaming_content)))
    assert len(parquet) == 300
    whole = page(boss, update).context["downloads"][1]
    assert whole["label"] == "All rows"
    assert len(pd.read_csv(io.BytesIO(b"".join(boss.get(whole["links"][0]["url"]).streaming_content)))) == 1200


def test_failed_runs_show_their_first_line_and_their_log(boss: Client, db: None) -> None:
    update = rows.failing_node()
    with pytest.raises(ValueError, match="Ask for it again"):
        node_runs.run_in_process(update)
    text = page(boss, update).content.decode()
    assert '<details class="msm-run" open>' in text
    assert "ValueError: The vendor&#x27;s file is empty. Ask for it again." in text
    assert "making 300 days" in text

    NodeRun.objects.update(log="x" * 500_000 + "the end")
    text = page(boss, update).content.decode()
    assert "… xxx" in text
    assert "the end" in text
    assert len(text) < 100_000


def test_who_may_not_see_nodes_sees_nothing_of_them(client: Client, update: NodeUpdate) -> None:
    client.force_login(User.objects.create_user("staff", is_staff=True))
    for name in ("chart", "identities", "rows"):
        assert client.get(url(name, update)).status_code == 403
