"""The engine: which database and tables this process is attached to. It attaches and verifies; it never creates."""

import logging
import math
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, models

from markets import namespaces
from markets.engine.namespaces import clean_namespace
from markets.exceptions import InvalidInput, NamespaceInUse, clipped
from markets.services import audit
from msm.selection import Models, name_of, select
from msm.verification import verify

logger = logging.getLogger("msm.runtime")

MANAGEMENT_MODES = ("platform_managed", "external_registered")
VARIABLE = "MSM_AUTO_REGISTER_NAMESPACE"


class MetaTable(str):
    """A physical table's name, which knows what it is: `identifier` is the published name, `schema` where it lives."""

    identifier: str
    model: type[models.Model]
    namespace: str | None

    @property
    def table_name(self) -> str:
        return str(self)

    @property
    def schema(self) -> str:
        return self.namespace or "public"


@dataclass(frozen=True)
class Context:
    """Where the engine works: Django's connection, the namespace (None: the default one) and who keeps the tables."""

    database: str
    namespace: str | None
    management_mode: str


class Runtime:
    """What `start_engine` attached to; one for each process. A later call that names more tables extends it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._models: Models = {}
        self._tables: dict[str, MetaTable] = {}

    @property
    def namespace(self) -> str | None:
        """The namespace; None is the default one."""
        return self.context.namespace

    @property
    def management_mode(self) -> str:
        return self.context.management_mode

    @property
    def meta_table_models(self) -> Mapping[str, type[models.Model]]:
        """Identifier → model, referred-to models first."""
        return MappingProxyType(self._models)

    @property
    def meta_tables(self) -> Mapping[str, MetaTable]:
        """Identifier → physical table, in the same order."""
        return MappingProxyType(self._tables)

    def table(self, selector: Any) -> MetaTable:
        """The physical table of a model: a model or row class, its name, identifier or table.

        Raises InvalidInput, a ValueError, for what names none, or one that is not attached.
        """
        name = name_of(selector, namespace=self.namespace or "", field="selector")
        if name not in self._tables:
            raise InvalidInput(
                f"{name} is not attached. Attached: {', '.join(self._tables)}. Add it: {_remedy([name])}"
            )
        return self._tables[name]

    def __repr__(self) -> str:
        where = f"namespace={self.namespace!r}, management_mode={self.management_mode!r}"
        return f"<Runtime {where}, tables={list(self._tables)}>"

    def _extend(self, wanted: Models) -> None:
        tables = {}
        for name, model in wanted.items():
            table = MetaTable(model._meta.db_table)
            table.identifier, table.model, table.namespace = namespaces.published(name), model, self.namespace
            tables[name] = table
        self._models, self._tables = wanted, tables


_lock = threading.Lock()
_runtime: Runtime | None = None


def start_engine(
    models: Iterable[Any] | None = None,
    *,
    management_mode: str = "platform_managed",
    namespace: str | None = None,
    timeout: float | None = None,
) -> Runtime:
    """Attach this process to the database and verify that the tables of `models` (all, when None) are there.

    `models` are model or row classes, or names: `Asset`, `AssetTable`, `mainsequence.examples.Asset`, `markets_asset`.
    Tables that they refer to are added. A second call returns the same runtime, extended where it names more.
    `namespace` is a PostgreSQL schema that `manage.py migrate_namespace` made; unless given, the one that
    MSM_AUTO_REGISTER_NAMESPACE names, else the default one. With `management_mode="external_registered"` somebody else
    makes and alters the tables, and their columns and types are compared, too. `timeout` in seconds bounds the
    connection attempt.

    Raises InvalidInput (a ValueError) for an unknown name, with suggestions; NotFound (a LookupError) listing what is
    missing, with the remedy; RuntimeError for another namespace or mode than the process has; ConnectionError when the
    database cannot be reached. Then the engine is as it was.
    """
    global _runtime
    if management_mode not in MANAGEMENT_MODES:
        raise InvalidInput(
            f"management_mode={clipped(repr(management_mode))}; use {' or '.join(MANAGEMENT_MODES)}.",
            field="management_mode",
        )
    seconds = _seconds(timeout)
    with _lock:
        wanted_namespace = _namespace(namespace)
        wanted = select(models, namespace=wanted_namespace)
        os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # notebooks run an event loop; calls there may block
        if _runtime is not None:
            _refuse_another(_runtime, wanted_namespace, management_mode)
            if set(wanted) <= set(_runtime.meta_tables):
                logger.info("engine reused: %s", ", ".join(_runtime.meta_tables))
                return _runtime
            wanted = select([*_runtime.meta_table_models, *wanted], namespace=wanted_namespace)
        before = namespaces.current()
        namespaces.adopt(wanted_namespace)
        try:
            verify(wanted, columns=management_mode == "external_registered", timeout=seconds)
        except BaseException:
            namespaces.adopt(before)
            raise
        if _runtime is None:
            _runtime = Runtime(Context(DEFAULT_DB_ALIAS, wanted_namespace or None, management_mode))
        _runtime._extend(wanted)
        if audit.current() == audit.NOBODY:
            audit.speak_for_process(source="Python", actor=audit.operating_system_user())
        logger.info(
            "engine started in %s, %s: %d models, %s",
            namespaces.described(wanted_namespace),
            management_mode,
            len(wanted),
            ", ".join(f"{table.identifier} ({table})" for table in _runtime.meta_tables.values()),
        )
        return _runtime


def attached(row_class: str, *names: str) -> Runtime:
    """The runtime, when it has these models; RuntimeError telling what to call when it has not."""
    if _runtime is None:
        raise RuntimeError(
            f"{row_class} needs the engine, which is not started. Call once at start-up: {_remedy(names)}"
        )
    missing = [name for name in names if name not in _runtime._tables]
    if missing:
        raise RuntimeError(
            f"{row_class} needs {', '.join(missing)}; the engine has {', '.join(_runtime.meta_tables)}. "
            f"Add it: {_remedy(missing)}"
        )
    return _runtime


def _remedy(names: Sequence[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"import msm; msm.start_engine(models=[{quoted}])"


def _namespace(given: object) -> str:
    """The namespace that is meant: the argument, else the process's own once it started, else the environment's."""
    if given is not None:
        return clean_namespace(given)
    if _runtime is not None:
        return _runtime.namespace or ""
    variable = os.environ.get(VARIABLE, "").strip()
    return clean_namespace(variable, field=VARIABLE) if variable else str(settings.NAMESPACE)


def _refuse_another(runtime: Runtime, namespace: str, management_mode: str) -> None:
    if (runtime.namespace or "") != namespace:
        raise NamespaceInUse(
            f"The engine already works in {namespaces.described(runtime.namespace or '')}, not in "
            f"{namespaces.described(namespace)}. One process has one: start another."
        )
    if runtime.management_mode != management_mode:
        raise RuntimeError(
            f"The engine already runs with management_mode={runtime.management_mode!r}. One process has one."
        )


def _seconds(timeout: object) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not math.isfinite(timeout) or timeout <= 0:
        raise InvalidInput(f"timeout={clipped(repr(timeout))} must be a positive number of seconds.", field="timeout")
    return float(timeout)
