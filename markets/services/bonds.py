"""Bonds: an asset of type bond, who issued it, in which currency, and from when to when it runs."""

from collections.abc import Mapping
from typing import Any

from markets.constants import ASSET_TYPE_BOND_DEFINITION
from markets.exceptions import InvalidInput
from markets.models import Asset, Bond, Issuer
from markets.models.details import BondStatus
from markets.services.bulk import BulkOutcome, OnError, Rows, bulk_upsert
from markets.services.bulk_terms import terms_entity
from markets.services.details import find_references, save_details, update_details
from markets.services.registry_rows import refuse_unknown
from markets.services.term_values import clean_choice
from markets.services.values import Upserted, clean_date, given

TARGETS = {"issuer_uid": Issuer, "currency_asset_uid": Asset}
CURRENCIES = ("currency_asset_uid",)
FIELDS = (*TARGETS, "issue_date", "maturity_date", "status")
REQUIRED = ("issuer", "currency_asset", "issue_date", "status")


def create_bond(*, unique_identifier: str, **terms: Any) -> Bond:
    """A new bond, as `upsert_bond`. Raises Conflict when the asset is a bond already."""
    return _save(unique_identifier, terms, must_be_new=True).row


def upsert_bond(*, unique_identifier: str, **terms: Any) -> Upserted[Bond]:
    """Write the asset and its terms: `issuer_uid`, `currency_asset_uid`, `issue_date`, `maturity_date`, `status`.

    A bond without `maturity_date` is perpetual. Raises MissingReferences with every reference that names nothing,
    InvalidReferences when the currency is none, InvalidInput for a bad value, Conflict when the asset has terms of
    another kind. Then nothing was written.
    """
    return _save(unique_identifier, terms)


def update_bond(row: Bond, **terms: Any) -> Bond:
    """Change the terms that are given; `maturity_date=None` makes the bond perpetual."""
    return update_details(row, _cleaned(terms), check=_check)


def bulk_upsert_bonds(rows: Rows, *, on_error: OnError = "refuse") -> BulkOutcome:
    """Many bonds at once, by `unique_identifier`, with the rules of `upsert_bond`; see `markets.services.bulk`."""
    return bulk_upsert(BONDS, rows, on_error=on_error)


def _save(identifier: str, terms: dict[str, Any], *, must_be_new: bool = False) -> Upserted[Bond]:
    return save_details(
        Bond,
        ASSET_TYPE_BOND_DEFINITION,
        identifier,
        _cleaned(terms),
        required=REQUIRED,
        check=_check,
        must_be_new=must_be_new,
    )


def _check(asset: Asset, terms: Mapping[str, Any]) -> None:
    if terms["currency_asset"] == asset:
        raise InvalidInput(f"{asset} cannot be its own currency.", field="currency_asset_uid")
    issued, matures = terms["issue_date"], terms.get("maturity_date")
    if matures is not None and matures < issued:
        raise InvalidInput(f"maturity_date={matures} is before issue_date={issued}. Swap them.", field="maturity_date")


def _cleaned(terms: dict[str, Any]) -> dict[str, Any]:
    values = given(**terms)
    refuse_unknown(values, FIELDS, subject="A bond")
    named = {name: values.pop(name) for name in TARGETS if name in values}
    cleaned = _clean_values(values)
    found = find_references(named, TARGETS, currencies=CURRENCIES)
    return cleaned | {name.removesuffix("_uid"): row for name, row in found.items()}


def _clean_values(values: dict[str, Any]) -> dict[str, Any]:
    cleaned: dict[str, Any] = {}
    for name, value in values.items():
        if name == "status":
            cleaned[name] = clean_choice(value, BondStatus.values, field=name)
        elif name == "maturity_date" and value is None:
            cleaned[name] = None
        else:
            cleaned[name] = clean_date(value, field=name)
    return cleaned


BONDS = terms_entity(
    Bond,
    ASSET_TYPE_BOND_DEFINITION,
    fields=FIELDS,
    clean=_clean_values,
    targets=TARGETS,
    currencies=CURRENCIES,
    required=REQUIRED,
    check=_check,
)
