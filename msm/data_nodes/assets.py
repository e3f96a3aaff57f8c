"""DataNodes of assets."""

import msm  # noqa: F401  (sets Django up)
from markets.data_nodes.snapshots import AssetSnapshot

__all__ = ["AssetSnapshot"]
