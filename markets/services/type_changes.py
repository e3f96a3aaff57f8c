"""When an asset's type may not change: while it has terms of its type, or serves others as their currency."""

from markets.constants import ASSET_TYPE_BOND, ASSET_TYPE_CURRENCY_SPOT, ASSET_TYPE_FUTURE
from markets.exceptions import Conflict
from markets.models import Asset, Bond, CurrencySpot, Future
from markets.models.details import CURRENCY_TYPES, AssetDetails

DETAILS_BY_TYPE: dict[str, type[AssetDetails]] = {
    ASSET_TYPE_CURRENCY_SPOT: CurrencySpot,
    ASSET_TYPE_BOND: Bond,
    ASSET_TYPE_FUTURE: Future,
}


def refuse_type_change(asset: Asset, asset_type: str | None) -> None:
    """Raise Conflict when the asset cannot become this type."""
    for owner, model in DETAILS_BY_TYPE.items():
        if owner != asset_type and model.objects.filter(pk=asset.pk).exists():
            name = model._meta.verbose_name
            raise Conflict(
                f"{asset} has the terms of a {name}, so its type cannot become {asset_type or 'empty'}. Delete its "
                f"{name} row first."
            )
    if asset.asset_type in CURRENCY_TYPES and asset_type not in CURRENCY_TYPES:
        pairs = CurrencySpot.objects.filter(base_currency=asset) | CurrencySpot.objects.filter(quote_currency=asset)
        for model, users in ((CurrencySpot, pairs), (Bond, Bond.objects.filter(currency_asset=asset))):
            user = users.first()
            if user is not None:
                raise Conflict(
                    f"{asset} is the currency of the {model._meta.verbose_name} {user}, so it stays one of "
                    f"{', '.join(CURRENCY_TYPES)}. Give {user} another currency first."
                )
