"""Asset categories: named universes; their members are added, removed and replaced as a set, all or nothing.

These verbs act from now on: they begin and end memberships and leave the past as it was. `universes` writes the past.
"""

import datetime as dt
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, IntegerField, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from markets.exceptions import Conflict, InvalidInput, NotFound, UnknownIdentifiers
from markets.models import Asset, AssetCategory, AssetCategoryMembership
from markets.redirects import refuse_merged
from markets.services.bulk import BulkOutcome, OnError, Rows, bulk_upsert
from markets.services.bulk_stage import Entity, by_name
from markets.services.stored import insert_or_lock, locked
from markets.services.values import (
    LARGEST_ID,
    UNSET,
    Unset,
    Upserted,
    as_uid,
    check_storable,
    clean_as_of,
    clean_identifier,
    clean_object,
    clean_optional_text,
    clean_text,
    given,
)

Member = Asset | uuid.UUID | str | int


@dataclass(frozen=True)
class MembershipChange:
    """What a change of members did, in numbers of assets."""

    category: AssetCategory
    added: int
    kept: int
    removed: int


@transaction.atomic
def create_category(
    *,
    display_name: str,
    unique_identifier: str | None = None,
    description: str | None = None,
    metadata_json: dict | None = None,
    assets: Iterable[Member] | None = None,
) -> AssetCategory:
    """A new category. Without an identifier one is made of the name: crypto_core, crypto_core_2, …

    Raises Conflict when the identifier is taken, UnknownIdentifiers for unknown assets; then nothing was written.
    """
    fields = _cleaned(display_name=display_name, description=description, metadata_json=metadata_json)
    if unique_identifier is None:
        category = _insert_under_free_identifier(fields)
    else:
        saved = _insert(clean_identifier(unique_identifier), fields)
        if not saved.created:
            raise Conflict(
                f"A category {saved.row.unique_identifier!r} exists already. Change that one, or choose another "
                "identifier."
            )
        category = saved.row
    if assets is not None:
        replace_members(category, assets)
    return category


@transaction.atomic
def get_or_create_category(
    *, unique_identifier: str, display_name: str, description: str | None = None
) -> Upserted[AssetCategory]:
    """The category with this identifier as it is stored, or a new one."""
    fields = _cleaned(display_name=display_name, description=description)
    return _insert(clean_identifier(unique_identifier), fields)


@transaction.atomic
def upsert_category(
    *,
    unique_identifier: str,
    display_name: str | Unset = UNSET,
    description: str | Unset | None = UNSET,
    metadata_json: dict | Unset | None = UNSET,
) -> Upserted[AssetCategory]:
    """Create the category (named as its identifier unless told), or change the fields that are given."""
    identifier = clean_identifier(unique_identifier)
    fields = _cleaned(**given(display_name=display_name, description=description, metadata_json=metadata_json))
    saved = _insert(identifier, {"display_name": identifier, **fields})
    return saved if saved.created else Upserted(_change(saved.row, fields), created=False)


@transaction.atomic
def update_category(
    category: AssetCategory,
    *,
    display_name: str | Unset = UNSET,
    description: str | Unset | None = UNSET,
    metadata_json: dict | Unset | None = UNSET,
    assets: Iterable[Member] | Unset = UNSET,
) -> AssetCategory:
    """Change the fields that are given. `assets` replaces all members; the identifier never changes."""
    fields = _cleaned(**given(display_name=display_name, description=description, metadata_json=metadata_json))
    category = _change(locked(category), fields)
    if not isinstance(assets, Unset):
        replace_members(category, assets)
    return category


def append_members(category: AssetCategory, assets: Iterable[Member]) -> MembershipChange:
    """Let assets belong from now on; those that belong already are kept as they are."""
    return _change_members(category, assets, add=True, remove="none")


def remove_members(category: AssetCategory, assets: Iterable[Member]) -> MembershipChange:
    """End the membership of assets now; those that do not belong are left alone."""
    return _change_members(category, assets, add=False, remove="named")


def replace_members(category: AssetCategory, assets: Iterable[Member]) -> MembershipChange:
    """Make these assets, and no others, the members from now on; an empty list empties the category."""
    return _change_members(category, assets, add=True, remove="others")


@transaction.atomic
def _change_members(category: AssetCategory, assets: Iterable[Member], *, add: bool, remove: str) -> MembershipChange:
    """A spell that was announced for later begins now when its asset is added, and is withdrawn when it is removed."""
    now = lock_members(category)
    wanted = dict.fromkeys(resolve_assets(assets))
    spells = _present_and_later(category, now)
    members = {spell.asset_id for spell in spells if spell.valid_from <= now}
    announced = {spell.asset_id: spell for spell in reversed(spells) if spell.valid_from > now}
    new = [asset_id for asset_id in wanted if asset_id not in members] if add else []
    leaving = {
        "none": set(),
        "named": {spell.asset_id for spell in spells} & set(wanted),
        "others": {spell.asset_id for spell in spells} - set(wanted),
    }[remove]
    early = [announced[asset_id].pk for asset_id in new if asset_id in announced]
    withdrawn = [spell.pk for spell in spells if spell.asset_id in leaving and spell.valid_from >= now]
    ended = [spell.pk for spell in spells if spell.asset_id in leaving and spell.valid_from < now]
    rows = AssetCategoryMembership.objects.filter(category=category)
    if withdrawn:
        rows.filter(pk__in=withdrawn).delete()
    if ended:
        rows.filter(pk__in=ended).update(valid_to=now, updated_at=now)
    if early:
        rows.filter(pk__in=early).update(valid_from=now, updated_at=now)
    AssetCategoryMembership.objects.bulk_create(
        [
            AssetCategoryMembership(category=category, asset_id=asset_id, valid_from=now)
            for asset_id in new
            if asset_id not in announced
        ],
        batch_size=5_000,
    )
    if new or leaving:
        touch(category)
    gone = members & leaving
    return MembershipChange(category, added=len(new), kept=len(members) - len(gone), removed=len(gone))


def lock_members(category: AssetCategory) -> dt.datetime:
    """Lock the category for the transaction; returns the time by the database's clock.

    The time is read under the lock, so that changes of one category are stored in the order of their times, whichever
    machines make them. Raises NotFound when the category is deleted.
    """
    if AssetCategory.objects.select_for_update().filter(pk=category.pk).first() is None:
        raise NotFound(f"The category {category.unique_identifier} is deleted.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: dt.datetime = cursor.fetchone()[0]
    return now


def touch(category: AssetCategory) -> None:
    """Members changed: so does the category's ETag."""
    category.updated_at = timezone.now()
    AssetCategory.objects.filter(pk=category.pk).update(updated_at=category.updated_at)


def _present_and_later(category: AssetCategory, now: dt.datetime) -> list[AssetCategoryMembership]:
    """The spells that last beyond now, each asset's in the order of time."""
    lasting = Q(valid_to__isnull=True) | Q(valid_to__gt=now)
    rows = AssetCategoryMembership.objects.filter(lasting, category=category)
    return list(rows.order_by("asset_id", "valid_from").only("pk", "asset_id", "valid_from"))


def resolve_assets(assets: Iterable[Member]) -> list[int]:
    """The ids of assets named by row, id, uid or identifier, each once, in their order; one query.

    Raises UnknownIdentifiers listing every one that names no asset, MergedAsset for those that were merged into others,
    InvalidInput for a value of another kind.
    """
    return list(dict.fromkeys(identify_assets(assets)))


def identify_assets(assets: Iterable[Member]) -> list[int]:
    """As `resolve_assets`, with one id for each item, repeated ones too."""
    if isinstance(assets, str | bytes | Asset | uuid.UUID):
        raise InvalidInput("assets must be a list of assets, uids or identifiers.", field="assets")
    keys = [_member_key(item, position) for position, item in enumerate(assets)]
    by_kind: dict[str, list[Any]] = {"id": [], "uid": [], "unique_identifier": []}
    for kind, value in dict.fromkeys(keys):
        by_kind[kind].append(value)
    if not keys:
        return []
    condition = Q()
    for kind, values in by_kind.items():
        if values:
            condition |= Q(**{f"{kind}__in": values})
    known: dict[tuple[str, Any], int] = {}
    merged: list[int] = []
    for pk, uid, identifier, into in Asset.objects.filter(condition).values_list(
        "pk", "uid", "unique_identifier", "merged_into_id"
    ):
        known[("id", pk)] = known[("uid", uid)] = known[("unique_identifier", identifier)] = pk
        if into is not None:
            merged.append(pk)
    missing = [str(value) for kind, value in keys if (kind, value) not in known]
    if missing:
        error = UnknownIdentifiers(missing, remedy="Register them first; nothing was changed.")
        error.field = "assets"
        raise error
    if merged:
        refuse_merged(merged)
    return [known[key] for key in keys]


def _member_key(item: object, position: int) -> tuple[str, Any]:
    if isinstance(item, Asset):
        return "id", item.pk
    if isinstance(item, int) and not isinstance(item, bool):
        if not 0 < item <= LARGEST_ID:
            raise InvalidInput(f"assets[{position}] is no id of an asset.", field="assets")
        return "id", item
    uid = as_uid(item)
    if uid is not None:
        return "uid", uid
    if isinstance(item, str) and item.strip():
        check_storable(item, field="assets")
        return "unique_identifier", item
    raise InvalidInput(f"assets[{position}] is neither an asset nor a uid, an id or an identifier.", field="assets")


def slug(display_name: str) -> str:
    """An identifier made of a name: S&P 500 → s_p_500, 500 largest → t_500_largest."""
    text = re.sub(r"[^a-z0-9]+", "_", display_name.lower()).strip("_")[:240] or "asset_category"
    return f"t_{text}" if text[0].isdigit() else text


def _insert_under_free_identifier(fields: dict[str, Any]) -> AssetCategory:
    base = slug(fields["display_name"])
    taken = set(
        AssetCategory.objects.filter(unique_identifier__startswith=base).values_list("unique_identifier", flat=True)
    )
    number = 1
    while True:
        identifier = base if number == 1 else f"{base}_{number}"
        if identifier not in taken:
            saved = _insert(identifier, fields)
            if saved.created:
                return saved.row
        number += 1


def _insert(identifier: str, fields: dict[str, Any]) -> Upserted[AssetCategory]:
    return insert_or_lock(AssetCategory(unique_identifier=identifier, **fields), key="unique_identifier")


def _cleaned(**fields: Any) -> dict[str, Any]:
    cleaned = dict(fields)
    if "display_name" in fields:
        cleaned["display_name"] = " ".join(clean_text(fields["display_name"], field="display_name").split())
        clean_text(cleaned["display_name"], field="display_name", longest=255)
    if "description" in fields:
        cleaned["description"] = clean_optional_text(fields["description"], field="description")
    if "metadata_json" in fields:
        cleaned["metadata_json"] = clean_object(fields["metadata_json"], field="metadata_json")
    return cleaned


def _change(category: AssetCategory, fields: dict[str, Any]) -> AssetCategory:
    if fields:
        for name, value in fields.items():
            setattr(category, name, value)
        category.updated_at = timezone.now()
        category.save(update_fields=[*fields, "updated_at"])
    return category


def members_of(category: AssetCategory, *, as_of: dt.datetime | dt.date | str | None = None) -> Sequence[Asset]:
    """All members, in the order of their identifiers: now, or at the instant `as_of`; a date is the end of its day."""
    memberships = AssetCategoryMembership.objects.filter(category=category).at(clean_as_of(as_of))
    return list(Asset.objects.filter(pk__in=memberships.values("asset")))


def number_of_members(as_of: dt.datetime | None = None) -> Coalesce:
    """An expression over categories: how many assets belong to each, at the instant or now."""
    memberships = AssetCategoryMembership.objects.filter(category=OuterRef("pk")).at(as_of).order_by()
    numbers = memberships.values("category").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(numbers, output_field=IntegerField()), 0)


def bulk_upsert_categories(rows: Rows, *, on_error: OnError = "refuse") -> BulkOutcome:
    """Many categories at once, by `unique_identifier`; their members stay. See `markets.services.bulk`."""
    return bulk_upsert(CATEGORIES, rows, on_error=on_error)


CATEGORIES = Entity(
    noun="asset category",
    model=AssetCategory,
    key="unique_identifier",
    clean_key=clean_identifier,
    clean=by_name(_cleaned, ("display_name", "description", "metadata_json")),
    defaults={"display_name": lambda key: key},
    read_only={
        **{name: name for name in ("uid", "id", "created_at", "updated_at")},
        "number_of_assets": number_of_members(),
    },
)
