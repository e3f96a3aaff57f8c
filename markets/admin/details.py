"""Assets with terms: currency spots, bonds and futures, each beside its asset."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from markets.admin.careful_forms import already_there
from markets.admin.formatting import NOTHING, link, utc
from markets.admin.service_saving import ServiceAdmin
from markets.admin.terms import TERMS, TermsForm, write_terms
from markets.models import Bond, CurrencySpot, Future


class NamedTermsForm(TermsForm):
    """Terms of an asset that is named by its identifier."""

    unique_identifier = forms.CharField(
        label="Asset",
        max_length=255,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Its identifier. An asset that exists gets these terms; else one is made.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.fields.pop("unique_identifier", None)

    def clean_unique_identifier(self) -> str:
        identifier: str = self.cleaned_data["unique_identifier"]
        found = self._meta.model._default_manager.filter(asset__unique_identifier=identifier).first()
        if found is not None:
            raise forms.ValidationError(already_there(found, found._meta.verbose_name))
        return identifier


class TermsAdmin(ServiceAdmin):
    """Its form writes the asset and its terms together; deleting keeps the asset."""

    form = NamedTermsForm
    search_fields = ("asset__unique_identifier__startswith",)
    search_help_text = "Beginning of the identifier"
    delete_note = "The asset itself stays, with its type."

    def has_add_permission(self, request: HttpRequest) -> bool:
        needed = ("markets.add_asset", "markets.change_asset")  # the asset is made, or given its type
        return super().has_add_permission(request) and request.user.has_perms(needed)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.model._default_manager.all()

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return ["asset_page" if obj else "unique_identifier", *TERMS[self.model].fields]

    def get_autocomplete_fields(self, request: HttpRequest) -> Any:
        return TERMS[self.model].autocomplete_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("asset_page",)

    def save_model(self, request: HttpRequest, obj: Model, form: forms.ModelForm, change: bool) -> None:
        named = form.cleaned_data.get("unique_identifier", "")
        saved = write_terms(self.model, form.cleaned_data, asset=named, row=obj if change else None)
        vars(obj).update(vars(saved))

    @display(description="asset", ordering="asset__unique_identifier")
    def identifier(self, row: Any) -> str:
        return row.asset.unique_identifier

    @display(description="asset")
    def asset_page(self, row: Any) -> SafeString | str:
        if row is None or row.pk is None:
            return NOTHING
        return link(reverse("admin:markets_asset_change", args=(row.pk,)), row.asset.unique_identifier)


@admin.register(CurrencySpot)
class CurrencySpotAdmin(TermsAdmin):
    list_display = ("identifier", "base_currency", "quote_currency")
    empty_help = format_html(
        "A currency spot is a pair of two assets of type <code>{}</code>, which exist already. Add one here.",
        "currency",
    )


@admin.register(Bond)
class BondAdmin(TermsAdmin):
    list_display = ("identifier", "issuer", "currency_asset", "issued", "matures", "status")
    list_filter = (("status", ChoicesDropdownFilter), ("issuer", AutocompleteSelectFilter))
    empty_help = format_html(
        "A bond needs an issuer and a currency: add those first, under <a class='msm-link' href='{}'>issuers</a> and "
        "assets.",
        "../issuer/",
    )

    @display(description="issued", ordering="issue_date")
    def issued(self, bond: Bond) -> str:
        return bond.issue_date.isoformat()

    @display(description="matures", ordering="maturity_date")
    def matures(self, bond: Bond) -> str:
        return bond.maturity_date.isoformat() if bond.maturity_date else "perpetual"


@admin.register(Future)
class FutureAdmin(TermsAdmin):
    list_display = ("identifier", "underlying_index", "kind", "expires", "num_size")
    list_filter = (("kind", ChoicesDropdownFilter), ("underlying_index", AutocompleteSelectFilter))
    empty_help = format_html(
        "A future has an <a class='msm-link' href='{}'>index</a> as its underlying: add that first.", "../index/"
    )

    class Media:
        js = ("markets/future_form.js",)

    @display(description="expires (UTC)", ordering="expires_at")
    def expires(self, future: Future) -> str:
        return utc(future.expires_at, zone=False) if future.expires_at else "never"

    @display(description="size")
    def num_size(self, future: Future) -> str:
        return f"{future.contract_size.normalize():f} {future.contract_unit}"
