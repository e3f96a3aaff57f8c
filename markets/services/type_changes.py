"""When an asset's type may not change: while it has terms of its type, or serves others as their currency."""

from collections.abc import Iterator

from psycopg import sql

from markets.constants import ASSET_TYPE_BOND, ASSET_TYPE_CURRENCY_SPOT, ASSET_TYPE_FUTURE
from markets.exceptions import Conflict
from markets.models import Asset, Bond, CurrencySpot, Future
from markets.models.details import CURRENCY_TYPES, AssetDetails
from markets.services.bulk_stage import STAGE, Stage

DETAILS_BY_TYPE: dict[str, type[AssetDetails]] = {
    ASSET_TYPE_CURRENCY_SPOT: CurrencySpot,
    ASSET_TYPE_BOND: Bond,
    ASSET_TYPE_FUTURE: Future,
}
_CURRENCY_COLUMNS: tuple[tuple[type[AssetDetails], str], ...] = (
    (CurrencySpot, "base_currency_id"),
    (CurrencySpot, "quote_currency_id"),
    (Bond, "currency_asset_id"),
)


def refuse_type_change(asset: Asset, asset_type: str | None) -> None:
    """Raise Conflict when the asset cannot become this type."""
    for owner, model in DETAILS_BY_TYPE.items():
        if owner != asset_type and model.objects.filter(pk=asset.pk).exists():
            raise Conflict(_has_terms(str(asset), model, asset_type))
    if asset.asset_type in CURRENCY_TYPES and asset_type not in CURRENCY_TYPES:
        pairs = CurrencySpot.objects.filter(base_currency=asset) | CurrencySpot.objects.filter(quote_currency=asset)
        for model, users in ((CurrencySpot, pairs), (Bond, Bond.objects.filter(currency_asset=asset))):
            user = users.first()
            if user is not None:
                raise Conflict(_is_currency(str(asset), model, str(user)))


def staged_type_changes(stage: Stage) -> Iterator[tuple[int, str, str]]:
    """The same for the rows of a bulk call: (position, field, reason) of those that cannot become their type."""
    if not stage.has("asset_type"):
        return
    changing = sql.SQL(
        "{} AS s JOIN {} AS e ON e.unique_identifier = s.unique_identifier AND {} "
        "AND e.asset_type IS DISTINCT FROM s.asset_type"
    ).format(STAGE, _table(Asset), stage.given("asset_type"))
    bound = [
        sql.SQL(
            "SELECT s.position, e.unique_identifier, s.asset_type, NULL AS used_by, {} AS model FROM {} "
            "JOIN {} AS d ON d.asset_id = e.id WHERE s.asset_type IS DISTINCT FROM {}"
        ).format(sql.Literal(model._meta.label), changing, _table(model), sql.Literal(owner))
        for owner, model in DETAILS_BY_TYPE.items()
    ]
    currencies = sql.SQL(", ").join(map(sql.Literal, CURRENCY_TYPES))
    used = [
        sql.SQL(
            "SELECT s.position, e.unique_identifier, s.asset_type, min(u.unique_identifier), {label} FROM {changing} "
            "JOIN {table} AS d ON d.{column} = e.id JOIN {assets} AS u ON u.id = d.asset_id "
            "WHERE e.asset_type IN ({types}) AND (s.asset_type IS NULL OR s.asset_type NOT IN ({types})) "
            "GROUP BY s.position, e.unique_identifier, s.asset_type"
        ).format(
            label=sql.Literal(model._meta.label),
            changing=changing,
            table=_table(model),
            column=sql.Identifier(column),
            assets=_table(Asset),
            types=currencies,
        )
        for model, column in _CURRENCY_COLUMNS
    ]
    models = {model._meta.label: model for model in DETAILS_BY_TYPE.values()}
    found = stage.rows(sql.SQL("{} ORDER BY position").format(sql.SQL(" UNION ALL ").join([*bound, *used])))
    for position, asset, asset_type, user, label in found:
        fault = _is_currency(asset, models[label], user) if user else _has_terms(asset, models[label], asset_type)
        yield position, "asset_type", fault


def _table(model: type) -> sql.Identifier:
    return sql.Identifier(model._meta.db_table)  # type: ignore[attr-defined]


def _has_terms(asset: str, model: type[AssetDetails], asset_type: str | None) -> str:
    name = model._meta.verbose_name
    return (
        f"{asset} has the terms of a {name}, so its type cannot become {asset_type or 'empty'}. Delete its {name} row "
        "first."
    )


def _is_currency(asset: str, model: type[AssetDetails], user: str) -> str:
    return (
        f"{asset} is the currency of the {model._meta.verbose_name} {user}, so it stays one of "
        f"{', '.join(CURRENCY_TYPES)}. Give {user} another currency first."
    )
