"""Index types and indices."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Field, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.widgets import UnfoldAdminSelectWidget

from markets.admin.assets import MOST_CATEGORIES, ListedFilter
from markets.admin.index_values import IndexValuePages
from markets.admin.service_saving import ServiceAdmin
from markets.models import Index, IndexType
from markets.services import deletion, index_types, indices


@admin.register(IndexType)
class IndexTypeAdmin(ServiceAdmin):
    list_display = ("index_type", "display_name", "description")
    search_fields = ("index_type__startswith", "display_name__istartswith")
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


class IndexTypeFilter(ListedFilter):
    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(row.index_type, str(row)) for row in IndexType.objects.all()[:MOST_CATEGORIES]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Index]) -> QuerySet[Index]:
        return queryset.filter(index_type=self.value()) if self.value() else queryset


@admin.register(Index)
class IndexAdmin(IndexValuePages, ServiceAdmin):
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

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **kwargs: Any) -> forms.Field | None:
        if db_field.name != "index_type":
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        known = [(row.index_type, str(row)) for row in IndexType.objects.all()[:MOST_CATEGORIES]]
        return forms.ChoiceField(
            choices=[("", "Choose a type"), *known],
            label="Type",
            widget=UnfoldAdminSelectWidget(),
            help_text=format_html(
                'A missing one is added under <a class="msm-link" href="{}">index types</a>.',
                reverse("admin:markets_indextype_changelist"),
            ),
        )

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Index:
        return indices.create_index(**values)

    def update_row(self, request: HttpRequest, row: Index, values: dict[str, Any]) -> Index:
        return indices.update_index(row, **values)

    def delete_row(self, request: HttpRequest, row: Index) -> None:
        deletion.delete(row)
