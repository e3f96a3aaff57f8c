"""Assets, their types, their OpenFIGI details, and the categories that collect them."""

import datetime as dt
import uuid
from collections.abc import Iterable
from typing import Any, Self

from django.db import transaction
from django.db.models import F

from markets.exceptions import InvalidInput
from markets.models import Asset as AssetModel
from markets.models import AssetCategory as AssetCategoryModel
from markets.models import AssetCategoryMembership as MembershipModel
from markets.models import AssetType as AssetTypeModel
from markets.models import Bond as BondModel
from markets.models import CurrencySpot as CurrencySpotModel
from markets.models import OpenFigiDetails as OpenFigiDetailsModel
from markets.services import asset_types, assets, bonds, categories, currency_spots, universes
from markets.services.bulk import BulkOutcome, OnError
from markets.services.values import UNSET, normalise_type_key
from msm.api.details import DetailsRow
from msm.api.rows import Row
from msm.runtime import attached


class AssetType(Row):
    __model__ = AssetTypeModel
    __required_tables__ = ("AssetType",)

    asset_type: str
    display_name: str | None
    description: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def upsert(
        cls,
        *,
        asset_type: str,
        display_name: Any = UNSET,
        description: Any = UNSET,
        metadata_json: Any = UNSET,
    ) -> Self:
        """Make the type, or change what is given; omitted keeps, None clears."""
        cls._rows()
        saved = asset_types.upsert_asset_type(
            asset_type=asset_type, display_name=display_name, description=description, metadata_json=metadata_json
        )
        return cls._of(saved.row)

    @classmethod
    def _bulk_upsert(cls, rows: Any, *, on_error: OnError) -> BulkOutcome:
        return asset_types.bulk_upsert_asset_types(rows, on_error=on_error)

    @classmethod
    def _delete(cls, row: Any) -> None:
        asset_types.delete_asset_type(row)

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        return _normalised(value) if field == "asset_type" else value


class Asset(Row):
    __model__ = AssetModel
    __required_tables__ = ("Asset",)

    id: int
    unique_identifier: str
    asset_type: str | None
    is_custom_by_organization: bool

    @classmethod
    def create(
        cls, *, unique_identifier: str, asset_type: str | None = None, is_custom_by_organization: bool = True
    ) -> Self:
        """A new asset. Raises Conflict when the identifier is taken."""
        cls._rows()
        return cls._of(
            assets.create_asset(
                unique_identifier=unique_identifier,
                asset_type=asset_type,
                is_custom_by_organization=is_custom_by_organization,
            )
        )

    @classmethod
    def upsert(
        cls, *, unique_identifier: str, asset_type: Any = UNSET, is_custom_by_organization: bool | Any = UNSET
    ) -> Self:
        """The asset with this identifier, made or changed; omitted keeps, None clears. The same uid on every call."""
        cls._rows()
        saved = assets.upsert_asset(
            unique_identifier=unique_identifier,
            asset_type=asset_type,
            is_custom_by_organization=is_custom_by_organization,
        )
        return cls._of(saved.row)

    @classmethod
    def update(
        cls, uid: uuid.UUID | str, *, asset_type: Any = UNSET, is_custom_by_organization: bool | Any = UNSET
    ) -> Self:
        """Change an asset; its identifier never changes. Raises NotFound."""
        row = cls._stored(uid)
        return cls._of(
            assets.update_asset(row, asset_type=asset_type, is_custom_by_organization=is_custom_by_organization)
        )

    @classmethod
    def _bulk_upsert(cls, rows: Any, *, on_error: OnError) -> BulkOutcome:
        return assets.bulk_upsert_assets(rows, on_error=on_error)

    @classmethod
    def _delete(cls, row: Any) -> None:
        assets.delete_asset(row)

    @classmethod
    def _filter_value(cls, field: str, value: Any) -> Any:
        return _normalised(value) if field == "asset_type" else value


class OpenFigiDetails(Row):
    """The provider's description of an asset; `uid` is the asset's."""

    __model__ = OpenFigiDetailsModel
    __required_tables__ = ("OpenFigiAssetDetails",)
    __lookups__ = {"uid": "asset__uid", "asset_uid": "asset__uid"}

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
    def upsert(cls, *, asset_uid: uuid.UUID | str, **fields: Any) -> Self:
        """Set these details of the asset; omitted keeps, None clears."""
        attached(cls.__name__, *cls.__required_tables__, "Asset")
        return cls._of(assets.set_openfigi_details(Asset._stored(asset_uid), **fields))

    @classmethod
    def _rows(cls) -> Any:
        attached(cls.__name__, *cls.__required_tables__)
        return OpenFigiDetailsModel.objects.select_related("asset").annotate(uid=F("asset__uid"))

    @classmethod
    def _of(cls, row: Any) -> Self:
        fields = {name: getattr(row, name) for name in cls.model_fields if name not in ("uid", "asset_uid")}
        return cls(uid=row.asset.uid, asset_uid=row.asset.uid, **fields)

    @classmethod
    def _delete(cls, row: Any) -> None:
        assets.clear_openfigi_details(row.asset)


class AssetCategoryMembership(Row):
    """One spell of an asset in a category: from `valid_from`, included, to `valid_to`, excluded; None is open."""

    __model__ = MembershipModel
    __required_tables__ = ("AssetCategoryMembership",)
    __lookups__ = {"category_uid": "category__uid", "asset_uid": "asset__uid"}

    category_uid: uuid.UUID
    asset_uid: uuid.UUID
    valid_from: dt.datetime
    valid_to: dt.datetime | None

    @classmethod
    def _rows(cls) -> Any:
        attached(cls.__name__, *cls.__required_tables__)
        return MembershipModel.objects.select_related("asset", "category")

    @classmethod
    def _of(cls, row: Any) -> Self:
        return cls(
            uid=row.uid,
            category_uid=row.category.uid,
            asset_uid=row.asset.uid,
            valid_from=row.valid_from,
            valid_to=row.valid_to,
        )

    @classmethod
    def _delete(cls, row: Any) -> None:
        categories.remove_members(row.category, [row.asset])


class AssetCategory(Row):
    __model__ = AssetCategoryModel
    __required_tables__ = ("AssetCategory", "AssetCategoryMembership")

    id: int
    unique_identifier: str
    display_name: str
    description: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def upsert(
        cls,
        *,
        unique_identifier: str,
        display_name: Any = UNSET,
        description: Any = UNSET,
        metadata_json: Any = UNSET,
    ) -> Self:
        """The category with this identifier, made or changed; omitted keeps, None clears."""
        cls._rows()
        saved = categories.upsert_category(
            unique_identifier=unique_identifier,
            display_name=display_name,
            description=description,
            metadata_json=metadata_json,
        )
        return cls._of(saved.row)

    @classmethod
    def _bulk_upsert(cls, rows: Any, *, on_error: OnError) -> BulkOutcome:
        return categories.bulk_upsert_categories(rows, on_error=on_error)

    @classmethod
    def get_or_create(cls, *, display_name: str, unique_identifier: str, description: str | None = None) -> Self:
        """The category as it is stored, else a new one with these names."""
        cls._rows()
        found = categories.get_or_create_category(
            unique_identifier=unique_identifier, display_name=display_name, description=description
        )
        return cls._of(found.row)

    @classmethod
    def replace_memberships(
        cls, *, category_uid: uuid.UUID | str, asset_uids: Iterable[uuid.UUID | str]
    ) -> list[AssetCategoryMembership]:
        """Let the category hold exactly these assets from now on; all or nothing. Returns its memberships of now."""
        category = cls._stored(category_uid)
        with transaction.atomic():
            categories.replace_members(category, list(asset_uids))
            return [AssetCategoryMembership._of(row) for row in category.memberships.at().select_related("asset")]

    def get_assets(self, as_of: dt.datetime | dt.date | str | None = None) -> list[Asset]:
        """The assets that belong to the category, by identifier; all of them.

        Now, or at the instant `as_of`; a date is the end of its day in UTC.
        """
        return [Asset._of(row) for row in categories.members_of(self._stored(self.uid), as_of=as_of)]

    def get_memberships(self) -> list[AssetCategoryMembership]:
        """Every spell of every asset that belongs, belonged or will belong, by asset and time."""
        rows = self._stored(self.uid).memberships.select_related("asset", "category")
        return [AssetCategoryMembership._of(row) for row in rows.order_by("asset__unique_identifier", "valid_from")]

    def register_spells(
        self,
        spells: Iterable[
            tuple["Asset | uuid.UUID | str | int", dt.datetime | dt.date | str, dt.datetime | dt.date | str | None]
        ],
    ) -> universes.SpellChange:
        """Write the past: give each named asset exactly these spells, (asset, valid_from, valid_to) each.

        A spell includes its start and excludes its end; None is open; a date is its first instant in UTC. Assets that
        are not named keep theirs. All or nothing; the same spells again change nothing.
        """
        return universes.register_spells(
            self._stored(self.uid),
            [(asset.uid if isinstance(asset, Asset) else asset, start, end) for asset, start, end in spells],
        )

    def append_assets(
        self, assets: Iterable["Asset"] | None = None, asset_ids: Iterable[int | uuid.UUID] | None = None
    ) -> None:
        """Add assets from now on; those that belong already stay. Give `assets` or `asset_ids` (ids or uids)."""
        categories.append_members(self._stored(self.uid), _one_of(assets, asset_ids))

    def remove_assets(
        self, assets: Iterable["Asset"] | None = None, asset_ids: Iterable[int | uuid.UUID] | None = None
    ) -> None:
        """Remove assets from now on; those that do not belong are ignored."""
        categories.remove_members(self._stored(self.uid), _one_of(assets, asset_ids))

    def update_assets(
        self, assets: Iterable["Asset"] | None = None, asset_ids: Iterable[int | uuid.UUID] | None = None
    ) -> None:
        """Let the category hold exactly these assets from now on."""
        categories.replace_members(self._stored(self.uid), _one_of(assets, asset_ids))


class CurrencySpot(DetailsRow):
    """A pair of currencies: an asset of type currency_spot; `uid` is the asset's."""

    __model__ = CurrencySpotModel
    __required_tables__ = ("AssetType", "Asset", "CurrencySpotAssetDetails")

    base_currency_uid: uuid.UUID
    quote_currency_uid: uuid.UUID

    @classmethod
    def create(cls, *, unique_identifier: str, base_currency_uid: Any, quote_currency_uid: Any) -> Self:
        """As `upsert`, for a pair that must be new. Raises Conflict."""
        cls._rows()
        row = currency_spots.create_currency_spot(
            unique_identifier=unique_identifier,
            base_currency_uid=base_currency_uid,
            quote_currency_uid=quote_currency_uid,
        )
        return cls._of(row)

    @classmethod
    def upsert(cls, *, unique_identifier: str, base_currency_uid: Any = UNSET, quote_currency_uid: Any = UNSET) -> Self:
        """The asset and its pair, made or changed; both currencies exist already. All or nothing."""
        cls._rows()
        saved = currency_spots.upsert_currency_spot(
            unique_identifier=unique_identifier,
            base_currency_uid=base_currency_uid,
            quote_currency_uid=quote_currency_uid,
        )
        return cls._of(saved.row)

    @classmethod
    def update(cls, uid: uuid.UUID | str, *, base_currency_uid: Any = UNSET, quote_currency_uid: Any = UNSET) -> Self:
        """Change the pair's currencies. Raises NotFound."""
        row = currency_spots.update_currency_spot(
            cls._stored(uid), base_currency_uid=base_currency_uid, quote_currency_uid=quote_currency_uid
        )
        return cls._of(row)


class Bond(DetailsRow):
    """A bond's terms: an asset of type bond; `uid` is the asset's. Without `maturity_date` it is perpetual."""

    __model__ = BondModel
    __required_tables__ = ("AssetType", "Asset", "Issuer", "BondAssetDetails")

    issuer_uid: uuid.UUID
    currency_asset_uid: uuid.UUID
    issue_date: dt.date
    maturity_date: dt.date | None
    status: str

    @classmethod
    def create(
        cls,
        *,
        unique_identifier: str,
        issuer_uid: Any,
        currency_asset_uid: Any,
        issue_date: dt.date | str,
        status: str,
        maturity_date: dt.date | str | None = None,
    ) -> Self:
        """As `upsert`, for a bond that must be new. Raises Conflict."""
        cls._rows()
        row = bonds.create_bond(
            unique_identifier=unique_identifier,
            issuer_uid=issuer_uid,
            currency_asset_uid=currency_asset_uid,
            issue_date=issue_date,
            maturity_date=maturity_date,
            status=status,
        )
        return cls._of(row)

    @classmethod
    def upsert(
        cls,
        *,
        unique_identifier: str,
        issuer_uid: Any = UNSET,
        currency_asset_uid: Any = UNSET,
        issue_date: Any = UNSET,
        maturity_date: Any = UNSET,
        status: Any = UNSET,
    ) -> Self:
        """The asset and its terms, made or changed; omitted keeps, None clears. All or nothing.

        `status` is ACTIVE, MATURED, DEFAULTED, CALLED, REDEEMED or UNKNOWN. Raises MissingReferences (a LookupError)
        naming every reference that does not exist.
        """
        cls._rows()
        saved = bonds.upsert_bond(
            unique_identifier=unique_identifier,
            issuer_uid=issuer_uid,
            currency_asset_uid=currency_asset_uid,
            issue_date=issue_date,
            maturity_date=maturity_date,
            status=status,
        )
        return cls._of(saved.row)

    @classmethod
    def update(cls, uid: uuid.UUID | str, **terms: Any) -> Self:
        """Change terms of a bond, named as in `upsert`. Raises NotFound."""
        return cls._of(bonds.update_bond(cls._stored(uid), **terms))


def _one_of(assets_given: Iterable[Asset] | None, ids: Iterable[int | uuid.UUID] | None) -> list[Any]:
    if (assets_given is None) == (ids is None):
        raise InvalidInput("Give one of assets and asset_ids.", field="assets")
    return [asset.uid for asset in assets_given] if assets_given is not None else list(ids or [])


def _normalised(value: Any) -> Any:
    if isinstance(value, list):
        return [_normalised(item) for item in value]
    return normalise_type_key(value, field="asset_type")
