"""A DataNode that uses the Python API inside a worker; the worker finds it by MSM_NODE_MODULES."""

import pandas as pd

import msm
from msm.api.assets import Asset
from msm.data_nodes import DataNode, TableMetaData


class Census(DataNode):
    """One row for each asset that the worker sees; `namespace` is the one that it tries to work in."""

    def __init__(self, namespace: str | None = None, *, hash_namespace: str = "") -> None:
        self.namespace = namespace
        super().__init__(hash_namespace=hash_namespace)

    def update(self) -> pd.DataFrame:
        runtime = msm.start_engine(models=["Asset"], namespace=self.namespace)
        assert runtime is msm.start_engine(models=[Asset])
        identifiers = [row.unique_identifier for row in Asset.filter(order_by="unique_identifier")]
        index = pd.MultiIndex.from_product(
            [[pd.Timestamp("2026-01-01", tz="UTC")], identifiers], names=["time_index", "asset_identifier"]
        )
        return pd.DataFrame({"seen": [float(len(identifiers))] * len(identifiers)}, index=index)

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(identifier=f"census-{self.namespace or 'own'}", data_frequency_id="1d")
