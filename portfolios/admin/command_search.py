"""What ⌘K finds beside the pages of the menu: rows by the beginning of their identifier or name."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from unfold.dataclasses import SearchResult

from markets.models import Asset, AssetCategory, Calendar, Index, Issuer
from portfolios.models import Account, Portfolio

SEARCHED: tuple[tuple[Any, str], ...] = (
    (Asset, "finance"),
    (AssetCategory, "folder"),
    (Portfolio, "pie_chart"),
    (Account, "account_balance"),
    (Calendar, "calendar_month"),
    (Index, "show_chart"),
    (Issuer, "apartment"),
)
MOST_OF_EACH = 5


def found_rows(request: HttpRequest, lowered: str) -> list[SearchResult]:
    """The first rows of each kind that the user may view; identifiers are case-sensitive, so as it was typed."""
    typed = request.GET.get("s", lowered)[:200]
    results = []
    for model, icon in SEARCHED:
        page: Any = admin.site.get_model_admin(model)
        if not page.has_view_permission(request):
            continue
        related = ("openfigi_details",) if model is Asset else ()
        rows, _ = page.get_search_results(request, model._default_manager.select_related(*related), typed)
        for row in rows[:MOST_OF_EACH]:
            results.append(
                SearchResult(
                    title=str(row),
                    description=_description(row, str(model._meta.verbose_name)),
                    link=reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=(row.pk,)),
                    icon=icon,
                )
            )
    return results


def _description(row: Any, kind: str) -> str:
    if isinstance(row, Asset):
        details = getattr(row, "openfigi_details", None)
        said = [details.ticker, details.name] if details else []
        return " · ".join(part for part in (kind, *said) if part)
    return " · ".join(dict.fromkeys((kind, row.unique_identifier)))
