"""Identifiers of assets, written: each with the days for which it holds, who says so and on what evidence."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, connection, transaction

from markets.engine.identifier_schemes import IdentifierKey, identifier_key, scheme_of
from markets.engine.text import storable_text
from markets.exceptions import Conflict, InvalidInput, UnknownIdentifiers
from markets.models import Asset, AssetIdentifier
from markets.models.identifiers import UNIQUE_SCHEMES
from markets.redirects import refuse_merged
from markets.services.values import clean_date

BATCH = 10_000
CONFLICTS_SHOWN = 5
LONGEST_SOURCE = 64


@dataclass(frozen=True)
class IdentifierRow:
    """An identifier of the asset that `asset_identifier` names; `valid_to` is the first day it no longer holds."""

    asset_identifier: str
    key: IdentifierKey
    valid_from: dt.date | None = None
    valid_to: dt.date | None = None
    evidence: Any = None


def identifier_row(
    asset_identifier: object,
    scheme: object,
    value: object,
    *,
    venue: object = "",
    valid_from: object = None,
    valid_to: object = None,
    evidence: Any = None,
) -> IdentifierRow:
    """A row, checked. Raises InvalidInput naming the field."""
    if not isinstance(asset_identifier, str) or storable_text(asset_identifier) != asset_identifier:
        raise InvalidInput(f"asset_identifier={asset_identifier!r} is no text.", field="asset_identifier")
    first, last = _day(valid_from, "valid_from"), _day(valid_to, "valid_to")
    if first is not None and last is not None and last <= first:
        raise InvalidInput(
            f"valid_to={last} is not after valid_from={first}. It is the first day on which the identifier no longer "
            "holds.",
            field="valid_to",
        )
    return IdentifierRow(asset_identifier, identifier_key(scheme, value, venue), first, last, evidence)


def add_identifier(asset: Asset, scheme: object, value: object, *, source: str = "", **fields: Any) -> AssetIdentifier:
    """One identifier of an asset; an equal one that is stored already is returned.

    Raises InvalidInput, and Conflict naming the asset that has it at that time.
    """
    row = identifier_row(asset.unique_identifier, scheme, value, **fields)
    record_identifiers([row], source=source)
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
    one, or each other, of a scheme that names one asset at a time.
    """
    wanted = list(_distinct(rows))
    if not isinstance(source, str) or len(source) > LONGEST_SOURCE or storable_text(source) != source:
        raise InvalidInput(f"source takes text of at most {LONGEST_SOURCE} characters.", field="source")
    with transaction.atomic():
        assets = _assets_of(wanted)
        fresh = [row for row, stored in zip(wanted, _stored(wanted, assets), strict=True) if not stored]
        _refuse_overlaps(fresh, assets)
        items = [
            AssetIdentifier(
                asset_id=assets[row.asset_identifier],
                scheme=row.key.scheme,
                value=row.key.value,
                venue=row.key.venue,
                valid_from=row.valid_from,
                valid_to=row.valid_to,
                source=source,
                evidence=row.evidence,
            )
            for row in fresh
        ]
        try:
            with transaction.atomic():
                AssetIdentifier.objects.bulk_create(items, batch_size=BATCH)
        except IntegrityError as error:  # another process was faster, or two of the rows exclude each other
            _refuse_overlaps(fresh, assets)
            raise Conflict(
                f"Two of the identifiers exclude each other: {_detail(error)} Nothing was written."
            ) from error
    return len(fresh)


def _distinct(rows: Iterable[IdentifierRow]) -> Iterable[IdentifierRow]:
    """Each row once, whatever its evidence."""
    seen: set[tuple[Any, ...]] = set()
    for row in rows:
        key = (row.asset_identifier, row.key, row.valid_from, row.valid_to)
        if key not in seen:
            seen.add(key)
            yield row


def change_identifier(
    asset: Asset,
    scheme: object,
    value: object,
    *,
    effective: dt.date,
    venue: object = "",
    source: str = "",
    evidence: Any = None,
) -> AssetIdentifier:
    """From `effective` on the asset goes by this value in place of what holds then, at the same venue: a rename.

    Raises Conflict when a later change is recorded already, or another asset has the value.
    """
    key = identifier_key(scheme, value, venue)
    with transaction.atomic():
        Asset.objects.select_for_update().get(pk=asset.pk)
        held = AssetIdentifier.objects.filter(asset=asset, scheme=key.scheme, venue=key.venue)
        later = held.filter(valid_from__gte=effective).order_by("valid_from").first()
        if later is not None:
            raise Conflict(
                f"{asset} has {later} from {later.valid_from} on, which is not before {effective}. Change or delete "
                "that one first."
            )
        for current in held.filter(valid_to__isnull=True) | held.filter(valid_to__gt=effective):
            current.valid_to = effective
            current.save(update_fields=["valid_to", "updated_at"])
        return add_identifier(
            asset, key.scheme, key.value, venue=key.venue, valid_from=effective, source=source, evidence=evidence
        )


def close_identifier(row: AssetIdentifier, *, valid_to: dt.date) -> AssetIdentifier:
    """The identifier no longer holds from that day on: a delisting."""
    last = clean_date(valid_to, field="valid_to")
    if row.valid_from is not None and last <= row.valid_from:
        raise InvalidInput(f"valid_to={valid_to} is not after valid_from={row.valid_from}.", field="valid_to")
    row.valid_to = last
    with transaction.atomic():
        try:
            with transaction.atomic():
                row.save(update_fields=["valid_to", "updated_at"])
        except IntegrityError as error:
            raise Conflict(f"{row} overlaps another one then: {_detail(error)}") from error
    return row


def _day(value: object, field: str) -> dt.date | None:
    return None if value is None or value == "" else clean_date(value, field=field)


def _assets_of(rows: Sequence[IdentifierRow]) -> dict[str, int]:
    """Identifier → id, of assets locked against deletion."""
    names = sorted({row.asset_identifier for row in rows})
    stored = list(
        Asset.objects.filter(unique_identifier__in=names)
        .order_by("unique_identifier")
        .select_for_update(no_key=True)
        .values_list("unique_identifier", "pk", "merged_into_id")
    )
    found = {name: pk for name, pk, _ in stored}
    missing = [name for name in names if name not in found]
    if missing:
        raise UnknownIdentifiers(missing)
    merged = [pk for _, pk, into in stored if into is not None]
    if merged:
        refuse_merged(merged)
    return found


_COLUMNS = "p, asset_id, scheme, value, venue, valid_from, valid_to"
_WANTED = f"""
    SELECT *, daterange(valid_from, valid_to) AS spell
    FROM unnest(%s::int[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::date[], %s::date[]) AS u({_COLUMNS})
"""


def _arrays(rows: Sequence[IdentifierRow], assets: dict[str, int]) -> list[list[Any]]:
    return [
        list(range(len(rows))),
        [assets[row.asset_identifier] for row in rows],
        [row.key.scheme for row in rows],
        [row.key.value for row in rows],
        [row.key.venue for row in rows],
        [row.valid_from for row in rows],
        [row.valid_to for row in rows],
    ]


def _stored(rows: Sequence[IdentifierRow], assets: dict[str, int]) -> list[bool]:
    """Whether each row is stored already, the same to the day."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT w.p FROM ({_WANTED}) AS w JOIN markets_assetidentifier AS i
                ON i.scheme = w.scheme AND i.value = w.value AND i.venue = w.venue AND i.asset_id = w.asset_id
                AND daterange(i.valid_from, i.valid_to) = w.spell
            """,
            _arrays(rows, assets),
        )
        same = {place for (place,) in cursor.fetchall()}
    return [place in same for place in range(len(rows))]


def _refuse_overlaps(rows: Sequence[IdentifierRow], assets: dict[str, int]) -> None:
    """Raise Conflict naming what is stored in the way of the rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT w.p, a.unique_identifier, i.valid_from, i.valid_to
            FROM ({_WANTED}) AS w JOIN markets_assetidentifier AS i
                ON i.scheme = w.scheme AND i.value = w.value AND i.venue = w.venue
                AND daterange(i.valid_from, i.valid_to) && w.spell
                AND (i.asset_id = w.asset_id OR w.scheme = ANY(%s))
            JOIN markets_asset AS a ON a.id = i.asset_id
            ORDER BY w.p, i.valid_from NULLS FIRST LIMIT %s
            """,
            [*_arrays(rows, assets), UNIQUE_SCHEMES, CONFLICTS_SHOWN + 1],
        )
        found = cursor.fetchall()
    if not found:
        return
    told = [
        f"{scheme_of(rows[place].key.scheme).label} {rows[place].key.value} of {rows[place].asset_identifier} "
        f"({spell(rows[place].valid_from, rows[place].valid_to)}) overlaps that of {owner} ({spell(first, last)})"
        for place, owner, first, last in found[:CONFLICTS_SHOWN]
    ]
    more = "; …" if len(found) > CONFLICTS_SHOWN else ""
    raise Conflict(f"{'; '.join(told)}{more}. Close the stored one first, or correct the dates. Nothing was written.")


def spell(first: dt.date | None, last: dt.date | None) -> str:
    """'from 2004-08-19 to before 2014-04-03', for messages."""
    if first is None and last is None:
        return "at any time"
    parts = [f"from {first}" if first is not None else "", f"to before {last}" if last is not None else ""]
    return " ".join(filter(None, parts))


def _detail(error: IntegrityError) -> str:
    diagnostics = getattr(error.__cause__, "diag", None)
    return str(getattr(diagnostics, "message_detail", None) or error).splitlines()[0]
