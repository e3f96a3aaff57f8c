"""Canonical form of a DataNode's configuration, and the two hashes that identify its table and its update.

What changes the meaning of rows belongs to the storage hash; what only changes who or what is updated belongs to the
update hash alone; labels and secrets belong to neither. A value equal to its default is left out, so that a new
optional field never moves a node to another table.
"""

import datetime as dt
import hashlib
import json
import math
import re
import uuid
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from markets.exceptions import InvalidInput

Scope = Literal["storage", "update", "none"]
Purpose = Literal["storage", "update"]
ORDER_FREE_LISTS = {"asset_list", "asset_identifiers", "unique_identifier_list"}
SCOPE_MARKERS: Mapping[str, Scope] = {
    "ignore_from_storage_hash": "update",
    "update_only": "update",
    "runtime_only": "none",
    "hash_excluded": "none",
}
HASH_DIGITS = 32
LONGEST_NAME = 60  # leaves room for the prefix dn_ of a table's name


def class_path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def configuration_hash(
    cls: type,
    arguments: Mapping[str, Any],
    *,
    purpose: Purpose,
    scopes: Mapping[str, Scope],
    defaults: Mapping[str, Any],
    namespace: str = "",
) -> str:
    """`{class name}_{32 hex digits}`, at most 60 characters, of a class and its constructor arguments.

    `scopes` names the arguments whose scope is not "storage"; `defaults` the arguments' default values. SHA-256 of the
    canonical JSON. Raises InvalidInput for a value that has no canonical form.
    """
    content: dict[str, Any] = {"class": class_path(cls), "arguments": {}}
    for name, value in arguments.items():
        if not in_scope(scopes.get(name, "storage"), purpose):
            continue
        if name in defaults and same_configuration(value, defaults[name], purpose=purpose, name=name):
            continue
        content["arguments"][name] = canonical(value, purpose=purpose, name=name)
    if namespace.strip():
        content["namespace"] = namespace.strip()
    digest = hashlib.sha256(canonical_json(content).encode()).hexdigest()[:HASH_DIGITS]
    prefix = re.sub(r"[^a-z0-9_]", "", cls.__name__.lower())  # other letters take several bytes of a table's name
    return f"{prefix[: LONGEST_NAME - HASH_DIGITS - 1]}_{digest}"


def in_scope(scope: Scope, purpose: Purpose) -> bool:
    return scope == "storage" or (scope == "update" and purpose == "update")


def canonical_json(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical(value: Any, *, purpose: Purpose, name: str) -> Any:
    """A JSON value that is equal for equal configurations, whatever order or spelling they arrived in."""
    if isinstance(value, Enum):
        return canonical(value.value, purpose=purpose, name=name)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(f"{name}={value} cannot be part of a DataNode's configuration.", field=name)
        return {"float": repr(value)}
    if isinstance(value, Decimal):
        return {"decimal": _decimal_text(value, name)}
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            raise InvalidInput(f"{name}={value.isoformat()} has no time zone. Add tzinfo=datetime.UTC.", field=name)
        return {"datetime": value.astimezone(dt.UTC).isoformat()}
    if isinstance(value, dt.date):
        return {"date": value.isoformat()}
    if isinstance(value, dt.timedelta):
        return {"microseconds": value // dt.timedelta(microseconds=1)}
    if isinstance(value, uuid.UUID | PurePath):
        return str(value)
    if isinstance(value, BaseModel):
        return _canonical_model(value, purpose)
    if hasattr(value, "storage_hash") and hasattr(value, "update_hash"):
        return {"node": value.storage_hash if purpose == "storage" else value.update_hash}
    if hasattr(value, "unique_identifier"):
        return value.unique_identifier  # an object and its identifier say the same
    if isinstance(value, Mapping):
        return {str(key): canonical(item, purpose=purpose, name=f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return _canonical_list(value, purpose, name)
    raise InvalidInput(
        f"{name} holds a {type(value).__name__}, which has no canonical form. Use text, numbers, dates, lists, "
        "pydantic models or DataNodes.",
        field=name,
    )


def _canonical_model(model: BaseModel, purpose: Purpose) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field, description in type(model).model_fields.items():
        value = getattr(model, field)
        if not in_scope(field_scope(type(model), field), purpose):
            continue
        if not description.is_required():
            default = description.get_default(call_default_factory=True)
            if same_configuration(value, default, purpose=purpose, name=field):
                continue
        fields[field] = canonical(value, purpose=purpose, name=field)
    for field, value in (model.model_extra or {}).items():
        fields[field] = canonical(value, purpose=purpose, name=field)
    return {"model": class_path(type(model)), "fields": fields}


def field_scope(model: type[BaseModel], field: str) -> Scope:
    """The scope that a field declares by `json_schema_extra={"scope": …}`; "storage" where it declares none.

    The markers that older configurations use mean the same: see SCOPE_MARKERS.
    """
    extra = model.model_fields[field].json_schema_extra
    if not isinstance(extra, dict):
        return "storage"
    marked = {SCOPE_MARKERS[name] for name in SCOPE_MARKERS if extra.get(name) is True}
    if len(marked | ({extra["scope"]} if "scope" in extra else set())) > 1:
        raise InvalidInput(f"{model.__name__}.{field} is marked with several scopes. Keep one.", field=field)
    scope = extra.get("scope", next(iter(marked), "storage"))
    if scope not in {"storage", "update", "none"}:
        raise InvalidInput(f"{model.__name__}.{field} has scope {scope!r}; use storage, update or none.", field=field)
    return scope  # type: ignore[return-value]


def _canonical_list(value: list | tuple | set | frozenset, purpose: Purpose, name: str) -> list[Any]:
    items = [canonical(item, purpose=purpose, name=name) for item in value]
    objects = bool(value) and all(hasattr(item, "unique_identifier") for item in value)
    if isinstance(value, set | frozenset) or objects or name in ORDER_FREE_LISTS:
        return sorted(items, key=canonical_json)
    return items


def _decimal_text(value: Decimal, name: str) -> str:
    if not value.is_finite():
        raise InvalidInput(f"{name}={value} cannot be part of a DataNode's configuration.", field=name)
    text = f"{value:f}"  # exact, whatever the precision of the ambient context
    return text.rstrip("0").rstrip(".") if "." in text else text


def same_configuration(value: Any, default: Any, *, purpose: Purpose, name: str) -> bool:
    """Whether a value and a default have one canonical form: [1] and (1,) have, 1 and 1.0 and True have not."""
    if value is default:
        return True
    try:
        form = canonical_json(canonical(default, purpose=purpose, name=name))
    except InvalidInput:  # a default that only marks "not given"
        return False
    return canonical_json(canonical(value, purpose=purpose, name=name)) == form
