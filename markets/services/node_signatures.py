"""What the constructor of a DataNode class takes: as a pydantic model, which checks it and describes it as JSON schema.

An argument that is a DataNode is given by the name of a registered one: its published identifier, update hash or uid.
"""

import functools
import inspect
import types
import typing
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, create_model
from pydantic.json_schema import PydanticJsonSchemaWarning
from pydantic_core import PydanticCustomError

from markets.data_nodes.access import APIDataNode, StoredData
from markets.data_nodes.configuration import build_node
from markets.data_nodes.node import DataNode
from markets.exceptions import MSMError
from markets.services.node_runs import find_node_update

REQUIRED = inspect.Parameter.empty


class UnreadableSignature(Exception):
    """The constructor takes something that no form and no JSON can give; the message says what."""


@dataclass(frozen=True)
class Argument:
    """`node_types` are the classes of which a node may be given, empty for plain values; `many` where it is a list.

    An `inherited` one is a parent's, to whom the constructor hands on: it may give it itself, so it is never required.
    """

    name: str
    annotation: Any
    default: Any = REQUIRED
    node_types: tuple[type[StoredData], ...] = ()
    many: bool = False
    inherited: bool = False

    @property
    def required(self) -> bool:
        return self.default is REQUIRED and not self.inherited

    @property
    def default_value(self) -> Any:
        return None if self.default is REQUIRED else self.default


def arguments_of(cls: type[DataNode]) -> list[Argument]:
    """The arguments of the constructor, and of its parents' where it hands on what it does not name.

    Raises UnreadableSignature.
    """
    found: dict[str, Argument] = {}
    inherited = False
    for parent in cls.__mro__[:-1]:
        constructor = vars(parent).get("__init__")
        if constructor is None:
            continue
        hints = _hints(constructor)
        hands_on = False
        for item in list(inspect.signature(constructor).parameters.values())[1:]:
            if item.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
                hands_on = True
            elif item.kind is inspect.Parameter.POSITIONAL_ONLY:
                raise UnreadableSignature(f"Its argument {item.name} can be given by position only.")
            elif item.name not in found:
                found[item.name] = _argument(item, hints.get(item.name, REQUIRED), inherited=inherited)
        if not hands_on:
            break
        inherited = True
    return list(found.values())


def model_of(cls: type[DataNode], arguments: Sequence[Argument]) -> type[BaseModel]:
    """A model with a field for each argument, by alias; raises UnreadableSignature where pydantic cannot make it."""
    fields: dict[str, Any] = {}
    for position, argument in enumerate(arguments):
        default = {} if argument.required else {"default": argument.default_value}
        # An argument may have a name that a field of a model cannot have: `schema`, `_window`.
        fields[f"argument_{position}"] = (_annotation(argument), Field(alias=argument.name, **default))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return create_model(cls.__name__, __config__=ConfigDict(extra="forbid"), **fields)
    except Exception as error:  # annotations are the users' and may be anything
        raise UnreadableSignature(f"Its arguments cannot be read from text: {_first_line(error)}") from error


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of the arguments."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PydanticJsonSchemaWarning)
            return {**model.model_json_schema(), "description": f"Arguments of {model.__name__}."}
    except Exception as error:
        raise UnreadableSignature(f"Its arguments have no JSON schema: {_first_line(error)}") from error


def without_none(annotation: Any) -> tuple[Any, bool]:
    """The annotation without `| None` and without its Annotated coat, and whether None is allowed."""
    optional = False
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif _is_union(annotation):
            members = [member for member in get_args(annotation) if member is not types.NoneType]
            optional = optional or len(members) < len(get_args(annotation))
            if len(members) != 1:
                return Union[tuple(members)], optional  # noqa: UP007 - made of a list
            annotation = members[0]
        else:
            return annotation, optional


def class_names(kinds: Sequence[type]) -> str:
    return " or ".join(kind.__name__ for kind in kinds)


def _hints(constructor: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(constructor), include_extras=True)
    except Exception as error:  # an annotation may name what is imported for type checkers only
        raise UnreadableSignature(f"An annotation of its constructor cannot be read: {_first_line(error)}") from error


def _argument(item: inspect.Parameter, annotation: Any, *, inherited: bool) -> Argument:
    if annotation is REQUIRED:
        scalar = type(item.default) in (bool, int, float, str)
        annotation = type(item.default) if scalar else Any
    kinds, many = _nodes_of(annotation)
    return Argument(item.name, annotation, item.default, kinds, many, inherited)


def _nodes_of(annotation: Any) -> tuple[tuple[type[StoredData], ...], bool]:
    """The node classes that an annotation is made of, and whether it is a list of them."""
    bare, _ = without_none(annotation)
    if get_origin(bare) in (list, tuple, typing.get_origin(Sequence[int])):
        members = [item for item in get_args(bare) if item is not Ellipsis]
        kinds, many = _nodes_of(members[0]) if len(members) == 1 else ((), False)
        return (kinds, True) if kinds and not many else ((), False)
    members = list(get_args(bare)) if _is_union(bare) else [bare]
    if all(isinstance(member, type) and issubclass(member, StoredData) for member in members):
        return tuple(members), False
    return (), False


def _annotation(argument: Argument) -> Any:
    if not argument.node_types:
        return argument.annotation
    by_name: Any = Annotated[
        Any,
        PlainValidator(functools.partial(_node_named, kinds=argument.node_types)),
        WithJsonSchema(
            {
                "type": "string",
                "description": f"A registered {class_names(argument.node_types)}: its published identifier, update "
                "hash or uid.",
            }
        ),
    ]
    if argument.many:
        by_name = tuple[by_name, ...] if get_origin(without_none(argument.annotation)[0]) is tuple else list[by_name]
    return by_name | None if without_none(argument.annotation)[1] or argument.default is None else by_name


def _node_named(value: Any, *, kinds: tuple[type[StoredData], ...]) -> Any:
    """The node that a name stands for, built from its stored configuration; of one of the classes."""
    if not isinstance(value, str) or not value.strip():
        raise _refused(f"Name a registered {class_names(kinds)}: its published identifier, update hash or uid.")
    name = value.strip()
    runnable = tuple(kind for kind in kinds if not issubclass(kind, APIDataNode) and kind is not StoredData)
    try:
        if not runnable:
            return APIDataNode.build_from_identifier(name)
        update = find_node_update(name)
        node = build_node(update.build_configuration)
    except MSMError as error:
        raise _refused(str(error)) from error
    except (Exception, SystemExit) as error:  # the class of the other node may have changed since
        raise _refused(f"{name} cannot be built: {type(error).__name__}: {_first_line(error)}") from error
    if not isinstance(node, runnable):
        raise _refused(f"{update} is a {update.class_name}; this takes a {class_names(runnable)}.")
    return node


def _refused(reason: str) -> PydanticCustomError:
    return PydanticCustomError("node_name", "{reason}", {"reason": reason})


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:300]
