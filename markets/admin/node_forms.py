"""Pages below that of a DataNode which ask something and save it: one form, one question, one way to refuse."""

from collections.abc import Callable
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from unfold.widgets import UnfoldAdminSelectWidget

from markets.admin.selecting import Question
from markets.exceptions import InvalidInput, MSMError
from markets.models import NodeUpdate

LARGEST_KEY = 2**63 - 1


class ZoneSelect(UnfoldAdminSelectWidget):
    """A choice among six hundred: the theme's template takes 0.3 s for all, so it gets the chosen one alone."""

    def optgroups(self, name: str, value: list[str], attrs: Any = None) -> list[Any]:
        groups = super().optgroups(name, value, attrs)
        return [group for group in groups if group[1][0]["selected"]] or groups[:1]

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        keys = [key for key, _ in self.choices]
        shown = value if value in keys else keys[0]
        others = ((key, label) for key, label in self.choices if key != shown)
        options = format_html_join("", '<option value="{}">{}</option>', others)
        html = super().render(name, value, attrs, renderer)
        return mark_safe(html.replace("</select>", f"{options}</select>"))  # noqa: S308  (both parts are escaped)


def node_of(request: HttpRequest, pk: int, permission: str) -> NodeUpdate:
    """The node of the address, for whoever has the permission. Raises PermissionDenied before Http404."""
    if not request.user.has_perm("markets.view_nodeupdate") or not request.user.has_perm(permission):
        raise PermissionDenied
    return get_object_or_404(NodeUpdate.objects.select_related("storage"), pk=min(pk, LARGEST_KEY))


def page_of_node(update: NodeUpdate, panel: str) -> str:
    return f"{reverse('admin:markets_nodeupdate_change', args=(update.pk,))}#{panel}"


def zones(*, empty: str = "") -> list[tuple[str, str]]:
    """The choices of time zones; with `empty`, first the one of no zone."""
    names = sorted(available_timezones(), key=lambda name: (name != "UTC", name))
    return [*([("", empty)] if empty else []), *((name, name) for name in names)]


def ask_to_remove(
    model_admin: Any,
    request: HttpRequest,
    update: NodeUpdate,
    what: str,
    *,
    will: str,
    remove: Callable[[NodeUpdate], object],
    panel: str,
) -> HttpResponse:
    """Ask whether `what` the node has, such as its schedule, is to go; then remove it and go back to its page."""

    def save(values: dict[str, Any]) -> str:
        remove(update)
        return f"{update} has no {what} any more."

    question = Question(
        title=f"Remove the {what} of {update}",
        button=f"Remove {what.split()[-1]}",
        will=[will],
        is_last=False,
        is_destructive=True,
    )
    return ask_and_save(model_admin, request, update, question, save, panel=panel)


def ask_and_save(
    model_admin: Any,
    request: HttpRequest,
    update: NodeUpdate,
    question: Question,
    save: Callable[[dict[str, Any]], str],
    *,
    panel: str,
) -> HttpResponse:
    """Show the question; when it is answered rightly, save and go back to the node's page, saying what `save` returns.

    What `save` refuses is shown beside the field that it names.
    """
    form = question.form
    back = page_of_node(update, panel)
    warning = ""
    if request.method == "POST" and (form is None or form.is_valid()):
        try:
            done = save(form.cleaned_data if form is not None else {})
        except MSMError as error:
            field = getattr(error, "field", None) if isinstance(error, InvalidInput) else None
            if form is not None:
                form.add_error(field if field in form.fields else None, str(error))
            else:
                warning = str(error)
        else:
            model_admin.message_user(request, done, messages.SUCCESS)
            return HttpResponseRedirect(back)
    question.warning = warning
    context = {
        **model_admin.admin_site.each_context(request),
        "title": question.title,
        "opts": model_admin.opts,
        "question": question,
        "media": model_admin.media + (form.media if form is not None else forms.Media()),
        "back_url": back,
    }
    return TemplateResponse(request, "admin/msm/question.html", context)
