"""Terms of assets, on pages of their own and in the tabs of the asset's page: the forms, and how they are saved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import ForeignKey

from markets.admin.careful_forms import LinkedDuplicates
from markets.models import Asset, Bond, CurrencySpot, Future
from markets.models.details import AssetDetails
from markets.services import bonds, currency_spots, futures
from markets.services.term_values import clean_unit
from markets.services.type_changes import DETAILS_BY_TYPE


@dataclass(frozen=True)
class Terms:
    """How one kind of terms is written; `references` are the service's names of references that are not <field>_uid."""

    create: Callable[..., Any]
    update: Callable[..., Any]
    fields: tuple[Any, ...]
    autocomplete_fields: tuple[str, ...]
    references: Mapping[str, str] = field(default_factory=dict)


TERMS: dict[type[AssetDetails], Terms] = {
    CurrencySpot: Terms(
        create=currency_spots.create_currency_spot,
        update=currency_spots.update_currency_spot,
        fields=("base_currency", "quote_currency"),
        autocomplete_fields=("base_currency", "quote_currency"),
    ),
    Bond: Terms(
        create=bonds.create_bond,
        update=bonds.update_bond,
        fields=(("issuer", "currency_asset"), ("issue_date", "maturity_date"), "status"),
        autocomplete_fields=("issuer", "currency_asset"),
    ),
    Future: Terms(
        create=futures.create_future,
        update=futures.update_future,
        fields=(
            ("underlying_index", "kind"),
            "expires_at",
            "settles_at",
            ("contract_size", "contract_unit"),
            "quote_unit",
            ("settlement_asset", "margin_asset"),
            ("settlement_model", "settlement_method"),
            "metadata",
        ),
        autocomplete_fields=("underlying_index", "settlement_asset", "margin_asset"),
        references={"settlement_asset": "settlement_asset", "margin_asset": "margin_asset"},
    ),
}


class TermsForm(LinkedDuplicates):
    """Units are written as the service stores them."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        for name in ("quote_unit", "contract_unit"):
            if self.cleaned_data.get(name):
                try:
                    self.cleaned_data[name] = clean_unit(self.cleaned_data[name], field=name)
                except ValueError as error:
                    self.add_error(name, str(error))
        return cleaned


def write_terms(model: type[AssetDetails], cleaned: Mapping[str, Any], *, asset: str, row: Any = None) -> Any:
    """Create the terms of the asset with this identifier, or change those of `row`; returns the stored row."""
    terms = TERMS[model]
    values: dict[str, Any] = {}
    names = {field.name for field in model._meta.concrete_fields} - {"asset"}
    for name in names & set(cleaned):
        if isinstance(model._meta.get_field(name), ForeignKey):
            values[terms.references.get(name, f"{name}_uid")] = cleaned[name].uid
        else:
            values[name] = cleaned[name]
    if row is None:
        return terms.create(unique_identifier=asset, **values)
    stored: Any = model._default_manager.get(pk=row.pk)
    return terms.update(stored, **values)


def kinds_shown(asset: Asset | None) -> list[type[AssetDetails]]:
    """The kinds of terms that an asset has or may get: those of its type, any of them when it has no type."""
    if asset is None:
        return list(TERMS)
    kept = [model for model in TERMS if model._base_manager.filter(pk=asset.pk).exists()]
    if kept or asset.asset_type is None:
        return kept or list(TERMS)
    wanted = DETAILS_BY_TYPE.get(asset.asset_type)
    return [wanted] if wanted else []
