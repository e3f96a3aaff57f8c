"""What every row class has: immutable typed values, reads by identity and by filter, and one way to write."""

import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar, NoReturn, Self

import pandas as pd
from django.core.exceptions import FieldDoesNotExist, FieldError, ValidationError
from django.db import DataError, models, transaction
from pydantic import BaseModel, ConfigDict

from markets.exceptions import InvalidInput, NotFound
from markets.services import deletion
from markets.services.bulk import BulkOutcome, OnError
from markets.services.values import Upserted, as_uid
from msm.api import conditions as asked
from msm.api.payloads import Services, check_fields, given_fields, refuse_different, taken_fields
from msm.runtime import Runtime, attached, start_engine

DEFAULT_LIMIT = 500
PAGE = 500
Uid = uuid.UUID | str


class Row(BaseModel):
    """A row as it was when it was read; rows are equal when their values are."""

    model_config = ConfigDict(frozen=True, from_attributes=True, extra="ignore")

    __model__: ClassVar[type[models.Model]]
    __required_tables__: ClassVar[tuple[str, ...]]
    __lookups__: ClassVar[Mapping[str, str]] = {}
    """Fields of the row that another table holds, and the Django lookups that reach them."""
    __services__: ClassVar[Services] = Services()
    __writable__: ClassVar[Any] = None
    """The TypedDict of the fields that can be written."""
    __fixed__: ClassVar[tuple[str, ...]] = ("unique_identifier",)
    """Those of them that never change once the row is made."""
    __renamed__: ClassVar[Mapping[str, str]] = {}
    """Fields that the services call otherwise."""

    uid: uuid.UUID

    # --- the engine --------------------------------------------------------------------------------------------------
    @classmethod
    def start_engine(cls, models: Sequence[Any] = (), **options: Any) -> Runtime:
        """`msm.start_engine` with the tables that this class needs, and `models` beside them."""
        return start_engine(models=[*cls.__required_tables__, *models], **options)

    @classmethod
    def create_schemas(cls, models: Sequence[Any] = (), **options: Any) -> Runtime:
        """The former name of `start_engine`; it creates nothing either."""
        warnings.warn(f"Use {cls.__name__}.start_engine.", DeprecationWarning, stacklevel=2)
        return cls.start_engine(models, **options)

    # --- reads -------------------------------------------------------------------------------------------------------
    @classmethod
    def get_by_uid(cls, uid: Uid) -> Self | None:
        """The row, None when there is none. Raises InvalidInput for what is no UUID."""
        found = cls._rows().filter(uid=asked.required_uid(uid)).first()
        return cls._of(found) if found is not None else None

    @classmethod
    def get_by_unique_identifier(cls, unique_identifier: str) -> Self | None:
        """The row with this exact identifier, None when there is none. Raises InvalidInput where rows have none."""
        found = cls._identified_rows().filter(unique_identifier=asked.storable(unique_identifier)).first()
        return cls._of(found) if found is not None else None

    @classmethod
    def get_many_by_unique_identifier(cls, unique_identifiers: Iterable[str]) -> dict[str, Self]:
        """Identifier → row, of those that exist; one query, none for an empty list."""
        cls._check_identified()
        texts = asked.values(unique_identifiers, "unique_identifiers")
        wanted = {asked.storable(text).strip() for text in texts} - {""}
        if not wanted:
            return {}
        rows = cls._rows().filter(unique_identifier__in=wanted)
        return {row.unique_identifier: cls._of(row) for row in rows}

    @classmethod
    def filter(
        cls,
        *,
        limit: int = DEFAULT_LIMIT,
        offset: int = 0,
        order_by: str | Sequence[str] | None = None,
        **conditions: Any,
    ) -> list[Self]:
        """Rows that meet every condition: `field=value`, `field_contains=text`, `field_in=values` (or with `__`).

        None matches what has no value. Ordered by the business key unless `order_by` names fields (`-field` for
        descending). Raises InvalidInput for a field that there is not.
        """
        limit = asked.check_count(limit, name="limit", least=1)
        offset = asked.check_count(offset, name="offset", least=0)
        order: list[Any] = list(cls.__model__._meta.ordering or ())
        if order_by is not None:
            order = asked.ordering(order_by, column=cls._field)
        rows = cls._matching(conditions).order_by(*order, "pk")
        return [cls._of(row) for row in cls._evaluated(rows[offset : offset + limit])]

    @classmethod
    def query(cls, *, per_page: int = PAGE, **conditions: Any) -> list[Self]:
        """All rows that meet the conditions, as in `filter`, by identifier (or in the order in which they were made).

        They are read in pages of `per_page`, each from where the last one ended: rows that come and go meanwhile make
        none appear twice and hide none.
        """
        per_page = asked.check_count(per_page, name="per_page", least=1)
        rows = cls._matching(conditions)
        key = cls._page_key()
        found: list[Self] = []
        page = cls._evaluated(rows.order_by(key)[:per_page])
        while page:
            found += [cls._of(row) for row in page]
            if len(page) < per_page:
                break
            page = cls._evaluated(rows.filter(**{f"{key}__gt": getattr(page[-1], key)}).order_by(key)[:per_page])
        return found

    # --- writes ------------------------------------------------------------------------------------------------------
    @classmethod
    def create(cls, *arguments: Any, **fields: Any) -> Self:
        """A new row. Raises Conflict when its key is taken."""
        cls._has_no("create")

    @classmethod
    def upsert(cls, *arguments: Any, **fields: Any) -> Self:
        """The row with this key, made or changed; omitted keeps, None clears."""
        cls._has_no("upsert")

    @classmethod
    def update(cls, *arguments: Any, **fields: Any) -> Self:
        """Change a row; omitted keeps, None clears. Raises NotFound."""
        cls._has_no("update")

    @classmethod
    def delete(cls, uid: Uid) -> int:
        """Delete the row; returns 1, or 0 when there was none.

        Raises InvalidInput for what is no UUID, ProtectedRow naming what rests on the row.
        """
        found = cls._rows().filter(uid=asked.required_uid(uid)).first()
        if found is None:
            return 0
        (cls.__services__.delete or deletion.delete)(found)
        return 1

    @classmethod
    def bulk_upsert(cls, rows: pd.DataFrame | Iterable[Any], *, on_error: OnError = "refuse") -> BulkOutcome:
        """Make or change many rows by their business key, fast and in one transaction.

        `rows` are mappings, rows of this class, or a DataFrame with a column for each field. Omitted keeps, None (in a
        DataFrame: a missing value) clears. A wrong row refuses all, unless `on_error="skip"` writes the others. Raises
        RejectedRows with every fault.
        """
        service = cls.__services__.bulk_upsert
        if service is None:
            raise NotImplementedError(f"{cls.__name__} has no bulk_upsert. Use upsert, row by row.")
        cls._rows()
        return service(rows if isinstance(rows, pd.DataFrame) else _mappings(rows), on_error=on_error)

    # --- for the row classes -----------------------------------------------------------------------------------------
    @classmethod
    def _create(cls, payload: object, keywords: Mapping[str, Any]) -> Self:
        return cls._written("create", payload, keywords)

    @classmethod
    def _upsert(cls, payload: object, keywords: Mapping[str, Any]) -> Self:
        return cls._written("upsert", payload, keywords)

    @classmethod
    def _update(cls, uid: Uid, payload: object, keywords: Mapping[str, Any]) -> Self:
        return cls._written("update", payload, keywords, uid=uid)

    @classmethod
    def _written(cls, verb: str, payload: object, keywords: Mapping[str, Any], *, uid: Uid | None = None) -> Self:
        """Write through the service. Fields that never change may be given as they are stored."""
        call = f"{cls.__name__}.{verb}"
        cls._rows()
        fields = given_fields(payload, keywords, call=call)
        service = getattr(cls.__services__, verb)
        known = {name: cls.__renamed__.get(name, name) for name in cls.__writable__.__annotations__}
        taken = taken_fields(service, known, without=cls.__fixed__ if verb == "update" else ())
        as_stored = {name: value for name, value in fields.items() if name in cls.model_fields and name not in taken}
        if payload is None:  # keywords are written by hand: what cannot be written is a mistake
            as_stored = {}
        fields = {name: value for name, value in fields.items() if name not in as_stored}
        check_fields(fields, taken=taken, call=call)
        arguments = {known[name]: value for name, value in fields.items()}
        with transaction.atomic() if as_stored else nullcontext():
            saved = service(*([cls._stored(uid)] if verb == "update" else []), **arguments)
            row = cls._of(saved.row if isinstance(saved, Upserted) else saved)
            refuse_different(row, as_stored)
        return row

    @classmethod
    def _has_no(cls, verb: str) -> NoReturn:
        verbs = ("create", "upsert", "update", "bulk_upsert")
        others = [name for name in verbs if getattr(cls.__services__, name) is not None]
        raise NotImplementedError(f"{cls.__name__} has no {verb}. It has {', '.join(others) or 'reads and delete'}.")

    @classmethod
    def _rows(cls) -> models.QuerySet[Any]:
        attached(cls.__name__, *cls.__required_tables__)
        return cls.__model__._default_manager.all()

    @classmethod
    def _identified_rows(cls) -> models.QuerySet[Any]:
        cls._check_identified()
        return cls._rows()

    @classmethod
    def _check_identified(cls) -> None:
        if "unique_identifier" not in cls.model_fields:
            raise InvalidInput(
                f"{cls.__name__} has no unique_identifier. Use get_by_uid or filter.", field="unique_identifier"
            )

    @classmethod
    def _stored(cls, uid: object) -> Any:
        """The Django row to change. Raises NotFound."""
        parsed = as_uid(uid)
        found = cls._rows().filter(uid=parsed).first() if parsed is not None else None
        if found is None:
            raise NotFound(f"There is no {cls.__name__} with uid {str(uid)[:60]}.")
        return found

    @classmethod
    def _of(cls, row: Any) -> Self:
        return cls.model_validate(row)

    @classmethod
    def _matching(cls, conditions: Mapping[str, Any]) -> models.QuerySet[Any]:
        rows = cls._rows()
        try:
            for lookup in asked.lookups(conditions, column=cls._field, clean=cls._filter_value):
                rows = rows.filter(**lookup)
        except InvalidInput:
            raise
        except (FieldError, ValidationError, ValueError, TypeError) as error:
            raise InvalidInput(f"{cls.__name__}.filter: {error}") from error
        return rows

    @classmethod
    def _evaluated(cls, rows: models.QuerySet[Any]) -> list[Any]:
        try:
            return list(rows)
        except (FieldError, ValidationError, ValueError, TypeError, DataError) as error:
            raise InvalidInput(f"{cls.__name__}.filter: {error}") from error

    @classmethod
    def _page_key(cls) -> str:
        """A unique column that the database can walk in order."""
        try:
            field = cls.__model__._meta.get_field("unique_identifier")
        except FieldDoesNotExist:
            return "pk"
        return "unique_identifier" if getattr(field, "unique", False) else "pk"

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


def _mappings(rows: Any) -> Any:
    """The rows, those of a row class as mappings; what is no list of rows is left for the service to refuse."""
    if isinstance(rows, str | bytes | Mapping | BaseModel) or not isinstance(rows, Iterable):
        return rows
    return (row.model_dump() if isinstance(row, BaseModel) else row for row in rows)
