"""What nobody should send: each gets a 4xx in the one shape of errors, and nothing is written."""

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from markets.models import AccessToken, Asset
from tests import factories
from tests.rest.base import BODIES, LISTS, READS, ROOT, ROUTES, WRITES, Route, World, body_of, call, is_error, stored

BAD_PAGES = [
    *("limit=0", "limit=-1", "limit=501", "limit=abc", "limit=", "limit=1e2", "limit=" + "9" * 400, "limit=%00"),
    *("limit=1&limit=2", "limit=%D9%A1", "limit=NaN", "offset=-1", "offset=x", "offset=" + "9" * 30, "offset=1.5"),
]
BAD_QUERIES = [
    *BAD_PAGES,
    *("nonsense=1", "uid=junk", "uid=", "uid__in=junk,x", "uid=%00", "ordering=nonsense", "ordering=-", "ordering="),
    *("search=%00", "cursor=x", "%00=1", "uid__regex=.*", "format=api", "unique_identifier__exact=x&a=b"),
]
BAD_ROW_NAMES = [
    *("junk", "%00", "0", "-1", "9" * 400, "..%2e", "%FF%FE", "'%20OR%201=1--", "{}", "%F0%9F%98%80", "null"),
    *(str(uuid.uuid4()), uuid.uuid4().hex, f"%7B{uuid.uuid4()}%7D", f"urn:uuid:{uuid.uuid4()}"),
]
DEEP = "[" * 100_000 + "]" * 100_000
BAD_BODIES: list[tuple[str, bytes, str]] = [
    ("a list", b"[]", "application/json"),
    ("a number", b"5", "application/json"),
    ("a text", b'"x"', "application/json"),
    ("null", b"null", "application/json"),
    ("no JSON", b"{", "application/json"),
    ("not UTF-8", b'{"display_name": "\xff\xfe"}', "application/json"),
    ("NaN", b'{"metadata_json": {"a": NaN}}', "application/json"),
    ("Infinity", b'{"commission_fee": Infinity}', "application/json"),
    ("deep nesting", DEEP.encode(), "application/json"),
    ("a deep field", b'{"nonsense": ' + DEEP.encode() + b"}", "application/json"),
    ("an integer without end", b'{"nonsense": ' + b"9" * 10_000 + b"}", "application/json"),
    ("an unknown field", b'{"nonsense": 1}', "application/json"),
    ("an empty name", b'{"": 1}', "application/json"),
    ("a name twice", b'{"display_name": "One", "display_name": "Two"}', "application/json"),
    ("a name twice, deep inside", b'{"metadata_json": {"a": [{"b": 1, "b": 2}]}}', "application/json"),
    ("a number beyond doubles", b'{"metadata_json": {"a": 1e400}}', "application/json"),
    ("a NUL name", b'{"\\u0000": 1}', "application/json"),
    ("a form", b"display_name=x", "application/x-www-form-urlencoded"),
    ("plain text", b"{}", "text/plain"),
    ("parts", b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
    ("XML", b"<x/>", "application/xml"),
    ("another charset", b"{}", "application/json; charset=utf-16"),
    ("a codec that is no charset", b"{}", "application/json; charset=zlib"),
    ("no content type", b"{}", ""),
]
HOSTILE_VALUES: list[Any] = [
    *("", " ", "\x00", "a\x00b", "\ud800", "x" * 100_000, 0, -1, 10**400, 1.5, 1e308, True, None, [], ["x"], {}),
    *(
        {"a": 1},
        [[]],
        "2026-13-45",
        "2026-01-01T00:00:00",
        "1677-01-01",
        "9999-12-31",
        "0001-01-01",
        "NaN",
        "-Infinity",
    ),
    *("'; DROP TABLE markets_asset; --", "../../etc/passwd", "<script>", "%s%s%n", "\u202e\u200b", "Europe/../UTC"),
]
WORST_VALUES: list[Any] = ["a\x00b", 10**400, None, [[]], {"a": 1}, "NaN"]
OFTEN_NAMED = {
    *("unique_identifier", "display_name", "description", "asset_type", "metadata_json", "assets", "calendar_uid"),
    *("valid_from", "valid_to", "timezone", "commission_fee", "weights_between_rebalances", "valuation_column"),
    *("is_custom_by_organization", "calendar_type", "source_identifier", "session_label", "update_tree", "uid"),
}


@pytest.mark.parametrize("query", BAD_QUERIES)
@pytest.mark.parametrize("route", LISTS, ids=str)
def test_bad_queries_of_lists_are_400(route: Route, query: str, admin: APIClient, db: None) -> None:
    response = admin.get(f"{ROOT}{route.path}?{query}")
    assert is_error(response, 400), body_of(response)
    assert response.json()["type"] == "validation_error"


@pytest.mark.parametrize("route", [route for route in ROUTES if route not in LISTS], ids=str)
def test_unknown_parameters_are_400_everywhere(route: Route, world: World, admin: APIClient) -> None:
    before = stored()
    response = call(admin, route, world, query="?nonsense=1")
    assert is_error(response, 400)
    assert response.json()["errors"][0]["attr"] == "nonsense"
    assert "nonsense" in response.json()["errors"][0]["detail"]
    assert stored() == before


@pytest.mark.parametrize("route", [route for route in ROUTES if "{" in route.path], ids=str)
def test_bad_row_names_are_404(route: Route, world: World, admin: APIClient) -> None:
    before = stored()
    head, _, tail = route.path.partition("{")
    rest = tail.partition("}")[2]
    body = (
        {} if route.body is None else {"data": json.dumps(world.body(route.body)), "content_type": "application/json"}
    )
    for name in BAD_ROW_NAMES:
        response = getattr(admin, route.method)(f"{ROOT}{head}{name}{rest}", **body)
        assert is_error(response, 404), (name, body_of(response))
    assert stored() == before


@pytest.mark.parametrize("route", BODIES, ids=str)
def test_bad_bodies_are_refused_whole(route: Route, world: World, admin: APIClient) -> None:
    before = stored()
    for label, body, content_type in BAD_BODIES:
        path = ROOT + world.fill(route.path)
        response = admin.generic(route.method.upper(), path, body, content_type=content_type)
        assert 400 <= response.status_code < 500, (label, body_of(response))
        assert is_error(response), label
    assert stored() == before


@pytest.mark.parametrize("route", BODIES, ids=str)
def test_hostile_values_never_break(route: Route, world: World, admin: APIClient) -> None:
    """Each field of each body, one hostile value at a time: 2xx where it is legal, else a 4xx that wrote nothing."""
    body = route.body[0] if isinstance(route.body, list) else route.body
    attempts = [(field, value) for field in sorted(body or {}) for value in HOSTILE_VALUES]
    if not isinstance(route.body, list):  # a row of a list is refused by its first unknown field, whatever it holds
        attempts += [(field, value) for field in sorted(OFTEN_NAMED - set(body or {})) for value in WORST_VALUES]
    before = stored()
    for field, value in attempts:
        response = call(admin, route, world, **_with(route, world, field, value))
        assert response.status_code < 500, (field, str(value)[:50], body_of(response))
        after = stored()
        if response.status_code >= 400:
            assert is_error(response), (field, str(value)[:50])
            assert after == before, (field, str(value)[:50])
        before = after


def _with(route: Route, world: World, field: str, value: Any) -> dict[str, Any]:
    body = world.body(route.body or {})
    body = [{**body[0], field: value}] if isinstance(body, list) else {**body, field: value}
    return {"data": json.dumps(body), "content_type": "application/json"}


BAD_FRAMES = [
    *("format=xml", "format=", "start=junk", "start=2026-01-01", "start=2026-01-01T00:00:00", "end=9999999999999"),
    *("start=2026-02-01T00:00:00Z&end=2026-01-01T00:00:00Z", "limit=0", "limit=-1", "limit=x", "columns=", "columns=,"),
    *("columns=nonsense", "columns=%00", "start=%00", "start=0001-01-01T00:00:00%2B23:59", "format=json&format=csv"),
    *("start=", "end=NaN", "columns=close;DROP%20TABLE%20x"),
]


@pytest.mark.parametrize(
    "path",
    [
        "asset-snapshot/data/",
        "data-node/{identifier}/data/",
        "portfolio/{portfolio}/values/",
        "portfolio/{portfolio}/weights/",
    ],
)
def test_bad_frame_requests_are_400(path: str, world: World, admin: APIClient) -> None:
    for query in BAD_FRAMES:
        response = admin.get(f"{ROOT}{world.fill(path)}?{query}")
        assert is_error(response, 400), (query, body_of(response))
    for name in ("asset_identifier=", "asset_identifier=%00", "asset_identifier=a,,b"):
        if "values" not in path:
            assert is_error(admin.get(f"{ROOT}{world.fill(path)}?{name}"), 400), name


@pytest.mark.parametrize("query", ["start=junk", "end=2026-13-01", "start=2026-02-01&end=2026-01-01", *BAD_PAGES])
def test_bad_session_requests_are_400(query: str, world: World, admin: APIClient) -> None:
    assert is_error(admin.get(f"{ROOT}{world.fill('calendar/{calendar}/sessions/')}?{query}"), 400)


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_other_methods_are_405(route: Route, world: World, admin: APIClient) -> None:
    allowed = {other.method for other in ROUTES if other.shape == route.shape}
    before = stored()
    for method in {"get", "post", "put", "patch", "delete"} - allowed:
        path = ROOT + world.fill(route.path)
        response = admin.generic(method.upper(), path, "{}", content_type="application/json")
        assert is_error(response, 405), method
    assert stored() == before


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_options_and_head_do_not_break(route: Route, world: World, admin: APIClient) -> None:
    assert admin.options(ROOT + world.fill(route.path)).status_code == 200
    if route in READS and not route.is_question:  # a question stands in the body of a POST
        response = admin.head(ROOT + world.fill(route.path) + world.fill(route.query))
        assert response.status_code == 200


# A POST that makes a row, or only asks for a run, has no row to compare with; nor have values, which are no rows.
GUARDED = [
    route
    for route in WRITES
    if (route.method != "post" or "assets/" in route.path) and not route.path.endswith("/values/")
]


@pytest.mark.parametrize("route", GUARDED, ids=str)
def test_a_stale_etag_is_412(route: Route, world: World, admin: APIClient) -> None:
    before = stored()
    for tag in ('"stale"', "junk", '"', 'W/"x"', ""):
        response = call(admin, route, world, HTTP_IF_MATCH=tag)
        assert is_error(response, 412), tag
    assert stored() == before


def test_another_accept_header(world: World, admin: APIClient) -> None:
    assert is_error(admin.get(f"{ROOT}asset/", HTTP_ACCEPT="text/csv"), 406)
    path = ROOT + world.fill("data-node/{identifier}/data/?format=csv")
    assert admin.get(path, HTTP_ACCEPT="application/xml").status_code == 200


def test_a_name_given_twice_is_named(admin: APIClient) -> None:
    body = '{"unique_identifier": "ONE", "unique_identifier": "TWO"}'
    response = admin.post(f"{ROOT}asset/", body, content_type="application/json")
    assert is_error(response, 400)
    assert "'unique_identifier' is given more than once" in response.json()["errors"][0]["detail"]
    assert not Asset.objects.exists()


def test_a_body_that_is_too_large_is_413(admin: APIClient, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2**20
    body = json.dumps({"unique_identifier": "x" * 2**20})
    response = admin.post(f"{ROOT}asset/", body, content_type="application/json")
    assert is_error(response, 413)
    assert response.json()["errors"][0]["detail"] == "The body is larger than 1 MiB. Send it in several requests."
    assert not Asset.objects.exists()


@pytest.mark.parametrize("path", ["nope/", "data-node/..%2f..%2fetc%2fpasswd/", "asset/a%2Fb/", "nope"])
def test_what_is_no_route_is_404_in_the_one_shape(path: str, anonymous: APIClient) -> None:
    for method in ("get", "post", "delete"):
        response = getattr(anonymous, method)(ROOT + path)
        assert is_error(response, 404), body_of(response)
        assert "/docs" in response.json()["errors"][0]["detail"]


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_a_write_without_the_last_slash_is_not_redirected_into_a_read(method: str, admin: APIClient) -> None:
    response = getattr(admin, method)(
        "/api/v1/asset", json.dumps({"unique_identifier": "A"}), content_type="application/json"
    )
    assert is_error(response, 404)
    assert "Did you mean /api/v1/asset/" in response.json()["errors"][0]["detail"]
    assert not Asset.objects.exists()


def test_a_read_without_the_last_slash_is_redirected(admin: APIClient) -> None:
    response = admin.get("/api/v1/asset?limit=1")
    assert (response.status_code, response["Location"]) == (301, "/api/v1/asset/?limit=1")


def test_an_unknown_host_is_400_and_told_why(anonymous: APIClient) -> None:
    response = anonymous.get(f"{ROOT}asset/", HTTP_HOST="evil.example")
    assert is_error(response, 400)
    assert "ALLOWED_HOSTS" in response.json()["errors"][0]["detail"]


@pytest.mark.parametrize("trouble", ["expired", "revoked", "inactive", "unknown"])
def test_a_token_that_is_not_valid_is_401_with_the_remedy(trouble: str, anonymous: APIClient, db: None) -> None:
    user = factories.user()
    token = factories.token(user)
    if trouble == "expired":
        AccessToken.objects.update(expiry=timezone.now() - dt.timedelta(seconds=1))
    elif trouble == "revoked":
        AccessToken.objects.all().delete()
    elif trouble == "inactive":
        type(user).objects.update(is_active=False)
    else:
        token = token[:-1] + ("0" if token[-1] != "0" else "1")
    anonymous.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    response = anonymous.get(f"{ROOT}asset/")
    assert is_error(response, 401)
    assert "manage.py create_token" in response.json()["errors"][0]["detail"]


def test_a_row_that_goes_between_two_reads_is_404(admin: APIClient, world: World) -> None:
    """The node is found by its name, then read with what the page shows of it."""

    def meddle(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "last_time_index" in sql and sql.startswith("SELECT"):
            sql = sql.replace(" WHERE ", " WHERE false AND ")
        return execute(sql, params, many, context)

    path = ROOT + world.fill("data-node/{hash}/")
    with connection.execute_wrapper(meddle):
        response = admin.get(path)
    assert is_error(response, 404)
    assert admin.get(path).status_code == 200


@pytest.mark.parametrize("value", ["%25", "%2500", "%25s", "%25(reason)s"])
@pytest.mark.parametrize(
    "query", ["asset/?as_of={}", "account-holdings-set/?time_index={}", "position-set/?position_set_time={}"]
)
def test_a_percent_sign_in_a_time_is_400(query: str, value: str, admin: APIClient, db: None) -> None:
    assert is_error(admin.get(ROOT + query.format(value)), 400)
