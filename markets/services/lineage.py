"""The graph of DataNodes: what reads what, how each last ran and how fresh it is."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from markets.data_nodes.staleness import stale_notice
from markets.engine.lineage import reach
from markets.models import NodeUpdate, RunStatus
from markets.services.freshness import Freshness, freshness_of, with_latest_run

# Lists and documents that no graph shows, and that take as long to fetch as all the rest.
_UNSEEN = (
    *("asset_scope", "tables_read", "companion_tables", "created_at", "updated_at", "stale_marked_at"),
    *("storage__columns", "storage__index_names", "storage__key_columns", "storage__description"),
    *("storage__node_class", "storage__table_name", "storage__created_at", "storage__updated_at"),
)
_DOT_COLOURS = {"good": "#dcfce7", "wait": "#fef3c7", "bad": "#fee2e2", "plain": "#f3f4f6"}


@dataclass(frozen=True)
class GraphNode:
    """A DataNode in the graph. `last_status` is None when it never ran; `last_time` None when it has no rows."""

    update: NodeUpdate
    last_status: str | None
    last_time: dt.datetime | None
    freshness: Freshness

    @property
    def name(self) -> str:
        return str(self.update)

    @property
    def names(self) -> tuple[str, str, str]:
        """By what it can be searched for."""
        return self.name, self.update.node_class, self.update.update_hash

    @property
    def is_stale(self) -> bool:
        return self.update.stale_from is not None

    @property
    def marks(self) -> list[str]:
        """What a person should see beside the age: running, failed, overdue, stale."""
        holds = {
            "running": self.last_status == RunStatus.RUNNING,
            "failed": self.last_status == RunStatus.FAILED,
            "overdue": self.freshness.is_overdue,
            "stale": self.is_stale,
        }
        return [mark for mark, is_so in holds.items() if is_so]

    @property
    def tone(self) -> str:
        """The colour: bad for what failed, is stale or overdue, else that of the age."""
        return "bad" if {"failed", "overdue", "stale"} & set(self.marks) else self.freshness.tone

    @property
    def text(self) -> str:
        """The age, and the marks that it does not say."""
        said = [mark for mark in self.marks if mark != "overdue"]
        return ", ".join([*said, self.freshness.text])

    @property
    def notice(self) -> str:
        return stale_notice(self.update) if self.is_stale else ""


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of their names; `edges` are (primary key read, primary key of the reader)."""

    nodes: Sequence[GraphNode]
    edges: Sequence[tuple[int, int]]
    made_at: dt.datetime

    def around(self, update: NodeUpdate) -> "Graph":
        """What feeds the node, what rests on it, and the node itself."""
        feeds, rests = reach(update.pk, self.edges)
        return self._only(feeds | rests | {update.pk})

    def matching(self, text: str) -> "Graph":
        """The nodes whose name, class or update hash holds the text, in any case."""
        wanted = text.casefold()
        return self._only(
            {
                node.update.pk
                for node in self.nodes
                if any(
                    wanted in part.casefold() for part in (node.name, node.update.node_class, node.update.update_hash)
                )
            }
        )

    def _only(self, keys: set[int]) -> "Graph":
        return Graph(
            nodes=[node for node in self.nodes if node.update.pk in keys],
            edges=[edge for edge in self.edges if edge[0] in keys and edge[1] in keys],
            made_at=self.made_at,
        )


def graph(now: dt.datetime | None = None) -> Graph:
    """Every DataNode with what it reads: four queries, whatever their number."""
    return _graph(edges_of_all(), None, now or timezone.now())


def neighbourhood(update: NodeUpdate, *, most: int, now: dt.datetime | None = None) -> tuple[Graph, int]:
    """The node with those that it reads and those that read it, at most `most` of them; and how many are left out."""
    edges = edges_of_all(near=update.pk)
    near = sorted({key for edge in edges for key in edge} - {update.pk})
    keys = {update.pk, *near[:most]}
    return _graph(edges, keys, now or timezone.now()), max(len(near) - most, 0)


def edges_of_all(*, near: int | None = None) -> list[tuple[int, int]]:
    """(read, reader) of every dependency, or of those that touch the node `near`."""
    rows = NodeUpdate.dependencies.through.objects.order_by("to_nodeupdate_id", "from_nodeupdate_id")
    if near is not None:
        rows = rows.filter(from_nodeupdate_id=near) | rows.filter(to_nodeupdate_id=near)
    return list(rows.values_list("to_nodeupdate_id", "from_nodeupdate_id"))


def _graph(edges: list[tuple[int, int]], keys: set[int] | None, now: dt.datetime) -> Graph:
    updates = NodeUpdate.objects.all() if keys is None else NodeUpdate.objects.filter(pk__in=keys)
    rows: list[Any] = list(with_latest_run(updates).defer(*_UNSEEN).order_by("storage__identifier", "update_hash"))
    fresh = freshness_of(rows, {row.pk: row.last_time for row in rows}, now)
    known = {row.pk for row in rows}
    return Graph(
        nodes=[GraphNode(row, row.last_status, row.last_time, fresh[row.pk]) for row in rows],
        edges=[edge for edge in edges if edge[0] in known and edge[1] in known],
        made_at=now,
    )


def as_json(found: Graph) -> dict[str, Any]:
    """The graph as plain values; nodes by uid."""
    uids = {node.update.pk: str(node.update.uid) for node in found.nodes}
    return {
        "nodes": [
            {
                "uid": str(node.update.uid),
                "identifier": node.update.storage.identifier,
                "update_hash": node.update.update_hash,
                "class_name": node.update.class_name,
                "last_status": node.last_status,
                "last_time_index": _iso(node.last_time),
                "freshness": node.freshness.text,
                "tone": node.tone,
                "is_stale": node.is_stale,
                "is_overdue": node.freshness.is_overdue,
                "due_at": _iso(node.freshness.due_at),
            }
            for node in found.nodes
        ],
        "edges": [{"source": uids[source], "target": uids[target]} for source, target in found.edges],
    }


def as_dot(found: Graph) -> str:
    """The graph in the language of Graphviz: `manage.py node_graph | dot -Tsvg`."""
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [shape=box, style="filled,rounded", fontname="sans-serif"];']
    for node in found.nodes:
        label = f"{node.name}\n{node.update.class_name}\n{node.text}"
        lines.append(
            f"  {_quoted(str(node.update.uid))} [label={_quoted(label)}, fillcolor={_quoted(_DOT_COLOURS[node.tone])}];"
        )
    uids = {node.update.pk: str(node.update.uid) for node in found.nodes}
    lines += [f"  {_quoted(uids[source])} -> {_quoted(uids[target])};" for source, target in found.edges]
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _iso(instant: dt.datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
