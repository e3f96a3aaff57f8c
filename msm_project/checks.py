"""System checks that tell the operator what Django itself does not."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

OLDEST_POSTGRES = 15


@register("msm", deploy=True)
def one_host(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    embedded = [
        name
        for name, used in (("DATABASE_URL", settings.EMBEDDED_DATABASE), ("REDIS_URL", settings.EMBEDDED_REDIS))
        if used
    ]
    if not embedded:
        return []
    return [
        Warning(
            f"The embedded servers serve this host only ({' and '.join(embedded)} not set).",
            hint="Set DATABASE_URL and REDIS_URL before other hosts take part; pg_dump and pg_restore move the data.",
            id="msm.W001",
        )
    ]


@register("msm", deploy=True)
def every_host(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Warning(
            "ALLOWED_HOSTS accepts every host name, so a forged one ends up in the links of answers.",
            hint="Name the hosts: ALLOWED_HOSTS=msm.example.com",
            id="msm.W002",
        )
    ]


@register(Tags.database)
def postgres_version(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for alias in databases or []:
        connection = connections[alias]
        if connection.vendor != "postgresql":
            continue
        with connection.temporary_connection():
            major = connection.pg_version // 10000
        if major < OLDEST_POSTGRES:
            found.append(
                Error(
                    f"The database {alias!r} is PostgreSQL {major}; MSM needs {OLDEST_POSTGRES} or newer.",
                    hint="Upgrade the server, or unset DATABASE_URL to use the embedded one.",
                    id="msm.E001",
                )
            )
    return found
