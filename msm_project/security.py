"""Content security policy: strict everywhere, eased for the back-office by what its theme needs and no more. And
redirects that lose nothing.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.middleware.common import CommonMiddleware as DjangoCommonMiddleware

STRICT = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
# unfold evaluates Alpine expressions and sets style attributes.
BACK_OFFICE = STRICT.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'").replace(
    "style-src 'self'", "style-src 'self' 'unsafe-inline'"
)
# Swagger and Redoc bootstrap themselves in one inline script, draw inline styles and (Redoc) start a blob worker.
API_PAGES = (
    STRICT.replace("script-src 'self'", "script-src 'self' 'unsafe-inline'").replace(
        "style-src 'self'", "style-src 'self' 'unsafe-inline'"
    )
    + "; worker-src 'self' blob:"
)


class ContentSecurityPolicy:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if "Content-Security-Policy" not in response:
            response["Content-Security-Policy"] = policy_for(request.path)
        return response


def policy_for(path: str) -> str:
    if path.startswith("/admin/"):
        return BACK_OFFICE
    if path in {"/docs", "/redoc"}:
        return API_PAGES
    return STRICT


class CommonMiddleware(DjangoCommonMiddleware):
    """Adds a missing slash to what only reads: a client that is redirected from POST goes on with GET, and nothing is
    written.
    """

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        return request.method in ("GET", "HEAD") and super().should_redirect_with_slash(request)
