"""Assets: made, changed and deleted; and what OpenFIGI says of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.utils import timezone
from psycopg import sql

from markets.engine.identifiers import figi_fault
from markets.exceptions import Conflict, InvalidInput, ProtectedRow
from markets.models import Asset, AssetCategory, OpenFigiDetails, UpdateStatistic
from markets.redirects import refuse_merged
from markets.services import deletion
from markets.services.asset_types import register_asset_type, register_asset_types
from markets.services.bulk import BulkOutcome, OnError, Rows, bulk_upsert
from markets.services.bulk_stage import STAGE, Entity, Extension, StagedRows, by_name
from markets.services.merged_rows import staged_merged
from markets.services.stored import insert_or_lock, locked
from markets.services.type_changes import refuse_type_change, staged_type_changes
from markets.services.values import (
    UNSET,
    Unset,
    Upserted,
    check_storable,
    clean_flag,
    clean_identifier,
    clean_object,
    clean_optional_text,
    given,
    listed,
    normalise_type_key,
)

FIGI_FIELDS = ("figi", "composite", "share_class")
DETAIL_LENGTHS: Mapping[str, int | None] = {
    field.name: field.max_length
    for field in OpenFigiDetails._meta.concrete_fields
    if field.name not in ("asset", "updated_at", "raw_payload")
}
DETAIL_FIELDS = (*DETAIL_LENGTHS, "raw_payload")


@transaction.atomic
def create_asset(
    *, unique_identifier: str, asset_type: str | None = None, is_custom_by_organization: bool = True
) -> Asset:
    """A new asset. Raises Conflict when the identifier is taken. A type that nobody described is registered."""
    saved = _insert(unique_identifier, asset_type, is_custom_by_organization)
    if not saved.created:
        raise Conflict(
            f"An asset {saved.row.unique_identifier!r} exists already. Change that one, or choose another identifier."
        )
    return saved.row


@transaction.atomic
def upsert_asset(
    *,
    unique_identifier: str,
    asset_type: str | Unset | None = UNSET,
    is_custom_by_organization: bool | Unset = UNSET,
) -> Upserted[Asset]:
    """Create the asset (custom unless told), or change the fields that are given; `asset_type=None` clears the type."""
    saved = _insert(
        unique_identifier,
        None if isinstance(asset_type, Unset) else asset_type,
        True if isinstance(is_custom_by_organization, Unset) else is_custom_by_organization,
    )
    if saved.created:
        return saved
    fields = given(asset_type=asset_type, is_custom_by_organization=is_custom_by_organization)
    return Upserted(_change(saved.row, fields), created=False)


@transaction.atomic
def update_asset(
    asset: Asset,
    *,
    asset_type: str | Unset | None = UNSET,
    is_custom_by_organization: bool | Unset = UNSET,
) -> Asset:
    """Change the fields that are given. The identifier never changes."""
    return _change(locked(asset), given(asset_type=asset_type, is_custom_by_organization=is_custom_by_organization))


def asset_delete_impact(asset: Asset, *more: Asset, force: bool = False) -> deletion.DeleteImpact:
    """What deleting the assets would take along, and what keeps them; `force` as in `delete_asset`."""
    is_refused = not force and not all(row.is_custom_by_organization for row in (asset, *more))
    return deletion.delete_impact(asset, *more, refusals=[_public_refusal()] if is_refused else [])


@transaction.atomic
def delete_asset(asset: Asset, *, force: bool = False) -> None:
    """Delete an asset with its details and memberships.

    Raises ProtectedRow, and deletes nothing, when it has data in any table, when another row needs it, or, unless
    `force`, when it belongs to the public master.
    """
    stored = locked(asset)
    tables = tables_with_data(stored)
    if tables:
        raise ProtectedRow(
            f"{stored} has data in {listed(f'{name} ({rows:,} rows)' for name, rows in tables.items())}. An asset with "
            "data is kept; remove it from its categories instead."
        )
    if not stored.is_custom_by_organization and not force:
        raise ProtectedRow(f"{stored} cannot be deleted: {_public_refusal()}.")
    categories = list(
        AssetCategory.objects.filter(memberships__asset=stored).order_by("pk").values_list("pk", flat=True)
    )
    deletion.delete(stored)
    AssetCategory.objects.filter(pk__in=categories).update(updated_at=timezone.now())


def tables_with_data(asset: Asset) -> dict[str, int]:
    """Table → number of rows, of the tables that hold rows of this asset."""
    rows = (
        UpdateStatistic.objects.filter(asset=asset)
        .values_list("storage__identifier", "storage__table_name")
        .annotate(rows=Sum("row_count"))
        .order_by("storage__table_name")
    )
    return {identifier or table: count for identifier, table, count in rows}


@transaction.atomic
def set_openfigi_details(asset: Asset, /, **fields: Any) -> OpenFigiDetails:
    """Write what OpenFIGI says of an asset; fields that are not given keep their value, None clears one.

    Raises InvalidInput for an unknown field, a wrong FIGI or a text that is too long, Conflict when the FIGI belongs to
    another asset.
    """
    cleaned = _clean_details(fields)
    locked(asset)
    figi = cleaned.get("figi")
    if figi is not None:
        owner = OpenFigiDetails.objects.filter(figi=figi).exclude(asset=asset).select_related("asset").first()
        if owner is not None:
            raise Conflict(_figi_taken(figi, owner.asset.unique_identifier))
    try:
        with transaction.atomic():
            details, _ = OpenFigiDetails.objects.update_or_create(asset=asset, defaults=cleaned)
    except IntegrityError as error:
        raise Conflict(f"The FIGI {figi} was given to another asset meanwhile.") from error
    _touch(asset)
    return details


def bulk_upsert_assets(rows: Rows, *, on_error: OnError = "refuse") -> BulkOutcome:
    """Many assets at once, by `unique_identifier`; see `markets.services.bulk`.

    A row may hold OpenFIGI details: as fields beside the others (`figi`, `ticker`, …), or as an object
    `openfigi_details`, of which None clears every field. Types that nobody described are registered. A FIGI of another
    asset, in the call or stored, is rejected, even where the call takes it away from that asset.
    """
    return bulk_upsert(ASSETS, rows, on_error=on_error)


@transaction.atomic
def clear_openfigi_details(asset: Asset) -> bool:
    """Remove the details; returns whether there were any."""
    locked(asset)
    deleted, _ = OpenFigiDetails.objects.filter(asset=asset).delete()
    if deleted:
        _touch(asset)
    return bool(deleted)


def clean_figi(value: object, *, field: str = "figi") -> str | None:
    """A FIGI, upper-case and with a right check digit, or None."""
    text = clean_optional_text(value, field=field)
    if text is None:
        return None
    fault = figi_fault(text.upper())
    if fault is not None:
        raise InvalidInput(f"{field}={text[:40]!r} is no FIGI: {fault}. An example: BBG000B9XRY4.", field=field)
    return text.upper()


def _clean_details(fields: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_unknown_details(fields)
    cleaned: dict[str, Any] = {}
    for name, value in fields.items():
        if name in FIGI_FIELDS:
            cleaned[name] = clean_figi(value, field=name)
        elif name == "raw_payload":
            cleaned[name] = clean_object(value, field=name)
        elif name == "metadata_text" and isinstance(value, str):
            check_storable(value, field=name)
            cleaned[name] = value
        else:
            cleaned[name] = clean_optional_text(value, field=name, longest=DETAIL_LENGTHS[name])
    return cleaned


def _refuse_unknown_details(fields: Mapping[str, Any]) -> None:
    unknown = sorted(str(name) for name in fields if name not in DETAIL_FIELDS)
    if unknown:
        raise InvalidInput(
            f"OpenFIGI details have no field {listed(unknown)}. They have {', '.join(DETAIL_LENGTHS)}.",
            field=unknown[0],
        )


def _figi_taken(figi: str, owner: str) -> str:
    return f"The FIGI {figi} belongs to the asset {owner}. One FIGI names one asset."


def _cleaned(**fields: object) -> dict[str, Any]:
    cleaned: dict[str, Any] = {}
    if "asset_type" in fields:
        cleaned["asset_type"] = normalise_type_key(fields["asset_type"], field="asset_type")
    if "is_custom_by_organization" in fields:
        cleaned["is_custom_by_organization"] = clean_flag(
            fields["is_custom_by_organization"], field="is_custom_by_organization"
        )
    return cleaned


def _insert(unique_identifier: object, asset_type: str | None, is_custom: object) -> Upserted[Asset]:
    """The stored asset, locked, and whether this call made it. Concurrent callers end with one row."""
    identifier = clean_identifier(unique_identifier)
    fields = _cleaned(asset_type=asset_type, is_custom_by_organization=is_custom)
    saved = insert_or_lock(Asset(unique_identifier=identifier, **fields), key="unique_identifier")
    if saved.created:
        register_asset_type(fields["asset_type"])
    return saved


def _change(asset: Asset, fields: dict[str, Any]) -> Asset:
    if asset.merged_into_id is not None:
        refuse_merged([asset.pk])
    fields = _cleaned(**fields)
    if "asset_type" in fields:
        register_asset_type(fields["asset_type"])
    changed = {name: value for name, value in fields.items() if getattr(asset, name) != value}
    if "asset_type" in changed:
        refuse_type_change(asset, changed["asset_type"])
    if changed:
        for name, value in changed.items():
            setattr(asset, name, value)
        asset.updated_at = timezone.now()
        asset.save(update_fields=[*changed, "updated_at"])
    return asset


def _touch(asset: Asset) -> None:
    asset.updated_at = timezone.now()
    Asset.objects.filter(pk=asset.pk).update(updated_at=asset.updated_at)


def _public_refusal() -> str:
    return (
        "it belongs to the public master; only a person with the permission force_delete_public_asset may delete it, "
        "with force=true"
    )


# --- in bulk ---------------------------------------------------------------------------------------------------------
def _flat(row: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The row with its `openfigi_details` as fields beside the others."""
    if "openfigi_details" not in row:
        return row
    flat = {name: value for name, value in row.items() if name != "openfigi_details"}
    details = row["openfigi_details"]
    if details is None:
        details = dict.fromkeys(DETAIL_FIELDS)
    elif not isinstance(details, Mapping):
        raise InvalidInput("openfigi_details must be an object or null.", field="openfigi_details")
    else:
        details = dict(details)
        if "updated_at" in details:
            flat["openfigi_details.updated_at"] = details.pop("updated_at")
        _refuse_unknown_details(details)
    twice = sorted(set(details) & set(flat))
    if twice:
        raise InvalidInput(f"{twice[0]} is given twice, in openfigi_details and beside it.", field=twice[0])
    return flat | details


def _figis_taken(stage: StagedRows) -> Iterator[tuple[int, str, str]]:
    """Rows whose FIGI belongs to another asset, stored or in an earlier row."""
    if not stage.has("figi"):
        return
    rows = stage.rows(
        sql.SQL(
            "SELECT s.position, s.figi, coalesce(owner.unique_identifier, s.earlier) "
            "FROM (SELECT position, figi, unique_identifier, first_value(unique_identifier) "
            "OVER (PARTITION BY figi ORDER BY position) AS earlier FROM {} WHERE figi IS NOT NULL) AS s "
            "LEFT JOIN {} AS d ON d.figi = s.figi LEFT JOIN {} AS owner ON owner.id = d.asset_id "
            "WHERE coalesce(owner.unique_identifier, s.earlier) <> s.unique_identifier"
        ).format(STAGE, sql.Identifier(OpenFigiDetails._meta.db_table), sql.Identifier(Asset._meta.db_table))
    )
    for position, figi, owner in rows:
        yield position, "figi", _figi_taken(figi, owner)


def _register_staged_types(stage: StagedRows) -> None:
    if stage.has("asset_type"):
        found = stage.rows(sql.SQL("SELECT DISTINCT asset_type FROM {} WHERE asset_type IS NOT NULL").format(STAGE))
        register_asset_types(key for (key,) in found)


ASSETS = Entity(
    noun="asset",
    model=Asset,
    key="unique_identifier",
    clean_key=clean_identifier,
    clean=by_name(_cleaned, ("asset_type", "is_custom_by_organization")),
    defaults={"is_custom_by_organization": lambda key: True},
    read_only={
        **{name: name for name in ("uid", "id", "created_at", "updated_at")},
        "openfigi_details.updated_at": "openfigi_details__updated_at",
    },
    extension=Extension(OpenFigiDetails, "asset", by_name(lambda **fields: _clean_details(fields), DETAIL_FIELDS)),
    unpack=_flat,
    checks=(staged_merged, _figis_taken, staged_type_changes),
    after=_register_staged_types,
)
