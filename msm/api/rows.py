"""What every row class has: immutable typed values, and reads by identity and by filter."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import pandas as pd
from django.core.exceptions import FieldError, ValidationError
from django.db import DataError, models
from pydantic import BaseModel, ConfigDict

from markets.exceptions import InvalidInput, NotFound
from markets.services import deletion
from markets.services.bulk import BulkOutcome, OnError
from markets.services.values import as_uid, check_storable
from msm.runtime import attached

DEFAULT_LIMIT = 500
OPERATORS = {"contains": "icontains", "in": "in"}


class Row(BaseModel):
    """A row as it was when it was read; rows are equal when their values are."""

    model_config = ConfigDict(frozen=True, from_attributes=True, extra="ignore")

    __model__: ClassVar[type[models.Model]]
    __required_tables__: ClassVar[tuple[str, ...]]
    __lookups__: ClassVar[Mapping[str, str]] = {}
    """Fields of the row that another table holds, and the Django lookups that reach them."""

    uid: uuid.UUID

    # --- reads -------------------------------------------------------------------------------------------------------
    @classmethod
    def get_by_uid(cls, uid: uuid.UUID | str) -> Self | None:
        """The row, None when there is none. Raises InvalidInput for what is no UUID."""
        found = cls._rows().filter(uid=_uid(uid)).first()
        return cls._of(found) if found is not None else None

    @classmethod
    def get_by_unique_identifier(cls, unique_identifier: str) -> Self | None:
        """The row with this exact identifier, None when there is none. Raises InvalidInput where rows have none."""
        found = cls._identified_rows().filter(unique_identifier=_storable(unique_identifier)).first()
        return cls._of(found) if found is not None else None

    @classmethod
    def get_many_by_unique_identifier(cls, unique_identifiers: Iterable[str]) -> dict[str, Self]:
        """Identifier → row, of those that exist; one query."""
        rows = cls._identified_rows()
        wanted = {_storable(text).strip() for text in _values(unique_identifiers, "unique_identifiers")} - {""}
        if not wanted:
            return {}
        rows = rows.filter(unique_identifier__in=wanted)
        return {row.unique_identifier: cls._of(row) for row in rows}

    @classmethod
    def filter(
        cls, *, limit: int = DEFAULT_LIMIT, offset: int = 0, order_by: str | None = None, **conditions: Any
    ) -> list[Self]:
        """Rows that meet every condition: `field=value`, `field_contains=text`, `field_in=values` (or with `__`).

        None matches what has no value. Ordered by the business key unless `order_by` names a field (`-field` for
        descending). Raises InvalidInput for a field that there is not.
        """
        if limit < 1 or offset < 0:
            raise InvalidInput(f"limit={limit}, offset={offset}: the limit is at least 1, the offset at least 0.")
        rows = cls._rows()
        order = list(cls.__model__._meta.ordering or ())
        if order_by is not None:
            name = order_by.removeprefix("-")
            order = [order_by.replace(name, cls._field(name))]
        try:
            for name, value in conditions.items():
                field, operator = cls._condition(name)
                if operator == "exact" and value is None:
                    rows = rows.filter(**{f"{field}__isnull": True})
                    continue
                if operator == "icontains" and value in (None, ""):
                    continue
                if operator == "in":
                    value = _values(value, name)
                rows = rows.filter(**{f"{field}__{operator}": cls._filter_value(field, value)})
            return [cls._of(row) for row in rows.order_by(*order, "pk")[offset : offset + limit]]
        except InvalidInput:
            raise
        except (FieldError, ValidationError, ValueError, TypeError, DataError) as error:
            raise InvalidInput(f"{cls.__name__}.filter: {error}") from error

    @classmethod
    def delete(cls, uid: uuid.UUID | str) -> int:
        """Delete the row; returns 1, or 0 when there was none.

        Raises InvalidInput for what is no UUID, ProtectedRow naming what rests on the row.
        """
        found = cls._rows().filter(uid=_uid(uid)).first()
        if found is None:
            return 0
        cls._delete(found)
        return 1

    @classmethod
    def bulk_upsert(cls, rows: pd.DataFrame | Iterable[Any], *, on_error: OnError = "refuse") -> BulkOutcome:
        """Make or change many rows by their business key, fast and in one transaction.

        `rows` are mappings, rows of this class, or a DataFrame with a column for each field. Omitted keeps, None (in a
        DataFrame: a missing value) clears. A wrong row refuses all, unless `on_error="skip"` writes the others. Raises
        RejectedRows with every fault.
        """
        cls._rows()
        return cls._bulk_upsert(rows if isinstance(rows, pd.DataFrame) else _mappings(rows), on_error=on_error)

    # --- for the row classes -----------------------------------------------------------------------------------------
    @classmethod
    def _rows(cls) -> models.QuerySet[Any]:
        attached(cls.__name__, *cls.__required_tables__)
        return cls.__model__._default_manager.all()

    @classmethod
    def _identified_rows(cls) -> models.QuerySet[Any]:
        if "unique_identifier" not in cls.model_fields:
            raise InvalidInput(
                f"{cls.__name__} has no unique_identifier. Use get_by_uid or filter.", field="unique_identifier"
            )
        return cls._rows()

    @classmethod
    def _stored(cls, uid: uuid.UUID | str) -> Any:
        """The Django row to change. Raises NotFound."""
        parsed = as_uid(uid)
        found = cls._rows().filter(uid=parsed).first() if parsed is not None else None
        if found is None:
            raise NotFound(f"There is no {cls.__name__} with uid {uid}.")
        return found

    @classmethod
    def _of(cls, row: Any) -> Self:
        return cls.model_validate(row)

    @classmethod
    def _delete(cls, row: Any) -> None:
        deletion.delete(row)

    @classmethod
    def _bulk_upsert(cls, rows: Any, *, on_error: OnError) -> BulkOutcome:
        raise NotImplementedError(f"{cls.__name__} has no bulk_upsert. Use upsert, row by row.")

    @classmethod
    def _condition(cls, name: str) -> tuple[str, str]:
        for suffix, operator in OPERATORS.items():
            for separator in ("__", "_"):
                field = name.removesuffix(f"{separator}{suffix}")
                if field != name:
                    return cls._field(field), operator
        return cls._field(name), "exact"

    @classmethod
    def _field(cls, name: str) -> str:
        known = {**{field.name: field.name for field in cls.__model__._meta.concrete_fields}, **cls.__lookups__}
        if name not in known:
            listed = ", ".join(sorted(known.keys() - {"id"}))
            raise InvalidInput(f"{cls.__name__} has no field {name!r}. It has {listed}.", field=name)
        return known[name]

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        return value


def _uid(value: object) -> uuid.UUID:
    parsed = as_uid(value)
    if parsed is None:
        raise InvalidInput(f"uid={value!r} is not a UUID.", field="uid")
    return parsed


def _values(value: Any, name: str) -> list[Any]:
    if value is None or isinstance(value, str | bytes):
        raise InvalidInput(f"{name}={value!r} must be a list of values.", field=name)
    return list(value)


def _storable(text: Any) -> str:
    """An identifier to look for. Raises InvalidInput for what no row can have."""
    if not isinstance(text, str):
        raise InvalidInput(f"unique_identifier={text!r} must be text.", field="unique_identifier")
    check_storable(text, field="unique_identifier")
    return text


def _mappings(rows: Any) -> Any:
    """The rows, those of a row class as mappings; what is no list of rows is left for the service to refuse."""
    if isinstance(rows, str | bytes | Mapping | BaseModel) or not isinstance(rows, Iterable):
        return rows
    return (row.model_dump() if isinstance(row, BaseModel) else row for row in rows)
