"""Asset types: the registry of kinds of instruments."""

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from markets.exceptions import Conflict, InvalidInput, ProtectedRow
from markets.models import Asset, AssetType
from markets.services import deletion
from markets.services.bulk import BulkOutcome, OnError, Rows, bulk_upsert
from markets.services.bulk_stage import Entity, by_name
from markets.services.stored import insert_or_lock, locked
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
def create_asset_type(
    *,
    asset_type: str,
    display_name: str | None = None,
    description: str | None = None,
    metadata_json: dict | None = None,
) -> AssetType:
    """A new type. Raises Conflict when the key is taken."""
    key = _required_key(asset_type)
    saved = _insert(key, _cleaned(display_name=display_name, description=description, metadata_json=metadata_json))
    if not saved.created:
        raise Conflict(f"An asset type {key!r} exists already. Change that one, or choose another key.")
    return saved.row


@transaction.atomic
def upsert_asset_type(
    *,
    asset_type: str,
    display_name: str | Unset | None = UNSET,
    description: str | Unset | None = UNSET,
    metadata_json: dict | Unset | None = UNSET,
) -> Upserted[AssetType]:
    """Create the type, or change the fields that are given; None clears one. The key is normalised."""
    key = _required_key(asset_type)
    fields = _cleaned(display_name=display_name, description=description, metadata_json=metadata_json)
    saved = _insert(key, fields)
    return saved if saved.created else Upserted(_change(saved.row, fields), created=False)


@transaction.atomic
def update_asset_type(
    row: AssetType,
    *,
    display_name: str | Unset | None = UNSET,
    description: str | Unset | None = UNSET,
    metadata_json: dict | Unset | None = UNSET,
) -> AssetType:
    """Change the fields that are given; the key never changes."""
    fields = _cleaned(display_name=display_name, description=description, metadata_json=metadata_json)
    return _change(locked(row), fields)


@transaction.atomic
def ensure_asset_type(
    asset_type: str,
    *,
    display_name: str | None = None,
    description: str | None = None,
    metadata_json: dict | None = None,
) -> AssetType:
    """The type as it is stored, or a new one with these texts: what a person wrote is never overwritten."""
    fields = _cleaned(display_name=display_name, description=description, metadata_json=metadata_json)
    return _insert(_required_key(asset_type), fields).row


def register_asset_type(asset_type: str | None) -> str | None:
    """The normalised key; the type is made, without a name, when nobody described it yet."""
    key = normalise_type_key(asset_type, field="asset_type")
    if key is not None:
        register_asset_types([key])
    return key


def register_asset_types(keys: Iterable[str]) -> None:
    """Make the types of these normalised keys that there are not yet, in their order so that callers cannot block."""
    wanted = set(keys)
    missing = wanted.difference(AssetType.objects.filter(asset_type__in=wanted).values_list("asset_type", flat=True))
    AssetType.objects.bulk_create([AssetType(asset_type=key) for key in sorted(missing)], ignore_conflicts=True)


def bulk_upsert_asset_types(rows: Rows, *, on_error: OnError = "refuse") -> BulkOutcome:
    """Many types at once, by `asset_type`; see `markets.services.bulk`."""
    return bulk_upsert(ASSET_TYPES, rows, on_error=on_error)


@transaction.atomic
def delete_asset_type(row: AssetType) -> None:
    """Delete a type that no asset has. Raises ProtectedRow with the number of assets that have it."""
    locked(row)
    used = assets_of_type(row)
    if used:
        raise ProtectedRow(
            f"The asset type {row.asset_type} is used by {used:,} asset{'' if used == 1 else 's'}. Give them another "
            "type first."
        )
    row.delete()


def asset_type_delete_impact(row: AssetType, *more: AssetType) -> deletion.DeleteImpact:
    """What keeps the types: the assets that have one name its key, which no foreign key states."""
    assets = deletion.relationship(
        key="markets.asset.asset_type",
        label="assets",
        model="markets.Asset",
        column="asset_type",
        on_delete="RESTRICT",
        count=assets_of_type(row, *more),
        kind="derived",
        subject="assets",
    )
    return deletion.delete_impact(row, *more, derived=[assets])


def assets_of_type(*types: AssetType) -> int:
    return Asset.objects.filter(asset_type__in=[row.asset_type for row in types]).count()


def _insert(key: str, fields: dict) -> Upserted[AssetType]:
    return insert_or_lock(AssetType(asset_type=key, **fields), key="asset_type")


def _required_key(value: object) -> str:
    key = normalise_type_key(value, field="asset_type")
    if key is None:
        raise InvalidInput("asset_type must not be null.", field="asset_type")
    return key


def _cleaned(*, display_name: object = UNSET, description: object = UNSET, metadata_json: object = UNSET) -> dict:
    fields = given(display_name=display_name, description=description, metadata_json=metadata_json)
    if "display_name" in fields:
        fields["display_name"] = clean_optional_text(display_name, field="display_name", longest=255)
    if "description" in fields:
        fields["description"] = clean_optional_text(description, field="description")
    if "metadata_json" in fields:
        fields["metadata_json"] = clean_object(metadata_json, field="metadata_json")
    return fields


def _change(row: AssetType, fields: dict) -> AssetType:
    if fields:
        for name, value in fields.items():
            setattr(row, name, value)
        row.updated_at = timezone.now()
        row.save(update_fields=[*fields, "updated_at"])
    return row


ASSET_TYPES = Entity(
    noun="asset type",
    model=AssetType,
    key="asset_type",
    clean_key=_required_key,
    clean=by_name(_cleaned, ("display_name", "description", "metadata_json")),
    defaults={},
    read_only={name: name for name in ("uid", "id", "created_at", "updated_at")},
)
