"""Makes access tokens: the one place where a token's name, owner and expiry are checked."""

import datetime as dt
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from markets.exceptions import InvalidInput
from markets.models import AccessToken

LONGEST_NAME = 100
LONGEST_DAYS = 3650  # ten years: beyond it a token is without expiry in all but name


@dataclass(frozen=True)
class NewToken:
    """`text` is what the program sends; it is told once, only its digest is stored."""

    row: AccessToken
    text: str


def create_token(
    *, owner: User, made_by: User | None, name: str = "", is_read_only: bool = False, lasts: dt.timedelta | None = None
) -> NewToken:
    """A token that acts as `owner`, for `lasts` or for ever.

    `made_by` is who asks, None on the server's own console. Only a superuser makes a token for somebody else: it would
    lend that person's rights. Raises PermissionDenied, InvalidInput.
    """
    if made_by is not None and made_by.pk != owner.pk and not made_by.is_superuser:
        raise PermissionDenied("Only a superuser makes a token for somebody else.")
    if not owner.is_active:
        raise InvalidInput(f"The user {owner.get_username()} is not active. Activate it first.", field="user")
    name = name.strip()
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"A token's name has at most {LONGEST_NAME} printable characters.", field="name")
    if lasts is not None and not dt.timedelta() < lasts <= dt.timedelta(days=LONGEST_DAYS):
        raise InvalidInput(
            f"A token must expire in the future, within {LONGEST_DAYS} days; or leave the expiry out.", field="expiry"
        )
    row, text = AccessToken.objects.create(owner, expiry=lasts, name=name, is_read_only=is_read_only)
    return NewToken(row, text)


def lasts_until(instant: dt.datetime | None) -> dt.timedelta | None:
    return None if instant is None else instant - timezone.now()
