"""Stores a node's constructor arguments as JSON and builds the node again from them."""

import datetime as dt
import uuid
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from markets.data_nodes.registry import node_class, registered_class
from markets.engine.hashing import class_path
from markets.exceptions import InvalidInput, UnknownNodeClass

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode


def encode_node(node: "DataNode") -> dict[str, Any]:
    """{"node": class path, "arguments": …}: JSON from which `build_node` makes an equal node."""
    arguments = {name: encode(value, name) for name, value in node.arguments.items()}
    return {"node": class_path(type(node)), "arguments": arguments}


def encode(value: Any, name: str) -> Any:
    """A JSON value; whatever JSON cannot say is tagged."""
    from markets.data_nodes.node import DataNode

    if isinstance(value, DataNode):
        return encode_node(value)
    if isinstance(value, BaseModel):
        return {"model": class_path(type(value)), "fields": value.model_dump(mode="json", exclude_unset=True)}
    if isinstance(value, Enum):
        return encode(value.value, name)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dt.datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, dt.date):
        return {"date": value.isoformat()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, uuid.UUID | PurePath):
        return str(value)
    if hasattr(value, "unique_identifier"):
        return value.unique_identifier
    if isinstance(value, Mapping):
        return {"mapping": [[str(key), encode(item, name)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [encode(item, name) for item in value]
    if isinstance(value, set | frozenset):
        return {"set": sorted(encode(item, name) for item in value)}
    raise InvalidInput(f"{name} holds a {type(value).__name__}, which cannot be stored with the node.", field=name)


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
    if "set" in value:
        return {decode(item) for item in value["set"]}
    return {key: decode(item) for key, item in value["mapping"]}


def build_node(stored: Mapping[str, Any]) -> "DataNode":
    """The node that a stored configuration describes. Raises UnknownNodeClass for a class that is not registered."""
    cls = node_class(stored["node"])
    arguments = {name: decode(value) for name, value in stored["arguments"].items()}
    try:
        return cls(**arguments)
    except TypeError as error:
        raise UnknownNodeClass(
            f"{stored['node']} no longer takes its stored configuration ({error}). Create the node anew."
        ) from error
