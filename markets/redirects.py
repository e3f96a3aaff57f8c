"""Where a merged asset points: chains are followed to the asset that stays, in one query."""

from collections.abc import Collection, Mapping

from django.db import connection

from markets.exceptions import MergedAsset
from markets.models import Asset

MERGE = "merge"  # the source of identifiers that an asset has from a duplicate

_ENDS = """
    WITH RECURSIVE chain AS (
        SELECT id AS origin, unique_identifier AS name, merged_into_id AS next FROM markets_asset
        WHERE id = ANY(%s) AND merged_into_id IS NOT NULL
        UNION ALL
        SELECT c.origin, c.name, a.merged_into_id FROM chain AS c JOIN markets_asset AS a ON a.id = c.next
        WHERE a.merged_into_id IS NOT NULL
    )
    SELECT c.origin, c.name, a.id FROM chain AS c JOIN markets_asset AS a ON a.id = c.next
    WHERE a.merged_into_id IS NULL
"""


def kept_assets(assets: Collection[Asset]) -> dict[int, Asset]:
    """Id of each merged asset among these → the asset that stays. No query when none is merged."""
    merged = [asset.pk for asset in assets if asset.merged_into_id is not None]
    if not merged:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_ENDS, [merged])
        ends = {origin: end for origin, _, end in cursor.fetchall()}
    rows = Asset.objects.in_bulk(set(ends.values()))
    return {origin: rows[end] for origin, end in ends.items()}


def kept_asset(asset: Asset) -> Asset:
    """The asset that stays: this one unless it was merged."""
    return kept_assets([asset]).get(asset.pk, asset)


def following(found: Mapping[str, Asset]) -> dict[str, Asset]:
    """The same with the asset that stays in place of each merged one."""
    kept = kept_assets(list(found.values()))
    return {name: kept.get(asset.pk, asset) for name, asset in found.items()}


def refuse_merged(assets: Collection[int]) -> None:
    """Raise MergedAsset naming those of these ids that were merged, each with the asset that stays."""
    with connection.cursor() as cursor:
        cursor.execute(_ENDS, [list(assets)])
        found = cursor.fetchall()
    if found:
        names = dict(Asset.objects.filter(pk__in={end for *_, end in found}).values_list("pk", "unique_identifier"))
        raise MergedAsset({name: names[end] for _, name, end in sorted(found, key=lambda row: row[1])})
