"""Which identities of a table somebody asks for: by values of a dimension, by exact coordinates, each in a window."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from markets.data_nodes.reads import ASSET_DIMENSION, IdentityRange, RangeMap, identifier_dimension, identifiers
from markets.engine.frames import TIME_INDEX
from markets.engine.text import storable_text
from markets.exceptions import InvalidInput, WrongType, clipped
from markets.models import StorageNode, UpdateStatistic

ALIAS = "unique_identifier"  # of the asset's dimension
Coordinate = Mapping[str, str]
Filters = Mapping[str, Sequence[str]]
Scope = Mapping[str, str]
Identity = tuple[str, ...]


class DimensionRange(IdentityRange, total=False):
    """The window of one identity: bounds, and the `coordinate` that names all of its dimensions."""

    coordinate: Coordinate


@dataclass(frozen=True)
class Chosen:
    """What `read_frame` takes: values of dimensions, and a window for each identity where identities are named."""

    filters: dict[str, Sequence[str]]
    range_map: RangeMap | None


def chosen(
    storage: StorageNode,
    scope: Scope,
    *,
    unique_identifier_list: Sequence[str] | None = None,
    unique_identifier_range_map: RangeMap | None = None,
    dimension_filters: Filters | None = None,
    index_coordinates: Iterable[Coordinate] | None = None,
    dimension_range_map: Iterable[DimensionRange] | None = None,
) -> Chosen:
    """What the arguments of a read ask for, all of them together, within a node's own scope.

    Raises InvalidInput for two of a range map, coordinates and a dimension range map, for an unknown dimension, and for
    a coordinate that does not name every dimension.
    """
    named = {
        "unique_identifier_range_map": unique_identifier_range_map,
        "index_coordinates": index_coordinates,
        "dimension_range_map": dimension_range_map,
    }
    given = [name for name, value in named.items() if value is not None]
    if len(given) > 1:
        raise InvalidInput(f"Give {given[0]} or {given[1]}, not both: each names identities.", field=given[1])
    filters = clean_filters(storage, scope, dimension_filters)
    if unique_identifier_list is not None:
        if len(storage.index_names) < 2:
            raise InvalidInput(f"{storage} is indexed by time alone: it takes no identifiers.")
        dimension = identifier_dimension(storage.index_names)
        filters = _narrowed(filters, dimension, identifiers(unique_identifier_list, dimension))
    windows: dict[Identity, IdentityRange]
    if index_coordinates is not None:
        windows = {identity: {} for identity in exact_identities(storage, scope, index_coordinates)}
    elif dimension_range_map is not None:
        windows = _windows(storage, scope, dimension_range_map)
    else:
        return Chosen(filters, unique_identifier_range_map)
    kept = set(_kept(storage, windows, filters))
    return Chosen({}, {identity: window for identity, window in windows.items() if identity in kept})


@dataclass(frozen=True)
class NamedTail:
    """Whose rows a deletion takes, in the node's table and in those of its companions."""

    filters: dict[str, Sequence[str]]
    identities: list[Identity] | None
    dimension_filters: Filters | None
    coordinates: Sequence[Coordinate] | None

    def of_companion(
        self, storage: StorageNode, scope: Scope
    ) -> tuple[dict[str, Sequence[str]], list[Identity] | None]:
        filters = clean_filters(storage, scope, self.dimension_filters)
        if self.coordinates is None:
            return filters, None
        return filters, _agreeing(storage, self.coordinates)


def named_tail(
    storage: StorageNode,
    scope: Scope,
    dimension_filters: Filters | None,
    index_coordinates: Iterable[Coordinate] | None,
) -> NamedTail:
    """Check what a deletion is asked for, within a node's own scope. Raises as `chosen` does."""
    filters = clean_filters(storage, scope, dimension_filters)
    if index_coordinates is None:
        return NamedTail(filters, None, dimension_filters, None)
    coordinates = _listed(storage, index_coordinates, "index_coordinates")
    identities = exact_identities(storage, scope, coordinates)
    dimensions = storage.index_names[1:]
    named = [dict(zip(dimensions, identity, strict=True)) for identity in identities]
    return NamedTail(filters, identities, dimension_filters, named)


def clean_filters(storage: StorageNode, scope: Scope, dimension_filters: Filters | None) -> dict[str, Sequence[str]]:
    """Dimension → the values that are wanted of it; of a dimension in the scope at most the scope's own.

    Raises InvalidInput for an unknown dimension and for one without values, WrongType for what is no mapping.
    """
    filters: dict[str, Sequence[str]] = {name: [value] for name, value in scope.items()}
    if dimension_filters is None:
        return filters
    if not isinstance(dimension_filters, Mapping):
        raise WrongType(
            f"dimension_filters is a {type(dimension_filters).__name__}. Give a mapping: "
            "{'asset_identifier': ['A', 'B']}.",
            field="dimension_filters",
        )
    for given, values in dimension_filters.items():
        name = _dimension(storage, given, "dimension_filters")
        if values is None:
            raise InvalidInput(
                f"dimension_filters has no values for {given}. List them, or leave the dimension out.",
                field="dimension_filters",
            )
        filters = _narrowed(filters, name, identifiers(values, name))
    return filters


def exact_identities(storage: StorageNode, scope: Scope, coordinates: Iterable[Coordinate]) -> list[Identity]:
    """The identities that the coordinates name, each once, in their order; those outside the scope are left out.

    Raises InvalidInput for a table by time alone, an unknown dimension, and a coordinate that lacks one; WrongType for
    what is no list of mappings, or a value that is no text.
    """
    label = "index_coordinates"
    found = dict.fromkeys(
        _identity(storage, scope, coordinate, f"{label}[{position}]", label)
        for position, coordinate in enumerate(_listed(storage, coordinates, label))
    )
    return [identity for identity in found if identity is not None]


def _windows(storage: StorageNode, scope: Scope, ranges: Iterable[DimensionRange]) -> dict[Identity, IdentityRange]:
    """Identity → its window; those outside the scope are left out. The bounds are checked where they are read."""
    label = "dimension_range_map"
    windows: dict[Identity, IdentityRange] = {}
    for position, item in enumerate(_listed(storage, ranges, label)):
        place = f"{label}[{position}]"
        coordinate = item.get("coordinate")
        if not isinstance(coordinate, Mapping):
            raise InvalidInput(
                f"{place} has no coordinate. Give one: {{'coordinate': {_example(storage)}, 'start_date': …}}.",
                field=label,
            )
        identity = _identity(storage, scope, coordinate, place, label)
        if identity is None:
            continue
        if identity in windows:
            raise InvalidInput(
                f"{place} names {' / '.join(identity)} once more. Give each identity one window.", field=label
            )
        window = {key: value for key, value in item.items() if key != "coordinate"}
        windows[identity] = cast(IdentityRange, window)
    return windows


def _listed(storage: StorageNode, items: Any, label: str) -> list[Mapping[str, Any]]:
    if len(storage.index_names) < 2:
        raise InvalidInput(f"{storage} is indexed by time alone: it takes no {label}.", field=label)
    if isinstance(items, str | Mapping) or not isinstance(items, Iterable):
        raise WrongType(
            f"{label} is a {type(items).__name__}. Give a list of mappings: [{_example(storage)}].", field=label
        )
    listed = list(items)
    for position, item in enumerate(listed):
        if not isinstance(item, Mapping):
            raise WrongType(
                f"{label}[{position}] is a {type(item).__name__}. Give a mapping: {_example(storage)}.", field=label
            )
    return listed


def _identity(
    storage: StorageNode, scope: Scope, coordinate: Mapping[str, Any], place: str, label: str
) -> Identity | None:
    """The identity that a coordinate names; None where the scope or the database holds no such one."""
    values: dict[str, str] = dict(scope)
    is_ours = True
    given: set[str] = set()
    for key, value in coordinate.items():
        name = _dimension(storage, key, place, field=label)
        if name in given:
            raise InvalidInput(f"{place} names {name} twice, once as {ALIAS}. Keep one.", field=label)
        given.add(name)
        if not isinstance(value, str):
            raise WrongType(
                f"{place} has {key}={clipped(repr(value))}; a coordinate has one text for each dimension. Several "
                "values of a dimension are asked for by dimension_filters.",
                field=label,
            )
        is_ours = is_ours and scope.get(name, value) == value and storable_text(value) == value
        values[name] = value
    missing = [name for name in storage.index_names[1:] if name not in values]
    if missing:
        raise InvalidInput(
            f"{place} does not name {' and '.join(missing)}. Name every dimension but the time "
            f"({', '.join(storage.index_names[1:])}); some of them alone are asked for by dimension_filters.",
            field=label,
        )
    return tuple(values[name] for name in storage.index_names[1:]) if is_ours else None


def _dimension(storage: StorageNode, name: Any, place: str, *, field: str = "") -> str:
    """The dimension of this name; `unique_identifier` is another name of the asset's."""
    dimensions = storage.index_names[1:]
    if name in dimensions:
        return str(name)
    if name == ALIAS and ASSET_DIMENSION in dimensions:
        return ASSET_DIMENSION
    known = ", ".join(dimensions) or "none"
    hint = " Times are asked for by start_date and end_date." if name == TIME_INDEX else ""
    raise InvalidInput(
        f"{place}: {storage} has no dimension {clipped(repr(name))}; its dimensions are {known}.{hint}",
        field=field or place,
    )


def _narrowed(filters: Mapping[str, Sequence[str]], name: str, values: Sequence[str]) -> dict[str, Sequence[str]]:
    """The filters with one more: what two ask of a dimension is what both allow."""
    allowed = filters.get(name)
    return {**filters, name: values if allowed is None else [value for value in allowed if value in set(values)]}


def _kept(storage: StorageNode, identities: Iterable[Identity], filters: Filters) -> list[Identity]:
    wanted = {storage.index_names[1:].index(name): set(values) for name, values in filters.items()}
    return [item for item in identities if all(item[place] in values for place, values in wanted.items())]


def _agreeing(storage: StorageNode, coordinates: Iterable[Coordinate]) -> list[Identity]:
    """The stored identities of a companion's table that have a coordinate's values; it may have further dimensions."""
    dimensions = storage.index_names[1:]
    names: tuple[str, ...] = ()
    wanted: set[Identity] = set()
    for coordinate in coordinates:
        names = tuple(_dimension(storage, name, "index_coordinates") for name in coordinate)
        wanted.add(tuple(coordinate.values()))
    places = [dimensions.index(name) for name in names]
    stored = UpdateStatistic.objects.filter(storage=storage).values_list("identity", flat=True)
    return [tuple(identity) for identity in stored if tuple(identity[place] for place in places) in wanted]


def _example(storage: StorageNode) -> str:
    return "{" + ", ".join(f"'{name}': …" for name in storage.index_names[1:]) + "}"
