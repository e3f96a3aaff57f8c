"""Writes a validated frame into its table, as the node's write mode says, with its statistics."""

import dataclasses
import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from markets.data_nodes.metadata import ColumnMetaData
from markets.data_nodes.progress import (
    IdentityStatistics,
    Progress,
    advance_statistics,
    is_after_progress,
    lock_assets,
    lock_named_assets,
    lock_progress,
    locked_progress,
    record_statistics,
    refuse_merged_identities,
    statistics_of,
)
from markets.data_nodes.sealing import unseal
from markets.data_nodes.stages import staged
from markets.data_nodes.statistics import ASSET_DIMENSION, Identity
from markets.data_nodes.storage import (
    TableContract,
    add_primary_key,
    append_rows,
    create_table,
    ensure_time_index,
)
from markets.data_nodes.stored_statistics import from_microseconds
from markets.data_nodes.upserts import UpsertedIdentity, existing_keys, identities_differing, upsert_staged
from markets.engine.frames import ValidFrame, integers_as_floats, validate_frame
from markets.exceptions import DuplicateKeys, InvalidInput
from markets.models import StorageNode

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode

logger = logging.getLogger("msm.nodes.writes")
KEYS_IN_MESSAGE = 10
KEYS_IN_ERROR = 10_000  # as many rows as REST takes at once
WriteMode = Literal["append", "overwrite", "insert_only"]


@dataclass
class Write:
    """A frame on its way into a table.

    When it is written, `written` counts the rows that are new or differ, `first_time` is the earliest of them,
    `last_time` the frame's latest instant, and `changes` maps each identity whose rows were written to the earliest
    instant among them.
    """

    node: "DataNode"
    storage: StorageNode
    frame: pd.DataFrame
    metadata: Sequence[ColumnMetaData]
    backfill: Literal["fill", "replace"] | None = None  # instead of the node's mode
    is_whole: bool = False  # a run of all assets of its node, and no shard beside others
    is_locked: bool = False  # by whoever locks several tables, in their order
    valid: ValidFrame | None = None
    tokens: dict[str, str] = field(default_factory=dict)
    written: int = 0
    first_time: dt.datetime | None = None
    last_time: dt.datetime | None = None
    changes: dict[Identity, dt.datetime] = field(default_factory=dict)
    _known: dict[Identity, Progress] = field(default_factory=dict)

    def validate(self) -> None:
        contract = TableContract.of(self.storage)
        self.valid, self.tokens = validate_frame(
            self.frame,
            index_names=contract.index_names,
            key_columns=contract.key_columns,
            contract=contract.columns,
            declared={column.column_name: column.dtype for column in self.metadata},
            table=str(self.storage),
        )
        wider = integers_as_floats(self.frame, self.tokens)
        if wider:
            logger.warning(
                "%s: whole numbers where %s holds floats; they are stored as floats", ", ".join(wider), self.storage
            )

    def keep(self, rows: np.ndarray) -> None:
        """Go on with these rows of the valid frame only: (n,) bool."""
        assert self.valid is not None
        self.valid = self.valid.take(np.flatnonzero(rows))
        self.frame = self.frame.iloc[np.sort(self.valid.rows)]
        self.valid = dataclasses.replace(self.valid, rows=np.argsort(np.argsort(self.valid.rows)))
        if not len(self.valid):
            self.valid, self.tokens = None, {}

    def execute(self) -> None:
        """Write the rows and their statistics; must run in the run's transaction.

        Raises DuplicateKeys in mode `insert_only` when the table holds one of the keys, UnknownIdentifiers for an asset
        that there is not; then the transaction must end.
        """
        if self.valid is None:
            return
        if not self.storage.columns:
            self.storage = StorageNode.objects.select_for_update(no_key=True).get(pk=self.storage.pk)
            if not self.storage.columns:
                self._first_load(self.valid)
                return
            self.validate()  # another process made the table meanwhile
        mode = write_mode_of(self.node)
        self._index_by_time()
        alone = self.is_alone
        if not self.is_locked:
            lock_progress(self.storage, alone=alone)
        if not (self.is_whole and self._may_continue() and self._continues()):
            self._judged(mode, alone=alone)
        if self.written:
            assert self.first_time is not None
            unseal(self.storage, self.first_time, self.last_time)

    @property
    def is_alone(self) -> bool:
        """Whether nobody else may write the table meanwhile: who has a part of it has identities that no other has."""
        return self.is_whole and not self.node.statistics_scope()

    def _judged(self, mode: WriteMode, *, alone: bool) -> None:
        """Write row by row what each is to its identity: new, late or an identity never seen."""
        assert self.valid is not None
        _, identities = self.valid.identity_codes()
        replace = self.backfill == "replace" if self.backfill is not None else mode == "overwrite"
        if alone and replace and self._may_correct():
            refuse_merged_identities(self.storage, set(identities))
            self._merge(None, self.valid, replace=True)
            return
        self._known = locked_progress(self.storage, identities, alone=alone)
        is_new = is_after_progress(self.valid, self._known)
        fresh = self.valid if is_new.all() else self.valid.take(np.flatnonzero(is_new))
        late = None if is_new.all() else self.valid.take(np.flatnonzero(~is_new))
        if late is not None and self.backfill is not None:
            self._merge(fresh, late, replace=self.backfill == "replace")
            return
        if late is not None and mode == "append":
            logger.info(
                "%s rows are not later than the last row of their identity and were left alone (write_mode append)",
                f"{len(late):,}",
            )
            self.frame = self.frame.iloc[np.sort(fresh.rows)]
            late = None
        if late is None:
            self._append(fresh)
        elif mode == "insert_only":
            self._insert_only(late)
        else:
            self._merge(fresh, late, replace=True)

    def _may_continue(self) -> bool:
        """Whether the statistics that the run has read speak for it; they only tell what to try first."""
        assert self.valid is not None
        read = vars(self.node).get("update_statistics")
        if not len(self.valid) or self.valid.levels == () or read is None or read.dimensions != (ASSET_DIMENSION,):
            return bool(len(self.valid))
        last = read.max_time_index_value
        is_later = last is not None and from_microseconds(int(self.valid.times.min())) > last
        return is_later and all(map(read.index_min.__contains__, self.valid.levels[0].labels))

    def _may_correct(self) -> bool:
        """Whether by the same statistics no row is later than the last of its identity, as when the past is corrected.

        Then all rows are compared with what is stored, and if the statistics were out of date that is right as well.
        """
        assert self.valid is not None
        read = vars(self.node).get("update_statistics")
        if read is None or read.dimensions != (ASSET_DIMENSION,) or not len(self.valid):
            return False
        labels = self.valid.levels[0].labels
        if not all(name in read.index_min and name in read.index_progress for name in labels):
            return False
        latest = from_microseconds(int(self.valid.times.max()))
        return latest <= min(read.index_progress[name] for name in labels)

    def _continues(self) -> bool:
        """Whether all rows continue what is stored of their identities, as on most days: then they are written."""
        assert self.valid is not None
        read = vars(self.node).get("update_statistics")
        row_ids = read.row_ids if read is not None and read.dimensions == (ASSET_DIMENSION,) else {}
        knows_all = len(self.valid.levels) == 1 and all(map(row_ids.__contains__, self.valid.levels[0].labels))
        changes = advance_statistics(self.storage, self.valid, row_ids if knows_all else None)
        if changes is None:
            return False
        append_rows(self._contract, self.valid)
        self.changes, self.written = changes, len(self.valid)
        self._wrote_since(from_microseconds(int(self.valid.times.min())))
        self.last_time = from_microseconds(int(self.valid.times.max()))
        return True

    # --- the modes ---------------------------------------------------------------------------------------------------
    @property
    def _contract(self) -> TableContract:
        return TableContract(
            self.storage.table_name,
            tuple(self.storage.index_names),
            tuple(self.storage.key_columns),
            dict(self.tokens),
        )

    def _index_by_time(self) -> None:
        if self.node.index_by_time and self.storage.is_engine_table:
            ensure_time_index(self._contract)

    def _first_load(self, rows: ValidFrame) -> None:
        if not len(rows):
            return
        asset_ids = lock_assets(rows, self._known)
        create_table(self._contract)
        append_rows(self._contract, rows)
        add_primary_key(self._contract)
        self._index_by_time()
        self._record(rows, asset_ids)

    def _append(self, rows: ValidFrame) -> None:
        if not len(rows):
            return
        asset_ids = lock_assets(rows, self._known)
        append_rows(self._contract, rows)
        self._record(rows, asset_ids)

    def _insert_only(self, late: ValidFrame) -> None:
        """Everything or nothing: a late row may fill a gap, but replaces none."""
        assert self.valid is not None
        asset_ids = lock_assets(self.valid, self._known)
        with staged(self._contract, late) as stage:
            found, total = existing_keys(self._contract, stage, most=KEYS_IN_ERROR)
        if total:
            shown = [" / ".join(key) for key in found[:KEYS_IN_MESSAGE]]
            listed = ", ".join(shown) + (", …" if total > len(shown) else "")
            raise DuplicateKeys(
                f"{self.storage} holds {total:,} of the frame's keys already: {listed}. It is written once and never "
                "changed: give corrections a later time_index. Nothing was written.",
                keys=found,
            )
        append_rows(self._contract, self.valid)
        self._record(self.valid, asset_ids)

    def _merge(self, fresh: ValidFrame | None, late: ValidFrame, *, replace: bool) -> None:
        """Append the fresh rows; insert late ones where their keys are free, and write over the others or not."""
        assert self.valid is not None
        asset_ids = lock_assets(self.valid, self._known) if fresh is not None else {}
        consequent = self.node.columns_of_consequence
        with staged(self._contract, late) as stage:
            told = None if consequent is None else identities_differing(self._contract, stage, consequent)
            one_each = len(np.unique(late.identity_codes()[0])) == len(late)
            upserted = upsert_staged(self._contract, stage, replace=replace, one_each=one_each)
        if fresh:
            append_rows(self._contract, fresh)
            self._record(fresh, asset_ids)
        self.written += sum(item.written for item in upserted)
        for item in upserted:
            if told is None or item.identity in told:
                self._changed(item.identity, item.first_written)
        if upserted:
            self._wrote_since(min(item.first_written for item in upserted))
        self._record_inserted([item for item in upserted if item.inserted], asset_ids)
        self.last_time = from_microseconds(int(self.valid.times.max()))

    def _record_inserted(self, inserted: Sequence[UpsertedIdentity], asset_ids: dict[str, int]) -> None:
        level = self._asset_level
        if level is not None:
            unknown = {item.identity[level] for item in inserted if item.identity not in self._known} - asset_ids.keys()
            asset_ids = asset_ids | lock_named_assets(sorted(unknown))
        rows: list[IdentityStatistics] = []
        for item in inserted:
            assert item.first_inserted is not None
            assert item.last_inserted is not None
            asset_id = asset_ids.get(item.identity[level]) if level is not None else None
            rows.append((item.identity, asset_id, item.first_inserted, item.last_inserted, item.inserted))
        record_statistics(self.storage, rows, self._known)

    # --- what was written --------------------------------------------------------------------------------------------
    @property
    def _asset_level(self) -> int | None:
        assert self.valid is not None
        return next((i for i, level in enumerate(self.valid.levels) if level.name == ASSET_DIMENSION), None)

    def _record(self, rows: ValidFrame, asset_ids: dict[str, int]) -> None:
        statistics = statistics_of(rows, asset_ids)
        record_statistics(self.storage, statistics, self._known)
        if not self.changes:
            self.changes = {identity: first for identity, _, first, _, _ in statistics}
        else:
            for identity, _, first, _, _ in statistics:
                self._changed(identity, first)
        self._wrote_since(from_microseconds(int(rows.times.min())))
        latest = from_microseconds(int(rows.times.max()))
        self.last_time = latest if self.last_time is None else max(self.last_time, latest)
        self.written += len(rows)

    def _wrote_since(self, instant: dt.datetime) -> None:
        self.first_time = instant if self.first_time is None else min(self.first_time, instant)

    def _changed(self, identity: Identity, instant: dt.datetime) -> None:
        earliest = self.changes.get(identity)
        self.changes[identity] = instant if earliest is None else min(earliest, instant)


def write_mode_of(node: "DataNode") -> WriteMode:
    """The node's write mode. Raises InvalidInput for one that there is not."""
    if node.write_mode not in get_args(WriteMode):
        raise InvalidInput(
            f"{type(node).__name__}.write_mode is {node.write_mode!r}; use {', '.join(get_args(WriteMode))}."
        )
    return node.write_mode
