"""Assets with terms: currency spots, bonds and futures, each beside its asset."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import ForeignKey, Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from markets.admin.formatting import NOTHING, link, utc
from markets.admin.service_saving import ServiceAdmin
from markets.models import Bond, CurrencySpot, Future
from markets.services import bonds, currency_spots, deletion, futures


class TermsForm(forms.ModelForm):
    """Terms of an asset that is named by its identifier."""

    unique_identifier = forms.CharField(
        label="Asset",
        max_length=255,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Its identifier. An asset that exists gets these terms; else one is made.",
    )

    def clean_unique_identifier(self) -> str:
        identifier = self.cleaned_data["unique_identifier"]
        if self.instance.pk is None and not identifier:
            raise forms.ValidationError("Name the asset.")
        return identifier


class TermsAdmin(ServiceAdmin):
    """Its form writes the asset and its terms together; deleting keeps the asset."""

    form = TermsForm
    search_fields = ("asset__unique_identifier__startswith",)
    search_help_text = "Beginning of the identifier"
    create_terms: ClassVar[Callable[..., Any]]
    update_terms: ClassVar[Callable[..., Any]]
    reference_names: ClassVar[dict[str, str]] = {}

    def has_add_permission(self, request: HttpRequest) -> bool:
        needed = ("markets.add_asset", "markets.change_asset")  # the asset is made, or given its type
        return super().has_add_permission(request) and request.user.has_perms(needed)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.model._default_manager.all()

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        fields = super().get_fields(request, obj)
        return [("asset_page" if obj else "unique_identifier"), *fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("asset_page",)

    def save_model(self, request: HttpRequest, obj: Model, form: forms.ModelForm, change: bool) -> None:
        values: dict[str, Any] = {}
        for name, value in form.cleaned_data.items():
            if name == "unique_identifier":
                if not change:
                    values[name] = value
            elif isinstance(self.model._meta.get_field(name), ForeignKey):
                values[self.reference_names.get(name, f"{name}_uid")] = value.uid
            else:
                values[name] = value
        if change:
            row = self.model._default_manager.get(pk=obj.pk)
            saved = type(self).update_terms(row, **values)
        else:
            saved = type(self).create_terms(**values)
        vars(obj).update(vars(saved))

    def delete_row(self, request: HttpRequest, row: Model) -> None:
        deletion.delete(row)

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
    fields = ("base_currency", "quote_currency")
    autocomplete_fields = ("base_currency", "quote_currency")
    create_terms = staticmethod(currency_spots.create_currency_spot)
    update_terms = staticmethod(currency_spots.update_currency_spot)
    empty_help = format_html(
        "A currency spot is a pair of two assets of type <code>{}</code>, which exist already. Add one here.",
        "currency",
    )


@admin.register(Bond)
class BondAdmin(TermsAdmin):
    list_display = ("identifier", "issuer", "currency_asset", "issued", "matures", "status")
    list_filter = (("status", ChoicesDropdownFilter), ("issuer", RelatedDropdownFilter))
    fields = ("issuer", "currency_asset", "issue_date", "maturity_date", "status")
    autocomplete_fields = ("issuer", "currency_asset")
    create_terms = staticmethod(bonds.create_bond)
    update_terms = staticmethod(bonds.update_bond)
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
    list_display = ("identifier", "underlying_index", "kind", "expires", "size")
    list_filter = (("kind", ChoicesDropdownFilter), ("underlying_index", RelatedDropdownFilter))
    fields = (
        "underlying_index",
        "kind",
        "expires_at",
        "settles_at",
        "quote_unit",
        ("contract_size", "contract_unit"),
        ("settlement_asset", "margin_asset"),
        ("settlement_model", "settlement_method"),
        "metadata",
    )
    autocomplete_fields = ("underlying_index", "settlement_asset", "margin_asset")
    create_terms = staticmethod(futures.create_future)
    update_terms = staticmethod(futures.update_future)
    reference_names = {"settlement_asset": "settlement_asset", "margin_asset": "margin_asset"}
    empty_help = format_html(
        "A future has an <a class='msm-link' href='{}'>index</a> as its underlying: add that first.", "../index/"
    )

    class Media:
        js = ("markets/future_form.js",)

    @display(description="expires (UTC)", ordering="expires_at")
    def expires(self, future: Future) -> str:
        return utc(future.expires_at, zone=False) if future.expires_at else "never"

    @display(description="size")
    def size(self, future: Future) -> str:
        return f"{future.contract_size.normalize():f} {future.contract_unit}"
