"""The History tab of a row's page: who changed which field, when, from where and why; also of rows that are gone."""

import datetime as dt
from typing import Any

from django.contrib.admin.options import ModelAdmin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from markets.admin.formatting import NOTHING, badge, compact, lines, utc
from markets.admin.tables import Column, Pages, Table
from markets.models import Change, Operation
from markets.services.history import Described, FieldChange, Reference, describe, history_of, recorded_models
from markets.services.history import viewable_tables as viewable
from markets.services.values import LARGEST_ID

TONES = {Operation.INSERT: "good", Operation.UPDATE: "plain", Operation.DELETE: "bad", Operation.TRUNCATE: "bad"}


class HistoryTab(ModelAdmin):
    """For pages of rows whose changes are recorded: replaces the history of what the back-office alone did."""

    @property
    def has_history(self) -> bool:
        return self.opts.db_table in recorded_models() and self.opts.model_name != "accesstoken"

    def more_tabs(self, request: HttpRequest, obj: Model) -> list[dict[str, Any]]:
        """Tabs of pages of their own, between the row's form and its history: title and link."""
        return []

    def tabs_at(self, request: HttpRequest, obj: Model, title: str) -> dict[str, Any]:
        """Context of the page behind the tab with this title."""
        items = [
            {"title": "General", "link": self._url("change", obj.pk)},
            *self.more_tabs(request, obj),
            {"title": "History", "link": self._url("history", obj.pk)},
        ]
        return self._tabs([{**item, "link": "", "active": True} if item["title"] == title else item for item in items])

    def tabs_of_page(self, request: HttpRequest, obj: Model, context: dict[str, Any]) -> dict[str, Any]:
        """Context of the row's page: its tabs, the inlines' own among them, and the History behind them."""
        if not self.has_history or context.get("is_popup"):
            return {}
        inlines = [inline for inline in context["inline_admin_formsets"] if getattr(inline.opts, "tab", False)]
        items: list[dict[str, Any]] = [
            {"title": "General", "inline": "general"} if inlines else {"title": "General", "link": "", "active": True}
        ]
        for inline in inlines:
            faults = sum(bool(errors) for errors in inline.formset.errors)
            title = str(
                inline.opts.verbose_name if inline.formset.max_num == 1 else inline.opts.verbose_name_plural
            ).capitalize()
            items.append(
                {"title": f"{title} ({faults})" if faults else title, "inline": inline.formset.prefix, "link": ""}
            )
        more = self.more_tabs(request, obj)
        return self._tabs([*items, *more, {"title": "History", "link": self._url("history", obj.pk)}])

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_or_change_permission(request):  # before it is told whether there is such a row
            raise PermissionDenied
        if not self.has_history:
            return super().history_view(request, object_id, extra_context)
        key = unquote(object_id)
        obj = self.get_object(request, key)
        if not self.has_view_or_change_permission(request, obj):
            raise PermissionDenied
        gone = self._deletion(key) if obj is None else None
        if obj is None and gone is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        uid = obj.uid if obj is not None else gone.row_uid  # type: ignore[attr-defined, union-attr]
        pages = Pages(
            request,
            history_of(uid, tables=viewable(request.user)),
            prefix="history",
            sorts={"-time": "id", "time": "id"},
        )
        tabs = self._tabs([{"title": "History", "link": "", "active": True}])
        context = {
            **self.admin_site.each_context(request),
            **(self.tabs_at(request, obj, "History") if obj is not None else tabs),
            "title": str(obj) if obj is not None else gone.row_name,  # type: ignore[union-attr]
            "opts": self.opts,
            "original": obj,
            "gone": gone,
            "gone_at": utc(gone.at) if gone is not None else "",
            "table": Table(
                label="History",
                columns=[
                    Column("When (UTC)", sort="time"),
                    *map(Column, ("What", "Fields", "Who", "From", "Why")),
                ],
                rows=[self._cells(described, uid) for described in describe(pages.items)],
                pages=pages,
                empty="Nothing has changed since changes are recorded.",
            ),
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        return TemplateResponse(request, "admin/msm/history.html", context)

    def _deletion(self, key: str) -> Change | None:
        if not (key.isascii() and key.isdigit() and len(key) <= 19 and int(key) <= LARGEST_ID):
            return None
        deleted = Change.objects.filter(table_name=self.opts.db_table, operation=Operation.DELETE, row_key=int(key))
        return deleted.order_by("-id").first()

    def _cells(self, described: Described, uid: Any) -> tuple[Any, ...]:
        change = described.change
        what = operation(change)
        if change.table_name != self.opts.db_table or change.row_uid != uid:
            what = format_html("{} {}", what, described.entity)
            if change.row_uid != uid:
                what = format_html('{}<div class="msm-quiet">{}</div>', what, compact(change.row_name))
        return (
            utc(change.at, zone=False),
            what,
            differences(described),
            change.actor or NOTHING,
            change.source,
            change.reason or "",
        )

    def _url(self, page: str, key: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=(key,))

    def _tabs(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        shown = [{"has_permission": True, **item} for item in items]
        return {"tab_list": [{"models": [{"name": str(self.opts), "detail": True}], "items": shown}]}


def operation(change: Change) -> SafeString:
    return badge(change.get_operation_display(), TONES[Operation(change.operation)])


def differences(described: Described, *, most: int | None = None, longest: int = 240) -> SafeString:
    """Each field on a line: old → new, or its value in a row made or deleted."""
    shown: list[Any] = [_difference(described.change, field, longest) for field in described.fields[:most]]
    if len(described.fields) > len(shown):
        shown.append(f"… and {len(described.fields) - len(shown)} more")
    return format_html('<div class="msm-differences">{}</div>', lines(shown))


def _difference(change: Change, field: FieldChange, longest: int) -> SafeString:
    if change.operation == Operation.UPDATE:
        return format_html(
            '<span class="msm-quiet">{}:</span> <del class="msm-old">{}</del> → <ins class="msm-new">{}</ins>',
            field.label,
            shown_value(field.old, longest),
            shown_value(field.new, longest),
        )
    value = field.new if change.operation == Operation.INSERT else field.old
    return format_html('<span class="msm-quiet">{}:</span> {}', field.label, shown_value(value, longest))


def shown_value(value: Any, longest: int = 240) -> str:
    if isinstance(value, dt.datetime):
        return utc(value)
    return compact(value.name if isinstance(value, Reference) else value, longest)
