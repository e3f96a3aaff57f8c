"""Index types and indices. An index is observed, not held: it is no asset."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Self, TypedDict, Unpack

import pandas as pd

from markets.models import Index as IndexModel
from markets.models import IndexType as IndexTypeModel
from markets.services import index_types, index_values, indices
from msm.api.asset_rows import normalised
from msm.api.payloads import Payload, Services
from msm.api.rows import Row, Uid


class IndexTypeFields(TypedDict, total=False):
    index_type: str
    display_name: str | None
    description: str | None
    metadata_json: dict[str, Any] | None


class IndexType(Row):
    __model__ = IndexTypeModel
    __required_tables__ = ("IndexType",)
    __writable__ = IndexTypeFields
    __fixed__ = ("index_type",)
    __services__ = Services(
        create=index_types.create_index_type,
        upsert=index_types.upsert_index_type,
        update=index_types.update_index_type,
        delete=index_types.delete_index_type,
        bulk_upsert=index_types.bulk_upsert_index_types,
    )

    index_type: str
    display_name: str | None
    description: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[IndexTypeFields]) -> Self:
        """A new type. Raises Conflict when the key is taken."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[IndexTypeFields]) -> Self:
        """The type with this key, made or changed; omitted keeps, None clears. "Interest Rate" is interest_rate."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[IndexTypeFields]) -> Self:
        """Change a type; its key never changes. Raises NotFound."""
        return cls._update(uid, payload, fields)

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        return normalised(value, field="index_type") if field == "index_type" else value


class IndexFields(TypedDict, total=False):
    unique_identifier: str
    index_type: str
    display_name: str
    provider: str | None
    calculation_method: str
    value_format: str
    value_suffix: str | None
    description: str | None
    metadata_json: dict[str, Any] | None


class Index(Row):
    __model__ = IndexModel
    __required_tables__ = ("Index",)
    __writable__ = IndexFields
    __services__ = Services(
        create=indices.create_index,
        upsert=indices.upsert_index,
        update=indices.update_index,
        bulk_upsert=indices.bulk_upsert_indices,
    )

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
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[IndexFields]) -> Self:
        """A new index; it needs `index_type` and `display_name`. Raises Conflict when the identifier is taken."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[IndexFields]) -> Self:
        """The index with this identifier, made or changed; omitted keeps, None clears. The same uid on every call.

        A new one needs `index_type` and `display_name`. `calculation_method` is custom or formula, `value_format`
        decimal or percent.
        """
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[IndexFields]) -> Self:
        """Change an index; its identifier never changes. Raises NotFound."""
        return cls._update(uid, payload, fields)

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
    def filter_by_uids(cls, uids: Iterable[Uid]) -> list[Self]:
        """The indices with these uids, by identifier; none of none, without asking the database."""
        wanted = list(uids)
        return cls.filter(uid_in=wanted, limit=len(wanted)) if wanted else []

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        return normalised(value, field="index_type") if field == "index_type" else value
