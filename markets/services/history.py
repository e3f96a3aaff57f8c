"""Reads the record of changes: what happened to a row, field by field, also when the row is gone."""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from django.apps import apps
from django.contrib.auth.models import AnonymousUser, User
from django.db import models

from markets.models import (
    AccessToken,
    Asset,
    AssetCategory,
    AssetCategoryMembership,
    Backfill,
    Calendar,
    CalendarSession,
    Change,
    ImportRun,
    Job,
    NodeUpdate,
    OpenFigiDetails,
    Operation,
    PendingResolution,
    RegistryRow,
    Resolution,
    StorageNode,
)
from markets.models.details import AssetDetails
from markets.services.deletion import identifier_of

Model = type[models.Model]

# What the engine, the workers and imports keep of themselves is their own record.
NOT_RECORDED: tuple[Model, ...] = (
    Backfill,
    ImportRun,
    Job,
    NodeUpdate,
    PendingResolution,
    Resolution,
    StorageNode,
)
# Who may view these rows: whoever may view those that show them.
SHOWN_WITH: dict[Model, Model] = {
    OpenFigiDetails: Asset,
    AssetCategoryMembership: AssetCategory,
    CalendarSession: Calendar,
}
STAMPS = ("id", "uid", "created_at", "updated_at")


@dataclass(frozen=True)
class Reference:
    """A row that a field refers to; `uid` is None when the row has none."""

    uid: uuid.UUID | None
    name: str


@dataclass(frozen=True)
class FieldChange:
    """One field. A value is what JSON can say, a Decimal's digits as text, a time in UTC, or a Reference."""

    field: str
    label: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Described:
    """A change with its fields; `entity` is what kind of row changed, such as "bond"."""

    change: Change
    entity: str
    fields: Sequence[FieldChange]


@cache
def recorded_models() -> dict[str, Model]:
    """Every model whose changes are recorded, by its table."""
    others = (OpenFigiDetails, AccessToken)
    return {
        model._meta.db_table: model
        for model in apps.get_models()
        if (issubclass(model, (RegistryRow, AssetDetails)) and model not in NOT_RECORDED) or model in others
    }


def viewable_tables(user: User | AnonymousUser) -> list[str]:
    """The tables whose changes the user may see: those whose rows the user may view.

    To view access tokens is to view one's own: what was done with everybody's, only a superuser sees.
    """
    shown = {
        table: SHOWN_WITH.get(model, model)._meta
        for table, model in recorded_models().items()
        if model is not AccessToken or user.is_superuser
    }
    return [
        table for table, options in shown.items() if user.has_perm(f"{options.app_label}.view_{options.model_name}")
    ]


def history_of(uid: uuid.UUID, *, tables: Iterable[str], **conditions: Any) -> "models.QuerySet[Change]":
    """Changes of the row with this uid, of its details and of what belongs to it, the latest first.

    `conditions` narrow them as those of a queryset's `filter`. Each part reads its own index, in order.
    """
    among = Change.objects.order_by().filter(table_name__in=list(tables), **conditions)
    row, *others = (among.filter(**{f"{role}_uid": uid}) for role in ("row", "owner", "group"))
    return row.union(*others, all=True).order_by("-id")


def was_recorded(uid: uuid.UUID, model: Model, *, owner_uid: uuid.UUID | None = None) -> bool:
    """Whether a row of this model with this uid has a history; it need not exist any more."""
    found = Change.objects.filter(row_uid=uid, table_name=model._meta.db_table)
    return (found if owner_uid is None else found.filter(owner_uid=owner_uid)).exists()


def describe(changes: Sequence[Change]) -> list[Described]:
    """The changes field by field. The number of queries does not grow with the number of changes."""
    names = _Names(changes)
    return [
        Described(change, _entity(change), [_field_change(*item, names) for item in _differences(change)])
        for change in changes
    ]


def _entity(change: Change) -> str:
    model = recorded_models().get(change.table_name)
    return str(model._meta.verbose_name) if model is not None else change.table_name


def _differences(change: Change) -> Iterator[tuple[str, models.Field | None, Any, Any]]:
    """(column, field, old, new) of each field that says something; the field is None when the model has it no more."""
    model = recorded_models().get(change.table_name)
    fields = _fields(model) if model is not None else {}
    old, new = change.old or {}, change.new or {}
    for column in {**dict.fromkeys(fields), **old, **new}:
        field = fields.get(column)
        if (column not in old and column not in new) or (field is not None and field.generated):
            continue
        before, after = old.get(column), new.get(column)
        if change.operation != Operation.UPDATE and ((before is None and after is None) or column in STAMPS):
            continue
        if model is not None and field is model._meta.pk:  # an asset's details: whose they are is the row's own name
            continue
        yield column, field, before, after


@cache
def _fields(model: Model) -> dict[str, models.Field]:
    return {str(field.column): field for field in model._meta.concrete_fields}


def _field_change(column: str, field: models.Field | None, old: Any, new: Any, names: "_Names") -> FieldChange:
    if field is None:
        return FieldChange(column, column.replace("_", " "), _plain(old), _plain(new))
    label = str(field.verbose_name)
    return FieldChange(field.name, label, names.value(field, old), names.value(field, new))


class _Names:
    """The rows that the changes' foreign keys refer to: those that there are, and those that the record remembers."""

    def __init__(self, changes: Sequence[Change]) -> None:
        wanted: dict[Model, set[int]] = defaultdict(set)
        for change in changes:
            for _, field, *values in _differences(change):
                if isinstance(field, models.ForeignKey):
                    wanted[_target(field)].update(value for value in values if value is not None)
        self.known: dict[tuple[Model, Any], Reference] = {}
        for model, keys in wanted.items():
            for row in model._base_manager.filter(pk__in=keys):
                name = row.get_username() if isinstance(row, User) else identifier_of(row)
                self.known[model, row.pk] = Reference(getattr(row, "uid", None), name)
        gone = {(model._meta.db_table, key) for model, keys in wanted.items() for key in keys} - {
            (model._meta.db_table, key) for model, key in self.known
        }
        if gone:
            models_by_table = recorded_models()
            deleted = Change.objects.filter(
                operation=Operation.DELETE,
                table_name__in={table for table, _ in gone},
                row_key__in={key for _, key in gone},
            )
            for change in deleted.order_by("id"):
                if (change.table_name, change.row_key) in gone:
                    model = models_by_table[change.table_name]
                    self.known[model, change.row_key] = Reference(change.row_uid, f"{change.row_name} (deleted)")

    def value(self, field: models.Field, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(field, models.ForeignKey):
            return self.known.get((_target(field), value), Reference(None, f"number {value}"))
        if isinstance(field, models.DateTimeField):  # written in the time zone of whoever wrote
            return dt.datetime.fromisoformat(value).astimezone(dt.UTC)
        if isinstance(field, models.DecimalField):
            return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
        return _plain(value)


def _target(field: models.ForeignKey) -> Model:
    return field.remote_field.model


def _plain(value: Any) -> Any:
    """JSON as it was stored: numbers with a point are floats there."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
