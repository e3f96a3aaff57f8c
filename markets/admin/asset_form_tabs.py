"""A tab of an asset's page with a table of what is stored and, for whoever may add, a form that adds to it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from markets.admin.tables import Table
from markets.exceptions import MSMError
from markets.models import Asset
from markets.services.audit import because


def form_tab(
    page: Any,
    request: HttpRequest,
    pk: int,
    *,
    title: str,
    what: str,
    view: str,
    add: str,
    form_class: type[forms.Form],
    initial: Callable[[Asset], dict[str, Any]],
    save: Callable[[Asset, dict[str, Any]], str],
    table: Callable[[HttpRequest, Asset], Table],
) -> HttpResponse:
    """The tab `title`, where whoever has the permission `add` adds `what`, such as "an identifier".

    `save` gets what the form has cleaned, without the reason, and returns what the page then says. What it refuses
    stands beside the field that the error names. Raises PermissionDenied, Http404.
    """
    user = request.user
    if not (page.has_view_permission(request) and user.has_perm(view)):
        raise PermissionDenied
    if request.method == "POST" and not user.has_perm(add):
        raise PermissionDenied
    asset = get_object_or_404(Asset, pk=pk)
    form: forms.Form | None = None
    if request.method == "POST":
        form = form_class(request.POST)
        done = _saved(asset, form, save) if form.is_valid() else ""
        if done:
            messages.success(request, done)
            return HttpResponseRedirect(request.path)
    elif user.has_perm(add):
        form = form_class(initial=initial(asset))
    context = {
        **page.admin_site.each_context(request),
        **page.tabs_at(request, asset, title),
        "title": str(asset),
        "opts": page.opts,
        "original": asset,
        "form": form,
        "what": what,
        "noun": what.split(maxsplit=1)[1],
        "table_id": title.lower(),
        "media": page.media + (form.media if form is not None else forms.Media()),
        "table": table(request, asset),
    }
    return TemplateResponse(request, "admin/msm/asset_form_tab.html", context)


def _saved(asset: Asset, form: forms.Form, save: Callable[[Asset, dict[str, Any]], str]) -> str:
    """What is told of what is stored now; empty when it is refused, which the form then says."""
    said = dict(form.cleaned_data)
    try:
        with because(said.pop("reason")):
            return save(asset, said)
    except MSMError as error:
        name = getattr(error, "field", None)
        form.add_error(name if name in form.fields else None, str(error))
        return ""
