"""How far a table has come: read as one query, kept in the transaction that writes the rows."""

import copy
import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from markets.data_nodes.reads import ASSET_DIMENSION, IdentityRange, aware
from markets.data_nodes.stored_statistics import from_microseconds, stored_columns
from markets.exceptions import InvalidInput, WrongType
from markets.models import StorageNode

Identity = tuple[str, ...]


@dataclass
class UpdateStatistics:
    """What a node knows of its table before it updates.

    `index_progress` maps each identity to the time of its last row, `index_min` to that of its first (aware UTC
    datetimes; the key is the identifier itself where the table has one dimension besides time, else a tuple).
    `max_time_index_value` is the last time of all rows that are this node's to write, whatever the assets in scope.
    `asset_list` is the scope; `dimensions` names what the keys are made of, `columns` the value columns.
    In a backfill `is_backfill` is true, the progress is that before the window, and rows later than `limit_update_time`
    are not wanted: they are left out.

    Times are taken as aware datetimes or as ISO 8601 text with a zone, and the keys of several dimensions also as
    dicts of dicts. Raises InvalidInput for a time without a zone.
    """

    index_progress: dict[Any, dt.datetime] = field(default_factory=dict)
    index_min: dict[Any, dt.datetime] = field(default_factory=dict)
    row_counts: dict[Any, int] = field(default_factory=dict)
    max_time_index_value: dt.datetime | None = None
    asset_list: list[str] | None = None
    initial_fallback_date: dt.datetime | None = None
    dimensions: tuple[str, ...] = (ASSET_DIMENSION,)
    columns: tuple[str, ...] = ()
    limit_update_time: dt.datetime | None = None
    is_backfill: bool = False
    row_ids: dict[Any, int] = field(default_factory=dict, repr=False, compare=False)  # of the table's own statistics

    def __post_init__(self) -> None:
        self.index_progress = _instants(self.index_progress, "index_progress")
        self.index_min = _instants(self.index_min, "index_min")
        for name in ("max_time_index_value", "initial_fallback_date", "limit_update_time"):
            setattr(self, name, aware(getattr(self, name), name))

    @property
    def asset_time_statistics(self) -> dict[Any, Any]:
        """Identity → time of its last row; a dict within a dict for each further dimension."""
        return _nested(self.index_progress)

    @property
    def multi_index_column_stats(self) -> dict[str, dict[Any, dict[str, dt.datetime]]]:
        """Column → identity in scope → first and last time ("min", "max") of its rows, which all columns share."""
        seen = {
            identity: {"min": first, "max": self.index_progress[identity]}
            for identity, first in self.index_min.items()
            if identity in self.index_progress
        }
        return {column: {identity: dict(times) for identity, times in seen.items()} for column in self.columns}

    def __getitem__(self, identity: Any) -> dt.datetime:
        return self.index_progress[identity]

    def __contains__(self, identity: Any) -> bool:
        return identity in self.index_progress

    def __iter__(self) -> Iterator[Any]:
        return iter(self.index_progress)

    def __len__(self) -> int:
        return len(self.index_progress)

    def is_empty(self) -> bool:
        return not self.row_counts

    def update_assets(
        self,
        asset_list: Iterable[Any] | None = None,
        init_fallback_date: dt.datetime | None = None,
        unique_identifier_list: Iterable[str] | None = None,
    ) -> "UpdateStatistics":
        """A copy restricted to these assets (identifiers, or objects with `unique_identifier`); None is no restriction.

        An asset never seen begins at `init_fallback_date`, where the asset is the only dimension besides time.
        `unique_identifier_list` says the same as `asset_list`. Raises InvalidInput for both, and for assets without
        a fallback date.
        """
        if asset_list is not None and unique_identifier_list is not None:
            raise InvalidInput("Give asset_list or unique_identifier_list, not both.", field="asset_list")
        wanted_assets = asset_list if asset_list is not None else unique_identifier_list
        scoped = copy.copy(self)
        scoped.initial_fallback_date = aware(init_fallback_date, "init_fallback_date") or self.initial_fallback_date
        if wanted_assets is None:
            scoped.asset_list = None
            return scoped
        identifiers = identifiers_of(wanted_assets)
        init_fallback_date = scoped.initial_fallback_date
        if init_fallback_date is None:
            raise InvalidInput("Say where an asset that was never seen begins.", field="init_fallback_date")
        scoped.asset_list = identifiers
        wanted = set(identifiers)
        if len(self.dimensions) > 1 and ASSET_DIMENSION in self.dimensions:
            place = self.dimensions.index(ASSET_DIMENSION)
            scoped.index_progress = {key: time for key, time in self.index_progress.items() if key[place] in wanted}
            scoped.index_min = {key: time for key, time in self.index_min.items() if key[place] in wanted}
        else:
            scoped.index_progress = {name: self.index_progress.get(name, init_fallback_date) for name in identifiers}
            scoped.index_min = {name: time for name, time in self.index_min.items() if name in wanted}
        return scoped

    @property
    def _max_time_in_update_statistics(self) -> dt.datetime | None:
        return self.get_max_time_in_update_statistics()

    @property
    def _initial_fallback_date(self) -> dt.datetime | None:
        return self.initial_fallback_date

    def is_any_asset_on_fallback_date(self) -> bool:
        """Whether some identity in scope has no row yet."""
        return any(identity not in self.index_min for identity in self.index_progress)

    def are_all_assets_on_fallback_date(self) -> bool:
        """Whether no identity in scope has a row yet; also when the scope is empty."""
        return all(identity not in self.index_min for identity in self.index_progress)

    def get_earliest_update_for_identity(self, identity: str) -> dt.datetime | None:
        """The earliest of the last times of all identities that begin with this one; the fallback when it is unseen.

        So far has everything of, say, an asset come whose rows have further dimensions.
        """
        return min(self._leaves(identity), default=self.initial_fallback_date)

    def get_asset_earliest_multiindex_update(self, asset: Any) -> dt.datetime | None:
        """`get_earliest_update_for_identity` of an asset, given as identifier or object."""
        return self.get_earliest_update_for_identity(identifiers_of([asset])[0])

    def get_last_update_index_2d(self, unique_identifier: str) -> dt.datetime | None:
        """The latest row of all identities that begin with this one; the fallback when it is unseen."""
        return max(self._leaves(unique_identifier), default=self.initial_fallback_date)

    def filter_assets_by_level(self, level: int, filters: Iterable[str]) -> "UpdateStatistics":
        """A copy with the identities whose dimension `level` (0 the first after time) has one of these values.

        Below the first dimension a value that is missing beside others of its kind is added at the fallback date.
        Raises InvalidInput for a level that there is not.
        """
        if not 0 <= level < len(self.dimensions):
            raise InvalidInput(
                f"level={level}: the table has {len(self.dimensions)} dimensions besides time.", field="level"
            )
        wanted = list(filters)
        parts = {key: key if isinstance(key, tuple) else (key,) for key in self.index_progress}
        kept = copy.copy(self)
        kept.index_progress = {key: self.index_progress[key] for key, part in parts.items() if part[level] in wanted}
        kept.index_min = {key: first for key, first in self.index_min.items() if key in kept.index_progress}
        kept.row_counts = {key: count for key, count in self.row_counts.items() if key in kept.index_progress}
        if level > 0 and level == len(self.dimensions) - 1 and self.initial_fallback_date is not None:
            for prefix in {part[:level] for part in parts.values()}:
                for value in wanted:
                    kept.index_progress.setdefault((*prefix, value), self.initial_fallback_date)
        return kept

    def _leaves(self, identity: str) -> list[dt.datetime]:
        if len(self.dimensions) == 1:
            return [self.index_progress[identity]] if identity in self.index_progress else []
        return [last for key, last in self.index_progress.items() if key[0] == identity]

    def get_last_update(self, identity: Any) -> dt.datetime | None:
        """Time of the last row of an identity, the fallback date when it was never seen."""
        return self.index_progress.get(identity, self.initial_fallback_date)

    def get_max_time_in_update_statistics(self) -> dt.datetime | None:
        """Last time within the scope; the whole table's where there is no scope."""
        if self.asset_list is None:
            return self.max_time_index_value
        return max(self.index_progress.values(), default=self.initial_fallback_date)

    def get_update_range_map_great_or_equal(
        self, extra_time_delta: dt.timedelta | None = None
    ) -> dict[str, IdentityRange]:
        """For each identity in scope a window that begins, inclusive, at its last row (plus the extra time)."""
        delta = extra_time_delta or dt.timedelta()
        return {
            identity: {"start_date_operand": ">=", "start_date": last + delta}
            for identity, last in self.index_progress.items()
        }

    def get_asset_update_range_map_great_or_equal(
        self, extra_time_delta: dt.timedelta | None = None
    ) -> dict[str, IdentityRange]:
        """The same by asset: with further dimensions, from the earliest of the last rows of each asset on.

        Raises InvalidInput where the asset is not the first dimension besides time.
        """
        if self.dimensions[:1] != (ASSET_DIMENSION,):
            raise InvalidInput(
                f"The rows are kept by {', '.join(self.dimensions) or 'time alone'}: there is no window of an asset "
                "alone. Use get_update_range_map_great_or_equal()."
            )
        if len(self.dimensions) == 1:
            return self.get_update_range_map_great_or_equal(extra_time_delta)
        earliest: dict[str, dt.datetime] = {}
        for (asset, *_), last in self.index_progress.items():
            earliest[asset] = min(last, earliest.get(asset, last))
        delta = extra_time_delta or dt.timedelta()
        return {asset: {"start_date_operand": ">=", "start_date": last + delta} for asset, last in earliest.items()}

    def get_update_range_map_great_or_equal_columnar(
        self, extra_time_delta: dt.timedelta | None = None, column_filter: Iterable[str] | None = None
    ) -> dict[str, dict[Any, IdentityRange]]:
        """The range map for each value column, or for those named. Raises InvalidInput for an unknown column."""
        wanted = list(self.columns if column_filter is None else column_filter)
        unknown = [name for name in wanted if name not in self.columns]
        if unknown:
            raise InvalidInput(
                f"There is no column {', '.join(map(repr, unknown))}. Known: {', '.join(self.columns) or 'none yet'}.",
                field="column_filter",
            )
        windows = self.get_update_range_map_great_or_equal(extra_time_delta)
        return {column: {identity: window.copy() for identity, window in windows.items()} for column in wanted}


def identifiers_of(assets: Iterable[Any]) -> list[str]:
    """The identifiers of assets given as text, mappings or objects, in their order.

    Raises InvalidInput naming the position of an item of another kind or a blank one, or the repeated identifiers.
    """
    if isinstance(assets, str) or not isinstance(assets, Iterable):
        raise WrongType(
            f"asset_list is a {type(assets).__name__}, not a list of assets. Write [{assets!r}].", field="asset_list"
        )
    identifiers: list[str] = []
    for position, item in enumerate(assets):
        if isinstance(item, Mapping):
            value = item.get(ASSET_DIMENSION, item.get("unique_identifier"))
        elif isinstance(item, str):
            value = item
        else:
            value = getattr(item, ASSET_DIMENSION, None) or getattr(item, "unique_identifier", None)
        if not isinstance(value, str):
            raise WrongType(
                f"asset_list[{position}] is a {type(item).__name__}, neither an identifier nor an asset. Give the "
                "unique_identifier as text, or the asset.",
                field="asset_list",
            )
        if not value.strip():
            raise InvalidInput(f"asset_list[{position}] is blank. Remove it.", field="asset_list")
        identifiers.append(value)
    if len(set(identifiers)) != len(identifiers):
        twice = sorted(value for value, count in Counter(identifiers).items() if count > 1)
        raise InvalidInput(
            f"asset_list names {', '.join(twice[:10])} more than once. Name each asset once.", field="asset_list"
        )
    return identifiers


def _instants(progress: Mapping[Any, Any] | None, name: str, prefix: tuple[Any, ...] = ()) -> dict[Any, dt.datetime]:
    """Identity → aware UTC datetime, from that or from dicts of dicts."""
    flat: dict[Any, dt.datetime] = {}
    for key, value in (progress or {}).items():
        identity = (*prefix, key)
        if isinstance(value, Mapping):
            flat |= _instants(value, name, identity)
            continue
        instant = value if type(value) is dt.datetime and value.tzinfo is dt.UTC else aware(value, name)
        if instant is None:
            raise InvalidInput(f"{name} of {key!r} is missing. Leave the identity out.", field=name)
        flat[identity if prefix else key] = instant.astimezone(dt.UTC)
    return flat


def _nested(progress: Mapping[Any, dt.datetime]) -> dict[Any, Any]:
    nested: dict[Any, Any] = {}
    for identity, instant in progress.items():
        *outer, last = identity if isinstance(identity, tuple) and identity else (identity,)
        level = nested
        for part in outer:
            level = level.setdefault(part, {})
        level[last] = instant
    return nested


def load_statistics(storage: StorageNode, dimension_filters: Mapping[str, str] | None = None) -> UpdateStatistics:
    """The statistics of a table, or of the part of it that has these values in these dimensions."""
    dimensions = storage.index_names[1:]
    scope = dimension_filters or {}
    statistics = UpdateStatistics(
        dimensions=tuple(name for name in dimensions if name not in scope),
        columns=tuple(column["column_name"] for column in storage.columns),
    )
    places = [place for place, name in enumerate(dimensions, start=1) if name not in scope]
    conditions = "".join(f" AND s.identity[{dimensions.index(name) + 1}] = %s" for name in scope)
    stored = stored_columns(storage, conditions, list(scope.values()), places)
    parts = stored.parts
    keys = parts[0] if len(parts) == 1 else list(zip(*parts, strict=True)) if parts else [()] * len(stored.ids)
    instants = {value: from_microseconds(value) for value in {*stored.first, *stored.last}}
    statistics.index_min = dict(zip(keys, map(instants.__getitem__, stored.first), strict=True))
    statistics.index_progress = dict(zip(keys, map(instants.__getitem__, stored.last), strict=True))
    statistics.row_counts = dict(zip(keys, stored.counts, strict=True))
    statistics.row_ids = dict(zip(keys, stored.ids, strict=True))
    statistics.max_time_index_value = max(statistics.index_progress.values(), default=None)
    return statistics
