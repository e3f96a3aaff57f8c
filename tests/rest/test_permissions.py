"""Who may use which route: one table for all routes and roles."""

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from markets.models import AccessToken
from tests import factories
from tests.rest.base import READS, ROOT, ROUTES, WRITES, Route, World, body_of, call, is_error, stored

every = pytest.mark.parametrize("route", ROUTES, ids=str)


@every
def test_anonymous_is_401(route: Route, world: World, anonymous: APIClient) -> None:
    before = stored()
    response = call(anonymous, route, world)
    assert is_error(response, 401)
    assert response.headers["WWW-Authenticate"] == "Token"
    assert stored() == before


@every
def test_without_permission_is_403_naming_it(route: Route, world: World, nobody: APIClient) -> None:
    before = stored()
    response = call(nobody, route, world)
    assert is_error(response, 403)
    assert all(name in response.json()["errors"][0]["detail"] for name in route.needs)
    assert stored() == before


@pytest.mark.parametrize("route", READS, ids=str)
def test_viewer_reads(route: Route, world: World, viewer: APIClient) -> None:
    before = stored()
    response = call(viewer, route, world)
    assert response.status_code == route.status, body_of(response)
    assert stored() == before


@pytest.mark.parametrize("route", WRITES, ids=str)
def test_viewer_writes_nothing(route: Route, world: World, viewer: APIClient) -> None:
    before = stored()
    assert is_error(call(viewer, route, world), 403)
    assert stored() == before


@every
def test_each_permission_is_needed(route: Route, world: World) -> None:
    for missing in route.needs:
        client = APIClient()
        user = factories.user(*(name for name in route.needs if name != missing))
        client.credentials(HTTP_AUTHORIZATION=f"Token {factories.token(user)}")
        assert call(client, route, world).status_code == 403


@every
def test_exactly_the_named_permissions_suffice(route: Route, world: World) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {factories.token(factories.user(*route.needs))}")
    response = call(client, route, world)
    assert response.status_code == route.status, body_of(response)


@pytest.mark.parametrize("route", WRITES, ids=str)
def test_read_only_token_writes_nothing(route: Route, world: World, read_only: APIClient) -> None:
    before = stored()
    response = call(read_only, route, world)
    assert is_error(response, 403)
    assert "read-only" in response.json()["errors"][0]["detail"]
    assert stored() == before


@pytest.mark.parametrize("route", READS, ids=str)
def test_read_only_token_reads(route: Route, world: World, read_only: APIClient) -> None:
    assert call(read_only, route, world).status_code == route.status


@pytest.mark.django_db
@pytest.mark.parametrize(
    "header",
    [
        "Token",
        "Token ",
        "Token a b",
        "Token " + "x" * 64,
        "Token " + "x" * 5000,
        "Token \xff\xfe",
        "Token a\x00b",
        "Bearer x",
    ],
)
def test_bad_credentials_are_401(header: str) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=header)
    assert is_error(client.get(f"{ROOT}asset/"), 401)


@pytest.mark.django_db
def test_expired_and_inactive_are_401() -> None:
    expired = factories.token(factories.user(is_superuser=True), expiry=dt.timedelta(seconds=-1))
    inactive = factories.token(factories.user(is_superuser=True, is_active=False))
    for token in (expired, inactive):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
        assert is_error(client.get(f"{ROOT}asset/"), 401)


@pytest.mark.django_db
def test_last_use_is_kept_at_most_once_a_minute(django_assert_num_queries: Any) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {factories.token(factories.user(is_superuser=True))}")
    client.get(f"{ROOT}asset/")
    first = AccessToken.objects.get().last_used_at
    assert first is not None
    assert timezone.now() - first < dt.timedelta(seconds=10)
    client.get(f"{ROOT}asset/")
    assert AccessToken.objects.get().last_used_at == first
    AccessToken.objects.update(last_used_at=first - dt.timedelta(minutes=2))
    client.get(f"{ROOT}asset/")
    assert AccessToken.objects.get().last_used_at > first


@pytest.mark.django_db
def test_a_session_works_too_and_needs_csrf() -> None:
    user = factories.user("markets.view_asset", "markets.add_asset")
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.get(f"{ROOT}asset/").status_code == 200
    assert is_error(client.post(f"{ROOT}asset/", {"unique_identifier": "X"}, format="json"), 403)
