"""Assets, their types, and what OpenFIGI says of them."""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Self, TypedDict, Unpack

import pandas as pd
from django.db import transaction
from django.db.models import F

from markets.engine.figi_facts import FigiFacts
from markets.exceptions import Conflict, NotFound
from markets.models import Asset as AssetModel
from markets.models import AssetType as AssetTypeModel
from markets.models import OpenFigiDetails as OpenFigiDetailsModel
from markets.services import asset_types, assets, figi_registration, merging, snapshots
from markets.services.figi_registration import FigiOutcome
from markets.services.identifier_changes import change_identifier
from markets.services.identifier_resolution import AsOf, Resolution, identifiers_of, resolve
from markets.services.snapshots import AssetReferenceDetails
from markets.services.stored import locked
from markets.services.values import UNSET, Unset, normalise_type_key
from msm.api.identifier_rows import AssetIdentifier
from msm.api.payloads import Payload, Services
from msm.api.rows import Row, Uid
from msm.runtime import attached


class AssetTypeFields(TypedDict, total=False):
    asset_type: str
    display_name: str | None
    description: str | None
    metadata_json: dict[str, Any] | None


class AssetType(Row):
    __model__ = AssetTypeModel
    __required_tables__ = ("AssetType",)
    __writable__ = AssetTypeFields
    __fixed__ = ("asset_type",)
    __services__ = Services(
        create=asset_types.create_asset_type,
        upsert=asset_types.upsert_asset_type,
        update=asset_types.update_asset_type,
        delete=asset_types.delete_asset_type,
        bulk_upsert=asset_types.bulk_upsert_asset_types,
    )

    asset_type: str
    display_name: str | None
    description: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[AssetTypeFields]) -> Self:
        """A new type. Raises Conflict when the key is taken."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[AssetTypeFields]) -> Self:
        """The type with this key, made or changed; omitted keeps, None clears. "Currency Spot" is currency_spot."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[AssetTypeFields]) -> Self:
        """Change a type; its key never changes. Raises NotFound."""
        return cls._update(uid, payload, fields)

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        return normalised(value, field="asset_type") if field == "asset_type" else value


class AssetFields(TypedDict, total=False):
    unique_identifier: str
    asset_type: str | None
    is_custom_by_organization: bool


class Asset(Row):
    __model__ = AssetModel
    __required_tables__ = ("Asset",)
    __writable__ = AssetFields
    __services__ = Services(
        create=assets.create_asset,
        upsert=assets.upsert_asset,
        update=assets.update_asset,
        delete=assets.delete_asset,
        bulk_upsert=assets.bulk_upsert_assets,
    )

    id: int
    unique_identifier: str
    asset_type: str | None
    is_custom_by_organization: bool

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[AssetFields]) -> Self:
        """A new asset, custom unless told. Raises Conflict when the identifier is taken."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[AssetFields]) -> Self:
        """The asset with this identifier, made or changed; omitted keeps, None clears. The same uid on every call."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[AssetFields]) -> Self:
        """Change an asset; its identifier never changes. Raises NotFound."""
        return cls._update(uid, payload, fields)

    def get_latest_snapshot(self, as_of: dt.datetime | None = None) -> AssetReferenceDetails:
        """How it is named and listed, or was at `as_of` (aware); what there is no snapshot for is None.

        Raises NotFound for an asset that was deleted, InvalidInput for a time without a zone.
        """
        attached("Asset", "Asset")
        found = snapshots.asset_reference_details_by_uids([self.uid], as_of=as_of)
        if not found:
            raise NotFound(f"There is no asset with the uid {self.uid} any more.")
        return found[0]

    def get_snapshots(self, start_date: dt.datetime | None = None, end_date: dt.datetime | None = None) -> pd.DataFrame:
        """Its snapshots between two aware instants, both included, the oldest first: see `AssetSnapshot`."""
        attached("Asset", "Asset")
        return snapshots.snapshots_of(self.unique_identifier, start_date=start_date, end_date=end_date)

    def get_identifiers(self, as_of: dt.date | None = None, *, scheme: str | None = None) -> list[AssetIdentifier]:
        """What it goes and went by, by scheme, value, venue and first day; if a day is told, what held on it."""
        attached("Asset.get_identifiers", *AssetIdentifier.__required_tables__)
        return [AssetIdentifier._of(row) for row in identifiers_of(self.uid, as_of=as_of, scheme=scheme)]

    def change_identifier(
        self,
        scheme: str,
        value: str,
        *,
        effective: dt.date | str,
        venue: str = "",
        replaces: str | Unset = UNSET,
        source: str = "",
        evidence: dict[str, Any] | None = None,
    ) -> AssetIdentifier:
        """A rename: from the day `effective` on it goes by this value, in place of what holds then at the venue.

        `replaces` names the value that ends, where several of the scheme hold. Raises InvalidInput; Conflict when a
        later change is recorded already, or another asset has the value; NotFound for an asset that was deleted.
        """
        attached("Asset.change_identifier", *AssetIdentifier.__required_tables__)
        row = change_identifier(
            self._stored(self.uid),
            scheme,
            value,
            effective=effective,
            venue=venue,
            replaces=replaces,
            source=source,
            evidence=evidence,
        )
        return AssetIdentifier._of(row)

    @classmethod
    def resolve(cls, scheme: str, value: str, as_of: AsOf = None, *, venue: str = "") -> Resolution:
        """Which asset an identifier named on a day (today unless told), or on every day of two: first and last.

        `outcome` is found, partial, ambiguous or not_found, `intervals` tell who had it when, `gaps` the days on which
        nobody did; `asset_identifier` is the one asset where there is no doubt, else None. Raises InvalidInput.
        """
        attached("Asset.resolve", *AssetIdentifier.__required_tables__)
        return resolve(scheme, value, as_of, venue=venue)

    @classmethod
    def register_asset_from_figi(cls, figi: str) -> Self:
        """The asset of this FIGI; when there is none it is registered, and waits for OpenFIGI.

        An asset has the FIGI as its identifier or in its OpenFIGI details. Raises InvalidInput for what is no FIGI.
        """
        attached(cls.__name__, *cls.__required_tables__)
        return cls._of(figi_registration.register_asset_from_figi(figi))

    @classmethod
    def register_assets_from_figis(
        cls,
        figis: Iterable[str | None],
        *,
        batch_size: int = figi_registration.BATCH_SIZE,
        facts: Mapping[str, FigiFacts] | None = None,
        source: str = "register_assets_from_figis",
    ) -> list[FigiOutcome]:
        """What became of each FIGI, each once, by FIGI: `outcome` existing, registered or refused, `asset`, `reason`.

        `facts` tells what is known of a FIGI; a new asset has that and nothing else. Each batch is one transaction.
        """
        attached(cls.__name__, *cls.__required_tables__)
        return figi_registration.register_assets_from_figis(figis, batch_size=batch_size, facts=facts, source=source)

    def merge_into(self, kept: "Asset", *, reason: str, rows: str = "refuse") -> "Asset":
        """Merge this asset into another: what refers to it refers to that one, and it becomes a redirect.

        `rows` says what becomes of time-indexed rows where both have some: "refuse", "leave" them under this identifier
        or "fill" the gaps of the asset that stays. Returns that asset. Raises Conflict telling why it cannot be.
        """
        attached("Asset", "Asset")
        merging.merge_assets(type(self)._stored(self.uid), type(self)._stored(kept.uid), reason=reason, rows=rows)
        return type(self)._of(type(self)._stored(kept.uid))

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        return normalised(value, field="asset_type") if field == "asset_type" else value


class OpenFigiFields(TypedDict, total=False):
    asset_uid: Uid
    figi: str | None
    composite: str | None
    share_class: str | None
    isin: str | None
    ticker: str | None
    name: str | None
    exchange_code: str | None
    security_type: str | None
    security_type_2: str | None
    security_market_sector: str | None
    security_description: str | None
    unique_id: str | None
    unique_id_fut_opt: str | None
    metadata_text: str | None
    raw_payload: dict[str, Any] | None


@transaction.atomic
def _create_details(*, asset_uid: Uid, **fields: Any) -> OpenFigiDetailsModel:
    asset = locked(Asset._stored(asset_uid))
    if OpenFigiDetailsModel.objects.filter(asset=asset).exists():
        raise Conflict(f"{asset} has OpenFIGI details already. Change those: OpenFigiDetails.upsert.")
    return assets.set_openfigi_details(asset, **fields)


def _upsert_details(*, asset_uid: Uid, **fields: Any) -> OpenFigiDetailsModel:
    return assets.set_openfigi_details(Asset._stored(asset_uid), **fields)


def _update_details(row: OpenFigiDetailsModel, **fields: Any) -> OpenFigiDetailsModel:
    return assets.set_openfigi_details(row.asset, **fields)


class OpenFigiDetails(Row):
    """The provider's description of an asset; `uid` is the asset's."""

    __model__ = OpenFigiDetailsModel
    __required_tables__ = ("Asset", "OpenFigiAssetDetails")
    __lookups__ = {"uid": "asset__uid", "asset_uid": "asset__uid"}
    __writable__ = OpenFigiFields
    __fixed__ = ("asset_uid",)
    __services__ = Services(
        create=_create_details,
        upsert=_upsert_details,
        update=_update_details,
        delete=lambda row: assets.clear_openfigi_details(row.asset),
    )

    asset_uid: uuid.UUID
    figi: str | None
    composite: str | None
    share_class: str | None
    isin: str | None
    ticker: str | None
    name: str | None
    exchange_code: str | None
    security_type: str | None
    security_type_2: str | None
    security_market_sector: str | None
    security_description: str | None
    unique_id: str | None
    unique_id_fut_opt: str | None
    metadata_text: str | None
    raw_payload: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[OpenFigiFields]) -> Self:
        """Details of an asset that has none. Raises NotFound for the asset, Conflict when it has."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[OpenFigiFields]) -> Self:
        """Set these details of the asset; omitted keeps, None clears. Raises Conflict when another has the FIGI."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[OpenFigiFields]) -> Self:
        """Change the details of the asset with this uid. Raises NotFound when it has none."""
        return cls._update(uid, payload, fields)

    @classmethod
    def _rows(cls) -> Any:
        attached(cls.__name__, *cls.__required_tables__)
        return OpenFigiDetailsModel.objects.select_related("asset").annotate(uid=F("asset__uid"))

    @classmethod
    def _of(cls, row: Any) -> Self:
        fields = {name: getattr(row, name) for name in cls.model_fields if name not in ("uid", "asset_uid")}
        return cls(uid=row.asset.uid, asset_uid=row.asset.uid, **fields)


def normalised(value: Any, *, field: str) -> Any:
    """A type's key, or each of several, as it is stored."""
    if isinstance(value, list):
        return [normalised(item, field=field) for item in value]
    return normalise_type_key(value, field=field)
