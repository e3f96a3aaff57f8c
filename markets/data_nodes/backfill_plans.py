"""Cuts a backfill into parts: which windows of which nodes, for which assets. Nothing is written here."""

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from markets.data_nodes import runs
from markets.data_nodes.backfill_requests import BackfillRequest
from markets.data_nodes.expected import expected_instants
from markets.data_nodes.gaps import GapReport, report_gaps
from markets.data_nodes.node_calendars import calendar_for, known_calendar
from markets.data_nodes.statistics import ASSET_DIMENSION, identifiers_of, load_statistics
from markets.data_nodes.stored_statistics import from_microseconds
from markets.data_nodes.writes import write_mode_of
from markets.engine.gaps import step_of
from markets.exceptions import InvalidInput, MSMError
from markets.models import BackfillMode, BackfillPart, NodeUpdate, PartStatus

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode

# A part is one transaction: seconds of work, 50 MB of frame, and all that a killed process has to do again.
ROWS_A_PART = 250_000
# A node that is not scoped by assets computes all of them each time, so it is cut only where memory wants it.
ROWS_OF_A_WHOLE_TABLE = 2_000_000
MOST_WINDOWS = 50  # more spells than that are joined: a run costs more than the rows between two gaps
MOST_PARTS = 20_000
WINDOWS_SHOWN = 20
ONE_MICROSECOND = dt.timedelta(microseconds=1)
Window = tuple[dt.datetime, dt.datetime]


@dataclass(frozen=True)
class PlannedPart:
    """One run to come. `assets` is None for all of the node's; `rows` what the calendar lets expect, None unknown."""

    node: str
    update: NodeUpdate
    start: dt.datetime
    end: dt.datetime
    assets: tuple[str, ...] | None
    mode: str
    rows: int | None


@dataclass
class BackfillPlan:
    """What a backfill would do, in order; `missing` counts the missing sessions where only those are asked for."""

    request: BackfillRequest
    parts: list[PlannedPart] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: int | None = None

    @property
    def rows(self) -> int:
        return sum(part.rows or 0 for part in self.parts)

    def as_json(self) -> dict[str, Any]:
        """The counts, the first windows and the notes, as JSON holds them."""
        request = asdict(self.request)
        return {
            "start": _iso(request["start"]),
            "end": _iso(request["end"]),
            "failed_only": self.request.failed_only,
            "update_tree": self.request.update_tree,
            "assets": None if self.request.assets is None else len(self.request.assets),
            "parts": len(self.parts),
            "rows_expected": self.rows,
            "missing": self.missing,
            "windows": [
                {
                    "node": part.node,
                    "start": _iso(part.start),
                    "end": _iso(part.end),
                    "assets": None if part.assets is None else len(part.assets),
                    "mode": part.mode,
                    "rows_expected": part.rows,
                }
                for part in self.parts[:WINDOWS_SHOWN]
            ],
            "notes": self.notes,
        }


def plan_backfill(head: "DataNode", request: BackfillRequest, now: dt.datetime) -> BackfillPlan:
    """The parts of a backfill of a registered node, what it reads first where the request says so.

    Raises InvalidInput where assets are named that the table does not know, where no calendar tells what is missing,
    and for more than MOST_PARTS parts.
    """
    members = runs.execution_order(head) if request.update_tree else [head]
    updates = {
        row.update_hash: row
        for row in NodeUpdate.objects.filter(update_hash__in=[node.update_hash for node in members]).select_related(
            "storage"
        )
    }
    plan = BackfillPlan(request, missing=0 if request.failed_only else None)
    fallback = request.calendar or known_calendar(updates.get(head.update_hash), head) or ""
    for node in members:
        update = updates.get(node.update_hash)
        if update is None:
            plan.notes.append(f"{type(node).__name__} never ran and is left out: run it first.")
            continue
        named = request.calendar if node is head else known_calendar(update, node) or fallback
        planner = _Planner(node, update, request, named, now, plan, is_head=node is head)
        for part in planner.parts():
            plan.parts.append(part)
            if len(plan.parts) > MOST_PARTS:
                raise InvalidInput(
                    f"This backfill has more than {MOST_PARTS:,} parts. Name a shorter range or fewer assets.",
                    field="start",
                )
    return plan


class _Planner:
    """The parts of one node."""

    def __init__(
        self,
        node: "DataNode",
        update: NodeUpdate,
        request: BackfillRequest,
        calendar: str,
        now: dt.datetime,
        plan: BackfillPlan,
        *,
        is_head: bool,
    ) -> None:
        self.node, self.update, self.storage = node, update, update.storage
        self.request, self.calendar, self.now, self.plan = request, calendar, now, plan
        self.name = str(update)
        takes_assets = ASSET_DIMENSION in self.storage.index_names
        if request.assets is not None and not takes_assets and is_head:
            raise InvalidInput(f"{self.name} has no rows by asset. Leave the assets out.", field="assets")
        node.update_statistics = load_statistics(self.storage, node.statistics_scope())
        listed = node.get_asset_list()
        self.is_scoped = listed is not None and takes_assets
        self.assets = self._assets(None if listed is None else identifiers_of(listed)) if takes_assets else None
        keeps = write_mode_of(node) == "insert_only"
        self.mode = BackfillMode.FILL if keeps or request.failed_only else BackfillMode.REPLACE
        if keeps and not request.failed_only:
            plan.notes.append(f"{self.name} is written once and never changed: only missing rows are inserted.")

    def _assets(self, listed: Sequence[str] | None) -> list[str] | None:
        chosen = self.request.assets
        if listed is None:
            return None if chosen is None else list(chosen)
        known = sorted(listed, key=str.encode)
        if chosen is None:
            return known
        foreign = set(chosen) - set(known)
        if foreign:
            self.plan.notes.append(f"{len(foreign):,} of the assets are none of {self.name}'s and are left out.")
        return [name for name in known if name in set(chosen)]

    def parts(self) -> Iterator[PlannedPart]:
        if self.assets is not None and not self.assets:
            self.plan.notes.append(f"{self.name} has none of the assets: nothing to do for it.")
            return
        if self.request.failed_only:
            yield from self._missing()
            yield from self._failed_before()
        else:
            yield from self._whole()

    # --- the whole range ---------------------------------------------------------------------------------------------
    def _whole(self) -> Iterator[PlannedPart]:
        edges = self._edges()
        rows = len(edges) if edges is not None else self._bars_by_clock()
        number = len(self.assets) if self.assets is not None else max(1, len(self.node.update_statistics))
        if not self.is_scoped:
            windows = list(self._cut(edges, math.ceil(rows * number / ROWS_OF_A_WHOLE_TABLE), rows))
            groups: list[tuple[str, ...] | None] = [self._chosen(self.assets)]
        else:
            windows = list(self._cut(edges, math.ceil(rows / ROWS_A_PART), rows))
            most = max((count for _, _, count in windows), default=1)
            groups = [tuple(group) for group in _groups(self.assets or [], ROWS_A_PART // max(1, most))]
            if len(groups) == 1:
                groups = [self._chosen(self.assets)]
        for start, end, count in windows:
            for group in groups:
                members = len(group) if group is not None else number
                yield self._part(start, end, group, self.mode, count * members)

    def _chosen(self, assets: Sequence[str] | None) -> tuple[str, ...] | None:
        """The assets as a part names them: not at all where they are all of the node's."""
        return None if self.request.assets is None or assets is None else tuple(assets)

    def _edges(self) -> np.ndarray | None:
        """The instants expected of one asset, None where no calendar tells them."""
        calendar = self.calendar or known_calendar(self.update, self.node)
        if not calendar:
            return None
        end = min(self.request.end, self.now)
        try:
            return expected_instants(calendar, self.storage.data_frequency_id, self.request.start, end).instants
        except MSMError:  # without them the range is cut by the clock
            return None

    def _bars_by_clock(self) -> int:
        step = step_of(self.storage.data_frequency_id) or dt.timedelta(days=1)
        return max(1, (min(self.request.end, self.now) - self.request.start) // step)

    def _cut(self, edges: np.ndarray | None, number: int, rows: int) -> Iterator[tuple[dt.datetime, dt.datetime, int]]:
        """`number` windows that follow each other without a gap, each with the rows expected of one asset."""
        start, end = self.request.start, self.request.end
        number = max(1, number)
        if number > MOST_PARTS:
            raise InvalidInput(
                f"This backfill has more than {MOST_PARTS:,} parts. Name a shorter range or fewer assets.",
                field="start",
            )
        if edges is not None and len(edges):
            places = np.unique(np.linspace(0, len(edges), number + 1).astype(np.int64))
            starts = [start, *(from_microseconds(int(edges[place])) for place in places[1:-1])]
            counts = np.diff(places).tolist()
        else:
            span = (end - start) / number
            starts = [start + place * span for place in range(number)]
            counts = [rows // number] * number
        ends = [following - ONE_MICROSECOND for following in starts[1:]] + [end]
        yield from zip(starts, ends, counts, strict=True)

    # --- what is missing ---------------------------------------------------------------------------------------------
    def _missing(self) -> Iterator[PlannedPart]:
        end = min(self.request.end, self.now)
        if end < self.request.start:
            self.plan.notes.append("The range has not begun yet: nothing is missing in it.")
            return
        report = report_gaps(
            self.storage,
            start=self.request.start,
            end=end,
            calendar=calendar_for(self.update, self.storage, self.calendar, self.node),
            scope=self.node.statistics_scope(),
            assets=self.assets,
        )
        self.plan.notes.extend(f"{self.name}: {note}" for note in report.notes)
        self.plan.missing = (self.plan.missing or 0) + report.missing
        spells: dict[Window, list[str]] = {}
        counts: dict[Window, int] = {}
        for asset, spell in report.spells():
            window = spell.start, spell.end
            spells.setdefault(window, []).append(asset)
            counts[window] = counts.get(window, 0) + spell.count
        if not spells:
            return
        if not self.is_scoped or len(spells) > MOST_WINDOWS:
            yield from self._joined(report, spells)
            return
        for window in sorted(spells):
            each = counts[window] // len(spells[window])
            for group in _groups(spells[window], ROWS_A_PART // max(1, each)):
                yield self._part(*window, tuple(group), BackfillMode.FILL, each * len(group))

    def _joined(self, report: GapReport, spells: dict[Window, list[str]]) -> Iterator[PlannedPart]:
        """One window from the first to the last missing instant, for each group of assets that miss some.

        Rows that are stored already are computed too, and left as they are.
        """
        missing = {row.asset: row.missing for row in report.rows() if row.missing}
        within: dict[str, Window] = {}
        for (start, end), assets in spells.items():
            for asset in assets:
                known = within.get(asset, (start, end))
                within[asset] = min(known[0], start), max(known[1], end)
        ordered = sorted(missing, key=lambda name: (within[name], name.encode()))
        group_size = len(ordered)
        if self.is_scoped:
            longest = max(len(group.expected.instants) for group in report.groups)
            group_size = max(1, ROWS_A_PART // max(1, longest))
        by_asset = ASSET_DIMENSION in self.storage.index_names
        for group in _groups(ordered, group_size):
            start, end = min(within[name][0] for name in group), max(within[name][1] for name in group)
            names = tuple(sorted(group, key=str.encode)) if by_asset else None
            yield self._part(start, end, names, BackfillMode.FILL, sum(missing[name] for name in group))

    def _failed_before(self) -> Iterator[PlannedPart]:
        """What failed parts of earlier backfills should have replaced; what they should have filled is missing."""
        failed = BackfillPart.objects.filter(
            node_update=self.update,
            status=PartStatus.FAILED,
            mode=BackfillMode.REPLACE,
            start__lte=self.request.end,
            end__gte=self.request.start,
        ).order_by("start", "pk")
        seen: set[Any] = set()
        for part in failed:
            assets = None if part.assets is None else tuple(part.assets)
            if self.request.assets is not None:
                wanted = set(self.request.assets)
                assets = tuple(name for name in part.assets or self.request.assets if name in wanted)
                if not assets:
                    continue
            start, end = max(part.start, self.request.start), min(part.end, self.request.end)
            if (start, end, assets) not in seen:
                seen.add((start, end, assets))
                yield self._part(start, end, assets, self.mode_of_replacement, part.rows_expected)

    @property
    def mode_of_replacement(self) -> str:
        return BackfillMode.FILL if write_mode_of(self.node) == "insert_only" else BackfillMode.REPLACE

    def _part(
        self, start: dt.datetime, end: dt.datetime, assets: tuple[str, ...] | None, mode: str, rows: int | None
    ) -> PlannedPart:
        return PlannedPart(self.name, self.update, start, end, assets, str(mode), rows)


def _groups(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    size = max(1, size)
    for place in range(0, len(names), size):
        yield names[place : place + size]


def _iso(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
