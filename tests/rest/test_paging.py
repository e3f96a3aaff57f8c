"""Paging: counts that say what they are, offsets that end, and walks by cursor that miss and repeat nothing."""

import datetime as dt
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.core import signing
from django.db import connection
from rest_framework.test import APIClient

from markets.models import Asset, IndexType
from markets.rest import base
from markets.rest.pagination import MOST_COUNTED, PRECISION
from tests import factories
from tests.rest import population
from tests.rest.base import LISTS, ROOT, Route, World, is_error

BEYOND = MOST_COUNTED + 1_000


def fault(response: Any) -> tuple[str | None, str]:
    assert is_error(response, 400), response.content
    (error,) = response.json()["errors"]
    return error["attr"], error["detail"]


def walk(client: APIClient, path: str, *, most: int = 100) -> list[dict[str, Any]]:
    """Every row of the list, page by page."""
    rows: list[dict[str, Any]] = []
    following: str | None = ROOT + path
    for _ in range(most):
        response = client.get(following)
        assert response.status_code == 200, response.content
        body = response.json()
        assert body["previous"] is None
        rows += body["results"]
        following = body["next"]
        if following is None:
            return rows
    raise AssertionError(f"{path} has no end")


def cursor_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["cursor"][0]


# --- counts ----------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_count_is_exact_to_the_bound_and_an_estimate_beyond(viewer: APIClient) -> None:
    population.assets(MOST_COUNTED)
    response = viewer.get(f"{ROOT}asset/?limit=1")
    assert (response.json()["count"], response.headers[PRECISION]) == (MOST_COUNTED, "exact")
    Asset.objects.create(unique_identifier="one more")
    response = viewer.get(f"{ROOT}asset/?limit=1")
    assert response.headers[PRECISION] == "estimate"
    assert MOST_COUNTED < response.json()["count"] < MOST_COUNTED * 1.1
    response = viewer.get(f"{ROOT}asset/?limit=1&asset_type=rare")
    assert (response.json()["count"], response.headers[PRECISION]) == (10, "exact")


@pytest.mark.django_db
def test_a_search_that_is_cut_off_says_so(viewer: APIClient) -> None:
    population.assets(700)
    response = viewer.get(f"{ROOT}asset/?search=a0")
    assert (response.json()["count"], response.headers[PRECISION]) == (501, "at-least")
    response = viewer.get(f"{ROOT}asset/?search=a00001")
    assert (response.json()["count"], response.headers[PRECISION]) == (100, "exact")
    response = viewer.get(f"{ROOT}asset/?search=a0&asset_type=bond")
    assert (response.json()["count"], response.headers[PRECISION]) == (140, "exact"), "the matches among the bonds"


# --- offsets ---------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_offsets_end_where_the_cursor_goes_on(viewer: APIClient) -> None:
    population.assets(BEYOND)
    attr, detail = fault(viewer.get(f"{ROOT}asset/?offset=10001"))
    assert (attr, "?cursor=" in detail) == ("offset", True)
    last = viewer.get(f"{ROOT}asset/?offset=10000&limit=300&asset_type__in=equity,bond,option,rare").json()
    assert [row["unique_identifier"] for row in last["results"][:2]] == ["A0010001", "A0010002"]
    query = parse_qs(urlsplit(last["next"]).query)
    assert set(query) == {"limit", "asset_type__in", "cursor"}
    rest = walk(viewer, last["next"].partition(ROOT)[2])
    assert [row["unique_identifier"] for row in rest] == [f"A{number:07d}" for number in range(10_301, BEYOND + 1)]


@pytest.mark.django_db
def test_pages_by_offset_name_their_neighbours(viewer: APIClient) -> None:
    for _ in range(5):
        factories.asset()
    body = viewer.get(f"{ROOT}asset/?limit=2&offset=2&ordering=-created_at").json()
    assert body["next"].endswith("/api/v1/asset/?ordering=-created_at&limit=2&offset=4")
    assert body["previous"].endswith("/api/v1/asset/?ordering=-created_at&limit=2")
    assert viewer.get(body["next"]).json()["next"] is None


# --- walks -----------------------------------------------------------------------------------------------------------
# Classes are code, not rows: offsets are enough for them.
WALKED = [route for route in LISTS if route.path != "data-node-class/"]


@pytest.mark.parametrize("route", WALKED, ids=str)
def test_every_list_can_be_walked_in_each_of_its_orders(route: Route, world: World, viewer: APIClient) -> None:
    for maker in (factories.asset_type, factories.index_type, factories.job, factories.category, factories.portfolio):
        maker()
    view = viewer.get(ROOT + route.path).renderer_context["view"]
    orders = view.filterset_class.base_filters["ordering"].param_map
    for order in ("", *(f"&ordering={sign}{name}" for name in orders for sign in ("", "-"))):
        listed = viewer.get(f"{ROOT}{route.path}?{order[1:]}").json()
        rows = walk(viewer, f"{route.path}?limit=1&cursor={order}")
        key = "uid" if "uid" in rows[0] else "id"  # what waits in the inbox goes by its number
        assert [row[key] for row in rows] == [row[key] for row in listed["results"]], order
        assert len(rows) == listed["count"] > 0


@pytest.mark.django_db
@pytest.mark.parametrize("order", ["asset_type", "-asset_type"])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_missing_values_are_walked_too(order: str, size: int, viewer: APIClient) -> None:
    for kind in (None, "bond", None, "equity", "bond", None):
        factories.asset(asset_type=kind)
    expected = [row["uid"] for row in viewer.get(f"{ROOT}asset/?ordering={order}").json()["results"]]
    rows = walk(viewer, f"asset/?limit={size}&ordering={order}&cursor=")
    assert [row["uid"] for row in rows] == expected
    known = ["bond", "bond", "equity"]
    assert [row["asset_type"] for row in rows] == (
        [*known, None, None, None] if order == "asset_type" else [None, None, None, *reversed(known)]
    )


@pytest.mark.django_db
def test_orders_of_several_terms_are_walked(viewer: APIClient) -> None:
    for kind in (None, "bond", None, "equity", "bond"):
        for _ in range(2):
            factories.asset(asset_type=kind)
    for order in ("asset_type,-created_at", "-asset_type,unique_identifier", "created_at,-asset_type"):
        expected = [row["uid"] for row in viewer.get(f"{ROOT}asset/?ordering={order}").json()["results"]]
        assert [row["uid"] for row in walk(viewer, f"asset/?limit=3&ordering={order}&cursor=")] == expected


@pytest.mark.django_db
def test_a_walk_misses_and_repeats_nothing_while_rows_are_made_and_deleted(viewer: APIClient) -> None:
    throughout = {factories.asset(unique_identifier=f"M{number:02d}").unique_identifier for number in range(12)}
    doomed = factories.asset(unique_identifier="M05x")
    following: str | None = f"{ROOT}asset/?limit=3&cursor="
    seen: list[str] = []
    while following:
        body = viewer.get(following).json()
        seen += [row["unique_identifier"] for row in body["results"]]
        following = body["next"]
        for place in ("A", "M03", "M07", "Z") if len(seen) < 15 else ():  # before, around and behind the page
            factories.asset(unique_identifier=f"{place}-{len(seen):02d}")
        Asset.objects.filter(pk=doomed.pk).delete()
    assert len(seen) == len(set(seen))
    assert throughout <= set(seen)
    assert {"Z-03", "Z-06"} <= set(seen)
    assert not any(name.startswith("A") for name in seen), "they stand where the walk has been"


@pytest.mark.django_db
def test_a_walk_keeps_its_filters(viewer: APIClient) -> None:
    bonds = [str(factories.asset(asset_type="bond").uid) for _ in range(5)]
    factories.asset(asset_type="fund")
    rows = walk(viewer, "asset/?limit=2&asset_type=bond&cursor=")
    assert [row["uid"] for row in rows] == bonds


@pytest.mark.django_db
def test_hostile_cursors_are_400(viewer: APIClient) -> None:
    for _ in range(3):
        factories.asset()
        factories.issuer()
    good = cursor_of(viewer.get(f"{ROOT}asset/?limit=1&cursor=").json()["next"])
    ours = signing.dumps(["F(unique_identifier)", ["A"]], salt="another")
    hostile = [
        *("x", "%00", "null", "..", "eyJhIjoxfQ", good[:-1], f"{good}x", good.replace(":", ";"), "." + good, "é" * 50),
        *(ours, "9" * 5_000, "[]:x:y", good.swapcase(), ":::"),
    ]
    for cursor in hostile:
        attr, detail = fault(viewer.get(f"{ROOT}asset/?cursor={cursor if cursor == '%00' else quote(cursor)}"))
        assert (attr, "?cursor=" in detail) == ("cursor", True), cursor
    assert fault(viewer.get(f"{ROOT}issuer/?cursor={good}"))[0] == "cursor", "the cursor of another list"
    attr, detail = fault(viewer.get(f"{ROOT}asset/?ordering=-created_at&cursor={good}"))
    assert (attr, "another ordering" in detail) == ("cursor", True)
    assert fault(viewer.get(f"{ROOT}asset/?cursor={good}&offset=0"))[0] == "offset"
    assert fault(viewer.get(f"{ROOT}asset/?cursor=&search=a"))[0] == "cursor"
    assert viewer.get(f"{ROOT}asset/?cursor={good}").status_code == 200


# --- what an index cannot serve --------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_an_order_without_index_is_refused_beyond_the_bound(viewer: APIClient) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO markets_indextype (uid, index_type, created_at, updated_at) "
            "SELECT gen_random_uuid(), 'type_' || n, now(), now() FROM generate_series(1, %s) AS n",
            [BEYOND],
        )
    assert viewer.get(f"{ROOT}index-type/?ordering=-index_type").status_code == 200
    assert viewer.get(f"{ROOT}index-type/?ordering=created_at&index_type=type_7").status_code == 200
    for more in ("", "&cursor="):
        attr, detail = fault(viewer.get(f"{ROOT}index-type/?ordering=created_at{more}"))
        assert (attr, "has an index" in detail) == ("ordering", True)
    assert IndexType.objects.count() == BEYOND


@pytest.mark.django_db
def test_a_substring_search_ends_in_time(viewer: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    population.assets(BEYOND)
    path = f"{ROOT}asset/?unique_identifier__contains=9"
    assert viewer.get(path).status_code == 200
    monkeypatch.setattr(base, "LONGEST_SCAN", 0.001)
    attr, detail = fault(viewer.get(path))
    assert attr == "unique_identifier__contains"
    assert "stopped after 0.001 s" in detail
    assert "search" in detail
    monkeypatch.undo()
    assert viewer.get(path).status_code == 200, "the limit went with its transaction"


# --- bounds ----------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize("name", ["dates", "events", "sessions"])
def test_a_range_that_ends_before_it_begins_is_400(name: str, admin: APIClient) -> None:
    calendar = factories.calendar(dt.date(2026, 1, 2))
    factories.calendar_date(calendar, local_date=dt.date(2026, 1, 2))
    factories.calendar_event(calendar, event_date=dt.date(2026, 1, 2))
    path = f"{ROOT}calendar/{calendar.uid}/{name}/"
    assert fault(admin.get(f"{path}?start=2026-01-03&end=2026-01-02")) == (
        "end",
        "end=2026-01-02 is before start=2026-01-03. Swap them.",
    )
    assert admin.get(f"{path}?start=2026-01-02&end=2026-01-02").json()["count"] == 1
    assert fault(admin.get(f"{path}?start_date=2026-01-02"))[0] == "start_date"
