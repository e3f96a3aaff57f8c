"""Changes made in the back-office are recorded with the person who made them."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from markets.services import audit

SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")


def acting_in_admin(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, after authentication. What only reads pays nothing; REST speaks for itself, see MSMView."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.method in SAFE or not request.path.startswith(reverse("admin:index")):
            return get_response(request)
        with audit.acting(source="admin", actor=request.user):  # type: ignore[arg-type]
            return get_response(request)

    return middleware
