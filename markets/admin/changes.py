"""Recent changes: every recorded change of the registry, the latest first. It is only looked at."""

import datetime as dt
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RangeDateFilter, TextFilter
from unfold.decorators import display

from markets.admin.base import ReadOnlyAdmin
from markets.admin.formatting import NOTHING, code, compact, link, utc
from markets.admin.history import differences, operation, shown_value
from markets.admin.tables import Column, Fact, Table
from markets.models import Change
from markets.services.history import Described, describe, recorded_models, viewable_tables

SOURCES = ("admin", "REST", "Python", "task", "command", "SQL")
FIELDS_IN_LIST = 4
VALUE_ON_PAGE = 100_000
VALUE_IN_LIST = 60  # characters; the change's own page shows more


class EntityFilter(DropdownFilter):
    title = "entity"
    parameter_name = "entity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        allowed = viewable_tables(request.user)
        named = ((table, str(model._meta.verbose_name)) for table, model in recorded_models().items())
        return sorted((pair for pair in named if pair[0] in allowed), key=lambda pair: pair[1].lower())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(table_name=self.value()) if self.value() else queryset


class SourceFilter(DropdownFilter):
    title = "source"
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(source, source) for source in SOURCES]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(source=self.value()) if self.value() else queryset


class ActorFilter(TextFilter):
    title = "actor"
    parameter_name = "actor"

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(actor=self.value().strip()) if self.value() else queryset


class DaysFilter(RangeDateFilter):
    """Days in UTC, both included."""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        first, last = (self._day(name) for name in ("from", "to"))
        if first is not None:
            queryset = queryset.filter(at__gte=dt.datetime.combine(first, dt.time.min, dt.UTC))
        if last is not None:
            queryset = queryset.filter(at__lte=dt.datetime.combine(last, dt.time.max, dt.UTC))
        return queryset

    def _day(self, name: str) -> dt.date | None:
        text = self.used_parameters.get(f"{self.parameter_name}_{name}")
        text = text[0] if isinstance(text, list) else text
        return dt.date.fromisoformat(text) if text else None


@admin.register(Change)
class ChangeAdmin(ReadOnlyAdmin):
    list_display = ("when", "what", "entity", "row", "fields_changed", "who", "source", "why")
    list_filter = (EntityFilter, ("operation", ChoicesDropdownFilter), SourceFilter, ActorFilter, ("at", DaysFilter))
    list_display_links = ("when",)
    sortable_by = ()
    ordering = ("-id",)
    change_form_template = "admin/msm/change.html"
    empty_help = "Whatever is written to the registry, by whichever way, is recorded and listed here."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Change]:
        allowed = viewable_tables(request.user)
        changes = super().get_queryset(request)
        return changes if len(allowed) == len(recorded_models()) else changes.filter(table_name__in=allowed)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        for described in describe(list(changelist.result_list)):
            described.change.described = described  # type: ignore[attr-defined]
        return changelist

    @display(description="when (UTC)")
    def when(self, change: Change) -> str:
        return utc(change.at, zone=False)

    @display(description="what")
    def what(self, change: Change) -> str:
        return operation(change)

    @display(description="entity")
    def entity(self, change: Any) -> str:
        return change.described.entity

    @display(description="row")
    def row(self, change: Change) -> str:
        return format_html('<span class="msm-clip">{}</span>', _row_link(change))

    @display(description="fields")
    def fields_changed(self, change: Any) -> str:
        return differences(change.described, most=FIELDS_IN_LIST, longest=VALUE_IN_LIST)

    @display(description="who")
    def who(self, change: Change) -> str:
        return change.actor or NOTHING

    @display(description="why")
    def why(self, change: Change) -> str:
        return compact(change.reason or "")

    def page_context(self, request: HttpRequest, obj: Change) -> dict[str, Any]:
        (described,) = describe([obj])
        return {
            "title": f"{described.entity}: {obj.row_name}" if obj.row_name else described.entity,
            "facts": [
                Fact("What", operation(obj)),
                Fact("When", utc(obj.at)),
                Fact("Who", obj.actor or NOTHING),
                Fact("From", obj.source),
                Fact("Why", obj.reason or NOTHING),
                Fact("Row", _row_link(obj)),
                Fact("Uid", code(obj.row_uid) if obj.row_uid else NOTHING),
                Fact("Transaction", obj.transaction_id),
            ],
            "fields_table": _fields_table(described),
        }


def _fields_table(described: Described) -> Table:
    return Table(
        label="Fields",
        columns=[Column("Field"), Column("Old"), Column("New")],
        rows=[
            (field.label, shown_value(field.old, VALUE_ON_PAGE), shown_value(field.new, VALUE_ON_PAGE))
            for field in described.fields
        ],
        empty="The record holds no field.",
    )


def _row_link(change: Change) -> str:
    """The row's name, leading to its history where it has a page."""
    model = recorded_models().get(change.table_name)
    name = compact(change.row_name) if change.row_name else NOTHING
    if model is None or change.row_key is None:
        return name
    try:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_history", args=(change.row_key,))
    except NoReverseMatch:  # it is shown on the pages of others
        return name
    return link(url, name)
