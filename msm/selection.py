"""Which tables a caller means, by model, row class, name, identifier or physical table; and what they refer to."""

import difflib
from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.db import models

from markets import namespaces
from markets.engine.namespaces import qualified
from markets.exceptions import InvalidInput, clipped

Models = dict[str, type[models.Model]]

# The names by which tables are selected, and the Django models behind them; a table comes after those it refers to.
SELECTABLE = {
    "AssetType": "markets.AssetType",
    "Asset": "markets.Asset",
    "OpenFigiAssetDetails": "markets.OpenFigiDetails",
    "AssetIdentifier": "markets.AssetIdentifier",
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


def select(selectors: Iterable[Any] | None, *, namespace: str | None = None) -> Models:
    """The models that are meant (all, when None) and those that their foreign keys reach, referred-to ones first.

    A row class stands for every table that its calls need. Raises InvalidInput, with suggestions, for what names none.
    """
    if selectors is None:
        names = set(SELECTABLE)
    elif isinstance(selectors, str | bytes | type) or not isinstance(selectors, Iterable):
        raise InvalidInput(f'models={_shown(selectors)} is no list. Write models=["Asset"].', field="models")
    else:
        names = {name for selector in selectors for name in _names(selector, namespace)}
    chosen = {name: apps.get_model(SELECTABLE[name]) for name in names}
    return _with_references(chosen)


def name_of(selector: Any, *, namespace: str | None = None, field: str = "models") -> str:
    """The identifier of the one table that a selector means. Raises InvalidInput with suggestions."""
    if isinstance(selector, type):
        model = selector if issubclass(selector, models.Model) else getattr(selector, "__model__", None)
        found = _identifiers_of_models().get(model) if model is not None else None
        if found is None:
            raise InvalidInput(f"{_shown(selector)} is no model or row class of MSM. {_known()}", field=field)
        return found
    if not isinstance(selector, str):
        raise InvalidInput(
            f"{_shown(selector)} selects no table: give a model, a row class or a name such as 'Asset'.", field=field
        )
    name = _without_prefix(selector.strip(), namespace, field)
    name = _tables().get(name, name)
    for candidate in (name, name.removesuffix("Table")):
        candidate = ALIASES.get(candidate, candidate)
        if candidate in SELECTABLE:
            return candidate
    near = difflib.get_close_matches(name[:100], [*SELECTABLE, *ALIASES, *_tables()], n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else _known()
    raise InvalidInput(f"There is no model {clipped(selector)!r}. {hint}", field=field)


def _names(selector: Any, namespace: str | None) -> Iterable[str]:
    required = getattr(selector, "__required_tables__", None) if isinstance(selector, type) else None
    return required if isinstance(required, tuple) else [name_of(selector, namespace=namespace)]


def _without_prefix(name: str, namespace: str | None, field: str) -> str:
    """The bare identifier of `mainsequence.examples.Asset`, when that is the namespace of the engine."""
    prefix, dot, bare = name.rpartition(".")
    if not dot:
        return name
    own = namespaces.current() if namespace is None else namespace
    if prefix == own:
        return bare
    raise InvalidInput(
        f"{clipped(name)!r} is a name in the namespace {clipped(prefix)}; the engine works in "
        f"{namespaces.described(own)}. Write {qualified(clipped(bare), own)}, or start it with "
        f"namespace={clipped(prefix)!r}.",
        field=field,
    )


def _with_references(chosen: Models) -> Models:
    names = _identifiers_of_models()
    reached: set[type[models.Model]] = set()
    waiting: list[Any] = list(chosen.values())
    while waiting:
        model = waiting.pop()
        if model in reached:
            continue
        reached.add(model)
        related = [field.related_model for field in model._meta.concrete_fields]
        related += [field.remote_field.through for field in model._meta.many_to_many]
        waiting += [target for target in related if target in names]
    return {name: model for model, name in names.items() if model in reached}


def _identifiers_of_models() -> dict[Any, str]:
    return {apps.get_model(label): name for name, label in SELECTABLE.items()}


def _tables() -> dict[str, str]:
    return {apps.get_model(label)._meta.db_table: name for name, label in SELECTABLE.items()}


def _known() -> str:
    return f"Known: {', '.join(SELECTABLE)}."


def _shown(value: object) -> str:
    return clipped(value.__qualname__ if isinstance(value, type) else repr(value))
