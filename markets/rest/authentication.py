"""Token authentication: `Authorization: Token …`."""

import datetime as dt
from typing import Any

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from markets.models import AccessToken

TOUCH_INTERVAL = dt.timedelta(minutes=1)  # precise enough for "is it still used?", without a write for every request
INVALID = (
    "This token is not valid: it has expired or was revoked, or its user is not active. Make another: "
    "manage.py create_token USER."
)


class TokenAuthentication(KnoxTokenAuthentication):
    """Knox's tokens; remembers, at most once a minute, when each was last used."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        try:
            return super().authenticate(request)
        except UnicodeError:
            raise AuthenticationFailed(INVALID) from None

    def authenticate_credentials(self, token: bytes) -> tuple[Any, Any]:
        if not token.isalnum() or not token.isascii():
            raise AuthenticationFailed(INVALID)
        try:
            user, access = super().authenticate_credentials(token)
        except AuthenticationFailed:  # unknown, expired, or its user is not active: knox does not say what to do
            raise AuthenticationFailed(INVALID) from None
        self._touch(access)
        return user, access

    def _cleanup_token(self, access: AccessToken) -> bool:
        """Whether it has expired. It is kept, for the back-office to show: a refused request writes nothing."""
        return access.expiry is not None and access.expiry <= timezone.now()

    def _touch(self, access: AccessToken) -> None:
        now = timezone.now()
        if access.last_used_at is not None and now - access.last_used_at < TOUCH_INTERVAL:
            return
        AccessToken.objects.filter(
            Q(last_used_at=None) | Q(last_used_at__lte=now - TOUCH_INTERVAL), pk=access.pk
        ).update(last_used_at=now)


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "markets.rest.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <value>`, made with `manage.py create_token USER`. A read-only one writes nothing.",
        }
