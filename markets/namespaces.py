"""The namespace of this process: the PostgreSQL schema whose tables its connections see, and no others.

It is one for the whole process, because connections are opened wherever a thread first needs one. The default
namespace, "", leaves the search path of the server as it is.
"""

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_task
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from markets.engine.namespaces import qualified, with_namespace, without_namespace
from markets.exceptions import NamespaceInUse

_changing = threading.Lock()
_listing = threading.Lock()
_current: str | None = None  # None: the one that the settings name
_opened: "weakref.WeakSet[BaseDatabaseWrapper]" = weakref.WeakSet()


def current() -> str:
    """The namespace of this process; "" is the default one."""
    return str(settings.NAMESPACE) if _current is None else _current


def published(name: str) -> str:
    """The name under which this process publishes a table."""
    return qualified(name, current())


def queue(namespace: str | None = None) -> str:
    """The Celery queue of the namespace's jobs: a worker finds the rows of its own namespace only."""
    namespace = current() if namespace is None else namespace
    base = str(settings.QUEUE)
    return f"{base}.{namespace}" if namespace else base


def adopt(namespace: str) -> None:
    """Let every connection of this process see the tables of `namespace` from now on.

    Raises NamespaceInUse while a transaction is open, another thread has a connection, or a Celery task runs: they
    would go on, half in one namespace and half in another.
    """
    global _current
    with _changing:
        before = current()
        if namespace == before:
            return
        _refuse_in_use(before, namespace)
        options = connection.settings_dict["OPTIONS"]  # shared with the connections of threads yet to come
        stripped = without_namespace(str(options.get("options", "")), before)
        options["options"] = with_namespace(stripped, namespace)
        if not options["options"]:
            del options["options"]
        for opened in _of_this_thread():
            opened.close()
        _current = namespace


@contextmanager
def within(namespace: str) -> Iterator[None]:
    """This process in a namespace for the block. Raises NamespaceInUse."""
    before = current()
    adopt(namespace)
    try:
        yield
    finally:
        adopt(before)


def schema_exists(namespace: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %s)", [namespace])
        return bool(cursor.fetchone()[0])


def make_schema(**_: Any) -> bool:
    """Make the schema of the current namespace where it is missing (a receiver of `pre_migrate`); whether it was."""
    namespace = current()
    if not namespace or schema_exists(namespace):
        return False
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(namespace)))
    return True


def remember_connection(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """A receiver of `connection_created`."""
    with _listing:
        _opened.add(connection)


def _of_this_thread() -> list[BaseDatabaseWrapper]:
    """The connections of this thread: a notebook's event loop gives each of its tasks one of its own."""
    return [other for other in _all_opened() if other._thread_ident == threading.get_ident()]


def _all_opened() -> list[Any]:
    with _listing:
        return [other for other in _opened if other.alias == DEFAULT_DB_ALIAS and other.connection is not None]


def _refuse_in_use(before: str, wanted: str) -> None:
    here = _of_this_thread()
    if current_task:
        reason = "a Celery task runs"
    elif any(opened.in_atomic_block for opened in here):
        reason = "a transaction is open"
    elif len(_all_opened()) > len(here):
        reason = "another thread of it has a connection"
    else:
        return
    raise NamespaceInUse(
        f"This process works in {described(before)} and cannot change to {described(wanted)} while {reason}. Start it "
        f"with MSM_AUTO_REGISTER_NAMESPACE={wanted}."
    )


def described(namespace: str) -> str:
    return f"the namespace {namespace}" if namespace else "the default namespace"
