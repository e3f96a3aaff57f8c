"""Does a backfill part by part: each is one run, done once; whoever is killed is followed by whoever asks again."""

import datetime as dt
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q
from django.utils import timezone

from markets import locks
from markets.data_nodes import registration, runs, staleness
from markets.data_nodes.backfill_plans import BackfillPlan, plan_backfill
from markets.data_nodes.backfill_requests import BackfillRequest
from markets.data_nodes.gaps import stored_identities
from markets.data_nodes.windows import Window
from markets.engine.text import counted, storable_text
from markets.exceptions import AlreadyRunning, BackfillFailed
from markets.models import Backfill, BackfillMode, BackfillPart, NodeRun, NodeUpdate, PartStatus

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode

logger = logging.getLogger("msm.nodes.backfills")
# What was asked for yesterday is asked for anew today: the source may have changed since its first parts were done.
RESUMED_WITHIN = dt.timedelta(days=1)
FINISHED = [PartStatus.DONE, PartStatus.MENDED]
FAILURES_NAMED = 10
PATIENCE_WITH_RUNS = 600.0  # seconds a part waits for a normal run of its node to end
PARTS_AT_ONCE = 1_000  # written by one statement


class Watcher(runs.Observer):
    """Who watches a backfill; also the observer of its runs. Each method may do nothing."""

    def planned(self, plan: BackfillPlan) -> None: ...
    def resumed(self, done: int, total: int) -> None: ...
    def part_started(self, part: BackfillPart, place: int, total: int) -> None: ...
    def part_finished(self, part: BackfillPart, place: int, total: int, outcome: "BackfillOutcome") -> None: ...
    def is_stopped(self) -> bool:
        return False


@dataclass
class BackfillOutcome:
    """How a backfill ended: parts by what became of them, rows written by this call, and what was said."""

    backfill: Backfill | None
    parts: int = 0
    done: int = 0
    done_before: int = 0
    failed: list[str] = field(default_factory=list)
    left: int = 0
    rows_written: int = 0
    stopped: bool = False
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """One sentence with the counts."""
        if not self.parts:
            return "Nothing to do: no session is missing and no part has failed."
        said = f"{self.done:,} of {counted(self.parts, 'part')} done, {counted(self.rows_written, 'row')} written"
        if self.done_before:
            said += f"; {self.done_before:,} were done before"
        if self.failed:
            said += f"; {len(self.failed):,} failed"
        if self.left:
            said += f"; {self.left:,} left"
        if not self.rows_written and not self.failed and not self.left:
            said += ": nothing was missing or different"
        return f"{said}."

    def counters(self) -> dict[str, Any]:
        return {
            "parts": self.parts,
            "parts_done": self.done,
            "parts_done_before": self.done_before,
            "parts_failed": len(self.failed),
            "parts_left": self.left,
            "rows_written": self.rows_written,
        }

    def raise_failures(self) -> None:
        """Raise BackfillFailed, naming the first failed parts, where there are any."""
        if not self.failed:
            return
        more = len(self.failed) - FAILURES_NAMED
        listed = " | ".join(self.failed[:FAILURES_NAMED]) + (f" | … and {more:,} more" if more > 0 else "")
        raise BackfillFailed(f"{self.text} {listed}. Ask for the same backfill again to do these parts again.")


def backfill_node(
    node: "DataNode", request: BackfillRequest, *, dry_run: bool, watcher: Watcher | None = None
) -> BackfillPlan | BackfillOutcome:
    """Plan a backfill, or do it in this process; a plan writes nothing.

    Raises AlreadyRunning while the node is being updated or the same backfill is being done, BackfillFailed where parts
    failed, NotFound for a plan of a node that never ran.
    """
    if dry_run:
        node.get_node_update()
        return plan_backfill(node, request, timezone.now())
    update = registration.ensure_update(node)
    if locks.is_held(locks.LockSpace.NODE_UPDATE, update.pk):
        raise AlreadyRunning(f"{update} is being updated by another process. Wait for its run to end.")
    backfill = unfinished(update, request) or create(update, request)
    outcome = work_off(backfill, node, watcher or Watcher())
    outcome.raise_failures()
    return outcome


def create(update: NodeUpdate, request: BackfillRequest, **fields: Any) -> Backfill:
    return Backfill.objects.create(node_update=update, **_fields_of(request), **fields)


def unfinished(update: NodeUpdate, request: BackfillRequest) -> Backfill | None:
    """The same backfill, asked for not long ago, that still has parts to do."""
    open_parts = BackfillPart.objects.filter(backfill=OuterRef("pk")).exclude(status__in=FINISHED)
    return (
        Backfill.objects.filter(
            Q(planned_at=None) | Exists(open_parts),
            node_update=update,
            created_at__gte=timezone.now() - RESUMED_WITHIN,
            **_fields_of(request),
        )
        .order_by("-id")
        .first()
    )


def _fields_of(request: BackfillRequest) -> dict[str, Any]:
    return {
        "start": request.start,
        "end": request.end,
        "assets": None if request.assets is None else list(request.assets),
        "failed_only": request.failed_only,
        "update_tree": request.update_tree,
        "calendar_identifier": request.calendar,
    }


def request_of(backfill: Backfill) -> BackfillRequest:
    return BackfillRequest(
        backfill.start,
        backfill.end,
        None if backfill.assets is None else tuple(backfill.assets),
        backfill.failed_only,
        backfill.update_tree,
        backfill.calendar_identifier,
    )


def work_off(backfill: Backfill, node: "DataNode", watcher: Watcher) -> BackfillOutcome:
    """Plan the backfill if nobody has, then do the parts that are not done; failed ones are tried again.

    A part that fails is recorded and the next one begun; parts of nodes that read a failed one are left for the next
    time. Raises AlreadyRunning while another process does the same backfill.
    """
    with locks.held(locks.LockSpace.BACKFILL, backfill.pk) as free:
        if not free:
            raise AlreadyRunning(f"{backfill} is being done by another process. Wait for it to end.")
        return _Work(backfill, node, watcher).do()


def _plan(backfill: Backfill, node: "DataNode", watcher: Watcher) -> list[str]:
    plan = plan_backfill(node, request_of(backfill), timezone.now())
    with transaction.atomic():
        BackfillPart.objects.bulk_create(
            [
                BackfillPart(
                    backfill=backfill,
                    position=position,
                    node_update=part.update,
                    start=part.start,
                    end=part.end,
                    assets=None if part.assets is None else list(part.assets),
                    mode=part.mode,
                    rows_expected=part.rows,
                )
                for position, part in enumerate(plan.parts)
            ],
            batch_size=PARTS_AT_ONCE,
        )
        backfill.planned_at = timezone.now()
        backfill.save(update_fields=["planned_at", "updated_at"])
    watcher.planned(plan)
    return plan.notes


class _Work:
    def __init__(self, backfill: Backfill, node: "DataNode", watcher: Watcher) -> None:
        self.backfill, self.node, self.watcher = backfill, node, watcher
        self.outcome = BackfillOutcome(backfill)
        self.failed_nodes: set[str] = set()
        self.before: dict[int, tuple[dt.datetime | None, dt.datetime | None]] = {}

    def do(self) -> BackfillOutcome:
        began = time.monotonic()
        outcome = self.outcome
        if self.backfill.planned_at is None:
            outcome.notes = _plan(self.backfill, self.node, self.watcher)
        parts = BackfillPart.objects.filter(backfill=self.backfill)
        parts.filter(status=PartStatus.FAILED).update(status=PartStatus.WAITING, error="")
        outcome.parts = parts.count()
        outcome.done_before = parts.filter(status__in=FINISHED).count()
        if outcome.done_before:
            self.watcher.resumed(outcome.done_before, outcome.parts)
        members = {member.update_hash: member for member in runs.execution_order(self.node)}
        waiting = list(parts.filter(status=PartStatus.WAITING).order_by("position").values_list("pk", flat=True))
        for place, pk in enumerate(waiting):
            if self.watcher.is_stopped():
                outcome.stopped, outcome.left = True, outcome.left + len(waiting) - place
                break
            part = parts.select_related("node_update__storage").get(pk=pk)
            self._one(part, members[part.node_update.update_hash], outcome.done_before + place)
        if not outcome.stopped:
            self._clear_stale(parts)
        outcome.seconds = time.monotonic() - began
        return outcome

    def _one(self, part: BackfillPart, member: "DataNode", place: int) -> None:
        outcome = self.outcome
        broken = self._broken_source(member)
        if broken:
            BackfillPart.objects.filter(pk=part.pk).update(error=f"Not begun: parts of {broken} failed.")
            self.failed_nodes.add(member.update_hash)
            outcome.left += 1
            return
        update = part.node_update
        if update.pk not in self.before:
            self.before[update.pk] = update.stale_from, update.stale_marked_at
        self.watcher.part_started(part, place, outcome.parts)
        until = BackfillPart.objects.filter(backfill=self.backfill, node_update=update).aggregate(end=Max("end"))["end"]
        window = Window(
            part.start,
            part.end,
            part.assets,
            "fill" if part.mode == BackfillMode.FILL else "replace",
            until,
            _done(part),
        )
        try:
            result = runs.run_window(member, window, observer=self.watcher, patience=PATIENCE_WITH_RUNS)
        except Exception as error:
            if self.watcher.is_stopped():
                outcome.left += 1
                return
            logger.warning("%s: %s", part, error)
            self.failed_nodes.add(member.update_hash)
            outcome.failed.append(f"{part}: {error}")
            run = member.last_run.run if member.last_run is not None else None
            part.status, part.error, part.run = PartStatus.FAILED, storable_text(str(error)), run
            part.save(update_fields=["status", "error", "run"])
        else:
            outcome.done += 1
            outcome.rows_written += result.rows_written
            part.status, part.rows_written = PartStatus.DONE, result.rows_written
        self.watcher.part_finished(part, place + 1, outcome.parts, outcome)

    def _broken_source(self, member: "DataNode") -> str:
        """The name of a node that this one rests on and that has failed parts; empty where all is well."""
        if not self.failed_nodes:
            return ""
        for source in runs.execution_order(member)[:-1]:
            if source.update_hash in self.failed_nodes:
                return str(source.get_node_update())
        return ""

    def _clear_stale(self, parts: Any) -> None:
        """A node of which every row from where it was stale was just written anew is stale no more."""
        if self.backfill.assets is not None or self.outcome.done_before:
            return
        for update in NodeUpdate.objects.filter(pk__in=self.before).select_related("storage"):
            since, marked_at = self.before[update.pk]
            own = parts.filter(node_update=update)
            if since is None or own.exclude(status=PartStatus.DONE, mode=BackfillMode.REPLACE).exists():
                continue
            last = stored_identities(update.storage, {}).aggregate(last=Max("last_time_index"))["last"]
            if self.backfill.start <= since and last is not None and last <= self.backfill.end:
                staleness.clear(update, marked_at=marked_at)


def _done(part: BackfillPart) -> Any:
    """Records the part as done, and failed ones that it covers as mended, in the transaction of the rows."""

    def record(run: NodeRun) -> None:
        BackfillPart.objects.filter(pk=part.pk).update(
            status=PartStatus.DONE, rows_written=run.rows_written, run=run, error=""
        )
        covered = BackfillPart.objects.filter(
            node_update=part.node_update_id, status=PartStatus.FAILED, start__gte=part.start, end__lte=part.end
        ).exclude(pk=part.pk)
        if part.mode == BackfillMode.FILL:
            covered = covered.filter(mode=BackfillMode.FILL)
        if part.assets is not None:
            covered = covered.filter(assets__contained_by=part.assets)
        covered.update(status=PartStatus.MENDED)

    return record
