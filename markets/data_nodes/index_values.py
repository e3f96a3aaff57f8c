"""The table of index values as DataNodes see it: a node that computes values of indices derives from `IndexValues`."""

from typing import ClassVar

from markets.data_nodes.metadata import TableMetaData
from markets.data_nodes.node import DataNode
from markets.data_nodes.registration import ensure_storage, record_metadata
from markets.models import IndexValue, StorageNode


class IndexValues(DataNode):
    """Writes `value`, `observation_status` and `source_as_of`, by time, cadence and index."""

    model = IndexValue
    index_names: ClassVar[tuple[str, ...]] = ("time_index", "cadence", "index_identifier")
    key_columns: ClassVar[tuple[str, ...]] = ("index_identifier", "cadence", "time_index")

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(identifier="IndexValues", description="Values of all indices, by cadence and time.")


def index_value_storage() -> StorageNode:
    """The table's registration, by which it is listed, read and counted like every DataNode's."""
    node = IndexValues()
    storage = ensure_storage(node)
    record_metadata(node, storage, {}, ())
    return storage
