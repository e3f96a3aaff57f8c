"""DataNodes: subclass `DataNode`, give it `update()`, run it and read it back."""

import msm  # noqa: F401  (sets Django up)
from markets.data_nodes.access import APIDataNode
from markets.data_nodes.asset_indexed import AssetIndexedConfiguration, AssetIndexedDataNode
from markets.data_nodes.hash_namespaces import hash_namespace
from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.node import DataNode
from markets.data_nodes.output import NodeOutput
from markets.data_nodes.statistics import UpdateStatistics

__all__ = [
    "APIDataNode",
    "AssetIndexedConfiguration",
    "AssetIndexedDataNode",
    "ColumnMetaData",
    "DataNode",
    "NodeOutput",
    "TableMetaData",
    "UpdateStatistics",
    "hash_namespace",
]
