"""Stored identifiers, changed: other days, a rename on a day, an end, or away with it."""

import datetime as dt
from typing import Any

from django.db import transaction

from markets.engine.identifier_schemes import identifier_key
from markets.exceptions import Conflict, InvalidInput
from markets.models import Asset, AssetIdentifier
from markets.services import deletion
from markets.services import identifier_clashes as clashes
from markets.services.identifiers import (
    IdentifierRow,
    add_identifier,
    clean_days,
    clean_source,
    locked_assets,
    refused_by_database,
)
from markets.services.registry_rows import change, refuse_unknown
from markets.services.stored import locked
from markets.services.values import UNSET, Unset, clean_date, clean_object, given

CHANGEABLE = ("valid_from", "valid_to", "source", "evidence")


@transaction.atomic
def update_identifier(row: AssetIdentifier, **fields: Any) -> AssetIdentifier:
    """Change the days, the source or the evidence; omitted keeps, None clears.

    Whose it is, scheme, value and venue never change: delete a wrong one and add the right one, or record a rename.
    Raises Conflict naming what it would overlap, NotFound when it is deleted.
    """
    values = given(**fields)
    refuse_unknown(values, CHANGEABLE, subject="An identifier")
    asset = row.asset
    locked_assets([asset.unique_identifier])
    stored = locked(row)
    first, last = clean_days(values.get("valid_from", stored.valid_from), values.get("valid_to", stored.valid_to))
    cleaned: dict[str, Any] = {"valid_from": first, "valid_to": last}
    if "source" in values:
        cleaned["source"] = clean_source(values["source"] or "")
    if "evidence" in values:
        cleaned["evidence"] = clean_object(values["evidence"], field="evidence")
    if (first, last) != (stored.valid_from, stored.valid_to):
        key = clashes.key_of(stored)
        clashes.lock([key])
        wanted = IdentifierRow(asset.unique_identifier, key, first, last)
        found = clashes.of_rows([wanted], {asset.unique_identifier: asset.pk}, without=[stored.pk])
        if found:
            raise Conflict(f"{found[0]}. Nothing was changed: give other days, or change that one first.")
    with refused_by_database():
        return change(stored, cleaned)


def close_identifier(row: AssetIdentifier, *, valid_to: object) -> AssetIdentifier:
    """The identifier no longer holds from that day on: a delisting."""
    return update_identifier(row, valid_to=clean_date(valid_to, field="valid_to"))


def delete_identifier(row: AssetIdentifier) -> None:
    """As if it had never been recorded; the history of changes keeps it. What held until a day is closed instead."""
    deletion.delete(row)


@transaction.atomic
def change_identifier(
    asset: Asset,
    scheme: object,
    value: object,
    *,
    effective: object,
    venue: object = "",
    replaces: object | Unset = UNSET,
    source: str = "",
    evidence: Any = None,
) -> AssetIdentifier:
    """A rename: from the day `effective` on the asset goes by this value, in place of what holds then at the venue.

    `replaces` names the value that ends, where several of the scheme hold at once; else all of them end. The new one
    holds as long as what it replaces would have. Raises InvalidInput when `replaces` does not hold then, or is the
    value itself; Conflict when a later change is recorded already, or another asset has the value.
    """
    key = identifier_key(scheme, value, venue)
    day = clean_date(effective, field="effective")
    locked_assets([asset.unique_identifier])
    held = AssetIdentifier.objects.filter(asset=asset, scheme=key.scheme, venue=key.venue).select_for_update()
    if replaces is not UNSET:
        held = held.filter(value=identifier_key(scheme, replaces, venue).value)
    rows = list(held.order_by("valid_from", "pk"))
    later = [row for row in rows if row.valid_from is not None and row.valid_from >= day]
    if later:
        raise Conflict(
            f"{asset} has {later[0]} from {later[0].valid_from} on, which is not before {day}. Change or delete that "
            "one first."
        )
    current = [row for row in rows if row.valid_to is None or row.valid_to > day]
    if replaces is not UNSET and not current:
        raise InvalidInput(f"{asset} has no {key.scheme} {replaces} on {day}.", field="effective")
    if any(row.value == key.value for row in current):
        raise InvalidInput(f"{asset} goes by {key} already on {day}. Give the new value.", field="value")
    ends = {row.valid_to for row in current}
    clashes.lock([key, *map(clashes.key_of, current)])
    for row in current:
        change(row, {"valid_to": day})
    until: dt.date | None = None if not ends or None in ends else max(end for end in ends if end is not None)
    return add_identifier(
        asset,
        key.scheme,
        key.value,
        venue=key.venue,
        valid_from=day,
        valid_to=until,
        source=source,
        evidence=evidence,
    )
