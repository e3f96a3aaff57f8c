"""Rows by their natural key: made once however many callers ask, changed only where something differs."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from django.db import IntegrityError, models, transaction
from django.utils import timezone

from markets.exceptions import Conflict, InvalidInput
from markets.models import RegistryRow
from markets.services.values import Upserted, as_uid

RowT = TypeVar("RowT", bound=RegistryRow)


@transaction.atomic
def create(model: type[RowT], key: Mapping[str, Any], fields: Mapping[str, Any]) -> RowT:
    """A new row. Raises Conflict when the key is taken; then the stored row is as it was."""
    saved = _insert(model, key, fields)
    if not saved.created:
        noun = model._meta.verbose_name
        raise Conflict(f"There is {_article(noun)} {noun} {_spelt(key)} already. Change that one, or choose another.")
    return saved.row


@transaction.atomic
def upsert(
    model: type[RowT],
    key: Mapping[str, Any],
    fields: Mapping[str, Any],
    *,
    needed: Mapping[str, str] | None = None,
    fixed: Collection[str] = (),
) -> Upserted[RowT]:
    """The row with this key, locked: made, or changed where the fields differ.

    `needed` names the fields that a new row cannot be made without, and what callers call them: InvalidInput. `fixed`
    names those that never change once the row is made: Conflict.
    """
    rows: models.Manager[RowT] = model._default_manager
    found = rows.select_for_update(of=("self",)).filter(**key).first()
    if found is None:
        for field, name in (needed or {}).items():
            if field not in fields:
                raise InvalidInput(
                    f"There is no {model._meta.verbose_name} {_spelt(key)} yet, and {name} is needed to make it.",
                    field=name,
                )
        saved = _insert(model, key, fields)
        if saved.created:
            return saved
        found = saved.row
    for field in fixed:
        if field in fields and getattr(found, field) != fields[field]:
            raise Conflict(
                f"The {model._meta.verbose_name} {_spelt(key)} belongs to another {field}, "
                f"{getattr(found, field)}, and never moves. Choose another one."
            )
    return Upserted(change(found, fields), created=False)


@transaction.atomic
def change(row: RowT, fields: Mapping[str, Any]) -> RowT:
    """Store the fields that differ; when none does, nothing is written. Raises Conflict for a duplicate."""
    changed = {name: value for name, value in fields.items() if getattr(row, name) != value}
    if changed:
        for name, value in changed.items():
            setattr(row, name, value)
        row.updated_at = timezone.now()
        try:
            with transaction.atomic():
                row.save(update_fields=[*changed, "updated_at"])
        except IntegrityError as error:
            raise _in_the_way(type(row)) from error
    return row


def referenced(model: type[RowT], uid: uuid.UUID | str | None, *, field: str) -> RowT:
    """The row with this uid. Raises InvalidInput, naming the field, when there is none."""
    noun = model._meta.verbose_name
    parsed = as_uid(uid)
    if parsed is None:
        said = "must not be empty" if uid is None else f"is {str(uid)[:60]!r}, which is no uid"
        raise InvalidInput(f"{field} {said}. Give the uid of {_article(noun)} {noun}.", field=field)
    found = model._default_manager.filter(uid=parsed).first()
    if found is None:
        raise InvalidInput(f"There is no {noun} with the uid {parsed}. Create it first.", field=field)
    return found


def _insert(model: type[RowT], key: Mapping[str, Any], fields: Mapping[str, Any]) -> Upserted[RowT]:
    """The stored row, locked, and whether this call made it. Concurrent callers end with one row."""
    candidate = model(**key, **fields)
    rows: models.Manager[RowT] = model._default_manager
    rows.bulk_create([candidate], ignore_conflicts=True)
    stored = rows.select_for_update(of=("self",)).filter(**key).first()
    if stored is None:
        raise _in_the_way(model)
    return Upserted(stored, created=stored.uid == candidate.uid)


def _in_the_way(model: type[RegistryRow]) -> Conflict:
    return Conflict(f"Another {model._meta.verbose_name} was written meanwhile and forbids this. Look again.")


def _spelt(key: Mapping[str, Any]) -> str:
    if len(key) == 1:
        return repr(next(iter(key.values())))
    return "with " + " and ".join(f"{name}={value}" for name, value in key.items())


def _article(noun: object) -> str:
    return "an" if str(noun)[0] in "aeiou" else "a"
