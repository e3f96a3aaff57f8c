"""The side menu shows nobody a page that would refuse them."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import resolve


def only_permitted(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The menu, with a permission on each entry: whoever may open the list that it leads to sees it."""
    for group in groups:
        for item in group["items"]:
            item.setdefault("permission", _may_open(item["link"]))
    return groups


def _may_open(link: Any) -> Callable[[HttpRequest], bool]:
    def allowed(request: HttpRequest) -> bool:
        view = resolve(str(link)).func
        page = getattr(view, "model_admin", None)  # Django's lists carry it; other pages ask for nothing
        return page is None or bool(page.has_view_or_change_permission(request))

    return allowed
