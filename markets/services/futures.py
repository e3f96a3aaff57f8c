"""Futures on indices: an asset of type future and the terms of its contract."""

from collections.abc import Mapping
from typing import Any

from markets.constants import ASSET_TYPE_FUTURE_DEFINITION
from markets.exceptions import InvalidInput
from markets.models import Asset, Future, Index
from markets.models.details import FutureKind, SettlementMethod, SettlementModel
from markets.services.bulk import BulkOutcome, OnError, Rows, bulk_upsert
from markets.services.bulk_terms import terms_entity
from markets.services.details import find_references, save_details, update_details
from markets.services.registry_rows import refuse_unknown
from markets.services.term_values import clean_choice, clean_moment, clean_size, clean_unit
from markets.services.values import Upserted, clean_object, given

TARGETS = {"underlying_index_uid": Index, "settlement_asset": Asset, "margin_asset": Asset}
CHOICES = {
    "kind": FutureKind.values,
    "settlement_model": SettlementModel.values,
    "settlement_method": SettlementMethod.values,
}
FIELDS = (
    *("kind", "underlying_index_uid", "quote_unit", "settlement_asset", "margin_asset", "settlement_model"),
    *("settlement_method", "contract_size", "contract_unit", "expires_at", "settles_at", "metadata"),
)
REQUIRED = (
    *("kind", "underlying_index", "quote_unit", "settlement_asset", "margin_asset", "settlement_model"),
    *("settlement_method", "contract_size", "contract_unit"),
)


def create_future(*, unique_identifier: str, **terms: Any) -> Future:
    """A new future, as `upsert_future`. Raises Conflict when the asset is a future already."""
    return _save(unique_identifier, terms, must_be_new=True).row


def upsert_future(*, unique_identifier: str, **terms: Any) -> Upserted[Future]:
    """Write the asset and the terms of its contract; `settlement_asset` and `margin_asset` are uids of assets.

    An EXPIRING future has `expires_at`, a PERPETUAL one has none; `settles_at` is not before it. Raises
    MissingReferences with every reference that names nothing, InvalidInput for a bad value, Conflict when the asset has
    terms of another kind. Then nothing was written.
    """
    return _save(unique_identifier, terms)


def update_future(row: Future, **terms: Any) -> Future:
    """Change the terms that are given. To make a future perpetual, clear `expires_at` in the same call."""
    return update_details(row, _cleaned(terms), check=_check)


def bulk_upsert_futures(rows: Rows, *, on_error: OnError = "refuse") -> BulkOutcome:
    """Many futures at once, by `unique_identifier`, with the rules of `upsert_future`; see `markets.services.bulk`."""
    return bulk_upsert(FUTURES, rows, on_error=on_error)


def _save(identifier: str, terms: dict[str, Any], *, must_be_new: bool = False) -> Upserted[Future]:
    return save_details(
        Future,
        ASSET_TYPE_FUTURE_DEFINITION,
        identifier,
        _cleaned(terms),
        required=REQUIRED,
        check=_check,
        must_be_new=must_be_new,
    )


def _check(asset: Asset, terms: Mapping[str, Any]) -> None:
    for name in ("settlement_asset", "margin_asset"):
        if terms[name] == asset:
            raise InvalidInput(f"{asset} cannot be its own {name.replace('_', ' ')}.", field=name)
    expires, settles = terms.get("expires_at"), terms.get("settles_at")
    if terms["kind"] == FutureKind.PERPETUAL and expires is not None:
        raise InvalidInput(
            f"A PERPETUAL future never expires, but expires_at={expires.isoformat()}. Clear it (null), or make the "
            "future EXPIRING.",
            field="expires_at",
        )
    if terms["kind"] == FutureKind.EXPIRING and expires is None:
        raise InvalidInput("An EXPIRING future needs expires_at. Give it, or make it PERPETUAL.", field="expires_at")
    if expires is not None and settles is not None and settles < expires:
        raise InvalidInput(
            f"settles_at={settles.isoformat()} is before expires_at={expires.isoformat()}.", field="settles_at"
        )


def _cleaned(terms: dict[str, Any]) -> dict[str, Any]:
    values = given(**terms)
    refuse_unknown(values, FIELDS, subject="A future")
    named = {name: values.pop(name) for name in TARGETS if name in values}
    cleaned = _clean_values(values)
    found = find_references(named, TARGETS)
    return cleaned | {name.removesuffix("_uid"): row for name, row in found.items()}


def _clean_values(values: dict[str, Any]) -> dict[str, Any]:
    cleaned: dict[str, Any] = {}
    for name, value in values.items():
        if name in CHOICES:
            cleaned[name] = clean_choice(value, CHOICES[name], field=name)
        elif name in ("quote_unit", "contract_unit"):
            cleaned[name] = clean_unit(value, field=name)
        elif name == "contract_size":
            cleaned[name] = clean_size(value, field=name)
        elif name in ("expires_at", "settles_at"):
            cleaned[name] = None if value is None else clean_moment(value, field=name)
        elif name == "metadata":
            cleaned[name] = clean_object(value, field=name)
    return cleaned


FUTURES = terms_entity(
    Future,
    ASSET_TYPE_FUTURE_DEFINITION,
    fields=FIELDS,
    clean=_clean_values,
    targets=TARGETS,
    required=REQUIRED,
    check=_check,
)
