"""What all pages of the back-office share: bounded lists, empty pages that help, read-only pages."""

from typing import Any, ClassVar

from django.contrib.admin import ShowFacets
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from markets.admin.careful_forms import CarefulFields
from markets.admin.history import HistoryTab
from markets.admin.strict_input import StrictInput


class BoundedPaginator(Paginator):
    """Counts to `MOST_ROWS` and no further, so that a list of a million rows opens as fast as one of ten."""

    MOST_ROWS = 10_000  # nobody pages that far: beyond it, search and filters are the way

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: self.MOST_ROWS].count())


class MarketAdmin(HistoryTab, CarefulFields, StrictInput, ModelAdmin):
    """Base of the pages. `empty_help` is what an empty list says; `page_context` feeds a page's template."""

    list_per_page = 50
    list_max_show_all = 200
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # counting each filter's rows reads the whole table
    paginator = BoundedPaginator
    list_filter_submit = True
    list_fullwidth = True
    warn_unsaved_form = True
    change_list_template = "admin/msm/change_list.html"
    empty_help: ClassVar[str | SafeString] = ""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        if not changelist.query and not changelist.has_active_filters:
            changelist.full_result_count = (
                changelist.result_count
            )  # else the theme offers to "show all" of a whole list
        return changelist

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """Values for the template of the object's page."""
        return {}

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Model | None = None,
    ) -> HttpResponse:
        if obj is not None:
            context["title"] = str(obj)
            context.update(self.page_context(request, obj))
            context.update(self.tabs_of_page(request, obj, context))
        return super().render_change_form(request, context, add, change, form_url, obj)


class ReadOnlyAdmin(MarketAdmin):
    """A page to look at: rows are made by the engine, not by hand."""

    actions = None
    fields = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def command(text: str) -> SafeString:
    """A command to type, on a line of its own."""
    return format_html('<code class="msm-command">{}</code>', text)
