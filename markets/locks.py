"""The advisory locks of MSM and their registered numbers, so that two uses never collide.

A session-level lock lives as long as the connection that took it: when a worker dies, PostgreSQL lets go of it, and
whoever takes it next knows that the former holder is gone. Locks are the database's, rows are a namespace's: the same
number in another namespace is another lock.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import IntEnum

from django.db import InterfaceError, OperationalError, connection

from markets import namespaces

SECONDS_BETWEEN_TRIES = 0.1


class LockSpace(IntEnum):
    NODE_UPDATE = 0x4D53_0001
    JOB = 0x4D53_0002
    BEAT = 0x4D53_0003
    NAMESPACE = 0x4D53_0004
    NODE_SHARD = 0x4D53_0005
    STEP = 0x4D53_0006
    BACKFILL = 0x4D53_0007
    IDENTIFIERS = 0x4D53_0008
    TABLE_CHANGES = 0x4D53_0014
    TABLE_PROGRESS = 0x4D53_0015


def lock_class(space: LockSpace) -> int:
    """The first of the two numbers of a lock: the space itself, or in a namespace a number of the two."""
    namespace = namespaces.current()
    if not namespace:
        return int(space)
    digest = hashlib.sha256(f"{namespace}:{int(space)}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31


def try_lock(space: LockSpace, number: int, *, shared: bool = False) -> bool:
    """Take the lock for this connection, or say at once that another connection has it.

    A shared lock excludes exclusive ones only.
    """
    function = "pg_try_advisory_lock_shared" if shared else "pg_try_advisory_lock"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, %s)", [lock_class(space), number % 2**31])
        return bool(cursor.fetchone()[0])


def try_lock_for_transaction(space: LockSpace, number: int) -> bool:
    """Take the lock until the current transaction ends, or say at once that another connection has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [lock_class(space), number % 2**31])
        return bool(cursor.fetchone()[0])


def take_for_transaction(space: LockSpace, numbers: Iterable[int]) -> None:
    """Take the locks until the current transaction ends, waiting for each, in one order for all who ask."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, n) FROM unnest(%s::int[]) AS t(n)",
            [lock_class(space), sorted({number % 2**31 for number in numbers})],
        )


def share_for_transaction(space: LockSpace, number: int) -> None:
    """Take a share of the lock until the current transaction ends, beside other sharers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", [lock_class(space), number % 2**31])


def await_sharers(space: LockSpace, numbers: Sequence[int], *, patience: float) -> bool:
    """Whether everybody else who shares these locks now has let go of them within `patience` seconds. Keeps none."""
    waiting, deadline = [number % 2**31 for number in numbers], time.monotonic() + patience
    while waiting:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT n FROM unnest(%s::int[]) AS t(n) WHERE NOT CASE WHEN pg_try_advisory_lock(%s, n) "
                "THEN pg_advisory_unlock(%s, n) ELSE false END",
                [waiting, lock_class(space), lock_class(space)],
            )
            waiting = [number for (number,) in cursor.fetchall()]
        if waiting and time.monotonic() > deadline:
            return False
        if waiting:
            time.sleep(SECONDS_BETWEEN_TRIES)
    return True


def unlock(space: LockSpace, number: int, *, shared: bool = False) -> None:
    function = "pg_advisory_unlock_shared" if shared else "pg_advisory_unlock"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, %s)", [lock_class(space), number % 2**31])


_HOLDERS = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND classid = %s::bigint::oid AND objid = %s::bigint::oid"
)


def is_held(space: LockSpace, number: int, *, exclusively: bool = False) -> bool:
    """Whether any connection holds the lock now; with `exclusively`, whether one holds it alone."""
    mode = " AND mode = 'ExclusiveLock'" if exclusively else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS ({_HOLDERS}{mode})", [lock_class(space), number % 2**31])
        return bool(cursor.fetchone()[0])


def is_ours(space: LockSpace, number: int) -> bool:
    """Whether this connection holds the lock: not so after it was cut and made anew."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted "
            "AND pid = pg_backend_pid() AND classid = %s::bigint::oid AND objid = %s::bigint::oid)",
            [lock_class(space), number % 2**31],
        )
        return bool(cursor.fetchone()[0])


def end_holders(space: LockSpace, number: int) -> int:
    """End the connections that hold the lock, and with them their transactions; returns how many were told."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM ({_HOLDERS}) AS holders "
            "WHERE pid <> pg_backend_pid()",
            [lock_class(space), number % 2**31],
        )
        return int(cursor.fetchone()[0])


@contextmanager
def held(space: LockSpace, number: int, *, patience: float = 0.0, shared: bool = False) -> Iterator[bool]:
    """The lock for the block, if it was free or became so within `patience` seconds: yields whether it was."""
    deadline = time.monotonic() + patience
    while not (taken := try_lock(space, number, shared=shared)) and time.monotonic() < deadline:
        time.sleep(SECONDS_BETWEEN_TRIES)
    try:
        yield taken
    finally:
        if taken and connection.connection is not None and not connection.connection.closed:
            with suppress(OperationalError, InterfaceError):  # a connection that is lost has let go of it
                unlock(space, number, shared=shared)
