"""Futures on indices."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any, Self, TypedDict, Unpack

from pydantic import Field

from markets.models import Future as FutureModel
from markets.services import futures
from msm.api.details import DetailsRow
from msm.api.payloads import Payload, Services
from msm.api.rows import Uid


class FutureFields(TypedDict, total=False):
    unique_identifier: str
    kind: str
    underlying_index_uid: Uid
    quote_unit: str
    settlement_asset: Uid
    margin_asset: Uid
    settlement_model: str
    settlement_method: str
    contract_size: Decimal | str | int | float
    contract_unit: str
    expires_at: dt.datetime | str | None
    settles_at: dt.datetime | str | None
    metadata: dict[str, Any] | None


class Future(DetailsRow):
    """A future's terms: an asset of type future; `uid` is the asset's.

    `settlement_asset` and `margin_asset` are uids of assets, `underlying_index_uid` is an index's.
    """

    __model__ = FutureModel
    __required_tables__ = ("AssetType", "Asset", "IndexType", "Index", "FutureAssetDetails")
    __writable__ = FutureFields
    __services__ = Services(
        create=futures.create_future,
        upsert=futures.upsert_future,
        update=futures.update_future,
        bulk_upsert=futures.bulk_upsert_futures,
    )

    kind: str
    underlying_index_uid: uuid.UUID
    quote_unit: str
    settlement_asset: uuid.UUID = Field(validation_alias="settlement_asset_uid")
    margin_asset: uuid.UUID = Field(validation_alias="margin_asset_uid")
    settlement_model: str
    settlement_method: str
    contract_size: Decimal
    contract_unit: str
    expires_at: dt.datetime | None
    settles_at: dt.datetime | None
    metadata: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[FutureFields]) -> Self:
        """As `upsert`, for a future that must be new. Raises Conflict."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[FutureFields]) -> Self:
        """The asset and the terms of its contract, made or changed; omitted keeps, None clears. All or nothing.

        `kind` is EXPIRING (with `expires_at`) or PERPETUAL (without); `settlement_model` LINEAR, INVERSE, QUANTO or
        UNKNOWN; `settlement_method` CASH, PHYSICAL or UNKNOWN. Times are aware datetimes or ISO 8601 text with a zone.
        Raises MissingReferences (a LookupError) naming every reference that does not exist.
        """
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[FutureFields]) -> Self:
        """Change terms of a future. To make it perpetual, clear `expires_at` in the same call. Raises NotFound."""
        return cls._update(uid, payload, fields)

    @classmethod
    def _field(cls, name: str) -> str:
        return f"{name}_uid" if name in ("settlement_asset", "margin_asset") else super()._field(name)
