"""Remembered decisions: what was accepted or declined in the inbox, so that nobody is asked again."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.contrib.filters.admin import FieldTextFilter
from unfold.decorators import display

from markets.admin.formatting import NOTHING, badge, code, utc
from markets.admin.service_saving import ServiceAdmin
from markets.engine.identifier_schemes import SCHEMES
from markets.models import RememberedDecision
from markets.services.resolutions import change_remembered


@admin.register(RememberedDecision)
class RememberedDecisionAdmin(ServiceAdmin):
    list_display = ("value", "named_scheme", "said_source", "decision", "said_reason", "by", "decided_utc")
    list_select_related = ("decided_by",)
    list_filter = (("source", FieldTextFilter),)
    sortable_by = ()
    search_fields = ("value__startswith",)
    search_help_text = "Beginning of the identifier"
    fields = (("scheme", "value"), ("venue", "source"), "figi", "reason")
    readonly_fields = ("scheme", "value", "venue", "source")
    export_columns = (
        *((name, name) for name in ("uid", "scheme", "value", "venue", "source", "figi", "reason")),
        ("decided_by", "decided_by__username"),
        ("updated_at", "updated_at"),
    )
    delete_note = "The next list of the same source that has the identifier is decided anew. Assets stay as they are."
    empty_help = format_html(
        "What is accepted or declined in the <a class='msm-link' href='{}'>review inbox</a> is remembered here, for "
        "lists of the same source.",
        "../resolutionitem/",
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[RememberedDecision]:
        return super().get_queryset(request).order_by("-updated_at", "-id")

    def update_row(self, request: HttpRequest, row: RememberedDecision, values: dict[str, Any]) -> RememberedDecision:
        return change_remembered(row, user=request.user, **values)  # type: ignore[arg-type]

    @display(description="scheme")
    def named_scheme(self, row: RememberedDecision) -> str:
        scheme = SCHEMES.get(row.scheme)
        label = scheme.label if scheme else row.scheme
        return f"{label} at {row.venue}" if row.venue else label

    @display(description="source")
    def said_source(self, row: RememberedDecision) -> str:
        return row.source or NOTHING

    @display(description="decision")
    def decision(self, row: RememberedDecision) -> str:
        return code(row.figi) if row.figi else badge("none of the candidates")

    @display(description="reason")
    def said_reason(self, row: RememberedDecision) -> str:
        return format_html('<span class="msm-clip">{}</span>', row.reason or NOTHING)

    @display(description="by")
    def by(self, row: RememberedDecision) -> str:
        return str(row.decided_by or NOTHING)

    @display(description="decided (UTC)")
    def decided_utc(self, row: RememberedDecision) -> str:
        return utc(row.updated_at, zone=False)
