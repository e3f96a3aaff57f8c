"""Asset types and assets."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Max, OuterRef, QuerySet, Subquery
from django.forms import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import BooleanRadioFilter, DropdownFilter
from unfold.decorators import display

from markets.admin import duplicates
from markets.admin.asset_actions import AssetActions
from markets.admin.asset_inlines import inlines_of, save_details
from markets.admin.base import command
from markets.admin.careful_forms import LinkedDuplicates
from markets.admin.charts import figure_response, nothing_to_draw, requested_theme
from markets.admin.formatting import NOTHING, count, counted, link, utc
from markets.admin.identifier_tab import IdentifierTab
from markets.admin.key_choices import KeyChoiceField, KeyChoicesAdmin
from markets.admin.selecting import ReasonField
from markets.admin.service_saving import ServiceAdmin
from markets.admin.snapshots import SnapshotTab
from markets.admin.tables import Column, Table
from markets.data_nodes.reads import read_frame
from markets.exceptions import InvalidInput
from markets.figures.prices import price_figure
from markets.models import (
    Asset,
    AssetCategory,
    AssetCategoryMembership,
    AssetType,
    StorageNode,
    UpdateStatistic,
)
from markets.services import asset_types, assets
from markets.services.asset_search import matching_assets
from markets.services.deletion import DeleteImpact
from markets.services.values import listed, normalise_type_key

PRICE_COLUMNS = ("close", "adjusted_close")
PRICE_INDEX = ["time_index", "asset_identifier"]
MOST_CATEGORIES = 500  # in the filter's list, which has a search of its own
EXPORTED_DETAILS = tuple(name for name in assets.DETAIL_LENGTHS if name not in ("unique_id_fut_opt", "metadata_text"))


class AssetTypeForm(LinkedDuplicates):
    """Takes a key as a person writes it: Currency Spot is currency_spot."""

    def clean_asset_type(self) -> str | None:
        try:
            return normalise_type_key(self.cleaned_data["asset_type"], field="asset_type")
        except InvalidInput as error:
            raise forms.ValidationError(str(error)) from error


@admin.register(AssetType)
class AssetTypeAdmin(KeyChoicesAdmin, ServiceAdmin):
    choice_key = "asset_type"
    form = AssetTypeForm
    list_display = ("asset_type", "display_name", "description")
    search_fields = ("asset_type__istartswith", "display_name__istartswith")
    search_help_text = "Beginning of key or name"
    instead_of_deleting = (
        "Give those assets another type first: filter the list of assets by it, select them and change type."
    )
    fields = ("asset_type", "display_name", "description", "metadata_json")
    empty_help = format_html(
        "Asset types name the kinds of instrument, such as <code>equity</code>. Add one here, or load the demo: {}",
        command("make demo"),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: AssetType | None = None) -> tuple[str, ...]:
        return ("asset_type",) if obj else ()

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> AssetType:
        return asset_types.create_asset_type(**values)

    def update_row(self, request: HttpRequest, row: AssetType, values: dict[str, Any]) -> AssetType:
        return asset_types.update_asset_type(row, **values)

    def delete_row(self, request: HttpRequest, row: AssetType) -> None:
        asset_types.delete_asset_type(row)

    def delete_impact(self, request: HttpRequest, rows: Sequence[AssetType]) -> DeleteImpact:
        return asset_types.asset_type_delete_impact(*rows)


class ListedFilter(DropdownFilter):
    """A filter that works without a choice to offer: a link that names an unknown value finds nothing, not all."""

    def has_output(self) -> bool:
        return True


class AssetTypeFilter(ListedFilter):
    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(row.asset_type, str(row)) for row in AssetType.objects.all()[:MOST_CATEGORIES]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Asset]) -> QuerySet[Asset]:
        return queryset.filter(asset_type=self.value()) if self.value() else queryset


class CategoryFilter(ListedFilter):
    title = "category"
    parameter_name = "category"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(AssetCategory.objects.values_list("unique_identifier", "display_name")[:MOST_CATEGORIES])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Asset]) -> QuerySet[Asset]:
        if not self.value():
            return queryset
        # The planner knows how large a category is by its id only.
        category = AssetCategory.objects.filter(unique_identifier=self.value()).values_list("pk", flat=True).first()
        return queryset.filter(pk__in=AssetCategoryMembership.objects.filter(category=category).at().values("asset"))


class MergedFilter(ListedFilter):
    """The list leaves merged assets out, see `get_search_results`, unless it is asked for them alone."""

    title = "merged"
    parameter_name = "merged"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Merged into others")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Asset]) -> QuerySet[Asset]:
        return queryset


class AssetForm(LinkedDuplicates):
    asset_type = KeyChoiceField(
        AssetType, "asset_type", label="Type", required=False, help_text="Type the beginning of its name."
    )
    reason = ReasonField(required=False, help_text="It is kept in the history. Needed when something is deleted.")


@admin.register(Asset)
class AssetAdmin(IdentifierTab, SnapshotTab, AssetActions):
    form = AssetForm
    list_display = ("unique_identifier", "ticker", "name", "asset_type", "master", "last_price")
    list_filter = (AssetTypeFilter, CategoryFilter, ("is_custom_by_organization", BooleanRadioFilter), MergedFilter)
    list_select_related = ("openfigi_details",)
    sortable_by = ("unique_identifier",)  # the only order that an index gives at a million rows
    search_fields = ("unique_identifier",)
    search_help_text = "Identifier, ticker, name, FIGI, ISIN"
    export_columns = (
        *((name, name) for name in ("uid", "unique_identifier", "asset_type", "is_custom_by_organization")),
        *((name, f"openfigi_details__{name}") for name in EXPORTED_DETAILS),
        *((name, name) for name in ("created_at", "updated_at")),
    )
    change_form_outer_before_template = "admin/msm/asset_data.html"
    change_form_outer_after_template = "admin/msm/asset_categories.html"
    empty_help = format_html(
        "Assets are the instruments that prices, categories and portfolios refer to. Add one here, or load four with "
        "twenty years of real prices: {}",
        command("make demo"),
    )

    class Media:
        js = ("bokeh/bokeh.min.js", "markets/charts.js")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Asset]:
        latest = (
            UpdateStatistic.objects.filter(asset=OuterRef("pk"), storage__columns__contains=[{"column_name": "close"}])
            .order_by()
            .values("asset")
            .annotate(latest=Max("last_time_index"))
            .values("latest")
        )
        return super().get_queryset(request).annotate(last_price_time=Subquery(latest))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Asset], search_term: str
    ) -> tuple[QuerySet[Asset], bool]:
        found = matching_assets(queryset, search_term)
        wants_merged = request.GET.get(MergedFilter.parameter_name) == "yes"
        # After the search, which is faster among all assets.
        return found.filter(merged_into__isnull=not wants_merged), False

    def get_readonly_fields(self, request: HttpRequest, obj: Asset | None = None) -> tuple[str, ...]:
        return ("unique_identifier",) if obj else ()

    def get_fields(self, request: HttpRequest, obj: Asset | None = None) -> tuple[str, ...]:
        fields = ("unique_identifier", "asset_type", "is_custom_by_organization")
        return (*fields, "reason") if obj else fields

    def get_inlines(self, request: HttpRequest, obj: Asset | None) -> list[Any]:
        return inlines_of(obj)

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Asset:
        return assets.create_asset(**values)

    def update_row(self, request: HttpRequest, row: Asset, values: dict[str, Any]) -> Asset:
        return assets.update_asset(row, **values)

    def delete_row(self, request: HttpRequest, row: Asset) -> None:
        assets.delete_asset(row, force=_may_force(request))

    def delete_impact(self, request: HttpRequest, rows: Sequence[Asset]) -> DeleteImpact:
        return assets.asset_delete_impact(*rows, force=_may_force(request))

    def instead(self, rows: Sequence[Asset]) -> str:
        tables = assets.tables_with_data(rows[0]) if len(rows) == 1 else {}
        has_data = f"It has data in {listed(tables)}. " if tables else ""
        return (
            f"{has_data}Assets with data are kept: remove them from their categories instead. What else is in the way "
            "has to be deleted or changed first."
        )

    def confirmation(self, request: HttpRequest, rows: Sequence[Asset]) -> str:
        public = sum(not row.is_custom_by_organization for row in rows)
        if not public or not _may_force(request):
            return ""
        return f"{counted(public, 'asset')} of the public master: delete all the same"

    def save_formset(
        self, request: HttpRequest, form: forms.ModelForm, formset: BaseInlineFormSet, change: bool
    ) -> None:
        save_details(formset)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.price_chart)
        return [
            *duplicates.urls(self),
            path("<int:asset_id>/prices/<int:storage_id>/<str:column>/", view, name="asset_prices"),
            *super().get_urls(),
        ]

    @display(description="ticker")
    def ticker(self, asset: Asset) -> str:
        return _said(asset, "ticker") or NOTHING

    @display(description="name")
    def name(self, asset: Asset) -> str:
        return format_html('<span class="msm-clip" title="{0}">{0}</span>', _said(asset, "name") or NOTHING)

    @display(description="custom")
    def master(self, asset: Asset) -> str:
        return "custom" if asset.is_custom_by_organization else "public"

    @display(description="last price at (UTC)")
    def last_price(self, asset: Asset) -> str:
        return utc(asset.last_price_time, zone=False)  # type: ignore[attr-defined]

    def page_context(self, request: HttpRequest, obj: Asset) -> dict[str, Any]:
        statistics = list(obj.update_statistics.select_related("storage").order_by("storage__identifier", "storage_id"))
        charts = [
            {
                "url": reverse("admin:asset_prices", args=(obj.pk, row.storage_id, column)),
                "label": f"{row.storage}: {column.replace('_', ' ')}",
            }
            for row in statistics
            if row.storage.index_names == PRICE_INDEX
            for column in PRICE_COLUMNS
            if any(item["column_name"] == column for item in row.storage.columns)
        ]
        return {
            "merged_notice": duplicates.merged_notice(request, obj),
            "asset_title": " · ".join(text for text in (_said(obj, "ticker"), _said(obj, "name")) if text),
            "charts": charts,
            "data_tables": _data_tables(statistics),
            "categories": _categories(obj),
        }

    def price_chart(self, request: HttpRequest, asset_id: int, storage_id: int, column: str) -> HttpResponse:
        """The price chart of one asset, from one table's column."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        asset = get_object_or_404(Asset, pk=asset_id)
        storage = get_object_or_404(StorageNode, pk=storage_id)
        if column not in PRICE_COLUMNS or storage.index_names != PRICE_INDEX:
            return nothing_to_draw(f"{storage} has no {column} by asset and time.")
        identifier = asset.unique_identifier
        frame = read_frame(storage, dimension_filters={"asset_identifier": [identifier]}, columns=[column])
        if not frame[column].notna().any():
            return nothing_to_draw(f"{storage} has no {column.replace('_', ' ')} of {identifier}.")
        prices = pd.DataFrame({column: frame[column].to_numpy()}, index=frame.index.get_level_values("time_index"))
        return figure_response(price_figure(prices, column=column, theme=requested_theme(request)))


def _may_force(request: HttpRequest) -> bool:
    return request.user.has_perm("markets.force_delete_public_asset")


def _said(asset: Asset, field: str) -> str:
    """What OpenFIGI says, or nothing."""
    return getattr(getattr(asset, "openfigi_details", None), field, None) or ""


def _data_tables(statistics: list[UpdateStatistic]) -> Table:
    return Table(
        label="Tables with data of this asset",
        columns=[
            Column("Table"),
            Column("Identity"),
            Column("First (UTC)"),
            Column("Last (UTC)"),
            Column("Rows", numeric=True),
        ],
        rows=[
            (
                link(reverse("admin:markets_storagenode_change", args=(row.storage_id,)), row.storage),
                " / ".join(row.identity),
                utc(row.first_time_index, zone=False),
                utc(row.last_time_index, zone=False),
                count(row.row_count),
            )
            for row in statistics
        ],
        empty=format_html(
            "No DataNode has written data of this asset. Run one that covers it: "
            "<a class='msm-link' href='{}'>DataNodes</a>.",
            reverse("admin:markets_nodeupdate_changelist"),
        ),
    )


def _categories(asset: Asset) -> Table:
    spells = asset.category_memberships.select_related("category")
    rows = spells.order_by("category__display_name", "category__unique_identifier", "valid_from")[:100]
    return Table(
        label="Categories",
        columns=[Column("Category"), Column("Identifier"), Column("From (UTC)"), Column("To (UTC)")],
        rows=[
            (
                link(reverse("admin:markets_assetcategory_change", args=(row.category_id,)), row.category),
                row.category.unique_identifier,
                utc(row.valid_from, zone=False),
                utc(row.valid_to, zone=False),
            )
            for row in rows
        ],
        empty=format_html(
            "In no category. Add it on a <a class='msm-link' href='{}'>category's page</a>.",
            reverse("admin:markets_assetcategory_changelist"),
        ),
    )
