"""Index types and indices. An index is observed, not held: it is no asset."""

from collections.abc import Iterable
from typing import Any, Self, TypedDict, Unpack

from markets.models import Index as IndexModel
from markets.models import IndexType as IndexTypeModel
from markets.services import index_types, indices
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

    @classmethod
    def filter_by_uids(cls, uids: Iterable[Uid]) -> list[Self]:
        """The indices with these uids, by identifier; none of none, without asking the database."""
        wanted = list(uids)
        return cls.filter(uid_in=wanted, limit=len(wanted)) if wanted else []

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        return normalised(value, field="index_type") if field == "index_type" else value
