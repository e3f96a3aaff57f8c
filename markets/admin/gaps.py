"""The page of a DataNode's gaps: what each asset is missing by the calendar, and the spells of one."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db.models import Max, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import slugify

from markets.admin.formatting import badge, count, counted, link, percent, utc
from markets.admin.tables import Column, Fact, Pages, Table
from markets.data_nodes.gaps import AssetGaps, GapReport, Spell
from markets.exceptions import MSMError
from markets.models import Calendar, NodeUpdate
from markets.services import gaps
from markets.services.exports import csv_stream

CALENDARS_OFFERED = 50
MOST_ROWS_UNASKED = 2_000_000  # a second to read: a larger table is shown from a year before its end unless told
ASSET_HEADER = (
    "asset_identifier",
    "calendar",
    "first",
    "last",
    "expected",
    "stored",
    "missing",
    "off_session",
    "longest_gap",
)
SORTS = {
    "-missing": "missing",  # the worst first
    "missing": "missing",
    "asset": "asset",
    "first": "first",
    "last": "last",
    "expected": "expected",
    "share": "share",
    "off": "off_session",
    "longest": "longest",
}


class SortedRows:
    """Rows or spells of a report in the shape that `Pages` sorts and cuts."""

    def __init__(self, rows: Sequence[AssetGaps | Spell]) -> None:
        self.rows = rows

    def order_by(self, field: str, *then: str) -> list[Any]:
        name, never = field.removeprefix("-"), dt.datetime.min.replace(tzinfo=dt.UTC)

        def key(row: AssetGaps | Spell) -> Any:
            value = getattr(row, name)
            return never if value is None else value.encode() if isinstance(value, str) else value

        return sorted(self.rows, key=key, reverse=field.startswith("-"))  # stable: equal ones stay by identifier


def urls(page: Any) -> list[URLPattern]:
    """For the admin of DataNodes."""

    def view(request: HttpRequest, pk: int) -> HttpResponse:
        return gaps_page(page, request, pk)

    def export(request: HttpRequest, pk: int) -> Any:
        return gaps_export(page, request, pk)

    return [
        path("<int:pk>/gaps/", page.admin_site.admin_view(view), name="markets_nodeupdate_gaps"),
        path("<int:pk>/gaps/export/", page.admin_site.admin_view(export), name="markets_nodeupdate_gaps_export"),
    ]


def gaps_page(page: Any, request: HttpRequest, pk: int) -> HttpResponse:
    update = _update(page, request, pk)
    asked = _asked(request)
    report, problem = None, ""
    try:
        target = gaps.GapTarget.of(update)
        asked["start"] = asked["start"] or _unasked_start(target)
        report = _report(target, asked)
    except MSMError as error:
        problem = str(error)
    chosen = request.GET.get("asset", "").replace("\x00", "")
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": f"Gaps of {update}",
        "update": update,
        "asked": asked,
        "problem": problem,
        "calendars": Calendar.objects.values_list("unique_identifier", flat=True)[:CALENDARS_OFFERED],
        "node_url": reverse("admin:markets_nodeupdate_change", args=(pk,)),
        "media": page.media,
    }
    if report is not None:
        address = reverse("admin:markets_nodeupdate_gaps", args=(pk,))
        context |= {
            "facts": _facts(report),
            "notes": report.notes,
            "table": _assets(report, request, address, asked),
            "chosen": chosen,
            "spells": _spells(report, chosen, request) if chosen else None,
            "export_url": f"{reverse('admin:markets_nodeupdate_gaps_export', args=(pk,))}?{urlencode(asked)}",
            "backfill_url": _backfill_url(request, report, pk, asked, chosen),
        }
    return TemplateResponse(request, "admin/msm/gaps.html", context)


def gaps_export(page: Any, request: HttpRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
    """CSV: a line for each asset, or with `what=gaps` a line for each spell."""
    update = _update(page, request, pk)
    asked = _asked(request)
    try:
        report = _report(gaps.GapTarget.of(update), asked)
    except MSMError:  # the page says what is wrong
        return HttpResponseRedirect(f"{reverse('admin:markets_nodeupdate_gaps', args=(pk,))}?{urlencode(asked)}")
    what = "gaps" if request.GET.get("what") == "gaps" else "assets"
    lines = (
        csv_stream(gaps.CSV_HEADER, gaps.spell_lines(report))
        if what == "gaps"
        else csv_stream(ASSET_HEADER, _lines(report))
    )
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slugify(str(update)) or "node"}-{what}.csv"'
    return response


def _update(page: Any, request: HttpRequest, pk: int) -> NodeUpdate:
    if not page.has_view_permission(request):
        raise PermissionDenied
    return get_object_or_404(NodeUpdate.objects.select_related("storage"), pk=pk)


def _asked(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET.get(name, "").replace("\x00", "").strip() for name in ("start", "end", "calendar")}


def _unasked_start(target: gaps.GapTarget) -> str:
    """Nothing, so that the page begins with the first row; a date where that would take long."""
    found = target.assets().aggregate(rows=Sum("row_count"), last=Max("last_time_index"))
    if (found["rows"] or 0) <= MOST_ROWS_UNASKED:
        return ""
    return (found["last"].date() - dt.timedelta(days=365)).isoformat()


def _report(target: gaps.GapTarget, asked: dict[str, str]) -> GapReport:
    return gaps.gap_report(target, asked["start"] or None, asked["end"] or None, calendar=asked["calendar"] or None)


def _facts(report: GapReport) -> list[Fact]:
    share = report.missing / report.expected if report.expected else 0.0
    tone = "good" if not report.missing else "wait"
    return [
        Fact("Calendar", ", ".join(report.calendars)),
        Fact("From", utc(report.start.replace(microsecond=0))),
        Fact("To", utc(report.end.replace(microsecond=0))),
        Fact("Expected", counted(report.expected, "row")),
        Fact("Missing", badge(f"{report.missing:,} ({percent(share)})" if report.missing else "nothing", tone)),
        Fact("Off session", count(report.off_session)),
    ]


def _assets(report: GapReport, request: HttpRequest, address: str, asked: dict[str, str]) -> Table:
    pages = Pages(request, SortedRows(report.rows()), prefix="gaps", sorts=SORTS)  # type: ignore[arg-type]
    return Table(
        label="Gaps by asset",
        columns=[
            Column("Asset", sort="asset"),
            Column("First (UTC)", sort="first"),
            Column("Last (UTC)", sort="last"),
            Column("Expected", numeric=True, sort="expected"),
            Column("Missing", numeric=True, sort="missing"),
            Column("Share", numeric=True, sort="share"),
            Column("Longest gap", numeric=True, sort="longest"),
            Column("Off session", numeric=True, sort="off"),
        ],
        rows=[
            (
                link(f"{address}?{urlencode({**asked, 'asset': row.asset})}#spells", row.asset or "whole table"),
                utc(row.first, zone=False),
                utc(row.last, zone=False),
                count(row.expected),
                count(row.missing),
                percent(row.share),
                count(row.longest),
                count(row.off_session),
            )
            for row in pages.items
        ],
        pages=pages,
        empty="No rows are stored yet, so nothing is expected. Run the DataNode first.",
    )


def _spells(report: GapReport, asset: str, request: HttpRequest) -> Table:
    sorts = {"start": "start", "-start": "start", "count": "count"}
    pages = Pages(request, SortedRows(report.spells_of(asset)), prefix="spells", sorts=sorts)  # type: ignore[arg-type]
    return Table(
        label=f"Gaps of {asset}",
        columns=[Column("From (UTC)", sort="start"), Column("To (UTC)"), Column("Missing", numeric=True, sort="count")],
        rows=[(utc(spell.start, zone=False), utc(spell.end, zone=False), count(spell.count)) for spell in pages.items],
        pages=pages,
        empty="It misses nothing." if asset in report.assets else "It has no rows in this table.",
    )


def _backfill_url(request: HttpRequest, report: GapReport, pk: int, asked: dict[str, str], asset: str) -> str:
    """The form that fills these gaps, empty without the right or without a gap."""
    if not request.user.has_perm("markets.run_nodeupdate") or not report.missing:
        return ""
    values = {
        "start": f"{report.start:%Y-%m-%d}",
        "end": f"{report.end:%Y-%m-%d}",
        "failed_only": "1",
        "assets": asset if asset in report.assets else "",
        "calendar": asked["calendar"],
    }
    return f"{reverse('admin:markets_nodeupdate_backfill', args=(pk,))}?{urlencode(values)}"


def _lines(report: GapReport) -> Iterator[tuple[Any, ...]]:
    for row in report.rows():
        yield (
            *(row.asset, row.calendar, row.first, row.last, row.expected, row.stored, row.missing),
            *(row.off_session, row.longest),
        )
