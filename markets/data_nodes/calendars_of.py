"""Which calendar a DataNode keeps to, as its stored configuration names it."""

from typing import Any


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
