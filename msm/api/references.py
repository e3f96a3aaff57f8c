"""Rows that point at other rows: their references are read, filtered and ordered by uid."""

import datetime as dt
import uuid
from typing import Any, ClassVar, Self

from django.db import models

from markets.exceptions import InvalidInput
from markets.services.values import as_uid
from msm.api.rows import Row
from portfolios.engine.inputs import instant


class ReferringRow(Row):
    """A row whose `<name>_uid` is the uid of the row that `<name>` points at, or None."""

    __references__: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def get_by_unique_identifier(cls, unique_identifier: str) -> Self | None:
        """The row with this exact identifier, None when there is none. InvalidInput where rows have no identifier."""
        cls._field("unique_identifier")
        return super().get_by_unique_identifier(unique_identifier)

    @classmethod
    def get_many_by_unique_identifier(cls, unique_identifiers: Any) -> dict[str, Self]:
        cls._field("unique_identifier")
        return super().get_many_by_unique_identifier(unique_identifiers)

    @classmethod
    def _rows(cls) -> models.QuerySet[Any]:
        rows = super()._rows()
        return rows.select_related(*cls.__references__) if cls.__references__ else rows

    @classmethod
    def _of(cls, row: Any) -> Self:
        uids = {f"{name}_uid": _uid_of(getattr(row, name)) for name in cls.__references__}
        fields = {name: getattr(row, name) for name in cls.model_fields if name not in uids}
        return cls.model_validate({**fields, **uids})

    @classmethod
    def _field(cls, name: str) -> str:
        reference = name.removesuffix("_uid")
        if reference != name and reference in cls.__references__:
            return f"{reference}__uid"
        columns = {field.name for field in cls.__model__._meta.concrete_fields} - set(cls.__references__)
        if name in columns:
            return name
        listed = ", ".join(sorted((columns - {"id"}) | {f"{reference}_uid" for reference in cls.__references__}))
        raise InvalidInput(f"{cls.__name__} has no field {name!r}. It has {listed}.", field=name)

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        if isinstance(value, list):
            return [cls._filter_value(field, item) for item in value]
        if field.endswith("uid"):
            parsed = as_uid(value)
            if parsed is None:
                raise InvalidInput(f"{field.replace('__', '_')}={value!r} is not a UUID.", field=field)
            return parsed
        column = cls.__model__._meta.get_field(field)
        return instant(value, field=field) if isinstance(column, models.DateTimeField) else value


def _uid_of(row: Any) -> uuid.UUID | None:
    return None if row is None else row.uid


Instant = dt.datetime | str
