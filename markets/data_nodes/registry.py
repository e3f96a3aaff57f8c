"""Which DataNode classes a worker may build: those of MSM's own modules and of MSM_NODE_MODULES."""

import difflib
import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from django.conf import settings

from markets.exceptions import UnknownNodeClass

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode

_modules: list[str] = []


def register_module(name: str) -> None:
    """Let nodes and configurations defined in this module be built by name. Importing it is left for later."""
    if name not in _modules:
        _modules.append(name)


def registered_modules() -> list[str]:
    return [*_modules, *settings.NODE_MODULES]


def import_registered(name: str) -> ModuleType:
    """The module, which has to be among the registered ones. Raises UnknownNodeClass when it cannot be imported."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # a module of the users may fail in any way
        raise UnknownNodeClass(
            f"MSM_NODE_MODULES names {name!r}, which cannot be imported ({error}). Install it where MSM runs, mend it, "
            "or remove it from the setting."
        ) from error


def registered_class(path: str) -> type:
    """The class at `module.Class`, of a registered module only. Raises UnknownNodeClass with the remedy."""
    module_name, _, class_name = path.rpartition(".")
    if module_name not in registered_modules():
        raise UnknownNodeClass(
            f"{path} is not in a registered module. Put the class into an importable module and name that module in "
            f"MSM_NODE_MODULES; registered now: {', '.join(registered_modules())}."
        )
    module = import_registered(module_name)
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        classes = [name for name, value in vars(module).items() if isinstance(value, type)]
        near = difflib.get_close_matches(class_name, classes, n=3)
        raise UnknownNodeClass(f"{module_name} has no class {class_name}. {_did_you_mean(near)}")
    return found


def node_class(path: str) -> "type[DataNode]":
    """The DataNode class at `module.Class`, of a registered module only."""
    found = registered_class(path)
    if not (hasattr(found, "update_hash") and hasattr(found, "run")):
        raise UnknownNodeClass(f"{path} is not a DataNode.")
    return found


def _did_you_mean(names: list[str]) -> str:
    return f"Did you mean {' or '.join(names)}?" if names else "It may have been renamed."
