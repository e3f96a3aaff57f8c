"""The DataNode classes of registered modules: found, described, and made into registered nodes from plain values.

Nothing else is ever imported: a class that is named by hand has to be among those that the registered modules define.
"""

import inspect
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeGuard

from django.db import DataError, Error, transaction
from pydantic import BaseModel, ValidationError

from markets.data_nodes.configuration import build_node, encode_node
from markets.data_nodes.node import DataNode
from markets.data_nodes.registry import import_registered, registered_modules
from markets.engine.hashing import class_path
from markets.engine.text import storable_text
from markets.exceptions import (
    Conflict,
    InvalidFields,
    InvalidInput,
    MSMError,
    UnknownNodeClass,
    clipped,
)
from markets.models import NodeUpdate, StorageNode
from markets.services.node_fields import NodeField, fields_of, place_of
from markets.services.node_runs import register_node
from markets.services.node_signatures import UnreadableSignature, arguments_of, model_of, schema_of
from markets.services.plain_values import refuse_unusable

logger = logging.getLogger(__name__)
LONGEST_REASON = 500  # characters of what a user's class raised
_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "This is required.",
    "none_required": lambda _: "This has to stay empty.",
    "string_type": lambda _: "This has to be a text.",
    "string_too_short": lambda bound: f"Give at least {bound['min_length']} characters.",
    "string_too_long": lambda bound: f"Give at most {bound['max_length']} characters.",
    "string_pattern_mismatch": lambda bound: f"This has to be of the form {bound['pattern']}",
    "int_type": lambda _: "This has to be a whole number.",
    "int_parsing": lambda _: "This has to be a whole number.",
    "int_from_float": lambda _: "This has to be a whole number.",
    "float_type": lambda _: "This has to be a number.",
    "float_parsing": lambda _: "This has to be a number.",
    "finite_number": lambda _: "This has to be a finite number.",
    "decimal_parsing": lambda _: "This has to be a number.",
    "bool_type": lambda _: "This has to be true or false.",
    "bool_parsing": lambda _: "This has to be true or false.",
    "greater_than": lambda bound: f"This has to be more than {bound['gt']}.",
    "greater_than_equal": lambda bound: f"This has to be at least {bound['ge']}.",
    "less_than": lambda bound: f"This has to be less than {bound['lt']}.",
    "less_than_equal": lambda bound: f"This has to be at most {bound['le']}.",
    "literal_error": lambda bound: f"This has to be {bound['expected']}.",
    "enum": lambda bound: f"This has to be {bound['expected']}.",
    "timezone_aware": lambda _: "This time has no zone. Add one: 2026-01-31T21:00:00Z.",
    "datetime_from_date_parsing": lambda _: "This is no time. Use ISO 8601: 2026-01-31T21:00:00Z.",
    "datetime_parsing": lambda _: "This is no time. Use ISO 8601: 2026-01-31T21:00:00Z.",
    "date_from_datetime_parsing": lambda _: "This is no date. Use ISO 8601: 2026-01-31.",
    "date_parsing": lambda _: "This is no date. Use ISO 8601: 2026-01-31.",
    "too_short": lambda bound: f"Give at least {bound['min_length']}.",
    "too_long": lambda bound: f"Give at most {bound['max_length']}.",
    "list_type": lambda _: "This has to be a list.",
    "dict_type": lambda _: "This has to be an object with named values.",
    "model_type": lambda _: "This has to be an object with named values.",
}


@dataclass(frozen=True)
class NodeClass:
    """A class that can be registered. `problem` says why it takes no configuration from text; then it has no fields."""

    path: str
    cls: type[DataNode]
    model: type[BaseModel] | None
    fields: tuple[NodeField, ...]
    problem: str = ""

    @property
    def name(self) -> str:
        return self.cls.__name__

    @property
    def module(self) -> str:
        return self.cls.__module__

    @property
    def documentation(self) -> str:
        """The class's own docstring; that of a parent would describe something else."""
        return inspect.cleandoc(vars(self.cls).get("__doc__") or "")

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        paragraph = " ".join(self.documentation.split("\n\n")[0].split())
        head, stop, _ = paragraph.partition(". ")
        return f"{head}." if stop else paragraph

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema of the arguments."""
        return schema_of(self.model) if self.model is not None else None


@dataclass(frozen=True)
class BrokenModule:
    name: str
    error: str


@dataclass(frozen=True)
class Found:
    classes: tuple[NodeClass, ...]
    broken: tuple[BrokenModule, ...]


@dataclass(frozen=True)
class Registration:
    """What registering did, or would do: `existing` and `table` are the rows that were there before."""

    update_hash: str
    storage_hash: str
    existing: NodeUpdate | None
    table: StorageNode | None
    update: NodeUpdate | None
    identifier: str

    @property
    def created(self) -> bool:
        return self.existing is None


def find_classes() -> Found:
    """The classes of all registered modules, in their order, and the modules that cannot be imported."""
    classes: list[NodeClass] = []
    broken: list[BrokenModule] = []
    for name in dict.fromkeys(registered_modules()):
        try:
            module = import_registered(name)
        except UnknownNodeClass as error:
            broken.append(BrokenModule(name, str(error)))
            continue
        classes.extend(_described(value) for value in list(vars(module).values()) if _is_offered(value, name))
    return Found(tuple({item.path: item for item in classes}.values()), tuple(broken))


def find_class(path: str) -> NodeClass:
    """The class at `module.Class`. Raises UnknownNodeClass; a module that is not registered is not imported."""
    module_name, _, name = path.rpartition(".")
    if module_name not in registered_modules():
        raise UnknownNodeClass(
            f"{clipped(path)} is not in a registered module. Put the class into an importable module and name that "
            "module in MSM_NODE_MODULES.",
            field="node_class",
        )
    value = vars(import_registered(module_name)).get(name)
    if not _is_offered(value, module_name):
        raise UnknownNodeClass(
            f"{clipped(path)} is no DataNode class that can be registered. data-node-class/ lists those that can.",
            field="node_class",
        )
    return _described(value)


def compatible_paths(kinds: tuple[type, ...]) -> list[str]:
    """The paths of the classes whose nodes an argument takes."""
    return [item.path for item in find_classes().classes if issubclass(item.cls, kinds)]


def register(
    chosen: NodeClass, values: Mapping[str, Any], *, strict: bool = True, dry_run: bool = False
) -> Registration:
    """Make a node of the class from plain values and register it, with those that it reads, in one transaction.

    `values` is argument → JSON value, a node by its name. Where not `strict`, text stands for numbers and dates too, as
    a form sends it. With `dry_run` everything is tried and taken back. Raises InvalidFields by dotted path,
    InvalidInput for what the class itself refuses, Conflict when its published identifier names another table.
    """
    with transaction.atomic(), _what_users_raise(chosen):
        node = _made(chosen, values, strict=strict)
        update_hash, storage_hash = node.update_hash, node.storage_hash
        existing = NodeUpdate.objects.select_related("storage").filter(update_hash=update_hash).first()
        table = StorageNode.objects.filter(storage_hash=storage_hash).first()
        _check_rebuilt(chosen, node)
        update = existing
        if existing is None:
            update = register_node(node)
        published = update.storage.identifier if update is not None else None
        if dry_run:
            transaction.set_rollback(True)
    return Registration(update_hash, storage_hash, existing, table, None if dry_run else update, published or "")


def _is_offered(value: Any, module_name: str) -> TypeGuard[type[DataNode]]:
    return (
        isinstance(value, type)
        and issubclass(value, DataNode)
        and value.__module__ == module_name
        and value.__qualname__ == value.__name__  # a class within a class or a function cannot be built by name
        and not value.__name__.startswith("_")
        and value.update is not DataNode.update  # a base for others
        and not inspect.isabstract(value)
        and value.takes_configuration
    )


def _described(cls: type[DataNode]) -> NodeClass:
    try:
        arguments = arguments_of(cls)
        return NodeClass(class_path(cls), cls, model_of(cls, arguments), tuple(fields_of(arguments)))
    except UnreadableSignature as error:
        return NodeClass(class_path(cls), cls, None, (), f"{error} Register it in Python: register_node(node).")
    except Exception as error:  # annotations and defaults are the users' and may be anything
        logger.exception("cannot describe %s", cls)
        return NodeClass(class_path(cls), cls, None, (), f"It cannot be described: {type(error).__name__}: {error}")


def _made(chosen: NodeClass, values: Mapping[str, Any], *, strict: bool) -> DataNode:
    if chosen.model is None:
        raise InvalidInput(chosen.problem, field="node_class")
    refuse_unusable(values)
    try:
        if strict:
            read = chosen.model.model_validate_json(json.dumps(values), strict=True, extra="forbid")
        else:
            read = chosen.model.model_validate(dict(values), extra="forbid")
    except ValidationError as error:
        raise InvalidFields(_faults(chosen, error)) from error
    given = {str(chosen.model.model_fields[name].alias): getattr(read, name) for name in sorted(read.model_fields_set)}
    return chosen.cls(**given)


def _check_rebuilt(chosen: NodeClass, node: DataNode) -> None:
    """A worker builds the node from JSON: what it cannot build, or builds as another node, is not registered."""
    stored = json.loads(json.dumps(encode_node(node)))
    try:
        refuse_unusable(stored["arguments"])  # what text became: a number may be too large for any column
    except InvalidFields as error:
        raise InvalidFields({name.replace(".fields.", "."): text for name, text in error.by_field.items()}) from error
    if build_node(stored).update_hash != node.update_hash:
        raise InvalidInput(
            f"{chosen.name} makes another node of its stored configuration than of the one given here. Its constructor "
            "has to hand its arguments on unchanged."
        )


@contextmanager
def _what_users_raise(chosen: NodeClass) -> Iterator[None]:
    """What a user's constructor, hooks or validators raise, as an error that says whose it is."""
    try:
        yield
    except InvalidFields:
        raise
    except InvalidInput as error:
        place = _place(chosen, error.field)
        if place is None:
            raise
        raise InvalidFields({place: str(error)}) from error
    except Conflict:
        raise
    except MSMError as error:  # what is not found is a fault of the configuration, not of the address
        raise InvalidInput(str(error)) from error
    except DataError as error:
        raise InvalidInput(f"{chosen.name}: the database cannot store a value of this configuration.") from error
    except Error:
        raise
    except (Exception, SystemExit) as error:
        logger.exception("%s refused a configuration", chosen.path)
        reason = storable_text(f"{type(error).__name__}: {error}")[:LONGEST_REASON]
        raise InvalidInput(f"{chosen.name} refuses this configuration. {reason}") from error


def _place(chosen: NodeClass, field: str | None) -> str | None:
    """The path of the one field of that name, if there is just one."""
    if not field:
        return None
    found = [item.name for item in chosen.fields if field in (item.path[-1], item.name)]
    return found[0] if len(found) == 1 else None


def _faults(chosen: NodeClass, error: ValidationError) -> dict[str, str]:
    faults: dict[str, str] = {}
    for item in error.errors(include_url=False, include_input=False):
        place = place_of(item["loc"], chosen.fields) or "arguments"
        faults.setdefault(storable_text(place)[:255], _worded(chosen, item))
    return faults


def _worded(chosen: NodeClass, item: Mapping[str, Any]) -> str:
    if item["type"] == "extra_forbidden":
        above = tuple(map(str, item["loc"][:-1]))
        known = dict.fromkeys(
            field.path[len(above)] for field in chosen.fields if field.path[: len(above)] == above != field.path
        )
        return f"Unknown field. It takes {', '.join(known) or 'nothing'}."
    words = _WORDS.get(item["type"])
    if words is not None:
        return words(item.get("ctx", {}))
    text = str(item["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return storable_text(text)[:LONGEST_REASON]
