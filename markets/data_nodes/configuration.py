"""Stores a node's constructor arguments as JSON and builds the node again from them."""

import datetime as dt
import inspect
import uuid
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from markets import namespaces
from markets.data_nodes.hash_namespaces import hash_namespace, no_ambient_namespace
from markets.data_nodes.registry import node_class, registered_class
from markets.engine.hashing import canonical_json, class_path, same_configuration
from markets.engine.text import storable_text
from markets.exceptions import InvalidInput, UnknownNodeClass

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode


def encode_node(node: "DataNode") -> dict[str, Any]:
    """{"node": class path, "arguments": …}: JSON from which `build_node` makes an equal node.

    Defaults are left out, as they are from the hashes: a node follows its class when a default changes.
    """
    defaults = constructor_defaults(type(node))
    arguments = {
        name: encode(value, name)
        for name, value in node.arguments.items()
        if name != "hash_namespace"
        if name not in defaults or not same_configuration(value, defaults[name], purpose="update", name=name)
    }
    if node.hash_namespace != namespaces.current():
        arguments["hash_namespace"] = node.hash_namespace
    for name, value in arguments.items():
        _refuse_unstorable(value, name)
    return {"node": class_path(type(node)), "arguments": arguments}


def encode(value: Any, name: str) -> Any:
    """A JSON value; whatever JSON cannot say is tagged."""
    if hasattr(value, "update_hash") and hasattr(value, "arguments"):
        return encode_node(value)
    if isinstance(value, BaseModel):
        return {"model": class_path(type(value)), "fields": value.model_dump(mode="json", exclude_unset=True)}
    if isinstance(value, Enum):
        return {"enum": class_path(type(value)), "value": encode(value.value, name)}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dt.datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, dt.date):
        return {"date": value.isoformat()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, dt.timedelta):
        return {"microseconds": value // dt.timedelta(microseconds=1)}
    if isinstance(value, uuid.UUID):
        return {"uuid": str(value)}
    if isinstance(value, PurePath):
        return {"path": str(value)}
    if hasattr(value, "unique_identifier"):
        return value.unique_identifier
    if isinstance(value, Mapping):
        return {"mapping": [[encode(key, name), encode(item, name)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        items = [encode(item, name) for item in value]
        if value and all(hasattr(item, "unique_identifier") for item in value):
            items = sorted(items, key=canonical_json)  # their order says nothing, that of plain text may
        return {"tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, set | frozenset):
        return {"set": sorted((encode(item, name) for item in value), key=canonical_json)}
    raise InvalidInput(f"{name} holds a {type(value).__name__}, which cannot be stored with the node.", field=name)


def _refuse_unstorable(value: Any, name: str) -> None:
    """Raise InvalidInput for text in a JSON value, wherever it stands, that PostgreSQL cannot store."""
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for item in value:
            _refuse_unstorable(item, name)
    elif isinstance(value, str) and storable_text(value) != value:
        what = "a NUL character" if "\x00" in value else "a lone surrogate"
        raise InvalidInput(f"{name} holds text with {what}, which cannot be stored.", field=name)


def decode(value: Any) -> Any:
    """The value that `encode` made. Only registered modules' nodes and models are built."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "node" in value:
        return build_node(value)
    if "model" in value:
        model = registered_class(value["model"])
        if not issubclass(model, BaseModel):
            raise UnknownNodeClass(f"{value['model']} is not a configuration model.")
        return model.model_validate(value["fields"])
    if "datetime" in value:
        return dt.datetime.fromisoformat(value["datetime"])
    if "date" in value:
        return dt.date.fromisoformat(value["date"])
    if "decimal" in value:
        return Decimal(value["decimal"])
    if "microseconds" in value:
        return dt.timedelta(microseconds=value["microseconds"])
    if "uuid" in value:
        return uuid.UUID(value["uuid"])
    if "path" in value:
        return Path(value["path"])
    if "enum" in value:
        enum = registered_class(value["enum"])
        if not issubclass(enum, Enum):
            raise UnknownNodeClass(f"{value['enum']} is not an Enum.")
        return enum(decode(value["value"]))
    if "tuple" in value:
        return tuple(decode(item) for item in value["tuple"])
    if "set" in value:
        return {decode(item) for item in value["set"]}
    return {decode(key): decode(item) for key, item in value["mapping"]}


def constructor_defaults(cls: type) -> dict[str, Any]:
    """The default of each argument of a class's constructors, where the last to name it gives one."""
    defaults: dict[str, Any] = {}
    for parent in reversed(cls.__mro__[:-1]):
        if "__init__" in vars(parent):
            for item in inspect.signature(vars(parent)["__init__"]).parameters.values():
                if item.default is not inspect.Parameter.empty:
                    defaults[item.name] = item.default
                else:
                    defaults.pop(item.name, None)
    return defaults


def build_node(stored: Mapping[str, Any]) -> "DataNode":
    """The node that a stored configuration describes. Raises UnknownNodeClass for a class that is not registered."""
    cls = node_class(stored["node"])
    encoded = dict(stored["arguments"])
    name = encoded.pop("hash_namespace", None)
    arguments = {key: decode(value) for key, value in encoded.items()}
    if name is not None and _takes_namespace(cls):
        arguments["hash_namespace"] = name
    try:
        with no_ambient_namespace() if name is None else hash_namespace(name):
            return cls(**arguments)
    except TypeError as error:
        raise UnknownNodeClass(
            f"{stored['node']} no longer takes its stored configuration ({error}). Create the node anew."
        ) from error


def _takes_namespace(cls: type) -> bool:
    parameters = inspect.signature(cls).parameters.values()
    return any(item.name == "hash_namespace" or item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters)
