"""The engine: which database and tables this process is attached to. It attaches and verifies; it never creates."""

import difflib
import logging
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.apps import apps
from django.conf import settings
from django.db import OperationalError, connection, models

from markets.exceptions import InvalidInput, NotFound
from markets.services import audit

logger = logging.getLogger("msm.runtime")

# The names by which tables are selected, and the Django models behind them; a table comes after those it refers to.
SELECTABLE = {
    "AssetType": "markets.AssetType",
    "Asset": "markets.Asset",
    "OpenFigiAssetDetails": "markets.OpenFigiDetails",
    "AssetCategory": "markets.AssetCategory",
    "AssetCategoryMembership": "markets.AssetCategoryMembership",
    "IndexType": "markets.IndexType",
    "Index": "markets.Index",
    "Issuer": "markets.Issuer",
    "CurrencySpotAssetDetails": "markets.CurrencySpot",
    "BondAssetDetails": "markets.Bond",
    "FutureAssetDetails": "markets.Future",
    "Calendar": "markets.Calendar",
    "CalendarDate": "markets.CalendarDate",
    "CalendarSession": "markets.CalendarSession",
    "CalendarEvent": "markets.CalendarEvent",
    "Portfolio": "portfolios.Portfolio",
    "AccountGroup": "portfolios.AccountGroup",
    "Account": "portfolios.Account",
    "AccountAllocationModel": "portfolios.AccountAllocationModel",
    "AccountTargetAllocation": "portfolios.AccountTargetAllocation",
    "PositionSet": "portfolios.PositionSet",
    "AccountHoldingsSet": "portfolios.AccountHoldingsSet",
    "VirtualFund": "portfolios.VirtualFund",
}
ALIASES = {
    "OpenFigiDetails": "OpenFigiAssetDetails",
    "CurrencySpot": "CurrencySpotAssetDetails",
    "Bond": "BondAssetDetails",
    "Future": "FutureAssetDetails",
}
MANAGEMENT_MODES = ("platform_managed", "external_registered")


@dataclass(frozen=True)
class Runtime:
    """What `start_engine` attached to: the models by name, and their tables, dependencies first."""

    management_mode: str
    meta_table_models: dict[str, type[models.Model]]
    meta_tables: dict[str, str]

    def table(self, name: str) -> str:
        """The physical table of a model. Raises InvalidInput for a model that is not attached."""
        try:
            return self.meta_tables[ALIASES.get(name, name)]
        except KeyError:
            raise InvalidInput(f"{name} is not attached. Attached: {', '.join(self.meta_tables)}.") from None


_lock = threading.Lock()
_runtime: Runtime | None = None


def start_engine(
    models: Iterable[str] | None = None, *, management_mode: str = "platform_managed", timeout: float | None = None
) -> Runtime:
    """Attach this process to the database and verify that the tables of `models` (all, when None) are there.

    Tables that the named ones refer to are added. A second call attaches what the first did not and returns the
    runtime that has both; another `management_mode` is refused. `timeout` in seconds bounds the connection attempt.
    Raises InvalidInput for an unknown name (with suggestions), NotFound listing missing tables, ConnectionError when
    the database cannot be reached.
    """
    global _runtime
    if management_mode not in MANAGEMENT_MODES:
        raise InvalidInput(f"management_mode={management_mode!r}; use {' or '.join(MANAGEMENT_MODES)}.")
    wanted = _with_references(_selected(list(models) if models is not None else None))
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # notebooks run an event loop; calls there may block
    with _lock:
        if _runtime is not None:
            if _runtime.management_mode != management_mode:
                raise RuntimeError(
                    f"The engine already runs with management_mode={_runtime.management_mode!r}. One process has one."
                )
            if set(wanted) <= set(_runtime.meta_table_models):
                logger.info("engine reused: %s", ", ".join(_runtime.meta_tables))
                return _runtime
            wanted = {**_runtime.meta_table_models, **wanted}
        _verify(wanted, timeout)
        if audit.current() == audit.NOBODY:
            audit.speak_for_process(source="Python", actor=audit.operating_system_user())
        _runtime = Runtime(management_mode, wanted, {name: model._meta.db_table for name, model in wanted.items()})
        logger.info(
            "engine started: %s", ", ".join(f"{name} ({table})" for name, table in _runtime.meta_tables.items())
        )
        return _runtime


def attached(row_class: str, *names: str) -> Runtime:
    """The runtime, when it has these models; RuntimeError telling what to call when it has not."""
    if _runtime is None:
        raise RuntimeError(
            f"{row_class} needs the engine, which is not started. Call once at start-up: {_remedy(names)}"
        )
    missing = [name for name in names if name not in _runtime.meta_table_models]
    if missing:
        raise RuntimeError(
            f"{row_class} needs {', '.join(missing)}; the engine has {', '.join(_runtime.meta_tables)}. "
            f"Add it: {_remedy(missing)}"
        )
    return _runtime


def _remedy(names: Sequence[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"import msm; msm.start_engine(models=[{quoted}])"


def _selected(names: list[str] | None) -> dict[str, type[models.Model]]:
    chosen = list(SELECTABLE) if names is None else names
    found: dict[str, type[models.Model]] = {}
    for name in chosen:
        if not isinstance(name, str):
            name = getattr(name, "__name__", str(name))
        name = ALIASES.get(name, name)
        if name not in SELECTABLE:
            near = difflib.get_close_matches(name, SELECTABLE, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(SELECTABLE)}."
            raise InvalidInput(f"start_engine knows no model {name!r}. {hint}", field="models")
        found[name] = apps.get_model(SELECTABLE[name])
    return found


def _with_references(chosen: dict[str, type[models.Model]]) -> dict[str, type[models.Model]]:
    """The chosen models and those that their foreign keys and memberships reach, referred-to models first."""
    names: dict[type[models.Model], str] = {}
    for name, label in SELECTABLE.items():
        names.setdefault(apps.get_model(label), name)
    reached: dict[type[models.Model], str] = {}
    waiting = [(model, name) for name, model in chosen.items()]
    while waiting:
        model, name = waiting.pop()
        if model in reached:
            continue
        reached[model] = name
        related = [field.related_model for field in model._meta.concrete_fields]
        related += [field.remote_field.through for field in model._meta.many_to_many]
        waiting += [(target, names[target]) for target in related if target in names]
    return {reached[model]: model for model in names if model in reached}


def _verify(wanted: dict[str, type[models.Model]], timeout: float | None) -> None:
    if timeout is not None:
        connection.settings_dict.setdefault("OPTIONS", {})["connect_timeout"] = max(1, round(timeout))
    try:
        with connection.cursor() as cursor:
            present = set(connection.introspection.table_names(cursor))
    except OperationalError as error:
        where = "DATABASE_URL" if getattr(settings, "DATABASE_URL", "") else "MSM_DATA_DIR"
        raise ConnectionError(f"The database cannot be reached ({str(error).strip()}). Check {where}.") from error
    missing = sorted({model._meta.db_table for model in wanted.values()} - present)
    if missing:
        raise NotFound(
            f"The database has no table {', '.join(missing)}. Create them: .venv/bin/python manage.py migrate"
        )
