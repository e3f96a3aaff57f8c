"""Currency pairs: an asset of type currency_spot, its base and its quote currency."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError

from markets.constants import ASSET_TYPE_CURRENCY_SPOT_DEFINITION
from markets.exceptions import Conflict, InvalidInput
from markets.models import Asset, CurrencySpot
from markets.services.details import find_references, save_details, update_details
from markets.services.registry_rows import refuse_unknown
from markets.services.values import Upserted, given

FIELDS = ("base_currency_uid", "quote_currency_uid")


def create_currency_spot(*, unique_identifier: str, **terms: Any) -> CurrencySpot:
    """A new pair, as `upsert_currency_spot`. Raises Conflict when the asset is a pair already."""
    return _save(unique_identifier, terms, must_be_new=True).row


def upsert_currency_spot(*, unique_identifier: str, **terms: Any) -> Upserted[CurrencySpot]:
    """Write the asset and its pair: `base_currency_uid` and `quote_currency_uid` name two assets that are currencies.

    Raises MissingReferences, InvalidReferences, InvalidInput when both are the same, Conflict when another asset is
    this pair or the asset has terms of another kind. Then nothing was written.
    """
    return _save(unique_identifier, terms)


def update_currency_spot(row: CurrencySpot, **terms: Any) -> CurrencySpot:
    """Change the currencies that are given."""
    cleaned = _cleaned(terms)
    try:
        return update_details(row, cleaned, check=_check)
    except IntegrityError as error:
        raise _taken_meanwhile() from error


def _save(identifier: str, terms: dict[str, Any], *, must_be_new: bool = False) -> Upserted[CurrencySpot]:
    cleaned = _cleaned(terms)
    try:
        return save_details(
            CurrencySpot,
            ASSET_TYPE_CURRENCY_SPOT_DEFINITION,
            identifier,
            cleaned,
            required=("base_currency", "quote_currency"),
            check=_check,
            must_be_new=must_be_new,
        )
    except IntegrityError as error:
        raise _taken_meanwhile() from error


def _check(asset: Asset, terms: Mapping[str, Any]) -> None:
    base, quote = terms["base_currency"], terms["quote_currency"]
    if base == quote:
        raise InvalidInput(f"Base and quote are both {base}. A pair has two currencies.", field="quote_currency_uid")
    other = CurrencySpot.objects.filter(base_currency=base, quote_currency=quote).exclude(pk=asset.pk).first()
    if other is not None:
        raise Conflict(f"The pair {base}/{quote} is the asset {other} already. Use that one.")


def _cleaned(terms: dict[str, Any]) -> dict[str, Any]:
    named = given(**terms)
    refuse_unknown(named, FIELDS, subject="A currency spot")
    found = find_references(named, dict.fromkeys(FIELDS, Asset), currencies=FIELDS)
    return {name.removesuffix("_uid"): row for name, row in found.items()}


def _taken_meanwhile() -> Conflict:
    return Conflict("The pair was given to another asset meanwhile. Use that one.")
