"""Serves figures as JSON items, which `markets/charts.js` draws."""

import json
from typing import Any, cast

from bokeh.embed import json_item
from bokeh.plotting import figure
from django.http import HttpRequest, HttpResponse, JsonResponse

from markets.figures.theme import THEMES, ThemeName


def requested_theme(request: HttpRequest) -> ThemeName:
    """The theme that the page has at the moment; light unless it says otherwise."""
    name = request.GET.get("theme", "light")
    return cast(ThemeName, name if name in THEMES else "light")


def figure_response(plot: figure) -> HttpResponse:
    response = HttpResponse(json.dumps(json_item(cast(Any, plot))), content_type="application/json")
    response["Cache-Control"] = "no-store"
    return response


def nothing_to_draw(reason: str) -> JsonResponse:
    """There is no figure, for a reason that the page shows in its place."""
    return JsonResponse({"empty": reason}, headers={"Cache-Control": "no-store"})
