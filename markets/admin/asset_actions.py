"""What is done to many assets at once: categories and types. Each action says what it will do, asks, and tells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from unfold.widgets import UnfoldAdminTextInputWidget

from markets.admin.formatting import counted
from markets.admin.key_choices import KeyChoiceField
from markets.admin.selecting import (
    CONFIRM,
    Question,
    ReasonField,
    Selection,
    ask,
    changed_meanwhile,
    said_no_row,
    tell,
    too_many,
)
from markets.admin.service_saving import ServiceAdmin
from markets.admin.strict_input import KnownChoices
from markets.models import Asset, AssetCategory, AssetCategoryMembership, AssetType
from markets.services import categories
from markets.services.asset_search import MOST_MATCHES
from markets.services.audit import because
from markets.services.type_changes import change_asset_types, plan_type_change

MOST_ACTED = 100_000  # assets that one request changes: some seconds; larger universes come from a file


class CategoryField(forms.ModelChoiceField):
    def __init__(self, **options: Any) -> None:
        chosen = KnownChoices(AssetCategoryMembership._meta.get_field("category"), admin.site)
        super().__init__(AssetCategory.objects.all(), widget=chosen, **options)


class AddToCategoryForm(forms.Form):
    category = CategoryField(required=False, help_text="Type the beginning of its name or identifier.")
    new_category = forms.CharField(
        label="or a new one",
        required=False,
        max_length=255,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Its name. The identifier is made of it: Crypto core is crypto_core.",
    )
    reason = ReasonField(required=False)

    def __init__(self, *args: Any, may_make: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_make:
            del self.fields["new_category"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and bool(cleaned.get("category")) == bool(cleaned.get("new_category")):
            raise forms.ValidationError("Choose a category, or name a new one: one of the two.")
        return cleaned


class RemoveFromCategoryForm(forms.Form):
    category = CategoryField(help_text="They leave it from now on. Who belonged until now stays known.")
    reason = ReasonField()


class ChangeTypeForm(forms.Form):
    asset_type = KeyChoiceField(AssetType, "asset_type", label="Type", help_text="Type the beginning of its name.")
    reason = ReasonField()


@dataclass(frozen=True)
class Plan:
    """What an action would do: in words, in a number of assets, and why it leaves others alone."""

    will: str
    number: int
    refused: Sequence[str] = ()


class AssetActions(ServiceAdmin):
    """The actions of the list of assets, before those that every list has."""

    actions = ("add_to_category", "remove_from_category", "change_type", *ServiceAdmin.actions)

    def has_membership_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("markets.change_assetcategory")

    @admin.action(description="Add to category", permissions=["membership"])
    def add_to_category(self, request: HttpRequest, queryset: QuerySet[Asset]) -> HttpResponse | None:
        may_make = request.user.has_perm("markets.add_assetcategory")

        def form(data: Any) -> forms.Form:
            return AddToCategoryForm(data, may_make=may_make)

        def plan(ids: list[int], said: dict[str, Any]) -> Plan:
            category = said["category"]
            if category is None:
                return Plan(f"Make the category {said['new_category']} with {counted(len(ids), 'asset')}.", len(ids))
            members = _members_among(category, ids)
            kept = f" {members:,} {'belongs' if members == 1 else 'belong'} to it already." if members else ""
            new = len(ids) - members
            return Plan(f"Add {counted(new, 'asset')} to {category}, from now on.{kept}", new)

        def act(ids: list[int], said: dict[str, Any]) -> tuple[str, list[str]]:
            category = said["category"]
            if category is None:
                made = categories.create_category(display_name=said["new_category"], assets=ids)
                return f"Made the category {made} with {counted(len(ids), 'asset')}.", []
            change = categories.append_members(category, ids)
            return f"{category}: {counted(change.added, 'asset')} added, {len(ids) - change.added:,} kept.", []

        return self._act(request, queryset, "add_to_category", "Add to a category", form, plan, act)

    @admin.action(description="Remove from category", permissions=["membership"])
    def remove_from_category(self, request: HttpRequest, queryset: QuerySet[Asset]) -> HttpResponse | None:
        def plan(ids: list[int], said: dict[str, Any]) -> Plan:
            members = _members_among(said["category"], ids)
            others = len(ids) - members
            rest = f" {others:,} of the selected {'does' if others == 1 else 'do'} not belong to it." if others else ""
            will = f"Remove {counted(members, 'asset')} from {said['category']}, from now on.{rest}"
            announced = _announced_among(said["category"], ids)
            if announced:
                will += f" {counted(announced, 'membership')} announced for later would be withdrawn."
            return Plan(will, members + announced)

        def act(ids: list[int], said: dict[str, Any]) -> tuple[str, list[str]]:
            change = categories.remove_members(said["category"], ids)
            return f"{said['category']}: {counted(change.removed, 'asset')} removed, {change.kept:,} remain.", []

        return self._act(
            request, queryset, "remove_from_category", "Remove from a category", RemoveFromCategoryForm, plan, act
        )

    @admin.action(description="Change type", permissions=["change"])
    def change_type(self, request: HttpRequest, queryset: QuerySet[Asset]) -> HttpResponse | None:
        def plan(ids: list[int], said: dict[str, Any]) -> Plan:
            change = plan_type_change(ids, asset_type=said["asset_type"])
            kept = f" {change.kept:,} {'is' if change.kept == 1 else 'are'} of it already." if change.kept else ""
            will = f"Give {counted(change.changed, 'asset')} the type {change.asset_type}.{kept}"
            return Plan(will, change.changed, list(change.refused.values()))

        def act(ids: list[int], said: dict[str, Any]) -> tuple[str, list[str]]:
            change = change_asset_types(ids, asset_type=said["asset_type"])
            done = f"{counted(change.changed, 'asset')} changed to {change.asset_type}, {change.kept:,} kept."
            return done, list(change.refused.values())

        return self._act(request, queryset, "change_type", "Change the type", ChangeTypeForm, plan, act)

    def _act(
        self,
        request: HttpRequest,
        rows: QuerySet[Asset],
        action: str,
        title: str,
        form_of: Callable[[Any], forms.Form],
        plan: Callable[[list[int], dict[str, Any]], Plan],
        act: Callable[[list[int], dict[str, Any]], tuple[str, list[str]]],
    ) -> HttpResponse | None:
        """Ask for what is to be said, show what will be done, do it and tell."""
        selection = Selection.of(request, rows, most=MOST_ACTED)
        if said_no_row(self, request, selection):
            return None
        if selection.count > MOST_ACTED:
            remedy = "Filter the list, or load the universe from a file: manage.py register_universe."
            self.message_user(request, too_many(selection, MOST_ACTED, remedy=remedy), messages.ERROR)
            return None
        ids = list(selection.ids)
        is_filled = "reason" in request.POST
        form = form_of(request.POST if is_filled else None)
        heading = f"{title}: {selection.counted}"
        if not is_filled or not form.is_valid():
            first = Question(heading, "Continue", form=form, is_last=False, warning=_cut_short(request, selection))
            return ask(self, request, action, selection, first)
        said = form.cleaned_data
        warning = changed_meanwhile(request, selection.count)
        if CONFIRM in request.POST and not warning:
            done, refused = _with_reason(said["reason"], lambda: act(ids, said))
            tell(self, request, done, refused)
            return None
        planned = plan(ids, said)
        will = planned.will if planned.number else f"Nothing would change. {planned.will}"
        last = Question(heading, title if planned.number else "", will=[will], refused=_first(planned.refused))
        last.warning = warning or _cut_short(request, selection)
        last.more["hidden"] = [(name, request.POST[name]) for name in form.fields if name in request.POST]
        return ask(self, request, action, selection, last)


def _with_reason(reason: str, act: Callable[[], Any]) -> Any:
    if not reason:
        return act()
    with because(reason):
        return act()


def _members_among(category: AssetCategory, ids: list[int]) -> int:
    return AssetCategoryMembership.objects.filter(category=category, asset_id__in=ids).at().count()


def _announced_among(category: AssetCategory, ids: list[int]) -> int:
    rows = AssetCategoryMembership.objects.filter(category=category, asset_id__in=ids)
    return rows.filter(valid_from__gt=Now()).count()


def _first(refused: Sequence[str], shown: int = 20) -> list[str]:
    """The first refusals, headed by how many there are."""
    if not refused:
        return []
    more = [f"… and {len(refused) - shown:,} more."] if len(refused) > shown else []
    return [f"{counted(len(refused), 'asset is', 'assets are')} refused and left alone:", *refused[:shown], *more]


def _cut_short(request: HttpRequest, selection: Selection) -> str:
    """A search lists the first matches only, which a person who selects all of them should know."""
    if not selection.is_all or not request.GET.get("q") or selection.count < MOST_MATCHES:
        return ""
    return f"A search finds at most {MOST_MATCHES:,} assets by each of its ways. Use a filter to take all of more."
