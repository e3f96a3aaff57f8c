"""DataNode: a configured computation that fills one table, again and again, from where it left off."""

import datetime as dt
import functools
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import pandas as pd
from django.db import models

from markets.data_nodes import backfills, registration, runs, schedules
from markets.data_nodes.access import APIDataNode, StoredData
from markets.data_nodes.backfill_plans import BackfillPlan
from markets.data_nodes.backfill_requests import clean_request
from markets.data_nodes.backfills import BackfillOutcome
from markets.data_nodes.configuration import constructor_defaults
from markets.data_nodes.coordinates import Coordinate
from markets.data_nodes.hash_namespaces import ambient_namespace, hash_namespace
from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.output import NodeOutput
from markets.data_nodes.statistics import UpdateStatistics
from markets.data_nodes.tails import DeletedTail
from markets.data_nodes.writes import WriteMode
from markets.engine.hashing import Scope, configuration_hash
from markets.engine.namespaces import clean_hash_namespace
from markets.engine.quality import QualityCheck
from markets.exceptions import InvalidInput, NotFound
from markets.models import NodeSchedule, NodeUpdate

EARLIEST_UPDATE = dt.datetime(2018, 1, 1, tzinfo=dt.UTC)
HOUR = 3600.0


class DataNode(StoredData):
    """Subclass it, give `update()`, and `run()` it.

    `update()` returns a DataFrame indexed by `index_names`: `time_index` (datetime64, UTC) first, then the identities.
    Before it is called, `self.update_statistics` tells how far the table has come. The constructor's arguments are the
    node's configuration: they are hashed into `storage_hash` (what the rows mean) and `update_hash` (who updates what).

    Class attributes: `index_names`; `key_columns`, the primary key's order (identities before time unless told);
    `model`, a Django model that owns the table (else the engine makes one); `_ARGS_IGNORE_IN_STORAGE_HASH`, arguments
    that change who or what is updated but not what the rows mean; `OFFSET_START`, on the class or the instance, where
    an asset never seen begins; `index_by_time`, whether the engine's table gets a second index, by time, for
    cross-sections of very many assets.
    `hash_namespace` sets an experiment's hashes apart, and so does its alias `namespace`; "" is none. Unless given it
    is that of the block `with hash_namespace(…)`, else the namespace of the process.
    `takes_configuration`, False where a node is of no use without what a script binds to it, so that no form offers it.

    How workers run it: `asset_shards`, in how many parts of the asset list, side by side; `max_retries`, how often an
    error that may pass is tried again, first after `retry_delay` seconds, then four times as long each time;
    `retry_on`, errors of its own that may pass; `time_limit`, seconds that one try may take (None: any time).

    `write_mode`, on the class or the instance, says what becomes of rows that are not later than the last row of their
    identity: `append` leaves them alone, `overwrite` inserts them or writes them over what is stored, `insert_only`
    inserts them and refuses the whole frame when one of its keys is stored already. `builds_on_own_rows` is true where
    a row follows from the one before it: then a backfill that changes rows makes the later ones stale.

    `columns_of_consequence` names the columns that readers compute with, where others only describe: when none of these
    differs in a row that is written over, nobody who has read it becomes stale. None: any difference counts.
    """

    index_names: ClassVar[tuple[str, ...]] = ("time_index", "asset_identifier")
    key_columns: ClassVar[tuple[str, ...] | None] = None
    model: ClassVar[type[models.Model] | None] = None
    write_mode: WriteMode = "append"
    columns_of_consequence: ClassVar[Sequence[str] | None] = None
    builds_on_own_rows: ClassVar[bool] = False
    index_by_time: ClassVar[bool] = False
    OFFSET_START: dt.datetime = EARLIEST_UPDATE
    asset_shards: ClassVar[int] = 1
    max_retries: ClassVar[int] = 3  # with the delays below a minute and a half: a server's restart, a network's hiccup
    retry_delay: ClassVar[float] = 5.0
    retry_on: ClassVar[tuple[type[Exception], ...]] = ()
    # Below the six hours after which the broker hands out an unanswered message once more. What takes longer than four
    # hours loses as much when its machine is restarted: let it write in several runs.
    time_limit: ClassVar[float | None] = 4 * HOUR
    _ARGS_IGNORE_IN_STORAGE_HASH: ClassVar[Sequence[str]] = ()
    _ARGS_IGNORE_IN_HASHES: ClassVar[Sequence[str]] = ()
    takes_configuration: ClassVar[bool] = True

    arguments: dict[str, Any]
    hash_namespace: str = ""
    last_run: "runs.RunResult | None" = None
    _observer: "runs.Observer | None" = None
    _scope_of_run: tuple[list[str] | None, ...] = ()  # one item, once step 4 of a run is done
    _falls_back: ClassVar[bool] = False  # whether OFFSET_START counts in a run without a scope, too
    _hands_positions_on: bool = False
    _names_namespace: bool = False

    @functools.cached_property
    def logger(self) -> logging.Logger:
        """What is said here is kept with the run and shown on the DataNode's page."""
        return logging.getLogger(f"{runs.LOGGER_NAME}.{type(self).__name__}")

    def __init__(self, *, hash_namespace: str | None = None, namespace: str | None = None) -> None:
        said = _namespace_of(hash_namespace, namespace)
        # What a subclass hands on by default, "" among it, nobody asked for.
        self.hash_namespace = said if said is not None and (said or self._names_namespace) else ambient_namespace()

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

    def upstream(self) -> "Mapping[str, DataNode | APIDataNode]":
        """What `dependencies()` tells, asked for in the node's own namespace: nodes that it builds belong there."""
        with hash_namespace(self.hash_namespace):
            return self.dependencies()

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
        arguments = {name: value for name, value in self.arguments.items() if name != "hash_namespace"}
        return configuration_hash(
            type(self),
            arguments,
            purpose=purpose,
            scopes=self._argument_scopes(),
            defaults=constructor_defaults(type(self)),
            namespace=self.hash_namespace,
        )

    def _argument_scopes(self) -> dict[str, Scope]:
        """The scopes of the arguments that do not belong to both hashes."""
        scopes: dict[str, Scope] = dict.fromkeys(self._ARGS_IGNORE_IN_STORAGE_HASH, "update")
        return scopes | dict.fromkeys(self._ARGS_IGNORE_IN_HASHES, "none")

    def get_node_update(self) -> NodeUpdate:
        """The registered update of this node. Raises NotFound before the first run."""
        try:
            return NodeUpdate.objects.select_related("storage").get(update_hash=self.update_hash)
        except NodeUpdate.DoesNotExist:
            raise NotFound(f"{type(self).__name__} ({self.update_hash}) never ran. Run it first: node.run().") from None

    # --- schedule ----------------------------------------------------------------------------------------------------
    def set_schedule(
        self,
        cron: str,
        *,
        zone: str = "UTC",
        update_tree: bool = True,
        recompute_stale: bool = False,
        is_enabled: bool = True,
    ) -> NodeSchedule:
        """Let workers run the node at the times of a line of cron in a time zone: `"30 22 * * 1-5"`.

        The node becomes known, as by its first run. Raises InvalidInput for a line or a zone that is none.
        """
        for member in runs.execution_order(self):
            update = registration.ensure_update(member)
            registration.record_metadata(member, update.storage, {}, [])
        return schedules.set_schedule(
            update,
            cron,
            zone=zone,
            update_tree=update_tree,
            recompute_stale=recompute_stale,
            is_enabled=is_enabled,
        )

    def remove_schedule(self) -> None:
        """The node is run by itself no more. Raises NotFound when it has no schedule."""
        schedules.remove_schedule(self.get_node_update())

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
        self,
        after_date: dt.datetime,
        *,
        dimension_filters: Mapping[str, Sequence[str]] | None = None,
        index_coordinates: Iterable[Coordinate] | None = None,
    ) -> DeletedTail:
        """Delete this node's rows (and its companions') at or after an aware instant, so that a run writes them anew.

        `dimension_filters` maps a dimension to the values whose rows go; `index_coordinates` lists identities, each as
        a mapping of all dimensions to one value. Given both, rows go that meet both; an empty list deletes nothing.
        What reads the table is marked as stale from there on.

        Raises AlreadyRunning while the node is being updated, InvalidInput for a naive instant, an unknown dimension or
        a coordinate that lacks one, NotFound before the first run; then nothing was deleted.
        """
        return runs.delete_after_date(self, after_date, dimension_filters, index_coordinates)

    def backfill(
        self,
        start: dt.date | dt.datetime,
        end: dt.date | dt.datetime,
        assets: Sequence[Any] | None = None,
        failed_only: bool = False,
        dry_run: bool = False,
        *,
        update_tree: bool = False,
        calendar: str | None = None,
    ) -> BackfillPlan | BackfillOutcome:
        """Compute a stretch of the past again, in parts; when interrupted and asked for again it goes on.

        `start` and `end` are included; aware datetimes, or dates, which stand for their whole UTC day. Rows that differ
        are written over and new ones inserted; with `failed_only=True` only what failed before and the sessions that
        are missing by the node's calendar, or the one named, are computed, and stored rows stay as they are. `assets`
        are assets or identifiers, None for all. With `update_tree=True` what the node reads is backfilled first. With
        `dry_run=True` nothing is written and the plan returned, else the outcome.

        Raises InvalidInput for a naive time or a start after the end, UnknownIdentifiers for unknown assets,
        AlreadyRunning while the node is being updated, BackfillFailed naming the parts that failed.
        """
        request = clean_request(
            start, end, assets=assets, failed_only=failed_only, update_tree=update_tree, calendar=calendar
        )
        return backfills.backfill_node(self, request, dry_run=dry_run)

    def report_progress(
        self,
        done: int,
        total: int | None = None,
        text: str = "",
        *,
        assets: int | None = None,
        rows: int | None = None,
    ) -> None:
        """Tell whoever watches how far `update()` has come: `done` of `total` units, and what is being done.

        `assets` and `rows` say how many are ready. Where `total` is the number of assets to update, `done` tells them.
        """
        if self._observer is None:
            return
        self._observer.node_progressed(self, done, total, text)
        scope = getattr(self, "update_statistics", None)
        listed = scope.asset_list if scope is not None else None
        if assets is None and listed is not None and total == len(listed):
            assets = done
        counts = {"assets_done": assets, "rows_returned": rows}
        self.node_counted(**{name: number for name, number in counts.items() if number is not None})

    def node_counted(self, **counts: int) -> None:
        """Tell whoever watches what became known: `assets_total`, `assets_done`, `rows_returned`."""
        if self._observer is not None and counts:
            self._observer.node_counted(self, **counts)


def _remembering_arguments(initialise: Callable[..., None]) -> Callable[..., None]:
    """Wrap a constructor so that the outermost one's bound arguments become `self.arguments`."""
    signature = inspect.signature(initialise)

    @functools.wraps(initialise)
    def wrapper(self: DataNode, *positional: Any, **named: Any) -> None:
        if "arguments" not in vars(self):
            self.arguments, self._hands_positions_on = _bound_arguments(signature, self, positional, named)
            said = _named_namespace(self, named)
            self._names_namespace = said is not None
            if said is not None:  # what is built in the constructor belongs to it, too
                with hash_namespace(said):
                    initialise(self, *positional, **named)
                return
        elif self._hands_positions_on:  # what went through *args gets its names from the parent
            inherited, self._hands_positions_on = _bound_arguments(signature, self, positional, named)
            self.arguments = inherited | self.arguments
        initialise(self, *positional, **named)

    wrapper.remembers_arguments = True  # type: ignore[attr-defined]
    return wrapper


def _has_alias(cls: type[DataNode]) -> bool:
    """Whether `namespace` is the alias of `hash_namespace`, and no argument of a subclass's own."""
    own = (vars(parent)["__init__"] for parent in cls.__mro__ if "__init__" in vars(parent) and parent is not DataNode)
    return not any("namespace" in inspect.signature(initialise).parameters for initialise in own)


def _named_namespace(node: DataNode, named: Mapping[str, Any]) -> str | None:
    """The namespace that whoever makes the node names."""
    return _namespace_of(named.get("hash_namespace"), named.get("namespace") if _has_alias(type(node)) else None)


def _namespace_of(name: str | None, alias: str | None) -> str | None:
    """The one that is given. Raises InvalidInput for two that differ."""
    given = {clean_hash_namespace(value) for value in (name, alias) if value is not None}
    if len(given) > 1:
        raise InvalidInput(
            f"hash_namespace={name!r} and namespace={alias!r} name two namespaces. Give one of them.",
            field="hash_namespace",
        )
    return given.pop() if given else None


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
    if _has_alias(type(node)):
        arguments.pop("namespace", None)
    return arguments, nameless


DataNode.__init__ = _remembering_arguments(DataNode.__init__)  # type: ignore[method-assign]
