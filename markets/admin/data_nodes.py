"""DataNodes: their configuration, what they have written, and the button that runs them."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from markets.admin import backfills, gaps
from markets.admin.base import ReadOnlyAdmin, command
from markets.admin.data_node_page import configuration_summary, page_of
from markets.admin.formatting import NOTHING, badge, count, status_badge, utc
from markets.admin.new_node import NewNodePages
from markets.admin.node_data_panel import SCRIPTS, STYLES, NodeDataPages
from markets.admin.node_scope import node_scope
from markets.admin.node_watch import watch_context, watch_urls
from markets.exceptions import MSMError
from markets.models import NodeUpdate, RunStatus, UpdateStatistic
from markets.services import node_runs
from markets.services.freshness import Freshness, freshness_of, with_latest_run

RUN_PERMISSION = "markets.run_nodeupdate"
LAST_STATUS_CHOICES = [*RunStatus.choices, ("never", "Never ran")]


class StaleFilter(DropdownFilter):
    title = "stale"
    parameter_name = "stale"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Stale"), ("no", "Not stale")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[NodeUpdate]) -> QuerySet[NodeUpdate]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(stale_from__isnull=self.value() == "no")


class LastStatusFilter(DropdownFilter):
    title = "last run"
    parameter_name = "last_run"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return LAST_STATUS_CHOICES

    def queryset(self, request: HttpRequest, queryset: QuerySet[NodeUpdate]) -> QuerySet[NodeUpdate]:
        if self.value() == "never":
            return queryset.filter(last_status__isnull=True)
        return queryset.filter(last_status=self.value()) if self.value() else queryset


@admin.register(NodeUpdate)
class NodeUpdateAdmin(NewNodePages, NodeDataPages, ReadOnlyAdmin):
    list_display = ("identifier", "class_of", "configuration", "last_run", "last_time_utc", "num_rows", "freshness")
    list_filter = (LastStatusFilter, StaleFilter)
    search_fields = ("storage__identifier__icontains", "node_class__icontains", "update_hash__startswith")
    search_help_text = "Identifier, class or update hash"
    sortable_by = ("identifier",)
    change_form_template = "admin/msm/data_node.html"
    empty_help = format_html(
        "A DataNode is a computation that fills one table. Add one from a registered class, or register it in Python: "
        "<code>node.run()</code>, <code>register_node(node)</code>; or see some with the demo: {}",
        command("make demo"),
    )

    class Media:
        css: ClassVar = {"screen": STYLES}
        js = ("markets/job_progress.js", *SCRIPTS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[NodeUpdate]:
        rows = (
            UpdateStatistic.objects.filter(storage=OuterRef("storage"))
            .order_by()
            .values("storage")
            .annotate(rows=Sum("row_count"))
            .values("rows")
        )
        return with_latest_run(super().get_queryset(request)).annotate(table_rows=Subquery(rows))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        updates = list(changelist.result_list)
        ages = freshness_of(updates, {row.pk: row.last_time for row in updates}, timezone.now())
        for row in updates:
            row.freshness = ages[row.pk]
        changelist.result_list = updates
        return changelist

    @display(description="identifier", ordering="storage__identifier")
    def identifier(self, update: NodeUpdate) -> str:
        return str(update)

    @display(description="class")
    def class_of(self, update: NodeUpdate) -> str:
        return format_html('<span title="{}">{}</span>', update.node_class, update.class_name)

    @display(description="configuration")
    def configuration(self, update: NodeUpdate) -> str:
        summary = configuration_summary(update.build_configuration)
        return format_html('<span class="msm-clip msm-quiet" title="{0}">{0}</span>', summary)

    @display(description="last run")
    def last_run(self, update: Any) -> str:
        label = RunStatus(update.last_status).label if update.last_status else "Never ran"
        return status_badge(update.last_status, label)

    @display(description="last time (UTC)")
    def last_time_utc(self, update: Any) -> str:
        return utc(update.last_time, zone=False)

    @display(description="rows in table")
    def num_rows(self, update: Any) -> str:
        return count(update.table_rows) if update.table_rows is not None else NOTHING

    @display(description="age")
    def freshness(self, update: Any) -> str:
        if update.stale_from is not None:
            return badge("stale", "bad")
        found: Freshness = update.freshness
        return badge(found.text, found.tone)

    def get_urls(self) -> list[URLPattern]:
        run = self.admin_site.admin_view(require_POST(self.run_now))
        run_url = path("<int:pk>/run/", run, name="markets_nodeupdate_run")
        return [run_url, *watch_urls(self), *backfills.urls(self), *gaps.urls(self), *super().get_urls()]

    def run_now(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask a worker to run the node: JSON for the page's script, a redirect to the page without one."""
        if not request.user.has_perm(RUN_PERMISSION):
            raise PermissionDenied
        update = get_object_or_404(NodeUpdate.objects.select_related("storage"), pk=pk)
        wants_json = "application/json" in request.headers.get("Accept", "")
        try:
            job = node_runs.request_run(
                update,
                user=request.user,  # type: ignore[arg-type]
                recompute_stale="recompute_stale" in request.POST,
            )
        except MSMError as error:
            if wants_json:
                return JsonResponse({"error": str(error)}, status=409)
            self.message_user(request, str(error), messages.ERROR)
        else:
            if wants_json:
                return JsonResponse({"progress_url": reverse("admin:job_progress", args=(job.uid,))}, status=202)
        return HttpResponseRedirect(reverse("admin:markets_nodeupdate_change", args=(pk,)))

    def page_context(self, request: HttpRequest, obj: NodeUpdate) -> dict[str, Any]:
        return {
            "title": str(obj),
            "may_run": request.user.has_perm(RUN_PERMISSION),
            "run_url": reverse("admin:markets_nodeupdate_run", args=(obj.pk,)),
            "copy_url": self.copy_url(request, obj),
            **page_of(obj, node_scope(obj), request),
            **watch_context(request, obj),
        }
