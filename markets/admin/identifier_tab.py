"""The Identifiers tab of an asset's page: what it goes and went by, from when to when, who says so and why."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminDateWidget, UnfoldAdminTextInputWidget

from markets.admin.asset_form_tabs import form_tab
from markets.admin.formatting import NOTHING, link, pretty_json
from markets.admin.identifiers import UNTIL, SchemeInput
from markets.admin.selecting import ReasonField
from markets.admin.tables import Column, Pages, Table
from markets.engine.identifier_schemes import scheme_of
from markets.models import Asset, AssetIdentifier
from markets.services import identifiers

VIEW, ADD = "markets.view_assetidentifier", "markets.add_assetidentifier"
STEPS = (("change", "Change"), ("rename", "Rename"), ("close", "Close"), ("delete", "Delete"))
PLAIN = {"autocomplete": "off"}
SORTS = {"scheme": "scheme", "value": "value", "from": "valid_from", "to": "valid_to"}


class AddForm(forms.Form):
    scheme = forms.CharField(
        max_length=32, widget=SchemeInput(), help_text="figi, isin, ticker, … or a vendor's own, such as my_vendor_id."
    )
    value = forms.CharField(max_length=100, widget=UnfoldAdminTextInputWidget(attrs=PLAIN))
    venue = forms.CharField(
        max_length=20,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs=PLAIN),
        help_text="Of a ticker: the market identifier code, such as XNYS.",
    )
    valid_from = forms.DateField(
        label="From",
        required=False,
        widget=UnfoldAdminDateWidget(),
        help_text="The first day. Empty: since ever, as far as is known.",
    )
    valid_to = forms.DateField(label="To before", required=False, widget=UnfoldAdminDateWidget(), help_text=UNTIL)
    source = forms.CharField(
        max_length=identifiers.LONGEST_SOURCE,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs=PLAIN),
        help_text="Who says so: openfigi, an exchange's notice, a vendor.",
    )
    reason = ReasonField()


class IdentifierTab:
    """For the page of assets, before the other bases."""

    def more_tabs(self, request: HttpRequest, obj: Any) -> list[dict[str, Any]]:
        link = reverse("admin:asset_identifiers", args=(obj.pk,))
        shown = [{"title": "Identifiers", "link": link}] if request.user.has_perm(VIEW) else []
        return [*shown, *super().more_tabs(request, obj)]  # type: ignore[misc]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.identifiers_view)  # type: ignore[attr-defined]
        return [path("<int:pk>/identifiers/", view, name="asset_identifiers"), *super().get_urls()]  # type: ignore[misc]

    def identifiers_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return form_tab(
            self,
            request,
            pk,
            title="Identifiers",
            what="an identifier",
            view=VIEW,
            add=ADD,
            form_class=AddForm,
            initial=lambda asset: {},
            save=_add,
            table=_table,
        )


def _add(asset: Asset, said: dict[str, Any]) -> str:
    added = identifiers.add_identifier(asset, said.pop("scheme"), said.pop("value"), must_be_new=True, **said)
    return f"{asset} has {added} now."


def _table(request: HttpRequest, asset: Asset) -> Table:
    pages = Pages(
        request, AssetIdentifier.objects.filter(asset=asset), prefix="identifiers", sorts=SORTS, then="valid_from"
    )
    steps = [
        (name, title)
        for name, title in STEPS
        if request.user.has_perm(f"markets.{'delete' if name == 'delete' else 'change'}_assetidentifier")
    ]
    return Table(
        label="Identifiers",
        columns=[
            Column("Scheme", sort="scheme"),
            Column("Value", sort="value"),
            Column("Venue"),
            Column("From", sort="from"),
            Column("To before", sort="to"),
            Column("Source"),
            Column("Evidence"),
            *([Column("What to do")] if steps else []),
        ],
        rows=[
            (
                scheme_of(row.scheme).label,
                format_html(
                    '<span class="msm-clip">{}</span>',
                    link(reverse("admin:markets_assetidentifier_change", args=(row.pk,)), row.value),
                ),
                row.venue or NOTHING,
                row.valid_from or NOTHING,
                row.valid_to or NOTHING,
                row.source or NOTHING,
                _evidence(row),
                *([_links(row, steps)] if steps else []),
            )
            for row in pages.items
        ],
        pages=pages,
        empty=(
            "No identifier is recorded of this asset. Add one here, send some to /api/v1/asset-identifier/, or load a "
            "file: manage.py load_ticker_history."
        ),
        footer=format_html(
            "The history of this asset tells who changed them. · {}",
            link(reverse("admin:markets_assetidentifier_resolve"), "Who was it on this day?"),
        ),
    )


def _evidence(row: AssetIdentifier) -> str | SafeString:
    if row.evidence is None:
        return NOTHING
    return format_html("<details><summary>Show</summary><pre>{}</pre></details>", pretty_json(row.evidence))


def _links(row: AssetIdentifier, steps: list[tuple[str, str]]) -> SafeString:
    each = ((link(reverse(f"admin:markets_assetidentifier_{name}", args=(row.pk,)), title),) for name, title in steps)
    return format_html_join(" · ", "{}", each)
