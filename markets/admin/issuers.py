"""Issuers, with the bonds that they issued."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from markets.admin.counts import number_of
from markets.admin.formatting import count
from markets.admin.service_saving import ServiceAdmin
from markets.models import Bond, Issuer
from markets.services import issuers


@admin.register(Issuer)
class IssuerAdmin(ServiceAdmin):
    list_display = ("unique_identifier", "display_name", "num_bonds")
    search_fields = ("unique_identifier__startswith", "display_name__istartswith")
    search_help_text = "Beginning of identifier or name"
    fields = ("unique_identifier", "display_name", "metadata_json")
    empty_help = format_html(
        "An issuer owes what a bond promises. Add one here, then its <a class='msm-link' href='{}'>bonds</a>.",
        "../bond/",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Issuer]:
        bonds = number_of(Bond._base_manager.all(), "issuer")
        return super().get_queryset(request).annotate(number_of_bonds=bonds).order_by("unique_identifier")

    def get_readonly_fields(self, request: HttpRequest, obj: Issuer | None = None) -> tuple[str, ...]:
        return ("unique_identifier",) if obj else ()

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Issuer:
        return issuers.create_issuer(**values)

    def update_row(self, request: HttpRequest, row: Issuer, values: dict[str, Any]) -> Issuer:
        return issuers.update_issuer(row, **values)

    @display(description="bonds", ordering="number_of_bonds")
    def num_bonds(self, issuer: Issuer) -> str:
        number = issuer.number_of_bonds  # type: ignore[attr-defined]
        if not number:
            return count(number)
        url = f"{reverse('admin:markets_bond_changelist')}?issuer__id__exact={issuer.pk}"
        return format_html("<a class='msm-link' href='{}'>{}</a>", url, count(number))
