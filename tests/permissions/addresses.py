"""Every address that the project answers, read from the resolver: what the matrix must have a line for."""

import re
from collections.abc import Iterator
from typing import Any

from django.urls import get_resolver

from tests.rest.base import ROOT, Route

API = ROOT.lstrip("/")


def addresses() -> list[str]:
    """`get api/v1/asset/{}/` for each method of the API; `admin/markets/asset/add/` for all else."""
    return list(_walk(get_resolver().url_patterns, ""))


def of_route(route: Route) -> str:
    return f"{route.method} {API}{route.shape}"


def advice(address: str) -> str:
    """Which line to add where."""
    method, _, path = address.partition(" ")
    if path:
        tail = path.removeprefix(API)
        by = "" if method == "get" else ', by="analyst"'
        return (
            f'{address}: add to ROUTES in tests/rest/base.py  Route("{method}", "{tail}", ("app.verb_model",){by}), '
            "with a row of World in each {}."
        )
    model = re.match(r"admin/(\w+)/(\w+)/(add/|<path:object_id>/.*)?$", address)
    if model:
        return f'{address}: add to PAGES in tests/permissions/pages.py  Page("{model[1]}.{model[2]}", row="…", …).'
    return f'{address}: add to PLACES in tests/permissions/places.py  Place("{address}", …).'


def _walk(patterns: list[Any], prefix: str) -> Iterator[str]:
    for item in patterns:
        path = prefix + str(item.pattern)
        if hasattr(item, "url_patterns"):
            yield from _walk(item.url_patterns, path)
            continue
        actions = getattr(item.callback, "actions", None)
        if actions is None:
            yield path
            continue
        shape = re.sub(r"\(\?P<\w+>[^)]*\)", "{}", path).replace("^", "").rstrip("$")
        yield from (f"{method} {shape}" for method in actions if method != "head")  # Django adds it beside get
