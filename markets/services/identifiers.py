"""Identifiers of assets, written: each with the days for which it holds, who says so and on what evidence."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from markets.engine.identifier_schemes import IdentifierKey, identifier_key
from markets.engine.text import storable_text
from markets.exceptions import Conflict, InvalidInput, UnknownIdentifiers, clipped
from markets.models import Asset, AssetIdentifier
from markets.redirects import refuse_merged
from markets.services import identifier_clashes as clashes
from markets.services.values import as_uid, clean_date, clean_object

BATCH = 10_000
CONFLICTS_SHOWN = 5
LONGEST_SOURCE = 64


@dataclass(frozen=True)
class IdentifierRow:
    """An identifier of the asset that `asset_identifier` names; `valid_to` is the first day it no longer holds.

    `source` is who says so, where it is not who says all of them.
    """

    asset_identifier: str
    key: IdentifierKey
    valid_from: dt.date | None = None
    valid_to: dt.date | None = None
    evidence: Any = None
    source: str = ""


def identifier_row(
    asset_identifier: object,
    scheme: object,
    value: object,
    *,
    venue: object = "",
    valid_from: object = None,
    valid_to: object = None,
    evidence: object = None,
    source: object = "",
) -> IdentifierRow:
    """A row, checked. Raises InvalidInput naming the field."""
    if not isinstance(asset_identifier, str) or storable_text(asset_identifier) != asset_identifier:
        raise InvalidInput(f"asset_identifier={str(asset_identifier)[:60]!r} is no text.", field="asset_identifier")
    key = identifier_key(scheme, value, venue)
    first, last = clean_days(valid_from, valid_to)
    return IdentifierRow(
        asset_identifier, key, first, last, clean_object(evidence, field="evidence"), clean_source(source)
    )


def clean_days(valid_from: object, valid_to: object) -> tuple[dt.date | None, dt.date | None]:
    """The days from the first to the one on which it no longer holds; None and "" are open."""
    first, last = _day(valid_from, "valid_from"), _day(valid_to, "valid_to")
    if first is not None and last is not None and last <= first:
        raise InvalidInput(
            f"valid_to={last} is not after valid_from={first}. It is the first day on which the identifier no longer "
            "holds.",
            field="valid_to",
        )
    return first, last


def _day(value: object, field: str) -> dt.date | None:
    return None if value is None or value == "" else clean_date(value, field=field)


def clean_source(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_SOURCE or storable_text(value) != value:
        raise InvalidInput(f"source takes text of at most {LONGEST_SOURCE} characters.", field="source")
    return value.strip()


def named_asset(*, uid: object = None, identifier: object = None) -> Asset:
    """The asset that the uid, the identifier or both name. Raises InvalidInput with the field."""
    if uid is None and identifier is None:
        raise InvalidInput("Name the asset by asset_uid or asset_identifier.", field="asset_uid")
    field, said = ("asset_uid", uid) if uid is not None else ("asset_identifier", identifier)
    found = None
    if uid is not None:
        key = as_uid(uid)
        found = Asset.objects.filter(uid=key).first() if key is not None else None
    elif isinstance(identifier, str) and storable_text(identifier) == identifier:
        found = Asset.objects.filter(unique_identifier=identifier).first()
    if found is None:
        raise InvalidInput(f"There is no asset {clipped(str(said))!r}. Register it first.", field=field)
    if identifier is not None and identifier != found.unique_identifier:
        raise InvalidInput(
            f"asset_uid is that of {found}, not of {clipped(str(identifier))!r}.", field="asset_identifier"
        )
    return found


def add_identifier(
    asset: Asset, scheme: object, value: object, *, source: str = "", must_be_new: bool = False, **fields: Any
) -> AssetIdentifier:
    """One identifier of an asset; an equal one that is stored already is returned, or refused if it must be new.

    Raises InvalidInput, and Conflict naming the asset that has it at that time.
    """
    row = identifier_row(asset.unique_identifier, scheme, value, **fields)
    if not record_identifiers([row], source=source) and must_be_new:
        days = clashes.spell(row.valid_from, row.valid_to)
        raise Conflict(f"{asset} has {row.key} {days} already. Change that one, or leave it.")
    return AssetIdentifier.objects.get(
        asset=asset,
        scheme=row.key.scheme,
        value=row.key.value,
        venue=row.key.venue,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
    )


def record_identifiers(rows: Iterable[IdentifierRow], *, source: str) -> int:
    """Write many, all or none; those stored already, the same to the day, are left alone. Returns how many are new.

    Raises UnknownIdentifiers listing every asset that there is not, and Conflict telling which rows overlap a stored
    one, or each other.
    """
    wanted = list(_distinct(rows))
    source = clean_source(source)
    with transaction.atomic():
        assets = locked_assets({row.asset_identifier for row in wanted})
        missing = {row.asset_identifier for row in wanted} - assets.keys()
        if missing:
            raise UnknownIdentifiers(missing)
        clashes.lock(row.key for row in wanted)
        stored = clashes.stored_already(wanted, assets)
        fresh = [row for row, is_stored in zip(wanted, stored, strict=True) if not is_stored]
        found = clashes.of_rows(fresh, assets)
        if found:
            told = [found[place] for place in sorted(found)[:CONFLICTS_SHOWN]]
            more = f"; … and {len(found) - len(told):,} more" if len(found) > len(told) else ""
            raise Conflict(
                f"{'; '.join(told)}{more}. Close the stored one first, or correct the dates. Nothing was written."
            )
        write(fresh, assets, source=source)
    return len(fresh)


def _distinct(rows: Iterable[IdentifierRow]) -> Iterable[IdentifierRow]:
    """Each row once, whatever its evidence."""
    seen: set[tuple[Any, ...]] = set()
    for row in rows:
        key = (row.asset_identifier, row.key, row.valid_from, row.valid_to)
        if key not in seen:
            seen.add(key)
            yield row


def locked_assets(names: Iterable[str]) -> dict[str, int]:
    """Identifier → id of those that exist, locked until the transaction ends; one that was merged is refused.

    Who writes identifiers of an asset waits for whoever else does; who writes rows that refer to it does not.
    """
    stored = list(
        Asset.objects.filter(unique_identifier__in=sorted(set(names)))
        .order_by("unique_identifier")
        .select_for_update(no_key=True)
        .values_list("unique_identifier", "pk", "merged_into_id")
    )
    merged = [pk for _, pk, into in stored if into is not None]
    if merged:
        refuse_merged(merged)
    return {name: pk for name, pk, _ in stored}


def write(rows: Sequence[IdentifierRow], assets: dict[str, int], *, source: str) -> None:
    """Insert rows that clash with nothing, in the order of their keys."""
    items = [
        AssetIdentifier(
            asset_id=assets[row.asset_identifier],
            scheme=row.key.scheme,
            value=row.key.value,
            venue=row.key.venue,
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            source=row.source or source,
            evidence=row.evidence,
        )
        for row in sorted(rows, key=lambda row: (row.key, row.valid_from or dt.date.min))
    ]
    with refused_by_database():
        AssetIdentifier.objects.bulk_create(items, batch_size=BATCH)


class refused_by_database:
    """A savepoint in which a constraint that refuses is a Conflict: only SQL that takes no locks gets so far."""

    def __enter__(self) -> None:
        self._block = transaction.atomic()
        self._block.__enter__()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._block.__exit__(kind, error, trace)
        if isinstance(error, IntegrityError):
            raise Conflict(
                "Another program wrote an identifier that overlaps one of these at the same moment. Nothing was "
                "written; try again."
            ) from error
