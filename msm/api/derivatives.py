"""Futures on indices."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any, Self

from pydantic import Field

from markets.models import Future as FutureModel
from markets.services import futures
from markets.services.values import UNSET
from msm.api.details import DetailsRow


class Future(DetailsRow):
    """A future's terms: an asset of type future; `uid` is the asset's.

    `settlement_asset` and `margin_asset` are uids of assets, `underlying_index_uid` is an index's.
    """

    __model__ = FutureModel
    __required_tables__ = ("AssetType", "Asset", "IndexType", "Index", "FutureAssetDetails")

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
    def create(cls, *, unique_identifier: str, **terms: Any) -> Self:
        """As `upsert`, for a future that must be new. Raises Conflict."""
        cls._rows()
        return cls._of(futures.create_future(unique_identifier=unique_identifier, **terms))

    @classmethod
    def upsert(
        cls,
        *,
        unique_identifier: str,
        kind: Any = UNSET,
        underlying_index_uid: Any = UNSET,
        quote_unit: Any = UNSET,
        settlement_asset: Any = UNSET,
        margin_asset: Any = UNSET,
        settlement_model: Any = UNSET,
        settlement_method: Any = UNSET,
        contract_size: Any = UNSET,
        contract_unit: Any = UNSET,
        expires_at: Any = UNSET,
        settles_at: Any = UNSET,
        metadata: Any = UNSET,
    ) -> Self:
        """The asset and the terms of its contract, made or changed; omitted keeps, None clears. All or nothing.

        `kind` is EXPIRING (with `expires_at`) or PERPETUAL (without); `settlement_model` LINEAR, INVERSE, QUANTO or
        UNKNOWN; `settlement_method` CASH, PHYSICAL or UNKNOWN. Times are aware datetimes or ISO 8601 text with a zone.
        Raises MissingReferences (a LookupError) naming every reference that does not exist.
        """
        cls._rows()
        saved = futures.upsert_future(
            unique_identifier=unique_identifier,
            kind=kind,
            underlying_index_uid=underlying_index_uid,
            quote_unit=quote_unit,
            settlement_asset=settlement_asset,
            margin_asset=margin_asset,
            settlement_model=settlement_model,
            settlement_method=settlement_method,
            contract_size=contract_size,
            contract_unit=contract_unit,
            expires_at=expires_at,
            settles_at=settles_at,
            metadata=metadata,
        )
        return cls._of(saved.row)

    @classmethod
    def update(cls, uid: uuid.UUID | str, **terms: Any) -> Self:
        """Change terms of a future, named as in `upsert`. Raises NotFound."""
        return cls._of(futures.update_future(cls._stored(uid), **terms))

    @classmethod
    def _field(cls, name: str) -> str:
        return f"{name}_uid" if name in ("settlement_asset", "margin_asset") else super()._field(name)
