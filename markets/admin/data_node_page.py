"""What the page of one DataNode shows."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from markets.admin.base import command
from markets.admin.formatting import (
    NOTHING,
    badge,
    code,
    count,
    lines,
    link,
    pretty_json,
    status_badge,
    utc,
)
from markets.admin.node_data_panel import data_of
from markets.admin.node_runs import RUN_COMMAND
from markets.admin.node_runs_panel import all_runs_url, latest_runs
from markets.admin.node_scope import NodeScope
from markets.admin.tables import Column, Fact, Pages, Table
from markets.data_nodes.staleness import stale_notice
from markets.models import Job, JobStatus, NodeUpdate, RunStatus, UpdateStatistic
from markets.services.freshness import freshness_of
from markets.services.node_runs import RUN_NODE

SUMMARY_LENGTH = 160  # characters; a list has one line a row


def what_kind(update: NodeUpdate) -> str:
    """The class of a node, and whatever tells it from others that share its table."""
    fields = [update.build_configuration]
    found = []
    while fields:
        item = fields.pop(0)
        for name, value in item.items():
            if isinstance(value, dict) and "node" not in value:
                fields.append(value)
            elif isinstance(value, str) and _names_it(name) and value != str(update):
                found.append(value)
    return ", ".join([update.class_name, *found])


def configuration_summary(configuration: Mapping[str, Any]) -> str:
    """The plain values of a configuration on one line."""
    found: list[tuple[bool, str]] = []

    def collect(item: Any) -> None:
        if not isinstance(item, Mapping) or "node" in item:
            return
        for name, value in item.items():
            if name == "model":
                continue
            if isinstance(value, Mapping):
                collect(value)
            elif isinstance(value, list):
                found.append((True, f"{name}: {len(value)} items"))
            elif value not in (None, ""):
                found.append((not _names_it(name), f"{name}: {value}"))

    collect(configuration.get("arguments", {}))
    text = ", ".join(text for _, text in sorted(found, key=lambda item: item[0]))
    return text if len(text) <= SUMMARY_LENGTH else f"{text[: SUMMARY_LENGTH - 1]}…"


def _names_it(name: str) -> bool:
    """Whether a setting tells nodes of one class apart at a glance; such come first."""
    return name == "dataset" or name.startswith("portfolio") or name.endswith("unique_id")


def page_of(update: NodeUpdate, scope: NodeScope, request: HttpRequest) -> dict[str, Any]:
    unfinished = Job.objects.filter(
        kind=RUN_NODE,
        status__in=[JobStatus.QUEUED, JobStatus.RUNNING],
        arguments__node_update=str(update.uid),
    ).first()
    return {
        "facts": _facts(update, scope),
        "problem": scope.problem,
        "stale": stale_notice(update) if update.stale_from is not None else "",
        "progress_url": reverse("admin:job_progress", args=(unfinished.uid,)) if unfinished else "",
        "statistics": _statistics(update, scope, request),
        "runs": latest_runs(update),
        "all_runs_url": all_runs_url(update),
        **data_of(update, scope, request),
        "configuration": pretty_json(update.build_configuration),
    }


def _facts(update: NodeUpdate, scope: NodeScope) -> list[Fact]:
    now = timezone.now()
    storage = update.storage
    last_time = getattr(update, "last_time", None)
    fresh = freshness_of([update], {update.pk: last_time}, now)[update.pk]
    last_status = getattr(update, "last_status", None)
    status = status_badge(last_status, RunStatus(last_status).label if last_status else "Never ran")
    part = ", ".join(f"{name} = {value}" for name, value in scope.dimensions.items())
    return [
        Fact("Class", code(update.node_class)),
        Fact("Table", link(reverse("admin:markets_storagenode_change", args=(storage.pk,)), storage.table_name)),
        *([Fact("Part of the table", part)] if part else []),
        *([Fact("Description", storage.description, wide=True)] if storage.description else []),
        Fact("Frequency", storage.data_frequency_id or NOTHING),
        Fact("Last run", status),
        Fact("Last time", format_html("{} {}", utc(last_time), badge(fresh.text, fresh.tone))),
        Fact("Reads", _nodes(update.dependencies.select_related("storage"), "nothing: it starts a tree")),
        Fact("Is read by", _nodes(update.dependents.select_related("storage"), "no other DataNode")),
        Fact("Update hash", code(update.update_hash)),
        Fact("Run it from a terminal", command(f"{RUN_COMMAND} {_name(update, scope)}"), wide=True),
    ]


def _name(update: NodeUpdate, scope: NodeScope) -> str:
    return update.storage.identifier if update.storage.identifier and not scope.dimensions else update.update_hash


def _nodes(updates: Any, nothing: str) -> Any:
    rows = list(updates.order_by("storage__identifier", "update_hash")[:50])
    if not rows:
        return format_html('<span class="msm-quiet">{}</span>', nothing)
    return lines(
        format_html(
            "{} <span class='msm-quiet'>{}</span>",
            link(reverse("admin:markets_nodeupdate_change", args=(row.pk,)), row),
            what_kind(row),
        )
        for row in rows
    )


def _statistics(update: NodeUpdate, scope: NodeScope, request: HttpRequest) -> Table:
    dimensions = update.storage.index_names[1:]
    rows = UpdateStatistic.objects.filter(storage=update.storage).select_related("asset__openfigi_details")
    for name, value in scope.dimensions.items():
        rows = rows.filter(**{f"identity__{dimensions.index(name)}": value})
    wanted = request.GET.get("identity", "").replace("\x00", "").strip()
    if wanted and dimensions:
        rows = rows.filter(**{f"identity__{len(dimensions) - 1}__startswith": wanted})
    pages = Pages(
        request,
        rows,
        prefix="statistics",
        sorts={"identity": "identity", "first": "first_time_index", "last": "last_time_index", "rows": "row_count"},
    )
    return Table(
        label="Statistics",
        columns=[
            *(
                Column(name.replace("_", " ").capitalize(), sort="" if place else "identity")
                for place, name in enumerate(dimensions)
            ),
            *([] if dimensions else [Column("Table")]),
            Column("Ticker"),
            Column("First (UTC)", sort="first"),
            Column("Last (UTC)", sort="last"),
            Column("Rows", numeric=True, sort="rows"),
        ],
        rows=[_statistic_row(row) for row in pages.items],
        pages=pages,
        empty="Nothing begins with that." if wanted else "No rows yet. Press Run now, above.",
    )


def _statistic_row(row: UpdateStatistic) -> list[Any]:
    parts: list[Any] = list(row.identity) or ["whole table"]
    details = getattr(row.asset, "openfigi_details", None) if row.asset else None
    if row.asset is not None:
        url = reverse("admin:markets_asset_change", args=(row.asset_id,))
        parts = [link(url, part) if part == row.asset.unique_identifier else part for part in parts]
    return [
        *parts,
        details.ticker if details and details.ticker else "",
        utc(row.first_time_index, zone=False),
        utc(row.last_time_index, zone=False),
        count(row.row_count),
    ]
