"""Assets that may be one: found by what they have in common, each group with its reason and how strong it is.

Every kind of group is one statement that walks an index in the order of what is common; a page begins behind the last
group of the page before. A pair that a person decided on is not shown again.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.db.models import QuerySet

from markets.exceptions import InvalidInput
from markets.models import Asset, DistinctAssets
from markets.models.assets import FoldedName
from markets.services.audit import because, clean_reason
from markets.services.categories import Member, resolve_assets
from markets.services.values import clean_text

if TYPE_CHECKING:
    from django.contrib.auth.models import User

DEFAULT_PAGE, LARGEST_PAGE = 25, 100
MOST_SHOWN = 20  # assets of one group; there are thousands where a source gave all the same name
MOST_DECIDED = 20  # assets of one decision: 190 pairs
FOLDED = FoldedName.template % {"expressions": "d.name"}  # as the index on the names
DETAILS = "markets_openfigidetails AS d"
ASSETS = "markets_asset AS a ON a.id = d.asset_id"


@dataclass(frozen=True)
class Kind:
    """A way to be alike. `columns` are SQL of what is common, the first of them indexed; `id` of the asset's id."""

    reason: str
    strength: str
    title: str
    explanation: str
    columns: tuple[str, ...]
    source: str
    id: str = "d.asset_id"
    spread: str = "TRUE"  # what must hold of the group `g`


_SAME_MARKET = "NOT g.is_spread"
KINDS = (
    Kind(
        "listing",
        "certain",
        "Same listing",
        "Same share class, composite and exchange by OpenFIGI: one listing, registered twice.",
        ("d.share_class", "d.composite", "coalesce(d.exchange_code, '')"),
        f"{DETAILS} WHERE d.share_class IS NOT NULL AND d.composite IS NOT NULL",
    ),
    Kind(
        "figi",
        "certain",
        "FIGI of one, identifier of the other",
        "The FIGI in the details of one is the identifier of the other.",
        ("d.figi",),
        f"{DETAILS} JOIN markets_asset AS o ON o.id = d.asset_id AND o.unique_identifier <> d.figi "
        'JOIN markets_asset AS a ON a.unique_identifier = d.figi COLLATE "C" AND a.merged_into_id IS NULL '
        "CROSS JOIN LATERAL (VALUES (o.id), (a.id)) AS both_ids(id) WHERE d.figi IS NOT NULL",
        "both_ids.id",
    ),
    Kind(
        "isin",
        "likely",
        "Same ISIN",
        "Same ISIN, and at least two of them of one composite, that is of one country, or of none that is known.",
        ("i.value",),
        "(SELECT isin AS value, asset_id FROM markets_openfigidetails WHERE isin IS NOT NULL UNION "
        "SELECT value, asset_id FROM markets_assetidentifier WHERE scheme = 'isin') AS i WHERE TRUE",
        "i.asset_id",
        _SAME_MARKET,
    ),
    Kind(
        "cusip",
        "likely",
        "Same CUSIP",
        "Same CUSIP, and at least two of them of one composite, that is of one country, or of none that is known.",
        ("i.value",),
        "markets_assetidentifier AS i WHERE i.scheme = 'cusip'",
        "i.asset_id",
        _SAME_MARKET,
    ),
    Kind(
        "share_class",
        "likely",
        "Same share class",
        "Same share class, and at least two of them of one composite, or of none that is known: often an instrument "
        "that moved to another exchange.",
        ("d.share_class",),
        f"{DETAILS} WHERE d.share_class IS NOT NULL",
        spread=f"{_SAME_MARKET} AND NOT g.is_one_listing",
    ),
    Kind(
        "name",
        "possible",
        "Same name and type",
        "Same name, whatever its case, blanks and punctuation, and same type; at least two of one composite, or of "
        "none that is known. Two series of one issuer may be called the same.",
        (FOLDED, "coalesce(a.asset_type, '')"),
        f"{DETAILS} JOIN {ASSETS} WHERE {FOLDED} <> ''",
        spread=_SAME_MARKET,
    ),
    Kind(
        "listings",
        "normal",
        "Listings of one share class",
        "One share class in different countries. That is normal: each listing has its own prices. Rarely merge them.",
        ("d.share_class",),
        f"{DETAILS} WHERE d.share_class IS NOT NULL",
        spread="g.is_spread",
    ),
)
BY_REASON = {kind.reason: kind for kind in KINDS}
STRENGTHS = ("certain", "likely", "possible", "normal")


@dataclass(frozen=True)
class DuplicateGroup:
    """Assets that have `key` in common; `assets` are the first of `count`, in the order of their identifiers."""

    kind: Kind
    key: tuple[str, ...]
    count: int
    assets: Sequence[Asset]


@dataclass(frozen=True)
class DuplicatePage:
    """Groups, and where the next page begins: None at the end."""

    groups: Sequence[DuplicateGroup]
    next: tuple[str, ...] | None


def find_duplicates(
    *, reason: str | None = None, after: Sequence[str] | None = None, limit: int = DEFAULT_PAGE
) -> DuplicatePage:
    """A page of groups, the strongest kind first, each kind in the order of what is common.

    `reason` keeps one kind; `after` is the `next` of the page before. Raises InvalidInput for an unknown reason, a
    broken `after` or an impossible limit.
    """
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= LARGEST_PAGE:
        raise InvalidInput(f"limit={limit!r} must be from 1 to {LARGEST_PAGE}.", field="limit")
    kinds = list(KINDS) if reason is None else [_kind(reason)]
    behind = _checked(after, kinds) if after is not None else None
    found: list[tuple[Kind, tuple[str, ...], int, list[int]]] = []
    for kind in kinds:
        if behind is not None and KINDS.index(kind) < KINDS.index(behind[0]):
            continue
        start = behind[1] if behind is not None and kind == behind[0] else None
        found += [(kind, *row) for row in _groups(kind, start, limit + 1 - len(found))]
        if len(found) > limit:
            break
    page = found[:limit]
    rows = Asset.objects.select_related("openfigi_details").in_bulk({pk for *_, ids in page for pk in ids})
    groups = [
        DuplicateGroup(kind, key, count, sorted((rows[pk] for pk in ids), key=lambda row: row.unique_identifier))
        for kind, key, count, ids in page
    ]
    last = page[-1] if len(found) > limit else None
    return DuplicatePage(groups, (last[0].reason, *last[1]) if last else None)


def decide_distinct(assets: Iterable[Member], *, reason: str, user: "User | None" = None) -> int:
    """Remember that these assets are no duplicates of each other, each pair; returns how many pairs are new.

    Raises InvalidInput for fewer than two or too many assets, or a bad reason, UnknownIdentifiers for unknown assets.
    """
    reason = clean_reason(reason)
    with because(reason), transaction.atomic():
        pairs = _pairs(assets)
        known = set(_decided(pairs).values_list("first_id", "second_id"))
        fresh = [
            DistinctAssets(first_id=first, second_id=second, reason=reason, decided_by=user)
            for first, second in pairs
            if (first, second) not in known
        ]
        DistinctAssets.objects.bulk_create(fresh, ignore_conflicts=True)
    return len(fresh)


def forget_distinct(assets: Iterable[Member], *, reason: str) -> int:
    """Take such decisions back: the pairs are shown again. Returns how many there were."""
    with because(clean_reason(reason)), transaction.atomic():
        deleted, _ = _decided(_pairs(assets)).delete()
    return deleted


def _pairs(assets: Iterable[Member]) -> list[tuple[int, int]]:
    ids = sorted(resolve_assets(assets))
    if not 2 <= len(ids) <= MOST_DECIDED:
        raise InvalidInput(
            f"assets names {len(ids)} different assets; a decision is about 2 to {MOST_DECIDED}.", field="assets"
        )
    return list(combinations(ids, 2))


def _decided(pairs: Sequence[tuple[int, int]]) -> QuerySet[DistinctAssets]:
    ids = {pk for pair in pairs for pk in pair}
    return DistinctAssets.objects.filter(first__in=ids, second__in=ids)


def _kind(reason: object) -> Kind:
    if not isinstance(reason, str) or reason not in BY_REASON:
        raise InvalidInput(f"reason={str(reason)[:60]!r} is none of {', '.join(BY_REASON)}.", field="reason")
    return BY_REASON[reason]


def write_place(place: Sequence[str]) -> str:
    """The `next` of a page as a text for an address."""
    return json.dumps(place, separators=(",", ":"))


def read_place(text: str) -> list[str] | None:
    """The place that `write_place` wrote; None for an empty text. Raises InvalidInput."""
    if not text:
        return None
    try:
        values = json.loads(text) if len(text) < 4_000 else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidInput("The address is not one of this list.", field="after")
    return values


def _checked(after: Sequence[str], kinds: Sequence[Kind]) -> tuple[Kind, list[str]]:
    """The kind and the common values that a page begins behind."""
    texts = [clean_text(text, field="after") if text != "" else "" for text in after]
    kind = BY_REASON.get(texts[0]) if texts else None
    if kind is None or kind not in kinds or len(texts) != len(kind.columns) + 1:
        raise InvalidInput("after is not where a page of this list ends. Begin anew without it.", field="after")
    return kind, texts[1:]


def _groups(kind: Kind, after: Sequence[str] | None, limit: int) -> Iterator[tuple[tuple[str, ...], int, list[int]]]:
    columns = ", ".join(kind.columns)
    marks = ", ".join(["%s"] * len(kind.columns))
    behind = f" AND {kind.columns[0]} >= %s AND ({columns}) > ({marks})" if after is not None else ""
    parameters = [after[0], *after] if after is not None else []
    order = ", ".join(f"g.key{place}" for place in range(len(kind.columns)))
    named = ", ".join(f"{column} AS key{place}" for place, column in enumerate(kind.columns))
    statement = f"""
        SELECT ARRAY[{order}]::text[], g.number, g.ids[1:{MOST_SHOWN}] FROM (
            SELECT c.*, s.is_spread, s.is_one_listing FROM (
                SELECT {named}, count(DISTINCT {kind.id}) AS number,
                    array_agg(DISTINCT {kind.id}) AS ids
                FROM {kind.source}{behind} GROUP BY {columns} HAVING count(DISTINCT {kind.id}) > 1
                ORDER BY {columns}
            ) AS c CROSS JOIN LATERAL (
                SELECT count(DISTINCT coalesce(l.composite, nullif(l.exchange_code, ''))) = c.number AS is_spread,
                    count(DISTINCT (l.composite, coalesce(l.exchange_code, ''))) = 1
                        AND count(l.composite) = c.number AS is_one_listing
                FROM markets_openfigidetails AS l WHERE l.asset_id = ANY(c.ids)
            ) AS s
        ) AS g
        WHERE {kind.spread} AND (
            SELECT count(*) FROM markets_distinctassets AS p
            WHERE p.first_id = ANY(g.ids) AND p.second_id = ANY(g.ids)
        ) < g.number * (g.number - 1) / 2
        ORDER BY {order} LIMIT {limit:d}
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        for key, number, ids in cursor.fetchall():
            yield tuple(key), number, ids
