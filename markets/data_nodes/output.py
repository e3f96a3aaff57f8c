"""What a node's update may return when it writes more than its own table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode


@dataclass(frozen=True)
class NodeOutput:
    """The node's own rows, and those of companion nodes, written in one transaction."""

    frame: pd.DataFrame
    companions: "Sequence[tuple[DataNode, pd.DataFrame]]" = field(default_factory=tuple)
