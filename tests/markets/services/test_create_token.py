"""`create_token`: the token works, is shown once, and bad arguments make none."""

import datetime as dt
import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from markets.exceptions import InvalidInput
from markets.models import AccessToken
from tests import factories

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("create_token", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_a_token() -> None:
    user = factories.user(is_superuser=True)
    token = run(user.username, "--name", "notebook", "--read-only", "--expires-in-days", "30")
    row = AccessToken.objects.get()
    assert (row.user, row.name, row.is_read_only) == (user, "notebook", True)
    assert abs(row.expiry - timezone.now() - dt.timedelta(days=30)) < dt.timedelta(minutes=1)
    assert token not in (row.digest, row.token_key)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    assert client.get("/api/v1/asset/").status_code == 200
    assert client.post("/api/v1/asset/", {"unique_identifier": "x"}, format="json").status_code == 403


def test_json() -> None:
    body = json.loads(run(factories.user().username, "--json"))
    assert set(body) == {"token", "user", "name", "read_only", "expires"}
    assert (body["read_only"], body["expires"]) == (False, None)


@pytest.mark.parametrize(
    "arguments", [["--expires-in-days", "0"], ["--expires-in-days", "99999"], ["--name", "x" * 101], ["--name", "a\nb"]]
)
def test_bad_arguments(arguments: list[str]) -> None:
    with pytest.raises((CommandError, InvalidInput)):
        run(factories.user().username, *arguments)
    assert not AccessToken.objects.exists()


def test_unknown_and_inactive_users() -> None:
    factories.user(is_active=False)
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        run("nobody")
    with pytest.raises(InvalidInput, match="is not active"):
        run(factories.user(is_active=False).username)
    assert not AccessToken.objects.exists()
