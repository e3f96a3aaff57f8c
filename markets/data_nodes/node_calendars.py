"""Which calendar a DataNode keeps to: the one place that says so, for gaps, backfills and freshness."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from markets.exceptions import InvalidInput
from markets.models import NodeUpdate, StorageNode

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode


def calendar_of(configuration: Any) -> str | None:
    """The first calendar that a stored configuration names, at any depth."""
    pending = [configuration]
    while pending:
        item = pending.pop(0)
        if isinstance(item, dict):
            name = item.get("calendar_identifier")
            if isinstance(name, str) and name:
                return name
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return None


def known_calendar(update: NodeUpdate | None, node: "DataNode | None" = None) -> str | None:
    """The calendar that a node keeps to, None where nobody has told.

    A stored configuration leaves out what is its class's default; the node itself, where it is at hand, knows it.
    """
    stored = None if update is None else calendar_of(update.build_configuration)
    return stored or (None if node is None else calendar_of(_plain(node.arguments)))


def calendar_for(
    update: NodeUpdate | None, storage: StorageNode, named: str | None, node: "DataNode | None" = None
) -> str:
    """The calendar that is named, else that of the node. Raises InvalidInput, with the remedy, where there is none."""
    found = named or known_calendar(update, node)
    if not found:
        raise InvalidInput(
            f"{storage} names no calendar, so nothing tells which of its rows are missing. Name one: calendar=XNYS (on "
            "the command line --calendar XNYS), or give the DataNode's configuration a calendar_identifier.",
            field="calendar",
        )
    return found


def _plain(value: Any) -> Any:
    """Arguments as mappings and lists, with those of the nodes and models in them."""
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value if not isinstance(item, str)]
    return _plain(value.arguments) if hasattr(value, "update_hash") and hasattr(value, "arguments") else value
