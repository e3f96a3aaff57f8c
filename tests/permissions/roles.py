"""Whoever comes: each with a session for the back-office and a token for the API."""

import datetime as dt
from dataclasses import dataclass

from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from markets.models import AccessToken
from tests import factories

GROUPS = ("viewer", "analyst", "operator")
EVERYONE = " ".join(GROUPS)
# Who is known, and what stops those whom a token does not admit.
PEOPLE = ("anonymous", "nobody", *GROUPS, "superuser")
TOKENS = ("read-only", "expired", "revoked", "deactivated")


@dataclass(frozen=True)
class Role:
    name: str
    api: APIClient
    browser: Client

    def may(self, by: str) -> bool:
        """Whether it is one of the groups named in `by`."""
        return self.name == "superuser" or self.name in by.split()


def make_role(name: str) -> Role:
    browser = Client()
    if name == "anonymous":
        return Role(name, APIClient(), browser)
    if name in TOKENS:  # a superuser's token; a browser that sends it has no session
        key = _token(name)
        return Role(name, _api(key), Client(headers={"authorization": f"Token {key}"}))
    is_superuser = name == "superuser"
    user = factories.person(name if name in GROUPS else None, is_superuser=is_superuser)
    browser.force_login(user)
    return Role(name, _api(factories.token(user)), browser)


def _api(key: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {key}")
    # Used a moment ago: what is tried next does not have to remember when it was.
    AccessToken.objects.update(last_used_at=timezone.now())
    return client


def _token(name: str) -> str:
    owner = factories.user(is_superuser=True, is_staff=True)
    key = factories.token(
        owner, is_read_only=name == "read-only", expiry=dt.timedelta(seconds=-1) if name == "expired" else None
    )
    if name == "revoked":
        AccessToken.objects.filter(user=owner).delete()
    if name == "deactivated":
        type(owner).objects.filter(pk=owner.pk).update(is_active=False)
    return key
