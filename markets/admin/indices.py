"""Index types and indices."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from markets.admin.assets import MOST_CATEGORIES, ListedFilter
from markets.admin.careful_forms import LinkedDuplicates
from markets.admin.index_values import IndexValuePages
from markets.admin.key_choices import KeyChoiceField, KeyChoicesAdmin
from markets.admin.service_saving import ServiceAdmin
from markets.exceptions import InvalidInput
from markets.models import Index, IndexType
from markets.services import index_types, indices
from markets.services.deletion import DeleteImpact
from markets.services.values import normalise_type_key


class IndexTypeForm(LinkedDuplicates):
    """Takes a key as a person writes it: Interest Rate is interest_rate."""

    def clean_index_type(self) -> str | None:
        try:
            return normalise_type_key(self.cleaned_data["index_type"], field="index_type")
        except InvalidInput as error:
            raise forms.ValidationError(str(error)) from error


@admin.register(IndexType)
class IndexTypeAdmin(KeyChoicesAdmin, ServiceAdmin):
    choice_key = "index_type"
    form = IndexTypeForm
    list_display = ("index_type", "display_name", "description")
    search_fields = ("index_type__istartswith", "display_name__istartswith")
    search_help_text = "Beginning of key or name"
    instead_of_deleting = "Give those indices another type first."
    fields = ("index_type", "display_name", "description", "metadata_json")
    empty_help = format_html("Index types name the kinds of index, such as <code>{}</code>. Add one here.", "equity")

    def get_readonly_fields(self, request: HttpRequest, obj: IndexType | None = None) -> tuple[str, ...]:
        return ("index_type",) if obj else ()

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> IndexType:
        return index_types.create_index_type(**values)

    def update_row(self, request: HttpRequest, row: IndexType, values: dict[str, Any]) -> IndexType:
        return index_types.update_index_type(row, **values)

    def delete_row(self, request: HttpRequest, row: IndexType) -> None:
        index_types.delete_index_type(row)

    def delete_impact(self, request: HttpRequest, rows: Sequence[IndexType]) -> DeleteImpact:
        return index_types.index_type_delete_impact(*rows)


class IndexTypeFilter(ListedFilter):
    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(row.index_type, str(row)) for row in IndexType.objects.all()[:MOST_CATEGORIES]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Index]) -> QuerySet[Index]:
        return queryset.filter(index_type=self.value()) if self.value() else queryset


class IndexForm(LinkedDuplicates):
    index_type = KeyChoiceField(IndexType, "index_type", label="Type", help_text="Type the beginning of its name.")


@admin.register(Index)
class IndexAdmin(IndexValuePages, ServiceAdmin):
    form = IndexForm
    list_display = ("unique_identifier", "display_name", "index_type", "provider")
    list_filter = (IndexTypeFilter, ("calculation_method", ChoicesDropdownFilter))
    search_fields = ("unique_identifier__startswith", "display_name__istartswith")
    search_help_text = "Beginning of identifier or name"
    fields = (
        ("unique_identifier", "display_name"),
        ("index_type", "provider"),
        "calculation_method",
        ("value_format", "value_suffix"),
        "description",
        "metadata_json",
    )
    empty_help = format_html(
        "An index is observed, not held: futures have one as their underlying. Add one here; it needs a{} and a name.",
        " type",
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Index | None = None) -> tuple[str, ...]:
        return ("unique_identifier",) if obj else ()

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Index:
        return indices.create_index(**values)

    def update_row(self, request: HttpRequest, row: Index, values: dict[str, Any]) -> Index:
        return indices.update_index(row, **values)
