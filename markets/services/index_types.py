"""Index types: the registry of what kinds of index there are."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from markets.exceptions import Conflict, InvalidInput, ProtectedRow
from markets.models import Index, IndexType
from markets.services import deletion
from markets.services.bulk import BulkOutcome, OnError, Rows, bulk_upsert
from markets.services.bulk_stage import Entity, by_name
from markets.services.registry_rows import change, insert_once
from markets.services.values import (
    UNSET,
    Unset,
    Upserted,
    clean_object,
    clean_optional_text,
    given,
    normalise_type_key,
)


@transaction.atomic
def create_index_type(
    *,
    index_type: str,
    display_name: str | None = None,
    description: str | None = None,
    metadata_json: dict | None = None,
) -> IndexType:
    """A new type. Raises Conflict when the key is taken."""
    fields = _cleaned(display_name=display_name, description=description, metadata_json=metadata_json)
    saved = insert_once(IndexType, {"index_type": required_key(index_type)}, fields)
    if not saved.created:
        raise Conflict(
            f"An index type {saved.row.index_type!r} exists already. Change that one, or choose another key."
        )
    return saved.row


@transaction.atomic
def upsert_index_type(
    *,
    index_type: str,
    display_name: str | Unset | None = UNSET,
    description: str | Unset | None = UNSET,
    metadata_json: dict | Unset | None = UNSET,
) -> Upserted[IndexType]:
    """Create the type, or change the fields that are given; None clears one. The key is normalised."""
    fields = _cleaned(**given(display_name=display_name, description=description, metadata_json=metadata_json))
    saved = insert_once(IndexType, {"index_type": required_key(index_type)}, fields)
    return saved if saved.created else Upserted(change(saved.row, fields), created=False)


@transaction.atomic
def update_index_type(
    row: IndexType,
    *,
    display_name: str | Unset | None = UNSET,
    description: str | Unset | None = UNSET,
    metadata_json: dict | Unset | None = UNSET,
) -> IndexType:
    """Change the fields that are given; the key never changes."""
    return change(
        row, _cleaned(**given(display_name=display_name, description=description, metadata_json=metadata_json))
    )


def register_index_type(index_type: str) -> str:
    """The normalised key; the type is made, without a name, when nobody described it yet."""
    key = required_key(index_type)
    register_index_types([key])
    return key


def register_index_types(keys: Iterable[str]) -> None:
    """Make the types of these normalised keys that there are not yet, in their order so that callers cannot block."""
    wanted = set(keys)
    missing = wanted.difference(IndexType.objects.filter(index_type__in=wanted).values_list("index_type", flat=True))
    IndexType.objects.bulk_create([IndexType(index_type=key) for key in sorted(missing)], ignore_conflicts=True)


def bulk_upsert_index_types(rows: Rows, *, on_error: OnError = "refuse") -> BulkOutcome:
    """Many types at once, by `index_type`; see `markets.services.bulk`."""
    return bulk_upsert(INDEX_TYPES, rows, on_error=on_error)


@transaction.atomic
def delete_index_type(row: IndexType) -> None:
    """Delete a type that no index has. Raises ProtectedRow with the number of indices that have it."""
    IndexType.objects.select_for_update().filter(pk=row.pk).first()
    used = _indices_of_type(row)
    if used:
        raise ProtectedRow(
            f"The index type {row.index_type} is used by {used:,} {'index' if used == 1 else 'indices'}. Give them "
            "another type first."
        )
    row.delete()


def index_type_delete_impact(row: IndexType) -> deletion.DeleteImpact:
    """What keeps the type: the indices that have it name its key, which no foreign key states."""
    indices = deletion.relationship(
        key="markets.index.index_type",
        label="indices",
        model="markets.Index",
        column="index_type",
        on_delete="RESTRICT",
        count=_indices_of_type(row),
        kind="derived",
        subject="indices",
    )
    return deletion.delete_impact(row, derived=[indices])


def required_key(value: object) -> str:
    key = normalise_type_key(value, field="index_type")
    if key is None:
        raise InvalidInput("index_type must not be null.", field="index_type")
    return key


def _indices_of_type(row: IndexType) -> int:
    return Index.objects.filter(index_type=row.index_type).count()


def _cleaned(**fields: Any) -> dict[str, Any]:
    cleaned = dict(fields)
    if "display_name" in fields:
        cleaned["display_name"] = clean_optional_text(fields["display_name"], field="display_name", longest=255)
    if "description" in fields:
        cleaned["description"] = clean_optional_text(fields["description"], field="description")
    if "metadata_json" in fields:
        cleaned["metadata_json"] = clean_object(fields["metadata_json"], field="metadata_json")
    return cleaned


INDEX_TYPES = Entity(
    noun="index type",
    model=IndexType,
    key="index_type",
    clean_key=required_key,
    clean=by_name(_cleaned, ("display_name", "description", "metadata_json")),
    defaults={},
    read_only={name: name for name in ("uid", "id", "created_at", "updated_at")},
)
