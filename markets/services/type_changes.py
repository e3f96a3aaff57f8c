"""When an asset's type may not change: while it has terms of its type, or serves others as their currency."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone
from psycopg import sql

from markets.constants import ASSET_TYPE_BOND, ASSET_TYPE_CURRENCY_SPOT, ASSET_TYPE_FUTURE
from markets.exceptions import Conflict
from markets.models import Asset, Bond, CurrencySpot, Future
from markets.models.details import CURRENCY_TYPES, AssetDetails
from markets.services.asset_types import register_asset_type
from markets.services.bulk_stage import STAGE, Fault, StagedRows
from markets.services.values import normalise_type_key

DETAILS_BY_TYPE: dict[str, type[AssetDetails]] = {
    ASSET_TYPE_CURRENCY_SPOT: CurrencySpot,
    ASSET_TYPE_BOND: Bond,
    ASSET_TYPE_FUTURE: Future,
}

Stored = tuple[int, str, str | None]  # id, identifier and type of an asset


@dataclass(frozen=True)
class TypeChange:
    """What giving assets a type does: how many change, how many have it already, and why others cannot."""

    asset_type: str | None
    changed: int
    kept: int
    refused: Mapping[str, str] = field(default_factory=dict)


def refuse_type_change(asset: Asset, asset_type: str | None) -> None:
    """Raise Conflict when the asset cannot become this type."""
    for reason in _refusals([(asset.pk, asset.unique_identifier, asset.asset_type)], asset_type).values():
        raise Conflict(reason)


def plan_type_change(assets: Collection[int], *, asset_type: str | None) -> TypeChange:
    """What `change_asset_types` would do. Reads only."""
    key = normalise_type_key(asset_type, field="asset_type")
    return _plan(_stored(assets), key)[0]


@transaction.atomic
def change_asset_types(assets: Collection[int], *, asset_type: str | None) -> TypeChange:
    """Give the assets of these ids a type; None clears it. Those that cannot have it are left as they are and told.

    A type that nobody described is registered. Raises InvalidInput for a bad key.
    """
    key = register_asset_type(asset_type)
    outcome, changing = _plan(_stored(assets, lock=True), key)
    Asset.objects.filter(pk__in=changing).update(asset_type=key, updated_at=timezone.now())
    return outcome


def staged_type_changes(stage: StagedRows) -> Iterator[Fault]:
    """The same for the rows of a bulk call: those that cannot become their `asset_type`."""
    if stage.has("asset_type"):
        yield from _staged(stage, sql.SQL("s.asset_type"), stage.given("asset_type"), field="asset_type")


def staged_assets_of_type(stage: StagedRows, asset_type: str) -> Iterator[Fault]:
    """The same for the rows of a bulk call that all become one type."""
    yield from _staged(stage, sql.Literal(asset_type), sql.SQL("TRUE"), field="unique_identifier")


def _staged(stage: StagedRows, wanted: sql.Composable, given: sql.Composable, *, field: str) -> Iterator[Fault]:
    changing = sql.SQL(
        "SELECT s.position, {wanted}, e.id, e.unique_identifier, e.asset_type FROM {stage} AS s JOIN {assets} AS e "
        "ON e.unique_identifier = s.unique_identifier AND {given} AND e.asset_type IS DISTINCT FROM {wanted}"
    ).format(wanted=wanted, stage=STAGE, assets=sql.Identifier(Asset._meta.db_table), given=given)
    positions: dict[int, int] = {}
    by_type: dict[str | None, list[Stored]] = defaultdict(list)
    for position, asset_type, *stored in stage.rows(changing):
        positions[stored[0]] = position
        by_type[asset_type].append((stored[0], stored[1], stored[2]))
    for asset_type, rows in by_type.items():
        for pk, reason in _refusals(rows, asset_type).items():
            yield positions[pk], field, reason


def _stored(assets: Collection[int], *, lock: bool = False) -> list[Stored]:
    rows = Asset.objects.filter(pk__in=assets).order_by("pk")
    if lock:
        rows = rows.select_for_update()
    return list(rows.values_list("pk", "unique_identifier", "asset_type"))


def _plan(stored: Iterable[Stored], key: str | None) -> tuple[TypeChange, list[int]]:
    rows = list(stored)
    differing = [row for row in rows if row[2] != key]
    refusals = _refusals(differing, key)
    refused = {identifier: refusals[pk] for pk, identifier, _ in differing if pk in refusals}
    changing = [pk for pk, _, _ in differing if pk not in refusals]
    return TypeChange(key, changed=len(changing), kept=len(rows) - len(differing), refused=refused), changing


def _refusals(rows: Collection[Stored], asset_type: str | None) -> dict[int, str]:
    """Id → why the asset cannot become this type, of those that cannot."""
    names = {pk: identifier for pk, identifier, _ in rows}
    refusals: dict[int, str] = {}
    for owner, model in DETAILS_BY_TYPE.items():
        if owner != asset_type:
            for pk in model._base_manager.filter(pk__in=names).values_list("pk", flat=True):
                refusals.setdefault(pk, _has_terms(names[pk], str(model._meta.verbose_name), asset_type))
    currencies = {pk for pk, _, stored_type in rows if stored_type in CURRENCY_TYPES}
    if currencies and asset_type not in CURRENCY_TYPES:
        for pk, noun, user in _users(currencies):
            refusals.setdefault(pk, currency_refusal(names[pk], noun, user))
    return refusals


def _users(currencies: set[int]) -> Iterable[tuple[int, str, str]]:
    """Each asset's terms that name one of the currencies: the currency's id, the kind of the terms, whose they are."""
    columns: tuple[tuple[Any, str], ...] = (
        (CurrencySpot, "base_currency"),
        (CurrencySpot, "quote_currency"),
        (Bond, "currency_asset"),
    )
    for model, column in columns:
        naming = model._base_manager.filter(**{f"{column}__in": currencies})
        found = naming.order_by(column, "asset__unique_identifier")
        for pk, user in found.distinct(column).values_list(column, "asset__unique_identifier"):
            yield pk, str(model._meta.verbose_name), user


def _has_terms(asset: str, noun: str, asset_type: str | None) -> str:
    return (
        f"{asset} has the terms of a {noun}, so its type cannot become {asset_type or 'empty'}. Delete its {noun} row "
        "first."
    )


def currency_refusal(asset: str, noun: str, user: str) -> str:
    return (
        f"{asset} is the currency of the {noun} {user}, so it stays one of {', '.join(CURRENCY_TYPES)}. Give {user} "
        "another currency first."
    )
