"""DataNodes of assets."""

import msm  # noqa: F401  (sets Django up)
from markets.data_nodes.asset_indexed import AssetIndexedConfiguration, AssetIndexedDataNode
from markets.data_nodes.snapshots import AssetSnapshot

__all__ = ["AssetIndexedConfiguration", "AssetIndexedDataNode", "AssetSnapshot"]
