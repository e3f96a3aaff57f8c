"""Changes made over REST are recorded with whose token or session it was, and why when the request says so."""

from contextlib import AbstractContextManager
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from markets.exceptions import InvalidInput
from markets.services import audit

REASON = "X-Change-Reason"
REASON_PARAMETER: dict[str, Any] = {
    "in": "header",
    "name": REASON,
    "schema": {"type": "string", "maxLength": audit.LONGEST_REASON},
    "description": "Why; kept with every change that the request makes, see `history/`. In UTF-8.",
}


def acting(request: Request) -> AbstractContextManager[None]:
    """The block that an authenticated request's changes are made in. A reason that cannot be kept is 400."""
    reason = request.headers.get(REASON)
    try:
        return audit.acting(
            source="REST", actor=request.user, reason=None if reason is None else audit.clean_reason(_as_text(reason))
        )
    except InvalidInput as error:
        raise ValidationError({REASON: str(error).replace("reason", REASON, 1)}) from error


def _as_text(header: str) -> str:
    """WSGI gives each byte of a header as one character."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise ValidationError({REASON: f"{REASON} is not UTF-8."}) from None
    except UnicodeEncodeError:  # a server that decodes headers itself
        return header
