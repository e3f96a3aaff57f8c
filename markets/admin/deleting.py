"""Deletions: the page shows what would go along or is in the way, and asks for a reason."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR, csrf_protect_m
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldBooleanSwitchWidget

from markets.admin.base import MarketAdmin
from markets.admin.formatting import badge, count, counted, link
from markets.admin.selecting import (
    CONFIRM,
    Question,
    ReasonForm,
    Selection,
    ask,
    changed_meanwhile,
    said_no_row,
    tell,
    too_many,
)
from markets.admin.tables import Column, Table
from markets.exceptions import MSMError
from markets.services import deletion
from markets.services.audit import because

MOST_DELETED = 1_000  # each row is locked, looked at and deleted by itself: about half a minute
BLOCKERS_SHOWN = 5
OUTCOMES = {
    "blocks_delete": ("must go first", "bad"),
    "blocks_cascade": ("must go first", "bad"),
    "cascade_delete": ("deleted too", "wait"),
    "set_null": ("kept, without the reference", "plain"),
    "informational": ("kept", "plain"),
}


class DeletingAdmin(MarketAdmin):
    """A page whose rows are deleted by `delete_row`, after `delete_impact` was shown and a reason given."""

    delete_note: ClassVar[str] = ""
    instead_of_deleting: ClassVar[str] = "Delete or change those first, then come back."

    def delete_row(self, request: HttpRequest, row: Any) -> None:
        deletion.delete(row)

    def delete_impact(self, request: HttpRequest, rows: Sequence[Any]) -> deletion.DeleteImpact:
        """What the deletion of all the rows would take along, and what blocks it."""
        return deletion.delete_impact(*rows)

    def confirmation(self, request: HttpRequest, rows: Sequence[Any]) -> str:
        """What has to be confirmed beside the deletion itself; nothing for most rows."""
        return ""

    def instead(self, rows: Sequence[Any]) -> str:
        """What to do where the deletion is blocked."""
        return self.instead_of_deleting

    @csrf_protect_m
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if not self.has_delete_permission(request, row):
            raise PermissionDenied
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        name, key = str(row), row.pk
        selection = Selection([key], str(self.opts.verbose_name), str(self.opts.verbose_name_plural), [name], False)
        answer = self._ask_or_delete(request, selection, [row], action="")
        if answer is not None:
            answer.context_data |= {  # type: ignore[attr-defined]
                "object": row,
                "is_popup": IS_POPUP_VAR in request.POST or IS_POPUP_VAR in request.GET,
                "back_url": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=(key,)),
            }
            return answer
        return self.response_delete(request, name, key)

    @admin.action(description="Delete selected %(verbose_name_plural)s", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        selection = Selection.of(request, queryset, most=MOST_DELETED)
        if said_no_row(self, request, selection):
            return None
        if selection.count > MOST_DELETED:
            remedy = "Select fewer, or filter the list first."
            self.message_user(request, too_many(selection, MOST_DELETED, remedy=remedy), messages.ERROR)
            return None
        rows = list(self.get_queryset(request).filter(pk__in=selection.ids).order_by("pk"))
        answer = self._ask_or_delete(request, selection, rows, action="delete_selected")
        if answer is None:
            tell(self, request, f"{selection.counted} {'was' if selection.count == 1 else 'were'} deleted.")
        return answer

    def _ask_or_delete(
        self, request: HttpRequest, selection: Selection, rows: list[Any], *, action: str
    ) -> HttpResponse | None:
        """The page to answer with, or None when the rows are deleted."""
        warning = changed_meanwhile(request, len(rows)) if action else ""
        form = self._form(request, rows)
        is_confirmed = request.method == "POST" and (CONFIRM in request.POST or not action)
        if is_confirmed and not warning and form.is_valid() and not self._lacking(request, rows):
            try:
                self._delete(request, rows, form.cleaned_data["reason"])
            except MSMError as error:
                warning = str(error)
            else:
                return None
        if not is_confirmed:
            form = self._form(request, rows, bound=False)
        return ask(self, request, action, selection, self._question(request, selection, rows, form, warning))

    @transaction.atomic
    def _delete(self, request: HttpRequest, rows: list[Any], reason: str) -> None:
        self.log_deletions(request, rows)
        with because(reason):
            for row in rows:
                self.delete_row(request, row)

    def _form(self, request: HttpRequest, rows: list[Any], *, bound: bool = True) -> forms.Form:
        form = ReasonForm(request.POST if bound and request.method == "POST" else None)
        confirmation = self.confirmation(request, rows)
        if confirmation:
            form.fields["certain"] = forms.BooleanField(label=confirmation, widget=UnfoldBooleanSwitchWidget())
        return form

    def _question(
        self, request: HttpRequest, selection: Selection, rows: list[Any], form: forms.Form, warning: str
    ) -> Question:
        impact = self.delete_impact(request, rows)
        lacking = self._lacking(request, rows, impact)
        can_delete = impact.can_delete and not lacking
        what = selection.counted if len(rows) != 1 else f"the {selection.noun} {rows[0]}"
        refused = [*impact.warnings]
        if lacking:
            refused.append(f"You may not delete {', '.join(lacking)}, which would go along. Ask for the permission.")
        if impact.blocking_count:
            refused.append(
                f"{counted(impact.blocking_count, 'row')} {'is' if impact.blocking_count == 1 else 'are'} in the way."
            )
        found = [item for item in impact.relationships if item.count]
        return Question(
            title=f"Delete {what}?" if can_delete else f"{what[0].upper()}{what[1:]} cannot be deleted",
            button=("Delete" if len(rows) == 1 else f"Delete {selection.counted}") if can_delete else "",
            will=[self.delete_note] if self.delete_note and can_delete else [],
            refused=refused,
            form=form if can_delete else None,
            is_destructive=True,
            warning=warning,
            more={
                "instead": "" if impact.can_delete else self.instead(rows),
                "table": _impact_table(request, self.admin_site, rows, found),
            },
        )

    def _lacking(self, request: HttpRequest, rows: list[Any], impact: deletion.DeleteImpact | None = None) -> list[str]:
        """Kinds of rows that would go along and that the user may not delete."""
        impact = impact or self.delete_impact(request, rows)
        lacking = set()
        for item in impact.relationships:
            page = self.admin_site._registry.get(apps.get_model(item.model))
            if item.count and item.effect == "cascade_delete" and page and not page.has_delete_permission(request):
                lacking.add(item.label)
        return sorted(lacking)


def _impact_table(
    request: HttpRequest, site: admin.AdminSite, rows: list[Any], found: list[deletion.Relationship]
) -> Table:
    found = sorted(found, key=lambda item: not item.blocks_delete)
    named = [format_html_join(", ", "{}", ((some,) for some in _blockers(request, site, rows, item))) for item in found]
    which = [Column("Which")] if any(named) else []
    return Table(
        label="What points at it" if len(rows) == 1 else "What points at them",
        columns=[Column("What"), Column("Rows", numeric=True), Column("What happens"), *which],
        rows=[
            (
                f"{item.label[0].upper()}{item.label[1:]}",
                count(item.count),
                badge(*OUTCOMES[item.effect]),
                *([some] if which else []),
            )
            for item, some in zip(found, named, strict=True)
        ],
        empty="Nothing points at it." if len(rows) == 1 else "Nothing points at them.",
    )


def _blockers(
    request: HttpRequest, site: admin.AdminSite, rows: list[Any], item: deletion.Relationship
) -> Iterator[SafeString | str]:
    """The first rows that are in the way, with links to their pages where there are any."""
    model: type[Model] = apps.get_model(item.model)
    page = site._registry.get(model)
    if item.effect != "blocks_delete" or item.relationship_type != "direct" or page is None:
        return
    if not page.has_view_permission(request):
        return
    field = next(field for field in model._meta.concrete_fields if field.column == item.column)
    pointing = model._default_manager.filter(**{f"{field.name}__in": [row.pk for row in rows]})
    for row in pointing.order_by("pk")[:BLOCKERS_SHOWN]:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=(row.pk,))
        yield link(url, row)
    if item.count > BLOCKERS_SHOWN:
        yield format_html("and {} more", count(item.count - BLOCKERS_SHOWN))
