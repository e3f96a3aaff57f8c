"""Who may run a node: one process all of it, or several a shard each, never both."""

from collections.abc import Iterator
from contextlib import contextmanager

from markets import locks
from markets.engine.shards import MOST_SHARDS, Shard
from markets.exceptions import AlreadyRunning
from markets.models import NodeUpdate


class NodeBusy(AlreadyRunning):
    """Another process runs this very update, or this shard of it."""

    def __init__(self, update: NodeUpdate) -> None:
        self.update_id = update.pk
        super().__init__(f"{update} is being updated by another process. Wait for its run to end.")


@contextmanager
def lock_node(update: NodeUpdate, shard: Shard, *, patience: float = 0.0) -> Iterator[None]:
    """The right to run the node, or one shard of it, for the block. Raises NodeBusy when another process has it."""
    space = locks.LockSpace.NODE_UPDATE
    with locks.held(space, update.pk, patience=patience, shared=not shard.is_whole) as free:
        if not free:
            raise NodeBusy(update)
        if shard.is_whole:
            yield
            return
        with locks.held(locks.LockSpace.NODE_SHARD, _number(update.pk, shard), patience=patience) as own:
            if not own:
                raise NodeBusy(update)
            yield


def is_alive(update_id: int, shard: Shard) -> bool:
    """Whether a process holds what a run of this shard holds."""
    if shard.is_whole:
        return locks.is_held(locks.LockSpace.NODE_UPDATE, update_id, exclusively=True)
    return locks.is_held(locks.LockSpace.NODE_SHARD, _number(update_id, shard))


def is_busy(update_id: int, shard: Shard) -> bool:
    """Whether a run of this shard would find the node taken."""
    if shard.is_whole:
        return locks.is_held(locks.LockSpace.NODE_UPDATE, update_id)
    return locks.is_held(locks.LockSpace.NODE_UPDATE, update_id, exclusively=True) or is_alive(update_id, shard)


def _number(update_id: int, shard: Shard) -> int:
    return update_id * MOST_SHARDS + shard.index
