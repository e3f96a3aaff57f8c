"""What keeps identifiers from being written: one that names another asset, or the same twice, on one day."""

import bisect
import datetime as dt
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from django.db import connection

from markets.engine.identifier_schemes import IdentifierKey, scheme_of
from markets.locks import LockSpace, take_for_transaction
from markets.models import AssetIdentifier
from markets.models.identifiers import UNIQUE_SCHEMES

STRIPES = 64  # locks that a load takes at most; single writers seldom meet on one


class Row(Protocol):
    @property
    def asset_identifier(self) -> str: ...
    @property
    def key(self) -> IdentifierKey: ...
    @property
    def valid_from(self) -> dt.date | None: ...
    @property
    def valid_to(self) -> dt.date | None: ...


def key_of(row: AssetIdentifier) -> IdentifierKey:
    return IdentifierKey(row.scheme, row.value, row.venue)


def lock(keys: Iterable[IdentifierKey]) -> None:
    """Wait for others who write the same keys of unique schemes, until the transaction ends; after the assets' rows.

    Two who insert what excludes each other would each wait for the other's row, and one would be told of a deadlock
    instead of who has the identifier.
    """
    take_for_transaction(
        LockSpace.IDENTIFIERS,
        {
            zlib.crc32(f"{key.scheme}\x1f{key.value}\x1f{key.venue}".encode()) % STRIPES
            for key in keys
            if key.scheme in UNIQUE_SCHEMES
        },
    )


_COLUMNS = "p, asset_id, scheme, value, venue, valid_from, valid_to"
_WANTED = f"""
    SELECT *, daterange(valid_from, valid_to) AS spell
    FROM unnest(%s::int[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::date[], %s::date[]) AS u({_COLUMNS})
"""


def _arrays(rows: Sequence[Row], assets: dict[str, int]) -> list[list[Any]]:
    return [
        list(range(len(rows))),
        [assets[row.asset_identifier] for row in rows],
        [row.key.scheme for row in rows],
        [row.key.value for row in rows],
        [row.key.venue for row in rows],
        [row.valid_from for row in rows],
        [row.valid_to for row in rows],
    ]


def stored_already(rows: Sequence[Row], assets: dict[str, int]) -> list[bool]:
    """Whether each row is stored, the same to the day."""
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


def of_rows(rows: Sequence[Row], assets: dict[str, int], *, without: Sequence[int] = ()) -> dict[int, str]:
    """Place of a row → what is in its way: a stored identifier (but for the ids in `without`) or an earlier row.

    Of rows that exclude each other the first is free.
    """
    told = _among(rows)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT DISTINCT ON (w.p) w.p, a.unique_identifier, i.valid_from, i.valid_to
            FROM ({_WANTED}) AS w JOIN markets_assetidentifier AS i
                ON i.scheme = w.scheme AND i.value = w.value AND i.venue = w.venue
                AND daterange(i.valid_from, i.valid_to) && w.spell
                AND (i.asset_id = w.asset_id OR w.scheme = ANY(%s)) AND i.id <> ALL(%s::bigint[])
            JOIN markets_asset AS a ON a.id = i.asset_id
            ORDER BY w.p, i.valid_from NULLS FIRST
            """,
            [*_arrays(rows, assets), UNIQUE_SCHEMES, list(without)],
        )
        for place, owner, first, last in cursor.fetchall():
            told[place] = _told(rows[place], owner, first, last)
    return told


def _among(rows: Sequence[Row]) -> dict[int, str]:
    """Place of a row → the earlier row that is in its way. The spells that are free are kept sorted and disjoint."""
    kept: dict[Any, list[tuple[dt.date, dt.date, int]]] = {}
    told: dict[int, str] = {}
    for place, row in enumerate(rows):
        group = row.key if row.key.scheme in UNIQUE_SCHEMES else (row.key, row.asset_identifier)
        spells = kept.setdefault(group, [])
        mine = (row.valid_from or dt.date.min, row.valid_to or dt.date.max, place)
        at = bisect.bisect_left(spells, mine)
        near = [other for other in spells[max(0, at - 1) : at + 1] if other[0] < mine[1] and mine[0] < other[1]]
        if near:
            other = rows[near[0][2]]
            told[place] = _told(row, other.asset_identifier, other.valid_from, other.valid_to) + " among the same rows"
        else:
            spells.insert(at, mine)
    return told


def _told(row: Row, owner: str, first: dt.date | None, last: dt.date | None) -> str:
    return (
        f"{scheme_of(row.key.scheme).label} {row.key.value} of {row.asset_identifier} "
        f"({spell(row.valid_from, row.valid_to)}) overlaps that of {owner} ({spell(first, last)})"
    )


def spell(first: dt.date | None, last: dt.date | None) -> str:
    """'from 2004-08-19 to before 2014-04-03', for messages."""
    if first is None and last is None:
        return "at any time"
    parts = [f"from {first}" if first is not None else "", f"to before {last}" if last is not None else ""]
    return " ".join(filter(None, parts))
