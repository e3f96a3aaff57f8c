"""Currency pairs: an asset of type currency_spot, its base and its quote currency."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db import IntegrityError
from psycopg import sql

from markets.constants import ASSET_TYPE_CURRENCY_SPOT_DEFINITION
from markets.exceptions import Conflict, InvalidInput
from markets.models import Asset, CurrencySpot
from markets.services.bulk import BulkOutcome, OnError, Rows, bulk_upsert
from markets.services.bulk_stage import Fault
from markets.services.bulk_terms import ASSETS, TermsStage, terms_entity
from markets.services.details import find_references, save_details, update_details
from markets.services.registry_rows import refuse_unknown
from markets.services.values import Upserted, given

FIELDS = ("base_currency_uid", "quote_currency_uid")
TARGETS = dict.fromkeys(FIELDS, Asset)
REQUIRED = ("base_currency", "quote_currency")


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


def bulk_upsert_currency_spots(rows: Rows, *, on_error: OnError = "refuse") -> BulkOutcome:
    """Many pairs at once, by `unique_identifier`, with the rules of `upsert_currency_spot`.

    A pair of another asset, in the call or stored, is rejected, even where the call takes it away from that asset. See
    `markets.services.bulk`.
    """
    return bulk_upsert(CURRENCY_SPOTS, rows, on_error=on_error)


def _save(identifier: str, terms: dict[str, Any], *, must_be_new: bool = False) -> Upserted[CurrencySpot]:
    cleaned = _cleaned(terms)
    try:
        return save_details(
            CurrencySpot,
            ASSET_TYPE_CURRENCY_SPOT_DEFINITION,
            identifier,
            cleaned,
            required=REQUIRED,
            check=_check,
            must_be_new=must_be_new,
        )
    except IntegrityError as error:
        raise _taken_meanwhile() from error


def _check(asset: Asset, terms: Mapping[str, Any]) -> None:
    _check_currencies(asset, terms)
    base, quote = terms["base_currency"], terms["quote_currency"]
    other = CurrencySpot.objects.filter(base_currency=base, quote_currency=quote).exclude(pk=asset.pk).first()
    if other is not None:
        raise Conflict(_pair_taken(base, quote, other))


def _check_currencies(asset: Asset, terms: Mapping[str, Any]) -> None:
    base, quote = terms["base_currency"], terms["quote_currency"]
    if base == quote:
        raise InvalidInput(f"Base and quote are both {base}. A pair has two currencies.", field="quote_currency_uid")


def _pair_taken(base: object, quote: object, owner: object) -> str:
    return f"The pair {base}/{quote} is the asset {owner} already. Use that one."


def _cleaned(terms: dict[str, Any]) -> dict[str, Any]:
    named = given(**terms)
    refuse_unknown(named, FIELDS, subject="A currency spot")
    found = find_references(named, TARGETS, currencies=FIELDS)
    return {name.removesuffix("_uid"): row for name, row in found.items()}


def _taken_meanwhile() -> Conflict:
    return Conflict("The pair was given to another asset meanwhile. Use that one.")


def _pairs_taken(stage: TermsStage) -> Iterator[Fault]:
    """Rows whose pair is another asset, stored or of an earlier row."""
    taken = sql.SQL(
        "SELECT m.position, base.unique_identifier, quote.unique_identifier, "
        "coalesce(owner.unique_identifier, m.earlier) FROM (SELECT *, first_value(unique_identifier) "
        "OVER (PARTITION BY base_currency_id, quote_currency_id ORDER BY position) AS earlier FROM ({merged}) AS m) "
        "AS m JOIN {assets} AS base ON base.id = m.base_currency_id JOIN {assets} AS quote "
        "ON quote.id = m.quote_currency_id LEFT JOIN {pairs} AS pair ON pair.base_currency_id = m.base_currency_id "
        "AND pair.quote_currency_id = m.quote_currency_id LEFT JOIN {assets} AS owner ON owner.id = pair.asset_id "
        "WHERE coalesce(owner.unique_identifier, m.earlier) <> m.unique_identifier"
    ).format(merged=stage.merged(), assets=ASSETS, pairs=stage.table)
    for position, base, quote, owner in stage.rows(taken):
        yield position, "quote_currency_uid", _pair_taken(base, quote, owner)


CURRENCY_SPOTS = terms_entity(
    CurrencySpot,
    ASSET_TYPE_CURRENCY_SPOT_DEFINITION,
    fields=FIELDS,
    clean=dict,
    targets=TARGETS,
    currencies=FIELDS,
    required=REQUIRED,
    check=_check_currencies,
    taken=_pairs_taken,
)
