"""Asset categories, their members of now, and who belonged when."""

import datetime as dt
import re
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from markets.admin.base import command
from markets.admin.careful_forms import LinkedDuplicates
from markets.admin.counts import number_of
from markets.admin.formatting import NOTHING, count, counted, link, utc
from markets.admin.selecting import ReasonField, need_reason
from markets.admin.service_saving import ServiceAdmin
from markets.admin.strict_input import StrictForeignKeys
from markets.admin.tables import Column, Pages, Table
from markets.exceptions import InvalidInput, UnknownIdentifiers
from markets.models import AssetCategory, AssetCategoryMembership, holds_at
from markets.services import categories
from markets.services.values import clean_as_of


class CategoryForm(LinkedDuplicates):
    """The category, and a place to paste many members at once; they belong from now on."""

    add_assets = forms.CharField(
        label="Add assets",
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Identifiers, separated by spaces, commas or lines. An unknown one is named, and nothing is saved.",
    )

    reason = ReasonField(required=False, help_text="It is kept in the history. Needed when members leave.")

    def clean_add_assets(self) -> list[str]:
        identifiers = [item for item in re.split(r"[\s,;]+", self.cleaned_data["add_assets"]) if item]
        try:
            categories.resolve_assets(identifiers)
        except UnknownIdentifiers as error:
            raise forms.ValidationError(str(error)) from error
        return identifiers


class MembershipInline(StrictForeignKeys, TabularInline):
    """The members of now. Adding and removing here acts from now on; the history is kept."""

    model = AssetCategoryMembership
    extra = 0
    per_page = 25
    fields = ("asset", "ticker", "since")
    readonly_fields = ("ticker", "since")
    autocomplete_fields = ("asset",)
    verbose_name = "member"
    verbose_name_plural = "members"

    def get_queryset(self, request: HttpRequest) -> QuerySet[AssetCategoryMembership]:
        rows = super().get_queryset(request).filter(holds_at())
        return rows.select_related("asset__openfigi_details", "category").order_by("asset__unique_identifier")

    @display(description="ticker")
    def ticker(self, membership: AssetCategoryMembership) -> str:
        details = getattr(membership.asset, "openfigi_details", None) if membership.asset_id else None
        return (details and details.ticker) or ""

    @display(description="since (UTC)")
    def since(self, membership: AssetCategoryMembership) -> str:
        return utc(membership.valid_from, zone=False) if membership.asset_id else ""


@admin.register(AssetCategory)
class AssetCategoryAdmin(ServiceAdmin):
    form = CategoryForm
    list_display = ("display_name", "unique_identifier", "num_members", "description_start")
    search_fields = ("unique_identifier__startswith", "display_name__istartswith")
    search_help_text = "Beginning of name or identifier"
    delete_note = "Its memberships go along, those of the past too: what the universe was on a date is lost."
    inlines = (MembershipInline,)
    change_form_outer_after_template = "admin/msm/category_history.html"
    empty_help = format_html(
        "A category is a named universe of assets, which filters, nodes and portfolios use. Add one here, or load the "
        "demo's: {}",
        command("make demo"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AssetCategory]:
        members = number_of(AssetCategoryMembership.objects.at(), "category")
        return super().get_queryset(request).annotate(number_of_members=members).order_by("unique_identifier")

    def get_readonly_fields(self, request: HttpRequest, obj: AssetCategory | None = None) -> tuple[str, ...]:
        return ("unique_identifier",) if obj else ()

    def get_fields(self, request: HttpRequest, obj: AssetCategory | None = None) -> tuple[str, ...]:
        fields = ("unique_identifier", "display_name", "description", "metadata_json", "add_assets")
        return (*fields, "reason") if obj else fields

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> AssetCategory:
        return categories.create_category(**values)

    def update_row(self, request: HttpRequest, row: AssetCategory, values: dict[str, Any]) -> AssetCategory:
        return categories.update_category(row, **values)

    def save_formset(
        self, request: HttpRequest, form: forms.ModelForm, formset: BaseInlineFormSet, change: bool
    ) -> None:
        members = formset.save(commit=False)
        category = form.instance
        before = [row for row, _ in formset.changed_objects]
        stored = AssetCategoryMembership.objects.filter(pk__in=[row.pk for row in before])
        gone = [*formset.deleted_objects, *stored.select_related("asset")]
        if gone:
            need_reason(f"Saving ends the membership of {counted(len(gone), 'asset')}.")
        categories.remove_members(category, [row.asset for row in gone])
        categories.append_members(category, [row.asset for row in members])

    def save_related(self, request: HttpRequest, form: forms.ModelForm, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if form.cleaned_data.get("add_assets"):
            categories.append_members(form.instance, form.cleaned_data["add_assets"])

    @display(description="members", ordering="number_of_members")
    def num_members(self, category: AssetCategory) -> str:
        return count(category.number_of_members)  # type: ignore[attr-defined]

    @display(description="description")
    def description_start(self, category: AssetCategory) -> str:
        return format_html('<span class="msm-clip">{}</span>', category.description or "")

    def page_context(self, request: HttpRequest, obj: AssetCategory) -> dict[str, Any]:
        text = request.GET.get("as_of", "")
        instant, fault = _as_of(text)
        spells = obj.memberships.select_related("asset__openfigi_details")
        context: dict[str, Any] = {"as_of": text, "as_of_fault": fault, "history": _history(request, spells)}
        if instant is not None:
            context["members_then"] = _members_then(request, spells.filter(holds_at(instant)), instant)
        return context


def _as_of(text: str) -> tuple[dt.datetime | None, str]:
    """The instant that a person asked for, or what is wrong with the text."""
    try:
        return clean_as_of(text or None), ""
    except InvalidInput as error:
        return None, str(error)


def _members_then(request: HttpRequest, spells: QuerySet[AssetCategoryMembership], instant: dt.datetime) -> Table:
    pages = Pages(request, spells, prefix="members", sorts={"asset": "asset__unique_identifier"})
    return Table(
        label=f"{counted(spells.count(), 'member')} on {instant:%Y-%m-%d}",
        columns=[Column("Asset", sort="asset"), Column("Ticker"), Column("From (UTC)"), Column("To (UTC)")],
        rows=[_spell_row(row) for row in pages.items],
        pages=pages,
        empty="Nobody belonged to this category then.",
    )


def _history(request: HttpRequest, spells: QuerySet[AssetCategoryMembership]) -> Table:
    sorts = {"asset": "asset__unique_identifier", "from": "valid_from", "to": "valid_to"}
    pages = Pages(request, spells, prefix="history", sorts=sorts, then="valid_from")
    return Table(
        label="History",
        columns=[
            Column("Asset", sort="asset"),
            Column("Ticker"),
            Column("From (UTC)", sort="from"),
            Column("To (UTC)", sort="to"),
        ],
        rows=[_spell_row(row) for row in pages.items],
        pages=pages,
        empty=format_html(
            "Nobody ever belonged to this category. Add assets above, or load dated memberships from a file: {}",
            command("manage.py register_universe"),
        ),
    )


def _spell_row(spell: AssetCategoryMembership) -> tuple[Any, ...]:
    details = getattr(spell.asset, "openfigi_details", None)
    return (
        link(reverse("admin:markets_asset_change", args=(spell.asset_id,)), spell.asset),
        (details and details.ticker) or NOTHING,
        utc(spell.valid_from, zone=False),
        utc(spell.valid_to, zone=False),
    )
