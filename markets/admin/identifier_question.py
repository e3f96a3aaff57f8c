"""Who was it on this day: an identifier and a day in, the assets that it named out, with gaps and doubts."""

from typing import Any

from django import forms
from django.contrib.admin.options import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminDateWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from markets.admin.formatting import NOTHING, badge, link
from markets.admin.tables import Column, Table
from markets.engine.identifier_schemes import SCHEMES, scheme_of
from markets.exceptions import InvalidInput
from markets.models import Asset
from markets.services.identifier_resolution import Outcome, Resolution, resolve
from markets.services.identifier_search import recorded_schemes

SAYS = {
    Outcome.FOUND: ("found", "good"),
    Outcome.PARTIAL: ("on some of the days", "wait"),
    Outcome.AMBIGUOUS: ("several at once", "wait"),
    Outcome.NOT_FOUND: ("not found", "bad"),
}
NAMES = {"as_of": "day"}  # fields of the service that the form calls otherwise


class QuestionForm(forms.Form):
    scheme = forms.ChoiceField(widget=UnfoldAdminSelectWidget())
    value = forms.CharField(max_length=100, widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}))
    venue = forms.CharField(
        max_length=20,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="Of a ticker: the market identifier code, such as XNYS. Empty: all of them.",
    )
    day = forms.DateField(widget=UnfoldAdminDateWidget(), required=False, help_text="Empty: today (UTC).")
    until = forms.DateField(
        widget=UnfoldAdminDateWidget(), required=False, help_text="Every day to this one, included. Empty: that day."
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        keys = dict.fromkeys(["ticker", *SCHEMES, *recorded_schemes()])
        self.fields["scheme"].choices = [(key, scheme_of(key).label) for key in keys]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if said.get("until") and not said.get("day") and "day" not in self.errors:
            self.add_error("day", "Say from which day on.")
        return said


def question_page(page: ModelAdmin, request: HttpRequest) -> HttpResponse:
    form = QuestionForm(request.GET if "value" in request.GET else None)
    found: Resolution | None = None
    if form.is_bound and form.is_valid():
        said = form.cleaned_data
        days = (said["day"], said["until"]) if said["until"] else said["day"]
        try:
            found = resolve(said["scheme"], said["value"], days, venue=said["venue"])
        except InvalidInput as error:
            name = NAMES.get(error.field or "", error.field)
            form.add_error(name if name in form.fields else None, str(error))
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": "Who was it on this day?",
        "form": form,
        "media": page.media + form.media,
        "found": found,
        "outcome": badge(*SAYS[found.outcome]) if found else "",
        "days": _days(found) if found else "",
        "gaps": [f"{first}" if first == last else f"{first} to {last}" for first, last in found.gaps] if found else [],
        "table": _table(found) if found else None,
    }
    return TemplateResponse(request, "admin/msm/identifier_question.html", context)


def _days(found: Resolution) -> str:
    return f"on {found.first}" if found.first == found.last else f"from {found.first} to {found.last}"


def _table(found: Resolution) -> Table:
    keys = dict(
        Asset.objects.filter(uid__in={item.asset_uid for item in found.intervals}).values_list(
            "unique_identifier", "pk"
        )
    )
    return Table(
        label="Who had it",
        columns=[Column("Asset"), Column("Venue"), Column("From"), Column("To before"), Column("Source")],
        rows=[
            (
                link(reverse("admin:asset_identifiers", args=(keys[item.asset_identifier],)), item.asset_identifier)
                if item.asset_identifier in keys
                else item.asset_identifier,
                item.venue or NOTHING,
                item.valid_from or NOTHING,
                item.valid_to or NOTHING,
                item.source or NOTHING,
            )
            for item in found.intervals
        ],
        empty=(
            f"No asset had {found.key} then, as far as is recorded. Try without the venue, or another day; or record "
            "it on the Identifiers tab of its asset."
        ),
    )
