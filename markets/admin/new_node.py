"""Registers a DataNode from the back-office: choose a class, fill in its configuration, see what it would make."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from markets.admin.formatting import counted
from markets.admin.node_form import NodeForm, initial_of
from markets.exceptions import UnknownNodeClass
from markets.models import NodeUpdate
from markets.services import node_classes
from markets.services.node_classes import NodeClass

ADD_PERMISSION = "markets.add_nodeupdate"


def _takes(item: NodeClass) -> str:
    """What a class is configured by, a nested model by its title."""
    return ", ".join(dict.fromkeys((field.group or field.label).lower() for field in item.fields)) or "no configuration"


class NewNodePages:
    """For the page of DataNodes: Add leads to the classes, a class to its form."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(ADD_PERMISSION)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        path = request.GET.get("node_class", "")
        if not path:
            return self._classes(request)
        try:
            chosen = node_classes.find_class(path)
        except UnknownNodeClass as error:
            return self._classes(request, refused=str(error))
        if chosen.model is None:
            return self._classes(request, refused=f"{chosen.name}: {chosen.problem}")
        return self._form(request, chosen)

    def copy_url(self, request: HttpRequest, update: NodeUpdate) -> str:
        """Where a node like this one is made; empty without the right."""
        if not self.has_add_permission(request):
            return ""
        address = reverse("admin:markets_nodeupdate_add")
        return f"{address}?{urlencode({'node_class': update.node_class, 'copy': update.pk})}"

    def _classes(self, request: HttpRequest, *, refused: str = "") -> HttpResponse:
        """The classes of registered modules, those that hold all words of the search."""
        found = node_classes.find_classes()
        words = request.GET.get("q", "").lower().split()
        shown = [
            {"item": item, "url": f"?{urlencode({'node_class': item.path})}", "takes": _takes(item)}
            for item in found.classes
            if all(word in f"{item.path} {item.documentation}".lower() for word in words)
        ]
        context = {
            "title": "New DataNode",
            "classes": shown,
            "number": counted(len(found.classes), "class", "classes"),
            "broken": found.broken,
            "refused": refused,
            "query": request.GET.get("q", "")[:100],
        }
        return self._page(request, "admin/msm/new_node_class.html", context, status=400 if refused else 200)

    def _form(self, request: HttpRequest, chosen: NodeClass) -> HttpResponse:
        copied = self._copied(request, chosen)
        if request.method == "POST":
            form = NodeForm(chosen, request.POST)
            if form.is_valid() and form.registration is not None and form.registration.update is not None:
                return self._registered(request, form.registration)
        else:
            form = NodeForm(chosen, initial=initial_of(chosen, copied) if copied else None)
        context = {
            "title": f"New {chosen.name}",
            "chosen": chosen,
            "copied": copied,
            "form": form,
            "would": form.registration if request.method == "POST" and not form.errors else None,
            "classes_url": reverse("admin:markets_nodeupdate_add"),
            "media": self.media + form.media,  # type: ignore[attr-defined]
        }
        return self._page(request, "admin/msm/new_node.html", context)

    def _registered(self, request: HttpRequest, made: node_classes.Registration) -> HttpResponse:
        assert made.update is not None
        text = f"{made.update} is registered." if made.created else f"{made.update} is registered already: this is it."
        level = messages.SUCCESS if made.created else messages.INFO
        self.message_user(request, text, level)  # type: ignore[attr-defined]
        return HttpResponseRedirect(reverse("admin:markets_nodeupdate_change", args=(made.update.pk,)))

    def _copied(self, request: HttpRequest, chosen: NodeClass) -> NodeUpdate | None:
        key = request.GET.get("copy", "")
        if not (key.isascii() and key.isdigit() and len(key) < 19):
            return None
        return NodeUpdate.objects.select_related("storage").filter(pk=int(key), node_class=chosen.path).first()

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
        base = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "opts": self.opts,  # type: ignore[attr-defined]
            "media": self.media,  # type: ignore[attr-defined]
        }
        return TemplateResponse(request, template, {**base, **context}, status=status)
