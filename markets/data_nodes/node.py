"""DataNode: a configured computation that fills one table, again and again, from where it left off."""

import datetime as dt
import functools
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import pandas as pd
from django.db import models

from markets import namespaces
from markets.data_nodes import runs
from markets.data_nodes.access import APIDataNode, StoredData
from markets.data_nodes.configuration import constructor_defaults
from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.output import NodeOutput
from markets.data_nodes.statistics import UpdateStatistics
from markets.data_nodes.tails import DeletedTail
from markets.data_nodes.writes import WriteMode
from markets.engine.hashing import Scope, configuration_hash
from markets.engine.quality import QualityCheck
from markets.exceptions import NotFound
from markets.models import NodeUpdate

EARLIEST_UPDATE = dt.datetime(2018, 1, 1, tzinfo=dt.UTC)
Progress = Callable[[int, int | None, str], None]


class DataNode(StoredData):
    """Subclass it, give `update()`, and `run()` it.

    `update()` returns a DataFrame indexed by `index_names`: `time_index` (datetime64, UTC) first, then the identities.
    Before it is called, `self.update_statistics` tells how far the table has come. The constructor's arguments are the
    node's configuration: they are hashed into `storage_hash` (what the rows mean) and `update_hash` (who updates what).

    Class attributes: `index_names`; `key_columns`, the primary key's order (identities before time unless told);
    `model`, a Django model that owns the table (else the engine makes one); `_ARGS_IGNORE_IN_STORAGE_HASH`, arguments
    that change who or what is updated but not what the rows mean; `OFFSET_START`, where an asset never seen begins;
    `index_by_time`, whether the engine's table gets a second index, by time, for cross-sections of very many assets.
    `hash_namespace` sets an experiment's hashes apart; unless given it is the namespace of the process.

    `write_mode`, on the class or the instance, says what becomes of rows that are not later than the last row of their
    identity: `append` leaves them alone, `overwrite` inserts them or writes them over what is stored, `insert_only`
    inserts them and refuses the whole frame when one of its keys is stored already.
    """

    index_names: ClassVar[tuple[str, ...]] = ("time_index", "asset_identifier")
    key_columns: ClassVar[tuple[str, ...] | None] = None
    model: ClassVar[type[models.Model] | None] = None
    write_mode: WriteMode = "append"
    index_by_time: ClassVar[bool] = False
    OFFSET_START: ClassVar[dt.datetime] = EARLIEST_UPDATE
    _ARGS_IGNORE_IN_STORAGE_HASH: ClassVar[Sequence[str]] = ()
    _ARGS_IGNORE_IN_HASHES: ClassVar[Sequence[str]] = ()

    arguments: dict[str, Any]
    hash_namespace: str = ""
    update_statistics: UpdateStatistics
    last_run: "runs.RunResult | None" = None
    _progress: Progress | None = None
    _hands_positions_on: bool = False

    @functools.cached_property
    def logger(self) -> logging.Logger:
        """What is said here is kept with the run and shown on the DataNode's page."""
        return logging.getLogger(f"{runs.LOGGER_NAME}.{type(self).__name__}")

    def __init__(self, *, hash_namespace: str = "") -> None:
        self.hash_namespace = hash_namespace.strip() or namespaces.current()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not getattr(cls.__init__, "remembers_arguments", False):  # its own, or that of a mixin
            cls.__init__ = _remembering_arguments(cls.__init__)  # type: ignore[method-assign]

    # --- what a subclass gives ---------------------------------------------------------------------------------------
    def dependencies(self) -> "Mapping[str, DataNode | APIDataNode]":
        """The nodes that this one reads directly, by name; built in the constructor.

        An `APIDataNode` is read as it is, never run.
        """
        return {}

    def get_asset_list(self) -> Sequence[Any] | None:
        """The assets to update (assets or identifiers), None where the node is not scoped by assets."""
        return None

    def assets_read(self) -> Sequence[str] | None:
        """The identifiers of the assets whose data this run read, None where that may be any.

        Late data of other assets does not make the node stale. Called after `update()`.
        """
        return self.update_statistics.asset_list

    def companions(self) -> "Sequence[DataNode]":
        """The nodes whose rows `update()` returns beside its own: they are deleted and computed again together."""
        return ()

    def update(self) -> "pd.DataFrame | NodeOutput":
        """The rows that are new since `self.update_statistics`; an empty frame where there are none."""
        raise TypeError(f"{type(self).__name__} has no update(). Define it; it returns the new rows as a DataFrame.")

    def get_column_metadata(self) -> Sequence[ColumnMetaData] | None:
        """Dtype, label and description of the columns; a declared dtype is the table's contract."""
        return None

    def get_table_metadata(self) -> TableMetaData | None:
        """The published identifier of the table, its description and its frequency."""
        return None

    def quality_checks(self) -> Sequence[QualityCheck]:
        """Checks of the rows that `update()` returned, before any is written: see `markets.engine.quality`.

        A failed warning is recorded with the run; a failed critical check also ends it, and nothing is written.
        """
        return ()

    def run_post_update_routines(self, error_on_last_update: bool) -> None:
        """What is to be done after a run; in its transaction when it succeeded."""

    # --- identity ----------------------------------------------------------------------------------------------------
    @functools.cached_property
    def storage_hash(self) -> str:
        if self.model is not None:
            return self.model._meta.db_table
        return self._hash("storage")

    @functools.cached_property
    def update_hash(self) -> str:
        return self._hash("update")

    def _hash(self, purpose: Any) -> str:
        scopes: dict[str, Scope] = dict.fromkeys(self._ARGS_IGNORE_IN_STORAGE_HASH, "update")
        scopes |= dict.fromkeys(self._ARGS_IGNORE_IN_HASHES, "none")
        arguments = {name: value for name, value in self.arguments.items() if name != "hash_namespace"}
        return configuration_hash(
            type(self),
            arguments,
            purpose=purpose,
            scopes=scopes,
            defaults=constructor_defaults(type(self)),
            namespace=self.hash_namespace,
        )

    def get_node_update(self) -> NodeUpdate:
        """The registered update of this node. Raises NotFound before the first run."""
        try:
            return NodeUpdate.objects.select_related("storage").get(update_hash=self.update_hash)
        except NodeUpdate.DoesNotExist:
            raise NotFound(f"{type(self).__name__} ({self.update_hash}) never ran. Run it first: node.run().") from None

    # --- running -----------------------------------------------------------------------------------------------------
    def run(
        self,
        debug_mode: bool = True,
        *,
        update_tree: bool = True,
        force_update: bool = False,
        update_only_tree: bool = False,
        override_update_stats: UpdateStatistics | None = None,
    ) -> pd.DataFrame:
        """Update the dependencies, each once, then this node; returns the rows that were persisted.

        The nine steps of `docs/reference/data-nodes.md`. With `update_tree=False` the dependencies are read as they
        are; with `update_only_tree=True` only they are updated and an empty frame is returned. With `force_update=True`
        a node that rests on data which came late or changed is computed again from there, in one transaction; without
        it such a node only adds what is new, and says so. `debug_mode` is accepted for the sake of existing scripts:
        MSM never waits for a schedule and never skips a run that was asked for. Every error is raised, and leaves
        nothing but the record of the run; `self.last_run` holds status, counts and timings. Raises AlreadyRunning while
        another process runs this update.
        """
        return runs.run_tree(
            self,
            update_tree=update_tree,
            update_only_tree=update_only_tree,
            recompute_stale=force_update,
            override_update_stats=override_update_stats,
        )

    def delete_after_date(
        self, after_date: dt.datetime, *, dimension_filters: Mapping[str, Sequence[str]] | None = None
    ) -> DeletedTail:
        """Delete this node's rows (and its companions') at or after an aware instant, so that a run writes them anew.

        `dimension_filters` keeps to the named identities. What reads the table is marked as stale from there on.
        Raises AlreadyRunning while the node is being updated, InvalidInput for a naive instant, NotFound before the
        first run.
        """
        return runs.delete_after_date(self, after_date, dimension_filters)

    def report_progress(self, done: int, total: int | None = None, text: str = "") -> None:
        """Tell whoever watches how far `update()` has come."""
        if self._progress is not None:
            self._progress(done, total, text)


def _remembering_arguments(initialise: Callable[..., None]) -> Callable[..., None]:
    """Wrap a constructor so that the outermost one's bound arguments become `self.arguments`."""
    signature = inspect.signature(initialise)

    @functools.wraps(initialise)
    def wrapper(self: DataNode, *positional: Any, **named: Any) -> None:
        if "arguments" not in vars(self):
            self.arguments, self._hands_positions_on = _bound_arguments(signature, self, positional, named)
        elif self._hands_positions_on:  # what went through *args gets its names from the parent
            inherited, self._hands_positions_on = _bound_arguments(signature, self, positional, named)
            self.arguments = inherited | self.arguments
        initialise(self, *positional, **named)

    wrapper.remembers_arguments = True  # type: ignore[attr-defined]
    return wrapper


def _bound_arguments(
    signature: inspect.Signature, node: DataNode, positional: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[dict[str, Any], bool]:
    """The arguments by name, and whether there are positional ones that have none here."""
    bound = signature.bind(node, *positional, **named)
    bound.apply_defaults()
    arguments: dict[str, Any] = {}
    nameless = False
    for position, (name, value) in enumerate(bound.arguments.items()):
        kind = signature.parameters[name].kind
        if position == 0:
            continue
        if kind is inspect.Parameter.VAR_POSITIONAL:
            nameless = bool(value)
        elif kind is inspect.Parameter.VAR_KEYWORD:
            arguments.update(value)
        else:
            arguments[name] = value
    return arguments, nameless


DataNode.__init__ = _remembering_arguments(DataNode.__init__)  # type: ignore[method-assign]
