"""Who may do what: the back-office's own permissions, on every route."""

from typing import Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

_VERBS = {"POST": "add", "PUT": "change", "PATCH": "change", "DELETE": "delete"}


class RegistryPermission(BasePermission):
    """Signed in, with the permission to view, add, change or delete the model of the view.

    A view names other permissions for an action in `action_permissions`, and in `questions` those that only ask with
    a body. A read-only token is refused every write.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not user or not user.is_authenticated:
            return False
        is_write = request.method not in SAFE_METHODS and getattr(view, "action", None) not in getattr(
            view, "questions", ()
        )
        if is_write and getattr(request.auth, "is_read_only", False):
            raise PermissionDenied("This token is read-only: it writes nothing. Use a token without that flag.")
        missing = [name for name in required_permissions(request.method, view) if not user.has_perm(name)]
        if missing:
            raise PermissionDenied(f"This needs the permission {', '.join(missing)}. Ask an administrator for it.")
        return True


def required_permissions(method: str | None, view: Any) -> tuple[str, ...]:
    action = getattr(view, "action", None)
    named = getattr(view, "action_permissions", {})
    if action in named:
        return named[action]
    queryset = getattr(view, "queryset", None)
    if queryset is None:
        return () if method in SAFE_METHODS else ("markets.no_such_write",)
    options = queryset.model._meta
    return (f"{options.app_label}.{_VERBS.get(method or '', 'view')}_{options.model_name}",)
