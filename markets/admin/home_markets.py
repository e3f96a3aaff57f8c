"""Home markets: which country's composite is meant when a source gives an identifier of many listings."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from markets.admin.careful_forms import LinkedDuplicates
from markets.admin.formatting import NOTHING
from markets.admin.service_saving import ServiceAdmin
from markets.exceptions import InvalidInput
from markets.models import HomeMarketPolicy
from markets.services import home_markets


class CodesField(forms.CharField):
    """Exchange codes as people write them: US, GR."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return text
        try:
            return home_markets.clean_exchange_codes(text)
        except InvalidInput as error:
            raise forms.ValidationError("%(reason)s", code="invalid", params={"reason": str(error)}) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), self.prepare_value(data))


class HomeMarketForm(LinkedDuplicates):
    exchange_codes = CodesField(
        label="Exchange codes",
        max_length=500,
        help_text="OpenFIGI's codes of composites in the order in which they are preferred, such as US, GR, LN.",
    )


@admin.register(HomeMarketPolicy)
class HomeMarketAdmin(ServiceAdmin):
    form = HomeMarketForm
    list_display = ("source", "codes", "said_note")
    search_fields = ("source__startswith",)
    search_help_text = "Beginning of the source"
    fields = ("source", "exchange_codes", "note")
    empty_help = format_html(
        "One ISIN has up to hundreds of listings. Home markets say which country's composite a source means; those of "
        "the source {} are for all lists whose source has none. Without any, such identifiers wait in the "
        "<a class='msm-link' href='{}'>review inbox</a>.",
        "default",
        "../resolutionitem/",
    )

    def get_readonly_fields(self, request: HttpRequest, obj: HomeMarketPolicy | None = None) -> tuple[str, ...]:
        return ("source",) if obj else ()

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> HomeMarketPolicy:
        return home_markets.create_home_market(**values)

    def update_row(self, request: HttpRequest, row: HomeMarketPolicy, values: dict[str, Any]) -> HomeMarketPolicy:
        return home_markets.update_home_market(row, **values)

    @display(description="home markets")
    def codes(self, row: HomeMarketPolicy) -> str:
        return ", ".join(row.exchange_codes)

    @display(description="note")
    def said_note(self, row: HomeMarketPolicy) -> str:
        return format_html('<span class="msm-clip">{}</span>', row.note or NOTHING)
