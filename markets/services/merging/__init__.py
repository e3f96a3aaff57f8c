"""Merging duplicate assets: what it would do, the merge, the redirect that it leaves, and its undoing."""

from markets.redirects import kept_asset
from markets.services.merging.merges import active_merge, merge_assets, merge_impact, undo_merge
from markets.services.merging.parts import ImpactItem, MergeImpact

__all__ = [
    "ImpactItem",
    "MergeImpact",
    "active_merge",
    "kept_asset",
    "merge_assets",
    "merge_impact",
    "undo_merge",
]
