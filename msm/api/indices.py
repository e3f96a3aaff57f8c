"""Index types and indices. An index is observed, not held: it is no asset."""

import datetime as dt
import uuid
from collections.abc import Iterable
from typing import Any, Self

import pandas as pd

from markets.models import Index as IndexModel
from markets.models import IndexType as IndexTypeModel
from markets.services import index_types, index_values, indices
from markets.services.values import UNSET, normalise_type_key
from msm.api.rows import Row


class IndexType(Row):
    __model__ = IndexTypeModel
    __required_tables__ = ("IndexType",)

    index_type: str
    display_name: str | None
    description: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(
        cls, *, index_type: str, display_name: Any = None, description: Any = None, metadata_json: Any = None
    ) -> Self:
        """A new type. Raises Conflict when the key is taken."""
        cls._rows()
        row = index_types.create_index_type(
            index_type=index_type, display_name=display_name, description=description, metadata_json=metadata_json
        )
        return cls._of(row)

    @classmethod
    def upsert(
        cls, *, index_type: str, display_name: Any = UNSET, description: Any = UNSET, metadata_json: Any = UNSET
    ) -> Self:
        """Make the type, or change what is given; omitted keeps, None clears."""
        cls._rows()
        saved = index_types.upsert_index_type(
            index_type=index_type, display_name=display_name, description=description, metadata_json=metadata_json
        )
        return cls._of(saved.row)

    @classmethod
    def update(
        cls,
        uid: uuid.UUID | str,
        *,
        display_name: Any = UNSET,
        description: Any = UNSET,
        metadata_json: Any = UNSET,
    ) -> Self:
        """Change a type; its key never changes. Raises NotFound."""
        row = index_types.update_index_type(
            cls._stored(uid), display_name=display_name, description=description, metadata_json=metadata_json
        )
        return cls._of(row)

    @classmethod
    def _delete(cls, row: Any) -> None:
        index_types.delete_index_type(row)

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        return _normalised(value) if field == "index_type" else value


class Index(Row):
    __model__ = IndexModel
    __required_tables__ = ("Index",)

    unique_identifier: str
    index_type: str
    display_name: str
    provider: str | None
    calculation_method: str
    value_format: str
    value_suffix: str | None
    description: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, *, unique_identifier: str, index_type: str, display_name: str, **fields: Any) -> Self:
        """A new index; further fields as in `upsert`. Raises Conflict when the identifier is taken."""
        cls._rows()
        row = indices.create_index(
            unique_identifier=unique_identifier, index_type=index_type, display_name=display_name, **fields
        )
        return cls._of(row)

    @classmethod
    def upsert(
        cls,
        *,
        unique_identifier: str,
        index_type: Any = UNSET,
        display_name: Any = UNSET,
        provider: Any = UNSET,
        calculation_method: Any = UNSET,
        value_format: Any = UNSET,
        value_suffix: Any = UNSET,
        description: Any = UNSET,
        metadata_json: Any = UNSET,
    ) -> Self:
        """The index with this identifier, made or changed; omitted keeps, None clears. The same uid on every call.

        A new one needs `index_type` and `display_name`. `calculation_method` is custom or formula, `value_format`
        decimal or percent.
        """
        cls._rows()
        saved = indices.upsert_index(
            unique_identifier=unique_identifier,
            index_type=index_type,
            display_name=display_name,
            provider=provider,
            calculation_method=calculation_method,
            value_format=value_format,
            value_suffix=value_suffix,
            description=description,
            metadata_json=metadata_json,
        )
        return cls._of(saved.row)

    @classmethod
    def update(cls, uid: uuid.UUID | str, **fields: Any) -> Self:
        """Change fields of an index, named as in `upsert`. Raises NotFound."""
        return cls._of(indices.update_index(cls._stored(uid), **fields))

    def write_values(
        self, frame: pd.DataFrame, *, cadence: str, mode: index_values.Mode = "append"
    ) -> index_values.WrittenValues:
        """Store values of this index, indexed by `time_index` (aware): see `msm.services.write_index_values`."""
        if isinstance(frame, pd.DataFrame) and "index_identifier" not in [*frame.index.names, *frame.columns]:
            frame = frame.assign(index_identifier=type(self)._stored(self.uid).unique_identifier)
        return index_values.write_index_values(frame, cadence=cadence, mode=mode)

    def get_values(
        self,
        *,
        cadence: str | None = None,
        start: dt.datetime | None = None,
        end: dt.datetime | None = None,
        order: index_values.Order = "desc",
        limit: int = index_values.DEFAULT_LIMIT,
    ) -> pd.DataFrame:
        """The values of this index, the latest first: see `msm.services.read_index_values`."""
        return index_values.read_index_values(
            type(self)._stored(self.uid), cadence=cadence, start=start, end=end, order=order, limit=limit
        )

    @classmethod
    def filter_by_uids(cls, uids: Iterable[uuid.UUID | str]) -> list[Self]:
        """The indices with these uids, by identifier; none of none, without asking the database."""
        wanted = list(uids)
        return cls.filter(uid_in=wanted, limit=len(wanted)) if wanted else []

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        return _normalised(value) if field == "index_type" else value


def _normalised(value: Any) -> Any:
    if isinstance(value, list):
        return [_normalised(item) for item in value]
    return normalise_type_key(value, field="index_type")
