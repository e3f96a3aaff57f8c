"""Seals the history of all tables at night, and proves that what is sealed is what the tables hold."""

import logging

import pandas as pd
from django.db import Error, transaction

from markets.data_nodes import reads, sealed_reads, sealing
from markets.data_nodes.progress import lock_progress
from markets.models import SealedBlock, StorageNode

logger = logging.getLogger("msm.sealing")


def seal_all() -> int:
    """Seal what is open of every table's history; returns how many blocks were made.

    A table that cannot be sealed, because its writers are busy or the disk is full, is left for the next night.
    """
    made = 0
    for storage in StorageNode.objects.filter(is_engine_table=True).order_by("pk"):
        try:
            made += sealing.seal_history(storage).blocks
        except Error:
            logger.exception("the history of %s cannot be sealed now", storage)
    return made


def differing_blocks(storage: StorageNode) -> list[SealedBlock]:
    """The blocks that do not hold what the table holds, which are removed; none, unless somebody wrote past MSM."""
    differing = []
    for block in SealedBlock.objects.filter(storage=storage).defer("moments", "starts"):
        with transaction.atomic():
            lock_progress(storage, alone=True)
            try:
                sealed = sealed_reads.frame_of(storage, block.pk)
            except sealed_reads.BlockGone:  # or packed under another contract: nobody reads it
                continue
            rows = reads.read_frame(  # within a transaction: from the table
                storage, start_date=block.covers_from, end_date=block.covers_until, less_or_equal=False
            )
            if not _same(rows, sealed):
                differing.append(block)
                SealedBlock.objects.filter(pk=block.pk).delete()
                logger.error("%s differs from its table and is removed", block)
    return differing


def open_history(storage: StorageNode) -> int:
    """Remove every block of a table; returns how many. Its rows are read as they are until it is sealed again."""
    with transaction.atomic():
        lock_progress(storage, alone=True)
        return sealing.unseal(storage, sealed_reads.EARLIEST, None)


def _same(left: pd.DataFrame, right: pd.DataFrame) -> bool:
    return left.equals(right) and left.index.equals(right.index)
