"""Asset categories, and the spells of assets in them."""

import datetime as dt
import uuid
from collections.abc import Iterable
from typing import Any, Self, TypedDict, Unpack

from django.db import transaction

from markets.exceptions import Conflict, InvalidInput
from markets.models import AssetCategory as AssetCategoryModel
from markets.models import AssetCategoryMembership as MembershipModel
from markets.services import categories, universes
from markets.services.values import Upserted
from msm.api.asset_rows import Asset
from msm.api.payloads import Payload, Services
from msm.api.rows import Row, Uid
from msm.runtime import attached

Member = Asset | uuid.UUID | str | int
"""An asset: the row, its uid, its identifier or its id."""
Moment = dt.datetime | dt.date | str


class MembershipFields(TypedDict, total=False):
    category_uid: Uid
    asset_uid: Uid


@transaction.atomic
def _join(*, category_uid: Uid, asset_uid: Uid) -> Upserted[MembershipModel]:
    category = AssetCategory._stored(category_uid)
    change = categories.append_members(category, [asset_uid])
    row = category.memberships.at().select_related("category", "asset").get(asset__uid=asset_uid)
    return Upserted(row, created=change.added == 1)


@transaction.atomic
def _join_anew(*, category_uid: Uid, asset_uid: Uid) -> MembershipModel:
    joined = _join(category_uid=category_uid, asset_uid=asset_uid)
    if not joined.created:
        raise Conflict(f"{joined.row.asset} belongs to {joined.row.category} already.")
    return joined.row


class AssetCategoryMembership(Row):
    """One spell of an asset in a category: from `valid_from`, included, to `valid_to`, excluded; None is open."""

    __model__ = MembershipModel
    __required_tables__ = ("Asset", "AssetCategory", "AssetCategoryMembership")
    __lookups__ = {"category_uid": "category__uid", "asset_uid": "asset__uid"}
    __writable__ = MembershipFields
    __services__ = Services(
        create=_join_anew, upsert=_join, delete=lambda row: categories.remove_members(row.category, [row.asset])
    )

    category_uid: uuid.UUID
    asset_uid: uuid.UUID
    valid_from: dt.datetime
    valid_to: dt.datetime | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[MembershipFields]) -> Self:
        """Let the asset belong from now on. Raises Conflict when it does already."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[MembershipFields]) -> Self:
        """The spell of now: the one that lasts, or a new one from now on."""
        return cls._upsert(payload, fields)

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


class CategoryFields(TypedDict, total=False):
    unique_identifier: str
    display_name: str
    description: str | None
    metadata_json: dict[str, Any] | None


class AssetCategory(Row):
    """A named universe of assets. `assets` and the methods beside it ask and change what is stored now."""

    __model__ = AssetCategoryModel
    __required_tables__ = ("Asset", "AssetCategory", "AssetCategoryMembership")
    __writable__ = CategoryFields
    __services__ = Services(
        create=categories.create_category,
        upsert=categories.upsert_category,
        update=categories.update_category,
        bulk_upsert=categories.bulk_upsert_categories,
    )

    id: int
    unique_identifier: str
    display_name: str
    description: str | None
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[CategoryFields]) -> Self:
        """A new category; without an identifier one is made of its name. Raises Conflict when it is taken."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[CategoryFields]) -> Self:
        """The category with this identifier, made or changed; omitted keeps, None clears."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[CategoryFields]) -> Self:
        """Change a category; its identifier never changes. Raises NotFound."""
        return cls._update(uid, payload, fields)

    @classmethod
    def get_or_create(cls, *, display_name: str, unique_identifier: str, description: str | None = None) -> Self:
        """The category as it is stored, else a new one with these names."""
        cls._rows()
        found = categories.get_or_create_category(
            unique_identifier=unique_identifier, display_name=display_name, description=description
        )
        return cls._of(found.row)

    @classmethod
    def replace_memberships(cls, *, category_uid: Uid, asset_uids: Iterable[Uid]) -> list[AssetCategoryMembership]:
        """Let the category hold exactly these assets from now on; all or nothing. Returns its memberships of now."""
        category = cls._stored(category_uid)
        with transaction.atomic():
            categories.replace_members(category, _listed(asset_uids, "asset_uids"))
            return [AssetCategoryMembership._of(row) for row in category.memberships.at().select_related("asset")]

    @property
    def assets(self) -> list[Asset]:
        """The assets that belong to the category now, by identifier; read anew each time."""
        return self.get_assets()

    def get_assets(self, as_of: Moment | None = None) -> list[Asset]:
        """The assets that belong to the category, by identifier; all of them.

        Now, or at the instant `as_of`; a date is the end of its day in UTC.
        """
        return [Asset._of(row) for row in categories.members_of(self._stored(self.uid), as_of=as_of)]

    def get_memberships(self) -> list[AssetCategoryMembership]:
        """Every spell of every asset that belongs, belonged or will belong, by asset and time."""
        rows = self._stored(self.uid).memberships.select_related("asset", "category")
        return [AssetCategoryMembership._of(row) for row in rows.order_by("asset__unique_identifier", "valid_from")]

    def register_spells(self, spells: Iterable[tuple[Member, Moment, Moment | None]]) -> universes.SpellChange:
        """Write the past: give each named asset exactly these spells, (asset, valid_from, valid_to) each.

        A spell includes its start and excludes its end; None is open; a date is its first instant in UTC. Assets that
        are not named keep theirs. All or nothing; the same spells again change nothing.
        """
        return universes.register_spells(
            self._stored(self.uid), [(_member(asset), start, end) for asset, start, end in spells]
        )

    def append_assets(self, assets: Iterable[Member] | None = None, asset_ids: Iterable[Member] | None = None) -> None:
        """Add assets from now on; those that belong already stay.

        Give `assets` or `asset_ids`; either takes rows, uids, ids and identifiers. Raises UnknownIdentifiers, naming
        every one that there is not; then nothing was added.
        """
        categories.append_members(self._stored(self.uid), _one_of(assets, asset_ids))

    def remove_assets(self, assets: Iterable[Member] | None = None, asset_ids: Iterable[Member] | None = None) -> None:
        """Remove assets from now on, named as in `append_assets`; those that do not belong are ignored."""
        categories.remove_members(self._stored(self.uid), _one_of(assets, asset_ids))

    def update_assets(self, assets: Iterable[Member] | None = None, asset_ids: Iterable[Member] | None = None) -> None:
        """Let the category hold exactly these assets, named as in `append_assets`, from now on."""
        categories.replace_members(self._stored(self.uid), _one_of(assets, asset_ids))


def _one_of(assets: Iterable[Member] | None, asset_ids: Iterable[Member] | None) -> list[Any]:
    if (assets is None) == (asset_ids is None):
        raise InvalidInput("Give one of assets and asset_ids.", field="assets")
    return _listed(assets, "assets") if asset_ids is None else _listed(asset_ids, "asset_ids")


def _listed(members: Any, name: str) -> list[Any]:
    if isinstance(members, str | bytes | Row) or not isinstance(members, Iterable):
        raise InvalidInput(f"{name} must be a list of assets, uids or ids.", field=name)
    return [_member(item) for item in members]


def _member(item: Any) -> Any:
    return item.uid if isinstance(item, Asset) else item
