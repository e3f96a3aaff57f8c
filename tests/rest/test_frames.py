"""Frames: the same rows in all four formats, windows, and the portfolio's series."""

import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from rest_framework.test import APIClient

from markets.data_nodes.node import DataNode
from markets.models import StorageNode
from markets.services import frames_out
from portfolios.data_nodes.values import PortfolioWeights
from portfolios.models import PortfolioValue
from tests import factories
from tests.rest import nodes
from tests.rest.base import ROOT, World, body_of, is_error

DATA = "data-node/{identifier}/data/"


def get(client: APIClient, world: World, query: str = "", path: str = DATA) -> bytes:
    response = client.get(f"{ROOT}{world.fill(path)}{query}")
    assert response.status_code == 200, response.content
    return body_of(response)


def written() -> pd.DataFrame:
    """The frame as it was written; a null text reads back as NaN."""
    return nodes.frame(4)


def test_parquet_is_what_was_written(world: World, viewer: APIClient) -> None:
    read = pd.read_parquet(io.BytesIO(get(viewer, world, "?format=parquet")))
    pd.testing.assert_frame_equal(read, written(), check_dtype=True, check_index_type=False)


def test_arrow_is_what_was_written(world: World, viewer: APIClient) -> None:
    table = pa.ipc.open_stream(get(viewer, world, "?format=arrow")).read_all()
    assert table.schema.field("time_index").type == pa.timestamp("ns", tz="UTC")
    assert table.schema.field("seen_at").type == pa.timestamp("ns", tz="UTC")
    assert table.schema.field("volume").type == pa.int64()
    assert table.column_names[:2] == ["time_index", "asset_identifier"]
    pd.testing.assert_frame_equal(table.to_pandas(), written(), check_index_type=False)


def test_csv_is_what_was_written(world: World, viewer: APIClient) -> None:
    text = get(viewer, world, "?format=csv").decode()
    assert text.splitlines()[:2] == [
        "time_index,asset_identifier,close,ratio,volume,is_final,seen_at,settles_on,note",
        '2026-01-02T21:00:00Z,AAA,0.1,0.1,0,True,2026-01-02T21:00:00.123456Z,2026-01-05,"line 0, ""x"""',
    ]
    read = pd.read_csv(
        io.StringIO(text),
        index_col=["time_index", "asset_identifier"],
        parse_dates=["time_index", "seen_at"],
        dtype={"volume": "Int64", "ratio": "float32"},
        float_precision="round_trip",
        keep_default_na=False,
        na_values=[""],
    )
    expected = written()
    pd.testing.assert_series_equal(read["close"], expected["close"], check_index=False, check_exact=True)
    pd.testing.assert_series_equal(read["ratio"], expected["ratio"], check_index=False)
    assert read["volume"].tolist() == expected["volume"].tolist()
    assert read["is_final"].tolist() == expected["is_final"].tolist()
    assert read["seen_at"].isna().tolist() == expected["seen_at"].isna().tolist()
    assert (read["seen_at"].dropna().to_numpy() == expected["seen_at"].dropna().to_numpy()).all()
    assert read["note"].fillna("-").tolist() == expected["note"].fillna("-").tolist()
    assert read.index.get_level_values(0).equals(expected.index.get_level_values(0).as_unit("us"))
    assert read.index.get_level_values(1).tolist() == expected.index.get_level_values(1).tolist()


def test_an_unknown_column_is_told_in_the_readers_words(world: World, viewer: APIClient) -> None:
    # regression: the message named the physical table and repeated all that was sent
    asked = ",".join(["x" * 500, *(f"c{number}" for number in range(1_000))])
    path = f"{ROOT}data-node/{world.node.storage.identifier}/data/?columns={asked}"
    response = viewer.get(path)
    assert is_error(response, 400)
    (error,) = response.json()["errors"]
    assert error["attr"] == "columns"
    assert error["detail"].startswith(f"{world.node.storage.identifier} has no column 'xxx")
    assert "… and 981 more" in error["detail"]
    assert world.node.storage.table_name not in error["detail"]
    assert len(error["detail"]) < 600


def test_json_is_what_was_written(world: World, viewer: APIClient) -> None:
    body = json.loads(get(viewer, world))
    assert body["index"] == ["time_index", "asset_identifier"]
    assert body["columns"] == [*body["index"], *written().columns]
    assert body["data"][0] == [
        *("2026-01-02T21:00:00Z", "AAA", 0.1, 0.1, 0, True),
        *("2026-01-02T21:00:00.123456Z", "2026-01-05", 'line 0, "x"'),
    ]
    close, volume, seen, note = (body["columns"].index(name) for name in ("close", "volume", "seen_at", "note"))
    assert (body["data"][1][close], body["data"][2][volume], body["data"][3][seen], body["data"][4][note]) == (
        None,
    ) * 4
    closes = [row[close] for row in body["data"] if row[close] is not None]
    assert closes == written()["close"].dropna().tolist()
    assert [row[1] for row in body["data"]] == list(nodes.NAMES) * 4


def test_selection(world: World, viewer: APIClient) -> None:
    body = json.loads(get(viewer, world, "?columns=volume,close&asset_identifier=CCC&asset_identifier=AAA&limit=3"))
    assert body == {
        "columns": ["time_index", "asset_identifier", "volume", "close"],
        "index": ["time_index", "asset_identifier"],
        "data": [
            ["2026-01-02T21:00:00Z", "AAA", 0, 0.1],
            ["2026-01-02T21:00:00Z", "CCC", 1, None],
            ["2026-01-03T21:00:00Z", "AAA", 3, written()["close"].iloc[3]],
        ],
    }
    day = json.loads(get(viewer, world, "?start=2026-01-03T22:00:00%2B01:00&end=2026-01-03T21:00:00Z&columns=close"))
    assert {row[0] for row in day["data"]} == {"2026-01-03T21:00:00Z"}
    assert len(day["data"]) == 3
    unknown = json.loads(get(viewer, world, "?asset_identifier=NOBODY"))
    assert unknown["data"] == []


def rows_of(client: APIClient, path: str, query: str) -> list[list[Any]]:
    response = client.get(f"{ROOT}data-node/{path}/data/?{query}")
    assert response.status_code == 200, body_of(response)
    return list(json.loads(body_of(response))["data"])


def test_open_bounds_and_a_point_in_time(world: World, viewer: APIClient) -> None:
    path = world.fill("{identifier}")
    between = "start=2026-01-03T21:00:00Z&end=2026-01-04T21:00:00Z&columns=volume&asset_identifier=AAA"
    third, fourth = ["2026-01-03T21:00:00Z", "AAA", 3], ["2026-01-04T21:00:00Z", "AAA", 6]
    assert rows_of(viewer, path, between) == [third, fourth]
    assert rows_of(viewer, path, f"{between}&great_or_equal=false") == [fourth]
    assert rows_of(viewer, path, f"{between}&less_or_equal=false") == [third]
    assert rows_of(viewer, path, f"{between}&less_or_equal=false&great_or_equal=false") == []
    # the last row of each at or before a time
    assert rows_of(viewer, path, "as_of=2026-01-04T20:59:59Z&columns=volume") == [
        ["2026-01-03T21:00:00Z", "AAA", 3],
        ["2026-01-03T21:00:00Z", "CCC", 4],
        ["2026-01-03T21:00:00Z", 'Ünïcode, "quoted"', 5],
    ]
    assert rows_of(viewer, path, "as_of=2026-01-04&columns=volume&asset_identifier=AAA") == [fourth]
    assert rows_of(viewer, path, "as_of=2100-01-01&columns=volume&limit=1") == [["2026-01-05T21:00:00Z", "AAA", 9]]
    assert rows_of(viewer, path, "as_of=2026-01-01") == []
    for query in (
        *("as_of=x", "as_of=2026-01-04T20:59:59", "as_of=", "as_of=2026-01-04&start=2026-01-03T21:00:00Z"),
        *("great_or_equal=yes", "less_or_equal=", "portfolio_identifier=x", "as_of=2026-01-04&columns=nonsense"),
    ):
        assert is_error(viewer.get(f"{ROOT}data-node/{path}/data/?{query}"), 400), query


def test_each_dimension_of_a_table_is_a_filter(world: World, viewer: APIClient) -> None:
    name = world.valued_index.unique_identifier
    every = rows_of(viewer, "IndexValues", "columns=value")
    assert {row[1:3] == ["1d", name] for row in every} == {True}
    assert rows_of(viewer, "IndexValues", f"columns=value&index_identifier={name}&cadence=1d,15m") == every
    assert rows_of(viewer, "IndexValues", "columns=value&cadence=15m") == []
    last = rows_of(viewer, "IndexValues", f"columns=value&as_of=2100-01-01&index_identifier={name}")
    assert last == every[-1:]
    for query in ("cadence=", "cadence=%00", "index_identifier=a,,b"):
        assert is_error(viewer.get(f"{ROOT}data-node/IndexValues/data/?{query}"), 400), query


def test_by_hash_and_by_uid_it_is_the_same(world: World, viewer: APIClient) -> None:
    by_name = get(viewer, world)
    assert get(viewer, world, path="data-node/{hash}/data/") == by_name
    assert get(viewer, world, path="data-node/{node}/data/") == by_name


@pytest.mark.parametrize("format", frames_out.CONTENT_TYPES)
def test_windows_and_pieces_change_nothing(
    format: str, world: World, viewer: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = get(viewer, world, f"?format={format}&limit=11")
    monkeypatch.setattr(frames_out, "ROWS_A_READ", 3)
    monkeypatch.setattr(frames_out, "ROWS_A_PIECE", 2)
    pieces = get(viewer, world, f"?format={format}&limit=11")
    if format == "parquet":
        pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(whole)), pd.read_parquet(io.BytesIO(pieces)))
    elif format == "arrow":
        assert pa.ipc.open_stream(whole).read_all().equals(pa.ipc.open_stream(pieces).read_all())
    else:
        assert json.loads(whole) == json.loads(pieces) if format == "json" else whole == pieces


class Skewed(DataNode):
    """One row long ago, and then all others within a second."""

    def update(self) -> pd.DataFrame:
        late = pd.Timestamp("2026-01-02T21:00:00Z") + pd.to_timedelta(range(19), unit="ms")
        times = pd.DatetimeIndex([pd.Timestamp("1990-01-01T00:00:00Z"), *late])
        index = pd.MultiIndex.from_product([times, ["AAA"]], names=["time_index", "asset_identifier"])
        return pd.DataFrame({"close": np.arange(20.0)}, index=index)


@pytest.mark.parametrize("limit", [None, 7])
def test_no_part_exceeds_the_budget_however_the_rows_lie_in_time(
    limit: int | None, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Skewed()
    node.run()
    storage = StorageNode.objects.get(storage_hash=node.storage_hash)
    monkeypatch.setattr(frames_out, "ROWS_A_READ", 4)
    frames = list(frames_out.read_parts(storage, dimension_filters={"asset_identifier": ["AAA"]}, limit=limit))
    assert max(len(frame) for frame in frames) <= 4
    assert pd.concat(frames)["close"].tolist() == list(map(float, range(limit or 20)))


def test_rows_of_one_time_stay_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_out, "ROWS_A_READ", 2)
    assert [len(frame) for frame in frames_out.read_parts(world.node.storage)] == [3, 3, 3, 3]


def test_headers(world: World, viewer: APIClient) -> None:
    response = viewer.get(f"{ROOT}{world.fill(DATA)}?format=csv")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == (f'attachment; filename="{world.node.storage.identifier}.csv"')
    assert response.streaming


@pytest.mark.parametrize("format", frames_out.CONTENT_TYPES)
def test_a_table_that_was_never_written(format: str, viewer: APIClient, db: None) -> None:
    update = factories.node_update()
    response = viewer.get(f"{ROOT}data-node/{update.update_hash}/data/?format={format}")
    assert response.status_code == 200
    body = body_of(response)
    if format == "json":
        assert json.loads(body) == {
            "columns": ["time_index", "asset_identifier"],
            "index": ["time_index", "asset_identifier"],
            "data": [],
        }
    elif format == "csv":
        assert body == b"time_index,asset_identifier\n"
    elif format == "parquet":
        assert len(pd.read_parquet(io.BytesIO(body))) == 0
    else:
        assert pa.ipc.open_stream(body).read_all().num_rows == 0


# --- portfolios ------------------------------------------------------------------------------------------------------
CLOSES = [1.0, 1.1, 0.99, 1.2]


class Weights(PortfolioWeights):
    def update(self) -> pd.DataFrame:
        times = pd.date_range("2026-01-02T21:00:00Z", periods=4, freq="D")
        index = pd.MultiIndex.from_product(
            [times, [self.portfolio_identifier], ["AAA", "CCC"]],
            names=["time_index", "portfolio_identifier", "asset_identifier"],
        )
        weights = np.linspace(0.1, 0.8, 8)
        other = dict.fromkeys(("price_before", "volume_current", "volume_before"), np.nan)
        return pd.DataFrame(
            {"weight": weights, "weight_before": 0.5, "price_current": 10.0, **other, "price_is_stale": False},
            index=index,
        )


class Values(DataNode):
    model = PortfolioValue
    index_names = ("time_index", "portfolio_identifier")
    key_columns = ("portfolio_identifier", "time_index")

    def __init__(self, portfolio_identifier: str) -> None:
        self.portfolio_identifier = portfolio_identifier
        super().__init__()

    def update(self) -> pd.DataFrame:
        times = pd.date_range("2026-01-02T21:00:00Z", periods=4, freq="D")
        index = pd.MultiIndex.from_product(
            [times, [self.portfolio_identifier]], names=["time_index", "portfolio_identifier"]
        )
        return pd.DataFrame(
            {
                "close": CLOSES,
                "return": [0.0, 0.1, -0.1, 0.2],
                "calculated_close": CLOSES,
                "close_time": times,
                "turnover": 0.0,
                "is_incomplete": [False, True, False, False],
                "signal_expired": False,
            },
            index=index,
        )


@pytest.fixture
def valued(world: World) -> World:
    for identifier in (world.portfolio.unique_identifier, factories.portfolio().unique_identifier):
        Weights(identifier).run()
        Values(identifier).run()
    return world


def rows(client: APIClient, world: World, path: str) -> list[list[Any]]:
    return json.loads(get(client, world, path=path))["data"]


@pytest.mark.parametrize("format", frames_out.CONTENT_TYPES)
@pytest.mark.parametrize("series", ["weights", "values"])
def test_series_before_the_first_run_are_empty(series: str, format: str, world: World, viewer: APIClient) -> None:
    body = get(viewer, world, f"?format={format}", path=f"portfolio/{{portfolio}}/{series}/")
    if format == "json":
        columns = json.loads(body)["columns"]
        assert columns[:2] == ["time_index", "portfolio_identifier"]
        assert ("weight" if series == "weights" else "return") in columns
    elif format == "parquet":
        assert len(pd.read_parquet(io.BytesIO(body))) == 0


def test_weights_are_the_latest_cross_section(valued: World, viewer: APIClient) -> None:
    path = "portfolio/{portfolio}/weights/"
    name = valued.portfolio.unique_identifier
    latest = rows(viewer, valued, f"{path}?columns=weight,price_is_stale")
    assert [row[:3] for row in latest] == [["2026-01-05T21:00:00Z", name, "AAA"], ["2026-01-05T21:00:00Z", name, "CCC"]]
    assert [row[3] for row in latest] == pytest.approx([0.7, 0.8], abs=1e-15)
    earlier = rows(viewer, valued, f"{path}?as_of=2026-01-04T20:59:59Z")
    assert {row[0] for row in earlier} == {"2026-01-03T21:00:00Z"}
    assert rows(viewer, valued, f"{path}?as_of=2025-01-01T00:00:00Z") == []
    assert len(rows(viewer, valued, f"{path}?start=2026-01-03T00:00:00Z")) == 6
    assert len(rows(viewer, valued, f"{path}?start=2026-01-03T00:00:00Z&asset_identifier=AAA")) == 3
    both = viewer.get(f"{ROOT}{valued.fill(path)}?as_of=2026-01-04T00:00:00Z&start=2026-01-01T00:00:00Z")
    assert both.status_code == 400


def test_values(valued: World, viewer: APIClient) -> None:
    path = "portfolio/{portfolio}/values/"
    assert [row[2:] for row in rows(viewer, valued, f"{path}?columns=close,return")] == [
        [1.0, 0.0],
        [1.1, 0.1],
        [0.99, -0.1],
        [1.2, 0.2],
    ]
    assert len(rows(viewer, valued, f"{path}?start=2026-01-04T00:00:00Z")) == 2


def test_statistics(valued: World, viewer: APIClient) -> None:
    body = viewer.get(ROOT + valued.fill("portfolio/{portfolio}/statistics/")).json()
    # The calendar has two sessions within its horizon of 365 days.
    assert body["sessions_a_year"] == pytest.approx(2 / 365 * 365.2425, rel=1e-15)
    assert body["number_of_periods"] == 3
    assert body["total_return"] == pytest.approx(0.2, rel=1e-12)
    assert body["annualised_return"] == pytest.approx(1.2 ** (body["sessions_a_year"] / 3) - 1, rel=1e-12)
    assert body["max_drawdown"] == pytest.approx(0.99 / 1.1 - 1, rel=1e-12)
    assert body["drawdown_start"] == "2026-01-03T21:00:00Z"
    assert body["drawdown_trough"] == "2026-01-04T21:00:00Z"
    assert body["drawdown_recovery"] == "2026-01-05T21:00:00Z"
    assert (body["first_time_index"], body["last_time_index"]) == ("2026-01-02T21:00:00Z", "2026-01-05T21:00:00Z")
    assert (body["last_close"], body["incomplete_sessions"]) == (1.2, 1)
    assert body["calendar"] == valued.calendar.unique_identifier
    later = viewer.get(ROOT + valued.fill("portfolio/{portfolio}/statistics/?start=2026-01-05T00:00:00Z")).json()
    assert (later["number_of_periods"], later["total_return"]) == (0, None)


def test_statistics_need_a_calendar_with_sessions(viewer: APIClient, db: None) -> None:
    bare = factories.portfolio()
    empty = factories.portfolio(calendar=factories.calendar())
    for portfolio in (bare, empty):
        response = viewer.get(f"{ROOT}portfolio/{portfolio.uid}/statistics/")
        assert response.status_code == 409
        assert "calendar" in response.json()["errors"][0]["detail"]


def test_deleting_a_portfolio_takes_its_series_along_and_no_other(valued: World, admin: APIClient) -> None:
    path = ROOT + valued.fill("portfolio/{portfolio}/")
    impact = admin.get(f"{path}delete-impact/").json()
    assert (impact["can_delete"], impact["affected_count"]) == (True, 12)
    assert admin.delete(path).status_code == 204
    assert set(PortfolioValue.objects.values_list("portfolio_identifier", flat=True)).isdisjoint(
        {valued.portfolio.unique_identifier}
    )
    assert PortfolioValue.objects.count() == 4
    node = Values(valued.portfolio.unique_identifier)
    assert len(node.run()) == 4, "its statistics are gone too, so that it could be computed anew"
