"""A window of the past that a run computes again: how far its node believes to have come, and what of it is written."""

import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from django.db.models import Max

from markets.data_nodes import staleness
from markets.data_nodes.statistics import ASSET_DIMENSION, UpdateStatistics, identifiers_of
from markets.data_nodes.stored_statistics import microseconds
from markets.data_nodes.tails import rewound
from markets.data_nodes.writes import Write
from markets.engine.gaps import step_of
from markets.models import NodeRun, StorageNode, UpdateStatistic

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode

logger = logging.getLogger("msm.nodes.windows")
Mode = Literal["fill", "replace"]
ONE_MICROSECOND = dt.timedelta(microseconds=1)


@dataclass(frozen=True)
class Window:
    """From `start` to `end`, both included, for these assets or, with None, all of the node's.

    `fill` inserts rows whose keys are free and leaves the others alone; `replace` also writes over rows that differ.
    `until` is where the backfill ends that the window is a part of. `written` is called in the transaction that writes
    the rows, with the run's record.
    """

    start: dt.datetime
    end: dt.datetime
    assets: Sequence[str] | None = None
    mode: Mode = "replace"
    until: dt.datetime | None = None
    written: Callable[[NodeRun], None] | None = None

    def run_fields(self) -> dict[str, Any]:
        return {"is_backfill": True, "window_start": self.start, "window_end": self.end}

    def statistics(self, node: "DataNode", storage: StorageNode, assets: Sequence[Any] | None) -> UpdateStatistics:
        """The node's statistics as they would be without the rows from `start` on, restricted to the window's assets.

        An asset that has no row before the window begins one bar before it, so that a node which goes on from there
        gives the window and no more. `assets` is what the node's `get_asset_list()` told.
        """
        known = rewound(node.update_statistics, storage, self.start, node.statistics_scope())
        chosen = self._chosen(assets)
        if chosen is not None:
            known = known.update_assets(chosen, init_fallback_date=self._before(storage))
        elif node._falls_back:
            known = known.update_assets(init_fallback_date=self._before(storage))
        return dataclasses.replace(known, limit_update_time=self.end, is_backfill=True)

    def _chosen(self, assets: Sequence[Any] | None) -> list[str] | None:
        if self.assets is None:
            return None if assets is None else identifiers_of(assets)
        if assets is None:
            return list(self.assets)
        wanted = set(self.assets)
        return [name for name in identifiers_of(assets) if name in wanted]

    def _before(self, storage: StorageNode) -> dt.datetime:
        return self.start - (step_of(storage.data_frequency_id) or dt.timedelta(days=1))

    def clip(self, writes: Sequence[Write]) -> None:
        """Leave out the rows outside the window or of other assets, and say how many; the rest is written as a fill or
        a replacement."""
        low, high = microseconds(self.start), microseconds(self.end)
        for write in writes:
            write.backfill = self.mode
            if write.valid is None:
                continue
            inside = (write.valid.times >= low) & (write.valid.times <= high)
            level = next((level for level in write.valid.levels if level.name == ASSET_DIMENSION), None)
            if self.assets is not None and level is not None:
                wanted = set(self.assets)
                inside &= np.array([label in wanted for label in level.labels], dtype=np.bool_)[level.codes]
            left_out = int(len(inside) - inside.sum())
            if left_out:
                logger.info("%s rows outside the backfill's window or assets were left alone", f"{left_out:,}")
                write.keep(inside)

    def conclude(self, node: "DataNode", run: NodeRun, head: Write) -> None:
        """What follows in the transaction when the rows are written."""
        # What counts as the node's last time is how far it has come, not how far back it was mended.
        reached = NodeRun.objects.filter(node_update=run.node_update).aggregate(last=Max("last_time_index"))["last"]
        if reached is not None and (run.last_time_index is None or run.last_time_index <= reached):
            run.last_time_index = None
        until = self.until or self.end
        if node.builds_on_own_rows and head.changes and _has_later_rows(node, head.storage, until):
            staleness.mark_own(
                run.node_update, until + ONE_MICROSECOND, f"Its own rows before were backfilled: {head.storage}."
            )
        if self.written is not None:
            self.written(run)


def _has_later_rows(node: "DataNode", storage: StorageNode, until: dt.datetime) -> bool:
    rows = UpdateStatistic.objects.filter(storage=storage, last_time_index__gt=until)
    for name, value in node.statistics_scope().items():
        rows = rows.filter(**{f"identity__{storage.index_names[1:].index(name)}": value})
    return rows.exists()
