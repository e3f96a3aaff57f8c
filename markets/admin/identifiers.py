"""Identifiers of assets: the list of all of them, the page of one, its rename and its end."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminDateWidget, UnfoldAdminTextInputWidget

from markets.admin.formatting import NOTHING, link
from markets.admin.identifier_question import question_page
from markets.admin.selecting import Question, ReasonField
from markets.admin.service_saving import ServiceAdmin
from markets.engine.identifier_schemes import SCHEMES, scheme_of
from markets.exceptions import MSMError
from markets.models import AssetIdentifier
from markets.services import identifier_changes, identifiers
from markets.services.audit import because
from markets.services.identifier_search import found_identifiers, recorded_schemes

CHANGE = "markets.change_assetidentifier"
UNTIL = "The first day on which it no longer holds. Empty: it still does, as far as is known."


class SchemeInput(UnfoldAdminTextInputWidget):
    """Offers the schemes that are known, and takes a vendor's own."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"autocomplete": "off", "list": "known-schemes", **(attrs or {})})

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> Any:
        options = [format_html('<option value="{}">{}</option>', key, kind.label) for key, kind in SCHEMES.items()]
        known = format_html('<datalist id="known-schemes">{}</datalist>', format_html("{}" * len(options), *options))
        return super().render(name, value, attrs, renderer) + known


class IdentifierForm(forms.ModelForm):
    """What is stored already or overlaps is told by the service, which knows whose it is."""

    reason = ReasonField(required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "scheme" in self.fields:
            self.fields["scheme"].widget = SchemeInput()
        if "valid_to" in self.fields:
            self.fields["valid_to"].help_text = UNTIL

    def _get_validation_exclusions(self) -> set[str]:
        return {field.name for field in self._meta.model._meta.get_fields()}


class SchemeFilter(DropdownFilter):
    title = "scheme"
    parameter_name = "scheme"

    def has_output(self) -> bool:
        return True

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, scheme_of(key).label) for key in recorded_schemes()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AssetIdentifier]) -> QuerySet[AssetIdentifier]:
        return queryset.filter(scheme=self.value()) if self.value() else queryset


class RenameForm(forms.Form):
    value = forms.CharField(
        label="New value", max_length=100, widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    )
    effective = forms.DateField(
        label="From",
        widget=UnfoldAdminDateWidget(),
        help_text="The first day of the new value; the old one holds until the day before.",
    )
    source = forms.CharField(
        max_length=identifiers.LONGEST_SOURCE,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Who says so: an exchange's notice, a vendor.",
    )
    reason = ReasonField()


class CloseForm(forms.Form):
    valid_to = forms.DateField(
        label="Ends on", widget=UnfoldAdminDateWidget(), help_text="The first day on which it no longer holds."
    )
    reason = ReasonField()


@admin.register(AssetIdentifier)
class AssetIdentifierAdmin(ServiceAdmin):
    form = IdentifierForm
    list_display = ("shown_value", "named_scheme", "venue", "asset_page", "since", "until", "source")
    list_filter = (SchemeFilter,)
    list_select_related = ("asset",)
    ordering = ("scheme", "value", "venue", "pk")
    sortable_by = ()  # the only order that an index gives at a million rows
    search_fields = ("value",)
    search_help_text = "Beginning of the value"
    autocomplete_fields = ("asset",)
    change_list_template = "admin/msm/identifier_list.html"
    export_columns = (
        *(("asset_uid", "asset__uid"), ("asset_identifier", "asset__unique_identifier")),
        *((name, name) for name in ("scheme", "value", "venue", "valid_from", "valid_to", "source", "updated_at")),
    )
    empty_help = format_html(
        "Identifiers are recorded when assets are resolved through OpenFIGI, on the Identifiers tab of an asset, over "
        "<code>/api/v1/asset-identifier/</code>, or from a file of ticker histories: <code>{}</code>.",
        "manage.py load_ticker_history",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AssetIdentifier], search_term: str
    ) -> tuple[QuerySet[AssetIdentifier], bool]:
        term = search_term.replace("\x00", "").strip()
        return (found_identifiers(queryset, term)[0] if term else queryset), False

    def get_readonly_fields(self, request: HttpRequest, obj: AssetIdentifier | None = None) -> tuple[str, ...]:
        return ("asset", "scheme", "value", "venue") if obj else ()

    def get_fields(self, request: HttpRequest, obj: AssetIdentifier | None = None) -> tuple[Any, ...]:
        return ("asset", ("scheme", "value", "venue"), ("valid_from", "valid_to"), "source", "evidence", "reason")

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> AssetIdentifier:
        asset, scheme, value = (values.pop(name) for name in ("asset", "scheme", "value"))
        return identifiers.add_identifier(asset, scheme, value, must_be_new=True, **values)

    def update_row(self, request: HttpRequest, row: AssetIdentifier, values: dict[str, Any]) -> AssetIdentifier:
        return identifier_changes.update_identifier(row, **values)

    def delete_row(self, request: HttpRequest, row: AssetIdentifier) -> None:
        request.asset_of_deleted = row.asset_id  # type: ignore[attr-defined]
        identifier_changes.delete_identifier(row)

    def response_post_save_add(self, request: HttpRequest, obj: AssetIdentifier) -> HttpResponse:
        return HttpResponseRedirect(tab_of(obj.asset_id))

    def response_post_save_change(self, request: HttpRequest, obj: AssetIdentifier) -> HttpResponse:
        return HttpResponseRedirect(tab_of(obj.asset_id))

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        asset = getattr(request, "asset_of_deleted", None)
        if asset is None or not request.user.has_perm("markets.view_asset"):
            return super().response_delete(request, obj_display, obj_id)
        self.message_user(request, f"The identifier {obj_display} is deleted.", messages.SUCCESS)
        return HttpResponseRedirect(tab_of(asset))

    def get_urls(self) -> list[URLPattern]:
        site, name = self.admin_site, "markets_assetidentifier"
        return [
            path("resolve/", site.admin_view(self.resolve_view), name=f"{name}_resolve"),
            path("<int:pk>/rename/", site.admin_view(self.rename_view), name=f"{name}_rename"),
            path("<int:pk>/close/", site.admin_view(self.close_view), name=f"{name}_close"),
            *super().get_urls(),
        ]

    def resolve_view(self, request: HttpRequest) -> HttpResponse:
        """Who was it on this day?"""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return question_page(self, request)

    def rename_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._row_to_change(request, pk)
        form = RenameForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            said = form.cleaned_data
            try:
                with because(said["reason"]):
                    new = identifier_changes.change_identifier(
                        row.asset,
                        row.scheme,
                        said["value"],
                        effective=said["effective"],
                        venue=row.venue,
                        replaces=row.value,
                        source=said["source"],
                    )
            except MSMError as error:
                _show(form, error)
            else:
                self.message_user(request, f"{row.asset} is {new} from {new.valid_from} on.", messages.SUCCESS)
                return HttpResponseRedirect(tab_of(row.asset_id))
        will = f"{row.asset} goes by another {scheme_of(row.scheme).label} from a day on; {row.value} ends before it."
        return self._ask(request, row, Question(f"Rename {row}", "Rename", will=[will], form=form))

    def close_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._row_to_change(request, pk)
        form = CloseForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                with because(form.cleaned_data["reason"]):
                    identifier_changes.close_identifier(row, valid_to=form.cleaned_data["valid_to"])
            except MSMError as error:
                _show(form, error)
            else:
                said = f"{row} holds to before {form.cleaned_data['valid_to']}."
                self.message_user(request, said, messages.SUCCESS)
                return HttpResponseRedirect(tab_of(row.asset_id))
        will = f"{row.asset} no longer has it from a day on: it was delisted, or the value was given to another."
        return self._ask(request, row, Question(f"Close {row}", "Close", will=[will], form=form))

    def _row_to_change(self, request: HttpRequest, pk: int) -> AssetIdentifier:
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied
        return get_object_or_404(AssetIdentifier.objects.select_related("asset"), pk=pk)

    def _ask(self, request: HttpRequest, row: AssetIdentifier, question: Question) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": question.title,
            "question": question,
            "media": self.media + (question.form.media if question.form else forms.Media()),
            "back_url": tab_of(row.asset_id),
        }
        return TemplateResponse(request, "admin/msm/question.html", context)

    @display(description="value")
    def shown_value(self, row: AssetIdentifier) -> str:
        return row.value

    @display(description="scheme")
    def named_scheme(self, row: AssetIdentifier) -> str:
        return scheme_of(row.scheme).label

    @display(description="asset")
    def asset_page(self, row: AssetIdentifier) -> str:
        return format_html('<span class="msm-clip">{}</span>', link(tab_of(row.asset_id), row.asset))

    @display(description="from")
    def since(self, row: AssetIdentifier) -> str:
        return str(row.valid_from or NOTHING)

    @display(description="to before")
    def until(self, row: AssetIdentifier) -> str:
        return str(row.valid_to or NOTHING)


def tab_of(asset_id: int) -> str:
    """The Identifiers tab of the asset's page."""
    return reverse("admin:asset_identifiers", args=(asset_id,))


def _show(form: forms.Form, error: MSMError) -> None:
    name = getattr(error, "field", None)
    form.add_error(name if name in form.fields else None, str(error))
