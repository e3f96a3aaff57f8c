"""Puts what a server says when it fails into words that tell the operator what to do."""

from django.db import OperationalError, connection
from psycopg.errors import DiskFull

from markets.exceptions import StorageFull


def explained(error: BaseException) -> BaseException:
    """The error itself, or StorageFull naming the server and the remedy when its disk is full."""
    cause = error.__cause__ if isinstance(error, OperationalError) else error
    if not isinstance(cause, DiskFull):
        return error
    given = connection.settings_dict
    place = " ".join(str(part) for part in (given["HOST"] or "localhost", given["PORT"]) if part)
    said = (cause.diag.message_primary or str(cause)).strip()
    return StorageFull(
        f"The disk of the PostgreSQL server is full (database {given['NAME']} at {place}): {said}. Nothing was "
        "written. Free space on that disk, or give it more, then run again."
    )
