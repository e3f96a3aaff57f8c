"""The arguments of a DataNode class as the fields of a form: nested models flattened, each field with its words."""

import datetime as dt
import json
import pathlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, FutureDate, FutureDatetime, NaiveDatetime, PastDate, PastDatetime
from pydantic.fields import FieldInfo

from markets.data_nodes.access import StoredData
from markets.services.node_signatures import Argument, class_names, without_none

Kind = Literal["text", "number", "flag", "choice", "date", "time", "lines", "node", "nodes", "structure"]
Path = tuple[str, ...]
_TIMES = (dt.datetime, AwareDatetime, NaiveDatetime, PastDatetime, FutureDatetime)
_DATES = (dt.date, PastDate, FutureDate)
_LISTS = (list, tuple, set, frozenset, get_origin(Sequence[int]))


@dataclass(frozen=True)
class NodeField:
    """One value that a person gives. `default` is shown where the field is left empty; `choices` are JSON values.

    `group` is the title of the nested model that it belongs to, empty for an argument of its own; `in_required` says
    that the model has to be given even where none of its values is.
    """

    path: Path
    kind: Kind
    label: str
    help: str
    required: bool
    default: Any = None
    choices: tuple[Any, ...] = ()
    node_types: tuple[type[StoredData], ...] = ()
    group: str = ""
    in_required: bool = False

    @property
    def name(self) -> str:
        return ".".join(self.path)


def fields_of(arguments: Sequence[Argument]) -> list[NodeField]:
    """The fields in the order of the constructor."""
    found: list[NodeField] = []
    for argument in arguments:
        path = (argument.name,)
        if argument.node_types:
            kind: Kind = "nodes" if argument.many else "node"
            what = f"A registered {class_names(argument.node_types)}."
            found.append(NodeField(path, kind, _label(path), what, argument.required, node_types=argument.node_types))
        else:
            default = argument.default_value
            described = _described(argument.annotation)
            if argument.name == "hash_namespace":
                described = "Sets an experiment apart: a table of its own."
            found.extend(_fields(path, argument.annotation, described, argument.required, default, _Within()))
    return found


def place_of(location: Sequence[str | int], fields: Sequence[NodeField]) -> str:
    """The dotted path of a fault of pydantic's: without the names of union members, which are no fields."""
    known = {path for field in fields for path in _prefixes(field.path)}
    parts = tuple(map(str, location))
    depth = max((size for size in range(len(parts) + 1) if parts[:size] in known), default=0)
    rest = [str(part) for part in location[depth:] if isinstance(part, int)]
    if parts[:depth] not in {field.path for field in fields}:
        rest = list(parts[depth:])  # below a model: the name of a field that it does not have
    return ".".join([*parts[:depth], *rest])


def stored_values(stored: Mapping[str, Any], fields: Sequence[NodeField]) -> dict[str, Any]:
    """Field name → JSON value, from the arguments of a stored build configuration; a node as its configuration."""
    values: dict[str, Any] = {}
    for field in fields:
        value: Any = stored
        for part in field.path:
            value = _unwrapped(value)
            if not isinstance(value, Mapping) or part not in value:
                break
            value = value[part]
        else:
            values[field.name] = _unwrapped(value)
    return values


def as_json(value: Any) -> Any:
    """A default or a choice as JSON says it."""
    if isinstance(value, Enum):
        return as_json(value.value)
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, Decimal | uuid.UUID | pathlib.PurePath | dt.timedelta):
        return str(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(item) for item in value]
    return value


def as_text(value: Any) -> str:
    """A JSON value in words: yes and no, items separated by commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return ", ".join(map(as_text, value))
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else str(value)


@dataclass(frozen=True)
class _Within:
    """Where a field stands: in which models, under which title, and whether they have to be given."""

    above: tuple[type, ...] = ()
    title: str = ""
    required: bool = False


def _fields(
    path: Path,
    annotation: Any,
    described: str,
    required: bool,
    default: Any,
    within: _Within,
    constraints: Sequence[Any] = (),
) -> Iterator[NodeField]:
    bare, optional = without_none(annotation)
    if _is_model(bare) and bare not in within.above:
        title = _label(path) if within.above or path[-1] != "configuration" else ""
        yield from _model_fields(path, bare, default, _Within((*within.above, bare), title, required and not optional))
        return
    kind, choices = _kind(bare)
    words = " ".join(filter(None, [described.strip(), _bounds([*_coat(annotation), *constraints])]))
    yield NodeField(
        path, kind, _label(path), words, required, as_json(default), choices, (), within.title, within.required
    )


def _model_fields(path: Path, model: type[BaseModel], default: Any, within: _Within) -> Iterator[NodeField]:
    for name, info in model.model_fields.items():
        yield from _fields(
            (*path, _key(name, info)),
            info.annotation,
            info.description or "",
            within.required and info.is_required(),
            getattr(default, name, None) if isinstance(default, BaseModel) else _default(info),
            within,
            info.metadata,
        )


def _kind(annotation: Any) -> tuple[Kind, tuple[Any, ...]]:
    if get_origin(annotation) is Literal:
        return "choice", tuple(as_json(value) for value in get_args(annotation))
    if get_origin(annotation) in _LISTS:
        members = [item for item in get_args(annotation) if item is not Ellipsis]
        inner = _kind(without_none(members[0])[0])[0] if len(members) == 1 else "structure"
        return ("structure" if inner in ("structure", "lines", "flag") else "lines"), ()
    if not isinstance(annotation, type) or _is_model(annotation):
        return "structure", ()
    if issubclass(annotation, Enum):
        return "choice", tuple(as_json(item) for item in annotation)
    if issubclass(annotation, bool):
        return "flag", ()
    if issubclass(annotation, int | float | Decimal):
        return "number", ()
    if issubclass(annotation, _TIMES):
        return "time", ()
    if issubclass(annotation, _DATES):
        return "date", ()
    is_structure = annotation is object or issubclass(annotation, Mapping | list | tuple | set | frozenset)
    return ("structure" if is_structure else "text"), ()


def _bounds(constraints: Sequence[Any]) -> str:
    """The constraints in words."""
    found: list[str] = []
    for attribute, words in (
        ("ge", "at least {}"),
        ("gt", "more than {}"),
        ("le", "at most {}"),
        ("lt", "less than {}"),
        ("multiple_of", "a multiple of {}"),
        ("min_length", "at least {} long"),
        ("max_length", "at most {} long"),
        ("pattern", "of the form {}"),
    ):
        for item in constraints:
            bound = getattr(item, attribute, None)
            if bound is not None and not (attribute == "min_length" and bound == 1):
                found.append(words.format(getattr(bound, "pattern", bound)))
    text = ", ".join(found)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _described(annotation: Any) -> str:
    """The description that an argument's `Annotated[…, Field(description=…)]` has, also within `… | None`."""
    for item in _coat(annotation):
        if isinstance(item, FieldInfo) and item.description:
            return item.description
    members = get_args(annotation) if without_none(annotation)[1] else ()
    return next(filter(None, map(_described, members)), "")


def _coat(annotation: Any) -> list[Any]:
    return list(getattr(annotation, "__metadata__", ()))


def _default(info: FieldInfo) -> Any:
    """The default; nothing where only a call tells it, for such a call may do anything."""
    return None if info.is_required() or info.default_factory is not None else info.default


def _key(name: str, info: FieldInfo) -> str:
    alias = info.validation_alias or info.alias
    return alias if isinstance(alias, str) else name


def _label(path: Path) -> str:
    text = path[-1].replace("_", " ").strip()
    return f"{text[:1].upper()}{text[1:]}"


def _prefixes(path: Path) -> list[Path]:
    return [path[:size] for size in range(len(path) + 1)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _unwrapped(value: Any) -> Any:
    """The JSON value under the tag that `configuration.encode` gave it; a node keeps its tag."""
    if not isinstance(value, Mapping) or "node" in value or len(value) > 2:
        return value
    if set(value) == {"model", "fields"}:
        return value["fields"]
    if set(value) == {"enum", "value"}:
        return _unwrapped(value["value"])
    if set(value) == {"microseconds"}:
        return f"PT{value['microseconds'] / 1_000_000:f}S"
    if set(value) == {"mapping"}:
        return {str(_unwrapped(key)): _unwrapped(item) for key, item in value["mapping"]}
    for tag in ("datetime", "date", "decimal", "uuid", "path"):
        if set(value) == {tag}:
            return value[tag]
    for tag in ("tuple", "set"):
        if set(value) == {tag}:
            return [_unwrapped(item) for item in value[tag]]
    return value
