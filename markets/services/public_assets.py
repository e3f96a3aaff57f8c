"""Assets of the public master, by their FIGIs: found, made once whoever asks, and described for the first time."""

from collections.abc import Mapping, Sequence

from markets.data_nodes import registration, staleness
from markets.data_nodes.snapshots import AssetSnapshot
from markets.data_nodes.writes import Write
from markets.models import Asset, AssetIdentifier, OpenFigiDetails
from markets.redirects import following
from markets.services.asset_types import register_asset_types

LONGEST_SNAPSHOT_TEXT = 255


def known_assets(figis: Sequence[str]) -> dict[str, Asset]:
    """FIGI → asset, of those that there are; the asset of that identifier before one whose details name it.

    Of a duplicate that was merged it is the asset that stayed, which has its FIGI among its identifiers.
    """
    details = OpenFigiDetails.objects.filter(figi__in=figis).select_related("asset")
    by_details = {row.figi: row.asset for row in details if row.figi is not None}
    recorded = AssetIdentifier.objects.filter(
        scheme="figi", value__in=figis, asset__merged_assets__isnull=False
    ).select_related("asset")
    by_record = {row.value: row.asset for row in recorded}
    by_identifier = {row.unique_identifier: row for row in Asset.objects.filter(unique_identifier__in=figis)}
    return following(by_record | by_details | by_identifier)


def made_and_known(types: Mapping[str, str | None]) -> tuple[dict[str, Asset], dict[str, Asset]]:
    """The assets of FIGIs: those that this transaction makes, and those that are there; `types` of new ones by FIGI.

    Of two callers at the same time one makes an asset, and the other finds it.
    """
    known = known_assets(list(types))
    missing = [figi for figi in types if figi not in known]
    if not missing:
        return {}, known
    register_asset_types({kind for figi in missing if (kind := types[figi]) is not None})
    candidates = {
        figi: Asset(unique_identifier=figi, asset_type=types[figi], is_custom_by_organization=False) for figi in missing
    }
    Asset.objects.bulk_create(candidates.values(), ignore_conflicts=True)
    stored = {row.unique_identifier: row for row in Asset.objects.filter(unique_identifier__in=missing)}
    made = {figi: stored[figi] for figi in missing if stored[figi].uid == candidates[figi].uid}
    return made, known | {figi: stored[figi] for figi in missing if figi not in made}


def write_first_snapshots(rows: Sequence[Mapping[str, object]]) -> None:
    """The rows as the engine writes them, in this transaction; their assets are new, so that no key can be taken."""
    node = AssetSnapshot()
    storage = registration.ensure_storage(node)
    write = Write(node, storage, AssetSnapshot.build_frame(rows), list(node.get_column_metadata()))
    write.validate()
    write.execute()
    registration.record_metadata(node, storage, write.tokens, write.metadata)
    staleness.mark_dependents(storage, write.changes, reason=f"{storage} has new snapshots.")
