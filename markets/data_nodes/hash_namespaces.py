"""Hash namespaces: nodes made in one have tables and identifiers of their own, apart from everybody else's.

with hash_namespace("experiment"):
    MovingAverage(configuration, prices).run()
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from markets import namespaces
from markets.engine.namespaces import clean_hash_namespace

_ambient: ContextVar[str | None] = ContextVar("hash_namespace", default=None)


@contextmanager
def hash_namespace(name: str) -> Iterator[None]:
    """Nodes that are made in the block, and what they depend on, belong to this namespace unless told otherwise.

    "" is none: the block is as if there were no outer one. Raises InvalidInput for a name that cannot begin an
    identifier.
    """
    token = _ambient.set(clean_hash_namespace(name))
    try:
        yield
    finally:
        _ambient.reset(token)


@contextmanager
def no_ambient_namespace() -> Iterator[None]:
    """As outside every block: a node that is built from its stored configuration is the one that was stored."""
    token = _ambient.set(None)
    try:
        yield
    finally:
        _ambient.reset(token)


def ambient_namespace() -> str:
    """That of the innermost block, else that of the process."""
    named = _ambient.get()
    return namespaces.current() if named is None else named
