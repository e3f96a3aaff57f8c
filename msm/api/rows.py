"""What every row class has: immutable typed values, and reads by identity and by filter."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import pandas as pd
from django.core.exceptions import FieldError, ValidationError
from django.db import models
from pydantic import BaseModel, ConfigDict

from markets.exceptions import InvalidInput, NotFound
from markets.services import deletion
from markets.services.bulk import BulkOutcome, OnError
from markets.services.values import as_uid
from msm.runtime import attached

DEFAULT_LIMIT = 500
OPERATORS = {"contains": "icontains", "in": "in"}


class Row(BaseModel):
    """A row as it was when it was read; rows are equal when their values are."""

    model_config = ConfigDict(frozen=True, from_attributes=True, extra="ignore")

    __model__: ClassVar[type[models.Model]]
    __required_tables__: ClassVar[tuple[str, ...]]

    uid: uuid.UUID

    # --- reads -------------------------------------------------------------------------------------------------------
    @classmethod
    def get_by_uid(cls, uid: uuid.UUID | str) -> Self | None:
        """The row, None when there is none. Raises InvalidInput for what is no UUID."""
        parsed = as_uid(uid)
        if parsed is None:
            raise InvalidInput(f"uid={uid!r} is not a UUID.", field="uid")
        found = cls._rows().filter(uid=parsed).first()
        return cls._of(found) if found is not None else None

    @classmethod
    def get_by_unique_identifier(cls, unique_identifier: str) -> Self | None:
        """The row with this exact identifier, None when there is none."""
        found = cls._rows().filter(unique_identifier=unique_identifier).first()
        return cls._of(found) if found is not None else None

    @classmethod
    def get_many_by_unique_identifier(cls, unique_identifiers: Iterable[str]) -> dict[str, Self]:
        """Identifier → row, of those that exist; one query."""
        wanted = {text.strip() for text in unique_identifiers} - {""}
        if not wanted:
            return {}
        rows = cls._rows().filter(unique_identifier__in=wanted)
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
        for name, value in conditions.items():
            field, operator = cls._condition(name)
            if operator == "exact" and value is None:
                operator, value = "isnull", True
            elif operator == "icontains" and value in (None, ""):
                continue
            elif operator == "in":
                value = list(value)
            rows = rows.filter(**{f"{field}__{operator}": cls._filter_value(field, value)})
        if order_by is not None:
            cls._field(order_by.removeprefix("-"))
            rows = rows.order_by(order_by, "pk")
        try:
            return [cls._of(row) for row in rows[offset : offset + limit]]
        except (FieldError, ValidationError, ValueError, TypeError) as error:
            raise InvalidInput(f"{cls.__name__}.filter: {error}") from error

    @classmethod
    def delete(cls, uid: uuid.UUID | str) -> int:
        """Delete the row; returns 1, or 0 when there was none. Raises ProtectedRow naming what rests on it."""
        parsed = as_uid(uid)
        found = cls._rows().filter(uid=parsed).first() if parsed is not None else None
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
        known = {field.name for field in cls.__model__._meta.concrete_fields}
        if name not in known:
            listed = ", ".join(sorted(known - {"id"}))
            raise InvalidInput(f"{cls.__name__} has no field {name!r}. It has {listed}.", field=name)
        return name

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        return value


def _mappings(rows: Any) -> Any:
    """The rows, those of a row class as mappings; what is no list of rows is left for the service to refuse."""
    if isinstance(rows, str | bytes | Mapping | BaseModel) or not isinstance(rows, Iterable):
        return rows
    return (row.model_dump() if isinstance(row, BaseModel) else row for row in rows)
