"""Access tokens: what is refused, how long they last, whose rights they lend, and when they were last used."""

import datetime as dt

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from markets.models import AccessToken, Asset
from markets.services.access import create_token
from tests import factories
from tests.rest.base import ROOT, is_error


def client_of(token: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


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
def test_an_expired_token_is_refused_and_stays_to_be_seen() -> None:
    owner = factories.user(is_superuser=True)
    expired = factories.token(owner, expiry=dt.timedelta(seconds=-1))
    valid = factories.token(owner)
    before = list(AccessToken.objects.order_by("digest").values())
    assert is_error(client_of(expired).get(f"{ROOT}asset/"), 401)
    assert list(AccessToken.objects.order_by("digest").values()) == before
    assert client_of(valid).get(f"{ROOT}asset/").status_code == 200
    assert AccessToken.objects.filter(user=owner, last_used_at=None).count() == 1


@pytest.mark.django_db
def test_last_use_is_kept_at_most_once_a_minute() -> None:
    client = client_of(factories.token(factories.user(is_superuser=True)))
    assert AccessToken.objects.get().last_used_at is None
    client.get(f"{ROOT}asset/")
    first = AccessToken.objects.get().last_used_at
    assert first is not None
    assert timezone.now() - first < dt.timedelta(seconds=10)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        client.get(f"{ROOT}asset/")
    assert AccessToken.objects.get().last_used_at == first
    assert not [query["sql"] for query in queries if "UPDATE" in query["sql"]]
    AccessToken.objects.update(last_used_at=first - dt.timedelta(minutes=2))
    client.get(f"{ROOT}asset/")
    assert AccessToken.objects.get().last_used_at > first


@pytest.mark.django_db
def test_the_first_use_costs_one_write_and_the_next_none() -> None:
    client = client_of(factories.token(factories.person("viewer")))
    with CaptureQueriesContext(connection) as first:
        client.get(f"{ROOT}asset/")
    with CaptureQueriesContext(connection) as second:
        client.get(f"{ROOT}asset/")
    assert len([query for query in first if "UPDATE" in query["sql"]]) == 1
    assert len(second) == len(first) - 1


@pytest.mark.django_db
def test_a_refused_token_is_not_in_use() -> None:
    owner = factories.user(is_superuser=True)
    token = factories.token(owner)
    type(owner).objects.update(is_active=False)
    assert is_error(client_of(token).get(f"{ROOT}asset/"), 401)
    assert AccessToken.objects.get().last_used_at is None


@pytest.mark.django_db
def test_a_token_may_what_its_owner_may_and_no_more() -> None:
    owner = factories.person("viewer")
    client = client_of(factories.token(owner))
    new = {"unique_identifier": "NEW"}

    assert client.get(f"{ROOT}asset/").status_code == 200
    refused = client.post(f"{ROOT}asset/", new, format="json")
    assert is_error(refused, 403)
    assert "markets.add_asset" in refused.json()["errors"][0]["detail"]

    owner.groups.set([Group.objects.get(name="analyst")])  # rights that are given work at once
    assert client.post(f"{ROOT}asset/", new, format="json").status_code == 201

    owner.groups.clear()  # and so do rights that are taken
    refused = client.get(f"{ROOT}asset/")
    assert is_error(refused, 403)
    assert "markets.view_asset" in refused.json()["errors"][0]["detail"]
    assert list(Asset.objects.values_list("unique_identifier", flat=True)) == ["NEW"]


@pytest.mark.django_db
def test_a_deactivated_user_stops_the_token_and_comes_back_with_it() -> None:
    owner = factories.person("viewer")
    client = client_of(factories.token(owner))
    assert client.get(f"{ROOT}asset/").status_code == 200
    owner.is_active = False
    owner.save()
    assert is_error(client.get(f"{ROOT}asset/"), 401)
    owner.is_active = True
    owner.save()
    assert client.get(f"{ROOT}asset/").status_code == 200


@pytest.mark.django_db
def test_a_revoked_token_is_refused_at_once() -> None:
    client = client_of(factories.token(factories.user(is_superuser=True)))
    assert client.get(f"{ROOT}asset/").status_code == 200
    AccessToken.objects.get().delete()
    assert is_error(client.get(f"{ROOT}asset/"), 401)


@pytest.mark.django_db
def test_nobody_makes_a_token_for_somebody_else() -> None:
    analyst, boss = factories.person("analyst"), factories.user(is_superuser=True)
    with pytest.raises(PermissionDenied, match="Only a superuser makes a token for somebody else"):
        create_token(owner=boss, made_by=analyst)
    assert not AccessToken.objects.exists()
    assert create_token(owner=analyst, made_by=boss).row.user == analyst


@pytest.mark.django_db
def test_a_session_works_too_and_needs_csrf() -> None:
    user = factories.user("markets.view_asset", "markets.add_asset")
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.get(f"{ROOT}asset/").status_code == 200
    assert is_error(client.post(f"{ROOT}asset/", {"unique_identifier": "X"}, format="json"), 403)
