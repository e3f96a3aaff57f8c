"""Assets with terms: the asset and its row of terms are written in one transaction, after every reference was found."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.db import transaction
from django.utils import timezone

from markets.constants import AssetTypeDefinition
from markets.exceptions import Conflict, InvalidInput, InvalidReferences, MissingReferences, NotFound
from markets.models import Asset
from markets.models.details import CURRENCY_TYPES, AssetDetails
from markets.redirects import kept_asset, refuse_merged
from markets.services.asset_types import ensure_asset_type
from markets.services.assets import upsert_asset
from markets.services.registry_rows import require
from markets.services.values import Upserted, as_uid, clean_identifier

DetailsT = TypeVar("DetailsT", bound=AssetDetails)
Check = Callable[[Asset, Mapping[str, Any]], None]


def find_references(
    named: Mapping[str, object], targets: Mapping[str, Any], *, currencies: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The rows that fields name by uid, one query a table; `currencies` are the fields that must name a currency.

    Raises MissingReferences (a LookupError) with every field that names nothing, InvalidReferences with every field
    that holds no uid or names an asset that is no currency. Reads only.
    """
    uids = {field: as_uid(value) for field, value in named.items()}
    rows: dict[tuple[Any, Any], Any] = {}
    for model in dict.fromkeys(targets[field] for field in named):
        wanted = {uid for field, uid in uids.items() if targets[field] is model and uid is not None}
        for row in model._default_manager.filter(uid__in=wanted):
            rows[model, row.uid] = row
    missing: dict[str, str] = {}
    faults: dict[str, str] = {}
    found: dict[str, Any] = {}
    for field, value in named.items():
        model = targets[field]
        row = rows.get((model, uids[field]))
        if uids[field] is None:
            faults[field] = _no_uid(field, value)
        elif row is None:
            missing[field] = no_such_row(field, value, model)
        elif field in currencies and row.asset_type not in CURRENCY_TYPES:
            faults[field] = no_currency(field, row)
        elif isinstance(row, Asset) and row.merged_into_id is not None:
            faults[field] = f"{field} names {row}, which was merged into {kept_asset(row)}. Name that one."
        found[field] = row
    if missing:
        raise MissingReferences(missing | faults)
    if faults:
        raise InvalidReferences(faults)
    return found


def clean_reference(value: object, *, field: str) -> uuid.UUID:
    """The uid that a field holds; whether it names something is another question."""
    uid = as_uid(value)
    if uid is None:
        raise InvalidInput(_no_uid(field, value), field=field)
    return uid


def no_such_row(field: str, uid: object, model: Any) -> str:
    return f"{field}={uid}: there is no {model._meta.verbose_name} with this uid. Create it first."


def no_currency(field: str, row: Asset) -> str:
    return (
        f"{field} names {row}, whose type is {row.asset_type or 'not set'}; a currency's is "
        f"{' or '.join(CURRENCY_TYPES)}."
    )


def _no_uid(field: str, value: object) -> str:
    return f"{field}={str(value)[:60]!r} is no uid."


@transaction.atomic
def save_details(
    model: type[DetailsT],
    definition: AssetTypeDefinition,
    unique_identifier: object,
    terms: Mapping[str, Any],
    *,
    required: tuple[str, ...],
    check: Check,
    must_be_new: bool = False,
) -> Upserted[DetailsT]:
    """Write the type when it is missing, the asset, and its terms; terms that are not given keep their value.

    `terms` are clean and their references found; `check` sees all the terms that will be stored. Raises Conflict when
    the asset has terms of another kind or, if the row `must_be_new`, terms of this one; then nothing was written.
    """
    identifier = clean_identifier(unique_identifier)
    ensure_asset_type(definition.asset_type, display_name=definition.display_name, description=definition.description)
    asset = upsert_asset(unique_identifier=identifier, asset_type=definition.asset_type).row
    rows: Any = model._default_manager  # carries what is annotated beside the fields
    stored: DetailsT | None = rows.filter(pk=asset.pk).first()
    name = model._meta.verbose_name
    if stored is not None and must_be_new:
        raise Conflict(f"A {name} {identifier!r} exists already. Change that one, or choose another identifier.")
    if stored is not None:
        return Upserted(_change(stored, asset, terms, check), created=False)
    require(terms, required, subject=str(name))
    check(asset, terms)
    model._base_manager.create(asset=asset, **terms)
    return Upserted(rows.get(pk=asset.pk), created=True)


@transaction.atomic
def update_details(row: DetailsT, terms: Mapping[str, Any], *, check: Check) -> DetailsT:
    """Change the terms that are given."""
    asset = Asset.objects.select_for_update().filter(pk=row.pk).first()
    if asset is not None and asset.merged_into_id is not None:
        refuse_merged([asset.pk])
    rows: Any = type(row)._default_manager
    stored: DetailsT | None = rows.filter(pk=row.pk).first()
    if asset is None or stored is None:
        raise NotFound(f"The {row._meta.verbose_name} {row} is deleted.")
    return _change(stored, asset, terms, check)


def _change(stored: DetailsT, asset: Asset, terms: Mapping[str, Any], check: Check) -> DetailsT:
    fields = [field.name for field in stored._meta.concrete_fields]
    merged = {name: getattr(stored, name) for name in fields} | dict(terms)
    check(asset, merged)
    changed = [name for name, value in terms.items() if getattr(stored, name) != value]
    if changed:
        for name in changed:
            setattr(stored, name, terms[name])
        stored.updated_at = timezone.now()
        stored.save(update_fields=[*changed, "updated_at"])
    rows: Any = type(stored)._default_manager
    return rows.get(pk=stored.pk)
