"""Waiting for OpenFIGI: assets that were registered from a file or from their FIGI alone."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from markets.admin.base import ReadOnlyAdmin
from markets.admin.formatting import NOTHING, badge, link, utc
from markets.admin.resolution_page import RESOLVE
from markets.admin.tables import Fact
from markets.exceptions import MSMError
from markets.models import PendingResolution, ResolutionStatus
from markets.services.resolutions import resolve_pending

TONES = {ResolutionStatus.PENDING: "wait", ResolutionStatus.RESOLVED: "good", ResolutionStatus.REFUSED: "bad"}


@admin.register(PendingResolution)
class PendingResolutionAdmin(ReadOnlyAdmin):
    list_display = ("value", "named_scheme", "asset_page", "state", "asked", "num_attempts", "said_source")
    list_filter = (("status", ChoicesDropdownFilter),)
    list_select_related = ("asset",)
    sortable_by = ()
    search_fields = ("value__startswith",)
    search_help_text = "Beginning of the identifier"
    change_form_template = "admin/msm/pending_resolution.html"
    change_list_template = "admin/msm/pending_resolutions.html"
    empty_help = format_html(
        "Nothing waits. An asset that is registered from a file, such as AlgoSeek's security master, or from its FIGI "
        "alone has only what was known then. It stands here until OpenFIGI is asked. All <a class='msm-link' "
        "href='{}'>assets</a>.",
        "../asset/",
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.resolve))
        return [path("resolve/", view, name="pending_resolve"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(
            request, {"may_resolve": request.user.has_perm(RESOLVE), **(extra_context or {})}
        )

    def resolve(self, request: HttpRequest) -> HttpResponse:
        """Ask OpenFIGI for all that wait, as one list; its page follows."""
        if not (self.has_view_permission(request) and request.user.has_perm(RESOLVE)):
            raise PermissionDenied
        try:
            submitted = resolve_pending(user=request.user)  # type: ignore[arg-type]
        except MSMError as error:
            self.message_user(request, str(error), messages.WARNING)
            return HttpResponseRedirect(reverse("admin:markets_pendingresolution_changelist"))
        return HttpResponseRedirect(reverse("admin:markets_resolution_change", args=(submitted.resolution.pk,)))

    @display(description="scheme")
    def named_scheme(self, row: PendingResolution) -> str:
        return row.get_scheme_display()

    @display(description="asset")
    def asset_page(self, row: PendingResolution) -> str:
        return link(reverse("admin:markets_asset_change", args=(row.asset_id,)), row.asset)

    @display(description="status")
    def state(self, row: PendingResolution) -> str:
        return badge(row.get_status_display(), TONES[ResolutionStatus(row.status)])

    @display(description="asked (UTC)")
    def asked(self, row: PendingResolution) -> str:
        return utc(row.requested_at, zone=False)

    @display(description="attempts")
    def num_attempts(self, row: PendingResolution) -> str:
        return f"{row.attempts:,}"

    @display(description="source")
    def said_source(self, row: PendingResolution) -> str:
        return format_html('<span class="msm-clip">{}</span>', row.source or NOTHING)

    def page_context(self, request: HttpRequest, obj: PendingResolution) -> dict[str, object]:
        return {
            "facts": [
                Fact("Status", self.state(obj)),
                Fact("Scheme", self.named_scheme(obj)),
                Fact("Asset", self.asset_page(obj)),
                Fact("Asked", utc(obj.requested_at)),
                Fact("Attempts", self.num_attempts(obj)),
                Fact("Source", obj.source or NOTHING),
            ]
        }
