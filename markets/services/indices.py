"""Indices: made and changed. One that a future has as its underlying cannot be deleted."""

from typing import Any

from django.db import transaction
from psycopg import sql

from markets.exceptions import Conflict
from markets.models import Index
from markets.models.indices import CalculationMethod, ValueFormat
from markets.services.bulk import BulkOutcome, OnError, Rows, bulk_upsert
from markets.services.bulk_stage import STAGE, Entity, StagedRows, by_name
from markets.services.index_types import register_index_type, register_index_types, required_key
from markets.services.registry_rows import change, insert_once, refuse_unknown, require
from markets.services.term_values import clean_choice
from markets.services.values import Upserted, clean_identifier, clean_object, clean_optional_text, clean_text, given

FIELDS = (
    *("index_type", "display_name", "provider", "calculation_method", "value_format", "value_suffix"),
    *("description", "metadata_json"),
)
REQUIRED = ("index_type", "display_name")


@transaction.atomic
def create_index(*, unique_identifier: str, **fields: Any) -> Index:
    """A new index; it needs `index_type` and `display_name`. Raises Conflict when the identifier is taken.

    Further fields are `provider`, `calculation_method` (custom unless told, or formula), `value_format` (decimal unless
    told, or percent), `value_suffix`, `description` and `metadata_json`.
    """
    saved = _insert(clean_identifier(unique_identifier), _cleaned(fields))
    if not saved.created:
        raise Conflict(
            f"An index {saved.row.unique_identifier!r} exists already. Change that one, or choose another identifier."
        )
    return saved.row


@transaction.atomic
def upsert_index(*, unique_identifier: str, **fields: Any) -> Upserted[Index]:
    """Create the index as `create_index` does, or change the fields that are given; None clears an optional one."""
    identifier, cleaned = clean_identifier(unique_identifier), _cleaned(fields)
    found = Index.objects.select_for_update().filter(unique_identifier=identifier).first()
    if found is None:
        saved = _insert(identifier, cleaned)
        if saved.created:
            return saved
        found = saved.row
    return Upserted(_change(found, cleaned), created=False)


@transaction.atomic
def update_index(row: Index, **fields: Any) -> Index:
    """Change the fields that are given; the identifier never changes."""
    return _change(row, _cleaned(fields))


def bulk_upsert_indices(rows: Rows, *, on_error: OnError = "refuse") -> BulkOutcome:
    """Many indices at once, by `unique_identifier`; see `markets.services.bulk`.

    A new one needs `index_type` and `display_name`. Types that nobody described are registered.
    """
    return bulk_upsert(INDICES, rows, on_error=on_error)


def _insert(identifier: str, cleaned: dict[str, Any]) -> Upserted[Index]:
    require(cleaned, REQUIRED, subject="index")
    saved = insert_once(Index, {"unique_identifier": identifier}, cleaned)
    if saved.created:
        register_index_type(cleaned["index_type"])
    return saved


def _change(row: Index, cleaned: dict[str, Any]) -> Index:
    method = cleaned.get("calculation_method")
    if method not in (None, row.calculation_method) and row.index_values.exists():
        raise Conflict(
            f"{row.unique_identifier} has values that came about as {row.calculation_method}; its calculation_method "
            "cannot change any more. Make another index."
        )
    if "index_type" in cleaned:
        register_index_type(cleaned["index_type"])
    return change(row, cleaned)


def _cleaned(fields: dict[str, Any]) -> dict[str, Any]:
    cleaned = given(**fields)
    refuse_unknown(cleaned, FIELDS, subject="An index")
    for name, value in cleaned.items():
        if name == "index_type":
            cleaned[name] = required_key(value)
        elif name == "display_name":
            text = " ".join(clean_text(value, field=name).split())
            cleaned[name] = clean_text(text, field=name, longest=255)
        elif name == "calculation_method":
            cleaned[name] = clean_choice(value, CalculationMethod.values, field=name)
        elif name == "value_format":
            cleaned[name] = clean_choice(value, ValueFormat.values, field=name)
        elif name == "metadata_json":
            cleaned[name] = clean_object(value, field=name)
        else:
            longest = {"provider": 255, "value_suffix": 32}.get(name)
            cleaned[name] = clean_optional_text(value, field=name, longest=longest)
    return cleaned


def _register_staged_types(stage: StagedRows) -> None:
    if stage.has("index_type"):
        found = stage.rows(sql.SQL("SELECT DISTINCT index_type FROM {} WHERE index_type IS NOT NULL").format(STAGE))
        register_index_types(key for (key,) in found)


INDICES = Entity(
    noun="index",
    model=Index,
    key="unique_identifier",
    clean_key=clean_identifier,
    clean=by_name(lambda **fields: _cleaned(fields), FIELDS),
    defaults={
        "calculation_method": lambda key: CalculationMethod.CUSTOM,
        "value_format": lambda key: ValueFormat.DECIMAL,
    },
    read_only={name: name for name in ("uid", "id", "created_at", "updated_at")},
    required=REQUIRED,
    after=_register_staged_types,
)
