"""What a run of one shard of a node knows and may write: the assets of its part, and nothing of another's."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from markets.data_nodes.statistics import ASSET_DIMENSION, UpdateStatistics
from markets.data_nodes.writes import Write
from markets.engine.shards import MOST_SHARDS, Shard
from markets.exceptions import FrameError, InvalidInput, named
from markets.models import NodeUpdate, StorageNode

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode

logger = logging.getLogger("msm.nodes.sharding")


def shards_of(node: "DataNode") -> int:
    """In how many shards workers run the node: one as long as its first frame is to fix the dtypes of its columns.

    Raises InvalidInput for a number that cannot be.
    """
    count = node.asset_shards
    name = type(node).__name__
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_SHARDS:
        raise InvalidInput(f"{name}.asset_shards is {count!r}; give a whole number from 1 to {MOST_SHARDS}.")
    if count > 1 and ASSET_DIMENSION not in node.index_names:
        raise InvalidInput(
            f"{name}.asset_shards is {count}, but its table has no {ASSET_DIMENSION}. Set asset_shards to 1."
        )
    if count > 1 and not all(_has_contract(member) for member in (node, *node.companions())):
        logger.info(
            "%s is run whole: its table has no columns yet, and get_column_metadata() declares none. Declare them, and "
            "its first run has shards, too.",
            name,
        )
        return 1
    return count


def _has_contract(node: "DataNode") -> bool:
    """Whether the table has its columns, or will get those that the node declares."""
    if node.model is not None or node.get_column_metadata():
        return True
    return StorageNode.objects.filter(storage_hash=node.storage_hash).exclude(columns=[]).exists()


def of_shard(
    node: "DataNode", statistics: UpdateStatistics, shard: Shard, assets: Sequence[Any] | None
) -> UpdateStatistics:
    """The statistics of the shard's identities alone: how far others have come meanwhile must not be seen.

    Raises InvalidInput for a node that does not name its assets.
    """
    if assets is None:
        raise InvalidInput(
            f"{type(node).__name__}.asset_shards is {shard.count}, but get_asset_list() names no assets to share out. "
            "Give the list, or set asset_shards to 1."
        )
    place = statistics.dimensions.index(ASSET_DIMENSION)

    def is_ours(key: Any) -> bool:
        return shard.holds(key[place] if isinstance(key, tuple) else key)

    progress = {key: last for key, last in statistics.index_progress.items() if is_ours(key)}
    return replace(
        statistics,
        index_progress=progress,
        index_min={key: first for key, first in statistics.index_min.items() if is_ours(key)},
        row_counts={key: count for key, count in statistics.row_counts.items() if is_ours(key)},
        max_time_index_value=max(progress.values(), default=None),
    )


def refuse_foreign_assets(writes: Sequence[Write], shard: Shard) -> None:
    """Raise FrameError naming the assets of a frame that are another shard's to write."""
    for write in writes:
        levels = write.valid.levels if write.valid is not None else ()
        for level in levels:
            if level.name != ASSET_DIMENSION:
                continue
            foreign = sorted(label for label in level.labels if not shard.holds(label))
            if foreign:
                raise FrameError(
                    f"{named(foreign, 'asset')} not in this shard ({shard}). Return rows of "
                    "self.update_statistics.asset_list only. Nothing was written."
                )


def refuse_undeclared_columns(writes: Sequence[Write]) -> None:
    """Raise FrameError where a shard would fix the dtype of a column for all: which shard is the first is chance."""
    for write in writes:
        if write.valid is None or write.storage.columns:
            continue
        declared = {column.column_name for column in write.metadata}
        undeclared = [name for name in write.tokens if name not in declared]
        if undeclared:
            raise FrameError(
                f"The table of {type(write.node).__name__} has no columns yet, and get_column_metadata() does not "
                f"declare {', '.join(undeclared)}: the shards might disagree about the dtype. Declare all columns or "
                "none. Nothing was written."
            )


def remember_scope_of_shard(update: NodeUpdate, assets: Sequence[str] | None, shard: Shard) -> None:
    """Keep which assets the shard read beside those of the other shards; in the run's transaction."""
    stored = NodeUpdate.objects.select_for_update(of=("self",)).get(pk=update.pk)
    others = [name for name in stored.asset_scope or () if not shard.holds(name)]
    scope = None if assets is None else sorted({*others, *assets})
    if stored.asset_scope != scope:
        NodeUpdate.objects.filter(pk=update.pk).update(asset_scope=scope)
    update.asset_scope = scope
