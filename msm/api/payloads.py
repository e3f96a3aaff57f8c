"""What a caller hands to `create`, `upsert` and `update`: keywords, or one object with the same fields."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel

from markets.exceptions import InvalidInput, MissingFields, UnknownFields, clipped
from markets.services.bulk import BulkOutcome
from markets.services.values import cannot_be_changed, listed

Payload: TypeAlias = Mapping[str, Any] | BaseModel
Service: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class Services:
    """The functions that write rows of a class; None where there is no such verb.

    `create` and `upsert` take the fields, `update` the stored row first; each returns a row or an `Upserted`.
    """

    create: Service | None = None
    upsert: Service | None = None
    update: Service | None = None
    delete: Service | None = None
    bulk_upsert: Callable[..., BulkOutcome] | None = None


def given_fields(payload: object, keywords: Mapping[str, Any], *, call: str) -> dict[str, Any]:
    """The fields that a caller gave: of a mapping, a pydantic model (those that are set) or a row, or the keywords.

    Raises TypeError for both, or for an object of another kind.
    """
    if payload is None:
        return dict(keywords)
    if keywords:
        raise TypeError(f"{call} takes one object with the fields or keywords, not both ({', '.join(keywords)}).")
    if isinstance(payload, BaseModel):
        return payload.model_dump(exclude_unset=True)
    if isinstance(payload, Mapping):
        return dict(payload)
    raise TypeError(f"{call} takes a mapping, a pydantic model or a row, not {clipped(type(payload).__name__)}.")


def check_fields(fields: Mapping[str, Any], *, taken: Mapping[str, bool], call: str) -> None:
    """`taken` says of each field that the call takes whether it must be given.

    Raises UnknownFields or MissingFields, each a ValueError and a TypeError, naming all of them.
    """
    unknown = [str(name) for name in fields if name not in taken]
    if unknown:
        raise UnknownFields(
            f"{call} takes no field {clipped(listed(unknown))}. It takes {', '.join(taken)}.", field=clipped(unknown[0])
        )
    missing = [name for name, needed in taken.items() if needed and name not in fields]
    if missing:
        raise MissingFields(f"{call} needs {', '.join(missing)}.", field=missing[0])


def taken_fields(service: Service, known: Mapping[str, str], *, without: tuple[str, ...] = ()) -> dict[str, bool]:
    """Field → whether it must be given, of the `known` fields (with the service's names for them)."""
    parameters = inspect.signature(service).parameters.values()
    keywords = {item.name: item.default is item.empty for item in parameters if item.kind is item.KEYWORD_ONLY}
    takes_any = any(item.kind is item.VAR_KEYWORD for item in parameters)
    return {
        name: keywords.get(known[name], False)
        for name in known
        if name not in without and (takes_any or known[name] in keywords)
    }


def refuse_different(row: BaseModel, as_stored: Mapping[str, Any]) -> None:
    """Raise InvalidInput when a field that never changes was given with another value than the row's."""
    for name, value in as_stored.items():
        stored = getattr(row, name)
        if value != stored and str(value) != str(stored):
            raise InvalidInput(cannot_be_changed(name, stored), field=name)
