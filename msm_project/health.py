"""Answers whether this process lives, and whether the servers that it needs answer it."""

import logging
from collections.abc import Callable

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from markets.broker import shared_redis

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 while this process serves requests; asks nobody else."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 when PostgreSQL and Redis answer, else 503 that says which does not; the details are in the log."""
    answers = {"database": _answer("PostgreSQL", ask_database), "redis": _answer("Redis", ask_redis)}
    good = all(answer == "ok" for answer in answers.values())
    return JsonResponse({"status": "ok" if good else "unavailable", **answers}, status=200 if good else 503)


def ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def ask_redis() -> None:
    with shared_redis() as client:
        client.ping()


def _answer(server: str, ask: Callable[[], None]) -> str:
    try:
        ask()
    except Exception as error:  # whatever it is, the answer is "not ready"
        logger.warning("%s is not ready: %s", server, error)
        return f"{server} does not answer ({type(error).__name__})"
    return "ok"
