"""Currency pairs and bonds: assets with terms."""

import datetime as dt
import uuid
from typing import Self, TypedDict, Unpack

from markets.models import Bond as BondModel
from markets.models import CurrencySpot as CurrencySpotModel
from markets.services import bonds, currency_spots
from msm.api.details import DetailsRow
from msm.api.payloads import Payload, Services
from msm.api.rows import Uid


class CurrencySpotFields(TypedDict, total=False):
    unique_identifier: str
    base_currency_uid: Uid
    quote_currency_uid: Uid


class CurrencySpot(DetailsRow):
    """A pair of currencies: an asset of type currency_spot; `uid` is the asset's."""

    __model__ = CurrencySpotModel
    __required_tables__ = ("AssetType", "Asset", "CurrencySpotAssetDetails")
    __writable__ = CurrencySpotFields
    __services__ = Services(
        create=currency_spots.create_currency_spot,
        upsert=currency_spots.upsert_currency_spot,
        update=currency_spots.update_currency_spot,
        bulk_upsert=currency_spots.bulk_upsert_currency_spots,
    )

    base_currency_uid: uuid.UUID
    quote_currency_uid: uuid.UUID

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[CurrencySpotFields]) -> Self:
        """As `upsert`, for a pair that must be new. Raises Conflict."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[CurrencySpotFields]) -> Self:
        """The asset and its pair, made or changed; both currencies exist already. All or nothing."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[CurrencySpotFields]) -> Self:
        """Change the pair's currencies. Raises NotFound."""
        return cls._update(uid, payload, fields)


class BondFields(TypedDict, total=False):
    unique_identifier: str
    issuer_uid: Uid
    currency_asset_uid: Uid
    issue_date: dt.date | str
    maturity_date: dt.date | str | None
    status: str


class Bond(DetailsRow):
    """A bond's terms: an asset of type bond; `uid` is the asset's. Without `maturity_date` it is perpetual."""

    __model__ = BondModel
    __required_tables__ = ("AssetType", "Asset", "Issuer", "BondAssetDetails")
    __writable__ = BondFields
    __services__ = Services(
        create=bonds.create_bond,
        upsert=bonds.upsert_bond,
        update=bonds.update_bond,
        bulk_upsert=bonds.bulk_upsert_bonds,
    )

    issuer_uid: uuid.UUID
    currency_asset_uid: uuid.UUID
    issue_date: dt.date
    maturity_date: dt.date | None
    status: str

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[BondFields]) -> Self:
        """As `upsert`, for a bond that must be new. Raises Conflict."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[BondFields]) -> Self:
        """The asset and its terms, made or changed; omitted keeps, None clears. All or nothing.

        `status` is ACTIVE, MATURED, DEFAULTED, CALLED, REDEEMED or UNKNOWN. Raises MissingReferences (a LookupError)
        naming every reference that does not exist.
        """
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[BondFields]) -> Self:
        """Change terms of a bond. Raises NotFound."""
        return cls._update(uid, payload, fields)
