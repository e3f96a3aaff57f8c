"""Index values over REST."""

import io
import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from rest_framework.test import APIClient

from markets.models import Index, IndexValue
from tests import factories
from tests.rest.base import ROOT, body_of, is_error

pytestmark = pytest.mark.django_db
ROWS = [
    {"time_index": "2026-05-26T21:00:00Z", "value": 5.31, "observation_status": "final", "metadata_json": {"a": 1}},
    {"time_index": "2026-05-27T23:00:00+02:00", "value": 5},
]


@pytest.fixture
def index() -> Index:
    return factories.index(unique_identifier="SOFR")


def url(index: Index) -> str:
    return f"{ROOT}index/{index.uid}/values/"


def write(client: APIClient, index: Index, rows: Any, method: str = "post", cadence: Any = "1D") -> Any:
    return getattr(client, method)(url(index), {"cadence": cadence, "values": rows}, format="json")


def test_values_are_sent_and_read(index: Index, admin: APIClient) -> None:
    answer = write(admin, index, ROWS)
    assert (answer.status_code, answer.json()) == (201, {"inserted": 2, "updated": 0, "unchanged": 0})
    read = admin.get(url(index))
    assert read.status_code == 200
    assert json.loads(body_of(read)) == {
        "columns": [
            *("time_index", "cadence", "index_identifier"),
            *("value", "observation_status", "source_as_of", "metadata_json"),
        ],
        "index": ["time_index", "cadence", "index_identifier"],
        "data": [
            ["2026-05-27T21:00:00Z", "1d", "SOFR", 5.0, None, None, None],
            ["2026-05-26T21:00:00Z", "1d", "SOFR", 5.31, "final", None, '{"a": 1}'],
        ],
    }


@pytest.mark.parametrize("format", ["csv", "parquet", "arrow"])
def test_every_format(index: Index, admin: APIClient, format: str) -> None:
    write(admin, index, ROWS)
    response = admin.get(url(index), {"format": format, "order": "asc"})
    assert "SOFR_values" in response.headers["Content-Disposition"]
    body = body_of(response)
    if format == "csv":
        values = pd.read_csv(io.BytesIO(body))["value"]
    elif format == "parquet":
        values = pd.read_parquet(io.BytesIO(body))["value"]
    else:
        values = pa.ipc.open_stream(body).read_all().to_pandas()["value"]
    assert values.tolist() == [5.31, 5.0]


def test_post_refuses_and_put_changes_what_is_stored(index: Index, admin: APIClient) -> None:
    write(admin, index, ROWS)
    assert is_error(write(admin, index, ROWS[:1]), 400)
    changed = [{**ROWS[0], "value": 5.5}, {"time_index": "2026-05-28T21:00:00Z", "value": 1.0}]
    answer = write(admin, index, changed, "put")
    assert (answer.status_code, answer.json()) == (200, {"inserted": 1, "updated": 1, "unchanged": 0})
    assert sorted(IndexValue.objects.values_list("value", flat=True)) == [1.0, 5.0, 5.5]


def test_a_range_is_deleted(index: Index, admin: APIClient) -> None:
    write(admin, index, ROWS)
    answer = admin.delete(f"{url(index)}?cadence=1d&end=2026-05-26T21:00:00Z")
    assert (answer.status_code, answer.json()) == (200, {"deleted": 1})
    assert is_error(admin.delete(url(index)), 400)
    assert IndexValue.objects.count() == 1


def test_the_index_is_told_undeletable(index: Index, admin: APIClient) -> None:
    write(admin, index, ROWS)
    impact = admin.get(f"{ROOT}index/{index.uid}/delete-impact/").json()
    assert (impact["can_delete"], impact["blocking_count"]) == (False, 2)
    assert is_error(admin.delete(f"{ROOT}index/{index.uid}/"), 409)
    assert Index.objects.filter(pk=index.pk).exists()


@pytest.mark.parametrize(
    "rows",
    [
        [{"time_index": "2026-05-26T21:00:00", "value": 1}],
        [{"time_index": "2026-05-26T21:00:00Z", "value": "1"}],
        [{"time_index": "2026-05-26T21:00:00Z", "value": True}],
        [{"time_index": "2026-05-26T21:00:00Z", "value": None}],
        [{"time_index": "2026-05-26T21:00:00Z", "value": 10**400}],
        [{"time_index": "2026-05-26T21:00:00Z"}],
        [{"time_index": 5, "value": 1}],
        [{"time_index": "0001-01-01T00:00:00+14:00", "value": 1}],
        [{"time_index": "1500-01-01T00:00:00Z", "value": 1}],
        [{"time_index": "2026-05-26T21:00:00Z", "value": 1, "definition_uid": None}],
        [{"time_index": "2026-05-26T21:00:00Z", "value": 1, "observation_status": "\x00"}],
        [{"time_index": "2026-05-26T21:00:00Z", "value": 1, "metadata_json": [1]}],
        [{"time_index": "2026-05-26T21:00:00Z", "value": 1, "metadata_json": {"a": "\x00"}}],
        [{"time_index": "2026-05-26T21:00:00Z", "value": 1, "source_as_of": "2026-05-26T21:00:00"}],
        [{"time_index": "2026-05-26T21:00:00Z", "value": 1}] * 2,
        [{"time_index": "2026-05-26T21:00:00Z", "value": 1}] * 10_001,
        [],
        {},
        "x",
        None,
    ],
)
@pytest.mark.parametrize("method", ["post", "put"])
def test_wrong_values_are_400_and_write_nothing(index: Index, admin: APIClient, rows: Any, method: str) -> None:
    assert is_error(write(admin, index, rows, method), 400)
    assert not IndexValue.objects.exists()


@pytest.mark.parametrize("cadence", ["", "daily", 1, None, "1d\x00"])
def test_a_wrong_cadence_is_400(index: Index, admin: APIClient, cadence: Any) -> None:
    assert is_error(write(admin, index, ROWS, cadence=cadence), 400)
    assert not IndexValue.objects.exists()


@pytest.mark.parametrize(
    "query",
    [
        {"start": "2026-01-01T00:00:00"},
        {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"},
        {"limit": "0"},
        {"limit": "5001"},
        {"limit": "all"},
        {"order": "up"},
        {"cadence": "daily"},
        {"cadence": "\x00"},
        {"format": "xml"},
        {"colour": "red"},
    ],
)
def test_a_wrong_question_is_400(index: Index, admin: APIClient, query: dict[str, str]) -> None:
    assert is_error(admin.get(url(index), query), 400)


def test_a_time_finer_than_a_microsecond_is_refused_instead_of_cut(index: Index, admin: APIClient) -> None:
    row = {"time_index": "2026-05-26T21:00:00.123456789Z", "value": 1}
    answer = write(admin, index, [row])
    assert is_error(answer, 400)
    assert "finer than a microsecond" in answer.json()["errors"][0]["detail"]
    assert not IndexValue.objects.exists()
    assert write(admin, index, [{**row, "time_index": "2026-05-26T21:00:00.123456000Z"}]).status_code == 201
