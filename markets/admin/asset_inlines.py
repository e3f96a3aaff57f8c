"""The tabs of an asset's page: what OpenFIGI says of it, and its terms; saved through the services."""

from typing import Any

from django import forms
from django.db.models import Model, QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from unfold.admin import StackedInline

from markets.admin.careful_forms import CarefulFields, LinkedDuplicates
from markets.admin.selecting import need_reason
from markets.admin.terms import TERMS, TermsForm, kinds_shown, write_terms
from markets.models import Asset, Bond, CurrencySpot, Future, OpenFigiDetails
from markets.services import assets, deletion


class DetailInline(CarefulFields, StackedInline):
    """One row at most: a form that is empty until there is one."""

    tab = True
    fk_name = "asset"
    max_num = 1
    show_change_link = True
    template_before = "admin/msm/inline_errors.html"  # the theme shows no faults of the row as a whole

    def get_formset(self, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> Any:
        is_there = obj is not None and self.model._base_manager.filter(pk=obj.pk).exists()
        self.hide_title = not is_there
        shape = {"extra": 0 if is_there else 1, "can_delete": is_there, "absolute_max": 1}
        return super().get_formset(request, obj, **shape, **kwargs)


class OpenFigiDetailsInline(DetailInline):
    model = OpenFigiDetails
    form = LinkedDuplicates
    fields = (
        ("ticker", "name"),
        ("figi", "isin"),
        ("composite", "share_class"),
        ("exchange_code", "security_market_sector"),
        ("security_type", "security_type_2"),
        "security_description",
    )


class TermsInline(DetailInline):
    form = TermsForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.model._default_manager.all()

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return TERMS[self.model].fields

    def get_autocomplete_fields(self, request: HttpRequest) -> Any:
        return TERMS[self.model].autocomplete_fields


class CurrencySpotInline(TermsInline):
    model = CurrencySpot


class BondInline(TermsInline):
    model = Bond


class FutureInline(TermsInline):
    model = Future

    class Media:
        js = ("markets/future_form.js",)


TERMS_INLINES: dict[type[Model], type[TermsInline]] = {
    inline.model: inline for inline in (CurrencySpotInline, BondInline, FutureInline)
}


def inlines_of(asset: Asset | None) -> list[type[DetailInline]]:
    return [OpenFigiDetailsInline, *(TERMS_INLINES[model] for model in kinds_shown(asset))]


def save_details(formset: BaseInlineFormSet) -> None:
    """Write the one row of a tab through its service. Raises InvalidInput when it is deleted without a reason."""
    formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []
    for form in formset.forms:
        if form in formset.deleted_forms:
            need_reason(f"Saving deletes the {formset.model._meta.verbose_name} of {formset.instance}.")
            _delete(formset.instance, form)
            formset.deleted_objects.append(form.instance)
        elif form.has_changed():
            formset.changed_objects.append((_save(formset.instance, form), form.changed_data))


def _delete(asset: Asset, form: forms.ModelForm) -> None:
    if isinstance(form.instance, OpenFigiDetails):
        assets.clear_openfigi_details(asset)
    else:
        deletion.delete(form.instance)


def _save(asset: Asset, form: forms.ModelForm) -> Any:
    if isinstance(form.instance, OpenFigiDetails):
        names = set(form.cleaned_data) & set(assets.DETAIL_LENGTHS)
        return assets.set_openfigi_details(asset, **{name: form.cleaned_data[name] for name in names})
    row = type(form.instance)._base_manager.filter(pk=asset.pk).first()
    return write_terms(type(form.instance), form.cleaned_data, asset=asset.unique_identifier, row=row)
