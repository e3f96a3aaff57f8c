"""The graph of DataNodes as a picture of links: a page of its own, and a panel on each node's page."""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from markets.admin.base import command
from markets.admin.formatting import NOTHING, badge, counted, lines, link, utc
from markets.admin.tables import Column, Table
from markets.engine.lineage import layout
from markets.exceptions import MSMError
from markets.models import NodeUpdate
from markets.services import lineage, node_runs

ZOOMS = (50, 75, 100, 150)
NEAR_SHOWN = 24  # neighbours in the panel of a node's page: more do not fit a screen
NAME_SHOWN, TEXT_SHOWN = 27, 32  # characters that fit a box
SIGNS = {"good": "✓", "wait": "◔", "bad": "✕", "plain": "·"}
MARK_SIGNS = {"running": "▶", "failed": "✕", "overdue": "!", "stale": "↻"}
LEGEND = (
    ("✓", "good", "up to date"),
    ("◔", "wait", "getting old, or its policy cannot tell"),
    ("✕", "bad", "old, or its last run failed"),
    ("!", "bad", "overdue by its policy"),
    ("↻", "bad", "stale: what it read has changed"),
    ("▶", "busy", "running"),
    ("·", "plain", "no data yet, or nothing is ever late"),
)


def urls(model_admin: Any) -> list[URLPattern]:
    view = model_admin.admin_site.admin_view(partial(_page, model_admin))
    view.model_admin = model_admin  # the menu shows it to whoever may see the list
    return [path("lineage/", view, name="markets_nodeupdate_lineage")]


def panel(update: NodeUpdate) -> dict[str, Any]:
    """The node with its neighbours, for its page."""
    found, left_out = lineage.neighbourhood(update, most=NEAR_SHOWN)
    return {
        "picture": picture(found, current=update) if len(found.nodes) > 1 else None,
        "left_out": f"{counted(left_out, 'neighbour')} more are not shown here." if left_out else "",
        "all_url": _url(node=str(update.uid)),
    }


def picture(found: lineage.Graph, *, current: NodeUpdate | None = None, zoom: int = 100) -> dict[str, Any]:
    """What `admin/msm/lineage_picture.html` draws."""
    drawing = layout([node.update.pk for node in found.nodes], found.edges)
    by_key = {node.update.pk: node for node in found.nodes}
    boxes = sorted(drawing.boxes.values(), key=lambda box: (box.level, box.y))
    return {
        "label": f"Lineage of {counted(len(found.nodes), 'DataNode')}, from left to right: what is read, who reads it",
        "width": round(drawing.width),
        "height": round(drawing.height),
        "shown_width": round(drawing.width * zoom / 100),
        "shown_height": round(drawing.height * zoom / 100),
        "lines": [line.path() for line in drawing.lines],
        "boxes": [_box(box, by_key[box.key], current) for box in boxes],
    }


def _box(box: Any, node: lineage.GraphNode, current: NodeUpdate | None) -> dict[str, Any]:
    sign = next((MARK_SIGNS[mark] for mark in node.marks), SIGNS[node.freshness.tone])
    tone = "busy" if node.marks == ["running"] else node.tone
    return {
        "x": round(box.x),
        "y": round(box.y),
        "width": round(box.width),
        "height": round(box.height),
        "url": reverse("admin:markets_nodeupdate_change", args=(node.update.pk,)),
        "name": _clipped(node.name, NAME_SHOWN),
        "class_name": _clipped(node.update.class_name, TEXT_SHOWN),
        "text": _clipped(node.text, TEXT_SHOWN - 2),
        "title": f"{node.name}, {node.update.class_name}: {node.text}. {node.notice}".strip(),
        "sign": sign,
        "tone": tone,
        "is_current": current is not None and node.update.pk == current.pk,
    }


def _clipped(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _url(**parameters: str) -> str:
    given = {name: value for name, value in parameters.items() if value}
    return reverse("admin:markets_nodeupdate_lineage") + (f"?{urlencode(given)}" if given else "")


def _page(model_admin: Any, request: HttpRequest) -> HttpResponse:
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    text = request.GET.get("q", "").replace("\x00", "").strip()[:255]
    named = request.GET.get("node", "").replace("\x00", "").strip()[:255]
    wanted = request.GET.get("zoom", "")
    zoom = int(wanted) if wanted in map(str, ZOOMS) else 100
    every = lineage.graph()
    found, current, problem = every, None, ""
    if named:
        try:
            current = node_runs.find_node_update(named)
            found = found.around(current)
        except MSMError as error:
            problem = f"{error} The whole graph is shown."
    if text:
        found = found.matching(text)
    kept = {"q": text, "node": str(current.uid) if current else ""}
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Lineage",
        "opts": model_admin.opts,
        "media": model_admin.media,
        "is_empty": not every.nodes,
        "make_demo": command("make demo"),
        "problem": problem,
        "text": text,
        "current": current,
        "whole_url": _url(),
        "without_node_url": _url(q=text),
        "count": f"{counted(len(found.nodes), 'DataNode')} of {len(every.nodes):,}",
        "zooms": [(f"{size} %", _url(**kept, zoom=str(size)), size == zoom) for size in ZOOMS],
        "zoom": zoom,
        "legend": LEGEND,
        "picture": picture(found, current=current, zoom=zoom) if found.nodes else None,
        "list": _list(found),
        "made_at": utc(every.made_at.replace(second=0, microsecond=0)),
    }
    return TemplateResponse(request, "admin/msm/lineage.html", context)


def _list(found: lineage.Graph) -> Table:
    """The same as words, for whoever does not see the picture."""
    names = {node.update.pk: node.name for node in found.nodes}
    reads: dict[int, list[str]] = {}
    read_by: dict[int, list[str]] = {}
    for source, target in found.edges:
        reads.setdefault(target, []).append(names[source])
        read_by.setdefault(source, []).append(names[target])
    page = _url()
    return Table(
        label="The same as a list",
        columns=[
            Column("DataNode"),
            Column("State"),
            Column("Last time (UTC)"),
            Column("Reads"),
            Column("Is read by"),
            Column(""),
        ],
        rows=[
            (
                format_html(
                    "{}<div class='msm-quiet'>{}</div>",
                    link(reverse("admin:markets_nodeupdate_change", args=(node.update.pk,)), node.name),
                    node.update.class_name,
                ),
                badge(node.text, node.tone),
                utc(node.last_time, zone=False),
                lines(reads.get(node.update.pk, [])) or NOTHING,
                lines(read_by.get(node.update.pk, [])) or NOTHING,
                link(f"{page}?node={node.update.uid}", "Only its lineage"),
            )
            for node in found.nodes
        ],
    )
