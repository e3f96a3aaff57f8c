"""The answer where no view could give one: what was wrong and what to do, as JSON under /api/, else as a page."""

import logging
import sys

from axes.helpers import get_cool_off
from django.conf import settings
from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import Resolver404, resolve

logger = logging.getLogger(__name__)
SECONDS_TO_WAIT = 5  # the embedded server is back by then
DISK_FULL = "53100"  # PostgreSQL's code
LONGEST_USERNAME = 255  # of axes' column


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, DisallowedHost):
        return problem(
            request,
            400,
            "unknown_host",
            "This server does not answer to the name in the address. Use one that it knows, or add the name to "
            "ALLOWED_HOSTS and start MSM again.",
        )
    if isinstance(exception, RequestDataTooBig):
        most = (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0) // 2**20
        return problem(request, 413, "too_large", f"More than {most} MiB were sent. Send it in several parts.")
    return problem(request, 400, "bad_request", "The request cannot be read. Go back, reload the page and try again.")


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    own = str(exception)
    return problem(request, 403, "permission_denied", own or "You may not do this. Ask an administrator for the right.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    detail = "There is nothing at this address."
    if not request.path.endswith("/") and _exists(f"{request.path_info}/"):
        detail += f" Did you mean {request.path}/, with a slash at the end?"
    elif request.path.startswith("/api/"):
        detail += " The routes are listed at /docs."
    return problem(request, 404, "not_found", detail)


def failed(request: HttpRequest) -> HttpResponse:
    error = sys.exc_info()[1]
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("the database is not available: %s", error)
        detail = "The database is not available. Try again in a moment."
        if getattr(error.__cause__, "sqlstate", None) == DISK_FULL:
            detail = "The disk of the database server is full. Ask its administrator to free space."
        answer = problem(request, 503, "unavailable", detail)
        answer["Retry-After"] = str(SECONDS_TO_WAIT)
        return answer
    return problem(
        request, 500, "error", "Something went wrong here; the server's log says what. Tell an administrator the time."
    )


def locked_out(request: HttpRequest, original_response: object, credentials: dict[str, str] | None) -> HttpResponse:
    """After too many wrong passwords for one name from one address: how long it lasts, and who can end it."""
    wait = get_cool_off(request)
    minutes = round(wait.total_seconds() / 60) if wait else 0
    answer = problem(
        request,
        429,
        "locked_out",
        f"Too many wrong passwords for this name. Try again in {minutes} minutes; or let an administrator run "
        f"manage.py axes_reset_username NAME on the server.",
    )
    answer["Retry-After"] = str(minutes * 60)
    return answer


def counted_username(request: HttpRequest, credentials: dict[str, str] | None) -> str:
    """The name under which wrong passwords are counted, no longer than the column that holds it."""
    name = (credentials or {}).get("username") or getattr(request, "POST", {}).get("username") or ""
    return name.replace("\x00", "")[:LONGEST_USERNAME]


def problem(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    """The answer; it reads neither session nor database, which may be what is broken."""
    if request.path.startswith("/api/"):
        kind = "server_error" if status >= 500 else "client_error"
        body = {"type": kind, "errors": [{"code": code, "detail": detail, "attr": None}]}
        return JsonResponse(body, status=status)
    return HttpResponse(render_to_string("problem.html", {"status": status, "detail": detail}), status=status)


def _exists(path: str) -> bool:
    try:
        resolve(path)
    except Resolver404:
        return False
    return True
