"""AssetIndexedDataNode: a DataNode whose rows are kept by asset, and which is told the assets that it updates."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from markets.data_nodes.configuration import constructor_defaults
from markets.data_nodes.node import DataNode
from markets.data_nodes.reads import IdentityRange, aware
from markets.data_nodes.statistics import ASSET_DIMENSION, identifiers_of
from markets.engine.hashing import Scope
from markets.exceptions import InvalidInput, WrongType

WHICH = "Update these assets only, by their identifiers."
SINCE = "Where an asset begins that has no row yet, with the time's zone."
EARLIEST, LATEST = dt.datetime(1678, 1, 1, tzinfo=dt.UTC), dt.datetime(2261, 1, 1, tzinfo=dt.UTC)


def clean_asset_list(assets: Any) -> list[str]:
    """The identifiers of a scope that somebody gave, in its order; a set, which has none, in byte order.

    Takes text, mappings with `asset_identifier` or `unique_identifier`, and objects with such an attribute. Raises
    WrongType (a TypeError) for what is no list of assets, naming the position of an item that is none, and InvalidInput
    for an empty list and for a blank or repeated identifier.
    """
    if isinstance(assets, Mapping):  # iterated, it would name its keys
        raise WrongType(
            f"asset_list is a {type(assets).__name__}, not a list of assets. Write [{assets!r}].", field="asset_list"
        )
    if isinstance(assets, set | frozenset):
        assets = sorted(assets, key=_by_bytes)
    identifiers = identifiers_of(assets)
    if not identifiers:
        raise InvalidInput(
            "asset_list is empty: the node would update nothing. Name assets, or leave it out (None) for all.",
            field="asset_list",
        )
    return identifiers


def clean_offset_start(value: Any) -> dt.datetime:
    """The instant in UTC, of an aware datetime or ISO 8601 text with a zone.

    Raises WrongType for another kind of value, InvalidInput for text that is no time, for a time without a zone, and
    for one outside the years 1678 to 2260, which no row can have.
    """
    if value is pd.NaT or not isinstance(value, dt.datetime | str):
        raise WrongType(
            f"offset_start is a {type(value).__name__}, neither a datetime nor text. Write it as ISO 8601 with its "
            "zone: 2026-01-31T21:00:00Z.",
            field="offset_start",
        )
    instant = aware(value, "offset_start")
    assert instant is not None
    if not EARLIEST <= instant < LATEST:
        raise InvalidInput(
            f"offset_start={instant.isoformat()} lies outside the years 1678 to 2260, where no row can be. Correct it.",
            field="offset_start",
        )
    return instant.astimezone(dt.UTC)


def _by_bytes(item: Any) -> bytes:
    return str(item).encode(errors="surrogatepass")


def _sorted_list(assets: Any) -> list[str]:
    return sorted(clean_asset_list(assets), key=_by_bytes)


if TYPE_CHECKING:
    AssetList = Iterable[Any]
    OffsetStart = dt.datetime | str
else:  # forms and REST give texts: an identifier a line, a time with its zone
    AssetList = Annotated[list[str], BeforeValidator(clean_asset_list), Field(description=WHICH)]
    OffsetStart = Annotated[dt.datetime, BeforeValidator(clean_offset_start), Field(description=SINCE)]


class AssetIndexedConfiguration(BaseModel):
    """The base of a configuration whose node is told its assets: who is updated, and since when; never what rows mean.

    Both fields change the update hash and leave the storage hash as it is. Hand them on to the node's constructor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    asset_list: AssetList | None = Field(default=None, json_schema_extra={"scope": "update"}, description=WHICH)
    offset_start: OffsetStart | None = Field(default=None, json_schema_extra={"scope": "update"}, description=SINCE)


class AssetIndexedDataNode(DataNode):
    """Rows by asset: `index_names` has `asset_identifier`, as first dimension after the time or at any other level.

    `asset_list` is the scope of the updates: identifiers, mappings with `asset_identifier` or `unique_identifier`, or
    assets; None for no scope. `offset_start`, an aware datetime or ISO 8601 text, stands for the class's `OFFSET_START`
    in this node: where an asset that was never seen begins. Both belong to the update hash alone, whatever a subclass
    names in `_ARGS_IGNORE_IN_STORAGE_HASH`; neither the order of the assets nor the form they are given in counts.
    `hash_namespace` and its alias are those of every DataNode.

    Override `get_asset_list()` where the assets follow from a category, an account or another node. It is asked once a
    run, when the dependencies have run; `get_update_asset_list()` tells its answer for the rest of the run.

    Raises InvalidInput for an empty `asset_list`, a blank or repeated identifier, a naive `offset_start`, and for a
    class whose `index_names` lack `asset_identifier`; WrongType (a TypeError) for items that are no assets.
    """

    _falls_back: ClassVar[bool] = True

    def __init__(
        self,
        *,
        asset_list: AssetList | None = None,
        offset_start: OffsetStart | None = None,
        **names: str | None,
    ) -> None:
        if ASSET_DIMENSION not in self.index_names[1:]:
            raise InvalidInput(
                f"{type(self).__name__} is indexed by ({', '.join(self.index_names)}), without {ASSET_DIMENSION}. Add "
                "it to index_names, or derive the class from DataNode.",
                field="index_names",
            )
        scope = None if asset_list is None else clean_asset_list(asset_list)
        start = None if offset_start is None else clean_offset_start(offset_start)
        self.asset_list: list[str] | None = scope
        if start is not None:
            self.OFFSET_START = start
        if scope is not None:
            self._keep("asset_list", asset_list, sorted(scope, key=_by_bytes), _sorted_list)
        if start is not None:
            self._keep("offset_start", offset_start, start, clean_offset_start)
        super().__init__(**names)

    def _keep(self, name: str, given: Any, value: Any, form: Callable[[Any], Any]) -> None:
        """Put an argument's value in its one form, so that it has one hash; one that equals the default is the default.

        An argument in whose place a subclass hands on something else stays as it is.
        """
        if self.arguments.get(name) is not given:
            return
        default = constructor_defaults(type(self)).get(name)
        is_default = default is given or (default is not None and form(default) == value)
        self.arguments[name] = default if is_default else value

    def _argument_scopes(self) -> dict[str, Scope]:
        own: dict[str, Scope] = {"asset_list": "update", "offset_start": "update"}
        return own | super()._argument_scopes()

    def get_asset_list(self) -> Sequence[Any] | None:
        """The assets to update: those of the constructor unless a subclass resolves them. None is no scope."""
        return self.asset_list

    def get_update_asset_list(self) -> list[str] | None:
        """The identifiers that this run updates, as `get_asset_list()` told when it was asked in step 4.

        In a shard or a backfill those of its part; with overriding statistics theirs. None where there is no scope.
        Between runs they are those of the last one. Raises InvalidInput when no run of this node has come so far.
        """
        if not self._scope_of_run:
            raise InvalidInput(
                f"No run of this {type(self).__name__} has asked for its assets yet. Call get_update_asset_list() in "
                "update() or after run(); before, get_asset_list() tells them."
            )
        (identifiers,) = self._scope_of_run
        return None if identifiers is None else list(identifiers)

    def get_asset_update_range_map_great_or_equal(
        self, extra_time_delta: dt.timedelta | None = None
    ) -> dict[str, IdentityRange]:
        """For each asset in scope a window that begins, inclusive, at its last row (plus the extra time).

        An asset without rows begins at `OFFSET_START`; one with further dimensions at the earliest of its last rows.
        Raises InvalidInput where the asset is not the first dimension after the time.
        """
        return self.update_statistics.get_asset_update_range_map_great_or_equal(extra_time_delta)
