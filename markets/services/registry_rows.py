"""What the services of plain registry rows share: insert once, change what differs, refuse unknown fields."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from django.db import models
from django.utils import timezone

from markets.exceptions import InvalidInput
from markets.models import RegistryRow
from markets.services.values import Upserted, listed

Row = TypeVar("Row", bound=RegistryRow)


def insert_once(model: type[Row], key: Mapping[str, Any], fields: Mapping[str, Any]) -> Upserted[Row]:
    """The stored row, locked, and whether this call made it. Concurrent callers end with one row."""
    candidate = model(**key, **fields)
    manager: models.Manager[Row] = model._default_manager
    manager.bulk_create([candidate], ignore_conflicts=True)
    stored = manager.select_for_update().get(**key)
    return Upserted(stored, created=stored.uid == candidate.uid)


def change(row: Row, fields: Mapping[str, Any]) -> Row:
    """Write the fields that differ; nothing is written when none does."""
    changed = {name: value for name, value in fields.items() if getattr(row, name) != value}
    if changed:
        for name, value in changed.items():
            setattr(row, name, value)
        row.updated_at = timezone.now()
        row.save(update_fields=[*changed, "updated_at"])
    return row


def refuse_unknown(fields: Mapping[str, Any], known: Collection[str], *, subject: str) -> None:
    """Raise InvalidInput naming the fields that there are not."""
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise InvalidInput(
            f"{subject} has no changeable field {listed(unknown)}. It has {', '.join(known)}.", field=unknown[0]
        )


def require(fields: Mapping[str, Any], needed: Collection[str], *, subject: str) -> None:
    """Raise InvalidInput naming every field that a new row lacks."""
    missing = [name for name in needed if name not in fields]
    if missing:
        raise InvalidInput(f"A new {subject} needs {', '.join(missing)}.", field=missing[0])
