"""Identifiers of assets, each with the days for which it holds."""

import datetime as dt
import uuid
from typing import Any, Self, TypedDict, Unpack

from markets.models import AssetIdentifier as AssetIdentifierModel
from markets.services import identifier_batches, identifier_changes, identifiers
from msm.api.payloads import Payload, Services
from msm.api.rows import Row, Uid
from msm.runtime import attached


class IdentifierFields(TypedDict, total=False):
    asset_uid: Uid
    asset_identifier: str
    scheme: str
    value: str
    venue: str
    valid_from: dt.date | str | None
    valid_to: dt.date | str | None
    source: str
    evidence: dict[str, Any] | None


def _create(
    *, scheme: Any, value: Any, asset_uid: Any = None, asset_identifier: Any = None, **fields: Any
) -> AssetIdentifierModel:
    asset = identifiers.named_asset(uid=asset_uid, identifier=asset_identifier)
    return identifiers.add_identifier(asset, scheme, value, must_be_new=True, **fields)


def _upsert(
    *, scheme: Any, value: Any, asset_uid: Any = None, asset_identifier: Any = None, **fields: Any
) -> AssetIdentifierModel:
    asset = identifiers.named_asset(uid=asset_uid, identifier=asset_identifier)
    return identifiers.add_identifier(asset, scheme, value, **fields)


class AssetIdentifier(Row):
    """An asset has the value from `valid_from`, included, to `valid_to`, excluded; None is open or not known.

    Schemes are figi, composite_figi, share_class_figi, isin, cusip, sedol, ticker (at a `venue`, by its MIC),
    algoseek_secid, or a vendor's own.
    """

    __model__ = AssetIdentifierModel
    __required_tables__ = ("Asset", "AssetIdentifier")
    __lookups__ = {"asset_uid": "asset__uid", "asset_identifier": "asset__unique_identifier"}
    __writable__ = IdentifierFields
    __fixed__ = ("asset_uid", "asset_identifier", "scheme", "value", "venue")
    __services__ = Services(
        create=_create,
        upsert=_upsert,
        update=identifier_changes.update_identifier,
        delete=identifier_changes.delete_identifier,
        bulk_upsert=identifier_batches.bulk_add_identifiers,
    )

    asset_uid: uuid.UUID
    asset_identifier: str
    scheme: str
    value: str
    venue: str
    valid_from: dt.date | None
    valid_to: dt.date | None
    source: str
    evidence: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[IdentifierFields]) -> Self:
        """A new one, of the asset that `asset_uid` or `asset_identifier` names.

        Raises InvalidInput for a wrong value or day, Conflict naming the asset that has it at that time.
        """
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[IdentifierFields]) -> Self:
        """As `create`; one that is stored already, the same to the day, is returned as it is."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[IdentifierFields]) -> Self:
        """Change the days, the source or the evidence; omitted keeps, None clears. Raises NotFound, Conflict."""
        return cls._update(uid, payload, fields)

    @classmethod
    def _rows(cls) -> Any:
        attached(cls.__name__, *cls.__required_tables__)
        return AssetIdentifierModel.objects.select_related("asset")

    @classmethod
    def _of(cls, row: Any) -> Self:
        fields = {name: getattr(row, name) for name in cls.model_fields if not name.startswith("asset_")}
        return cls(asset_uid=row.asset.uid, asset_identifier=row.asset.unique_identifier, **fields)
