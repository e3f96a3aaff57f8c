"""Forms that make wrong input hard: nothing is chosen unasked, numbers have no noise, duplicates are linked."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import DecimalField, Field, JSONField, Model, TextField
from django.forms.utils import ErrorList
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from markets.admin.formatting import NOTHING, link
from markets.admin.strict_input import MetadataField, StrictForeignKeys


class ExactDecimalField(forms.DecimalField):
    """Typed and shown as text: 50, not 50.000000000000000000, and never by way of a float."""

    widget = UnfoldAdminTextInputWidget

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {"inputmode": "decimal", "autocomplete": "off"}

    def prepare_value(self, value: Any) -> Any:
        return f"{value.normalize():f}" if isinstance(value, Decimal) and value.is_finite() else value


class CarefulFields(StrictForeignKeys):
    """For pages and inlines: before the theme's class among the bases."""

    empty_value_display = NOTHING
    formfield_overrides = {
        TextField: {"widget": UnfoldAdminTextareaWidget(attrs={"rows": 3})},
        JSONField: {
            "form_class": MetadataField,
            "widget": UnfoldAdminTextareaWidget(attrs={"rows": 3}),
            "help_text": "A JSON object, or nothing.",
        },
    }

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if not db_field.has_default() and not db_field.blank:  # else the first choice would be taken unasked
            kwargs.setdefault("choices", [("", "Choose…"), *db_field.choices])
        return super().formfield_for_choice_field(db_field, request, **kwargs)  # type: ignore[misc]

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **kwargs: Any) -> forms.Field | None:
        if isinstance(db_field, DecimalField):
            return db_field.formfield(form_class=ExactDecimalField, widget=UnfoldAdminTextInputWidget())
        return super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc, no-any-return]


class LinkedDuplicates(forms.ModelForm):
    """A value that another row has already is answered with a link to that row."""

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        for name, errors in self.errors.as_data().items():
            if name in self.fields and any(error.code == "unique" for error in errors):
                value = self.cleaned_data.get(name) or self.data.get(self.add_prefix(name), "").strip()
                found = self._meta.model._default_manager.filter(**{name: value}).first()
                if found is not None:
                    said = already_there(found, self.fields[name].label)
                    self._errors[name] = ErrorList([said], renderer=self.renderer)


def already_there(row: Model, label: object) -> SafeString:
    """What to say of a value that `row` has."""
    return format_html(
        "This {} already exists: {}. Change that one, or choose another.", str(label).lower(), page_link(row)
    )


def page_link(row: Model) -> SafeString | str:
    """A link to the row's page; to its asset's when it is a detail of one and has none."""
    target = row if type(row) in admin.site._registry else getattr(row, "asset", None)
    if target is None:
        return str(row)
    options = target._meta
    return link(reverse(f"admin:{options.app_label}_{options.model_name}_change", args=(target.pk,)), target)
