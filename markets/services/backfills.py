"""Backfills: planned, done here, or asked of a worker; a killed one goes on with the parts that are not done."""

import time
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from markets import locks
from markets.data_nodes import backfills
from markets.data_nodes.backfill_plans import BackfillPlan, plan_backfill
from markets.data_nodes.backfill_requests import BackfillRequest, clean_request
from markets.data_nodes.backfills import BackfillOutcome, Watcher
from markets.data_nodes.configuration import build_node
from markets.data_nodes.expected import last_day
from markets.data_nodes.node import DataNode
from markets.data_nodes.node_calendars import calendar_for
from markets.data_nodes.statistics import ASSET_DIMENSION
from markets.engine.text import counted
from markets.exceptions import AlreadyRunning, Conflict, InvalidInput, MSMError, NotFound
from markets.models import Backfill, BackfillPart, Job, NodeUpdate
from markets.services import jobs

__all__ = ["BackfillOutcome", "BackfillPlan", "BackfillRequest", "Watcher", "clean_request"]

BACKFILL = "backfill"
UNITS_OF_A_PART = 1_000  # of the progress bar, where the calendar tells no rows


def plan(update: NodeUpdate, request: BackfillRequest) -> BackfillPlan:
    """What the backfill would do; nothing is written.

    Raises InvalidInput and NotFound as the request deserves, Conflict where the node's class cannot be asked.
    """
    node = _checked(update, request)
    try:
        return plan_backfill(node, request, timezone.now())
    except MSMError:
        raise
    except Exception as error:  # get_asset_list() of a user's class may raise anything
        raise Conflict(f"{update.class_name} cannot be planned: {type(error).__name__}: {error}") from error


def run_in_process(update: NodeUpdate, request: BackfillRequest, watcher: Watcher) -> BackfillOutcome:
    """Do the backfill here. The same one asked for again goes on where it was left; failures are in the outcome.

    Raises AlreadyRunning while the node is being updated, or the same backfill done, by another process.
    """
    node = _checked(update, request)
    if locks.is_held(locks.LockSpace.NODE_UPDATE, update.pk):
        raise AlreadyRunning(f"{update} is being updated by another process. Wait for its run to end.")
    backfill = backfills.unfinished(update, request) or backfills.create(update, request)
    return backfills.work_off(backfill, node, watcher)


def request_backfill(update: NodeUpdate, request: BackfillRequest, *, user: User | None = None) -> Job:
    """Ask a worker for the backfill. While the same one waits or is done, its job is returned instead of a second one.

    One that failed or was cancelled within the last day goes on with the parts that are not done.
    """
    _checked(update, request)
    with transaction.atomic():
        NodeUpdate.objects.select_for_update().get(pk=update.pk)  # of two who ask at once, one asks first
        backfill = backfills.unfinished(update, request)
        if backfill is not None and backfill.job is not None and not backfill.job.is_finished:
            return backfill.job
        if backfill is None:
            backfill = backfills.create(update, request, requested_by=user)
        elif locks.is_held(locks.LockSpace.BACKFILL, backfill.pk):
            raise AlreadyRunning(f"{backfill} is being done by another process. Wait for it to end.")
        arguments = {"backfill": str(backfill.uid), "node_update": str(update.uid)}
        backfill.job = jobs.submit(BACKFILL, str(backfill), arguments, user=user)
        backfill.save(update_fields=["job", "updated_at"])
    return backfill.job


def latest_backfills(update: NodeUpdate, most: int) -> list[Backfill]:
    return list(update.backfills.select_related("job", "requested_by")[:most])


def _checked(update: NodeUpdate, request: BackfillRequest) -> DataNode:
    """The node, once what can be told at once is in order."""
    if request.assets is not None and ASSET_DIMENSION not in update.storage.index_names:
        raise InvalidInput(f"{update} has no rows by asset. Leave the assets out.", field="assets")
    try:
        node = build_node(update.build_configuration)
    except MSMError:
        raise
    except Exception as error:
        raise Conflict(f"{update.class_name} cannot be built: {type(error).__name__}: {error}") from error
    if request.calendar:
        last_day(request.calendar)
    if request.failed_only:
        last_day(calendar_for(update, update.storage, request.calendar, node))
    return node


@jobs.handles(BACKFILL, stop=jobs.stop_between_parts)
def backfill_job(progress: jobs.JobProgress) -> dict[str, Any]:
    """The worker's side of `request_backfill`."""
    backfill = (
        Backfill.objects.select_related("node_update__storage").filter(uid=progress.job.arguments["backfill"]).first()
    )
    if backfill is None:
        raise NotFound("The DataNode of this backfill was deleted.")
    watcher = _JobWatcher(progress)
    outcome = backfills.work_off(backfill, build_node(backfill.node_update.build_configuration), watcher)
    counters = outcome.counters()
    if outcome.failed:
        Job.objects.filter(pk=progress.job.pk).update(counters=counters)
        outcome.raise_failures()
    progress.say(outcome.text)
    return counters


class Pace:
    """How far a backfill has come, by the rows expected of its parts, and how long it may still take."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.first: int | None = None

    def text(self, part: BackfillPart, place: int, total: int, rows_written: int) -> str:
        if self.first is None:
            self.first = place
        done = place - self.first
        left = f", about {about((time.monotonic() - self.began) / done * (total - place))} left" if done else ""
        return (
            f"{part.node_update}: part {place + 1:,} of {total:,}, {part.start:%Y-%m-%d} to {part.end:%Y-%m-%d}, "
            f"{counted(rows_written, 'row')} written{left}"
        )


def about(seconds: float) -> str:
    """12 s, 4 min, 3 h."""
    for unit, length in (("h", 3_600), ("min", 60)):
        if seconds >= length * 1.5:
            return f"{round(seconds / length):,} {unit}"
    return f"{max(1, round(seconds))} s"


class _JobWatcher(Watcher):
    """Turns the parts of a backfill into the progress of one job."""

    def __init__(self, progress: jobs.JobProgress) -> None:
        self.progress = progress
        self.job = self.own_job = progress.job
        self.pace = Pace()
        self.place, self.total, self.rows_written, self.text = 0, 1, 0, ""

    def planned(self, plan: BackfillPlan) -> None:
        missing = "" if plan.missing is None else f", {plan.missing:,} missing"
        parts, rows = counted(len(plan.parts), "part"), counted(plan.rows, "row")
        self.progress.say(f"Planned: {parts}, {rows} expected{missing}.")
        for note in plan.notes:
            self.progress.say(note, "warning")

    def resumed(self, done: int, total: int) -> None:
        self.progress.say(f"{done:,} of {total:,} parts were done before.")

    def part_started(self, part: BackfillPart, place: int, total: int) -> None:
        self.place, self.total = place, total
        self.text = self.pace.text(part, place, total, self.rows_written)
        self.progress.report(place * UNITS_OF_A_PART, total * UNITS_OF_A_PART, self.text)

    def node_progressed(self, node: DataNode, done: int, total: int | None, text: str) -> None:
        share = min(done / total, 1.0) if total else 0.0
        units = self.place * UNITS_OF_A_PART + int(share * UNITS_OF_A_PART)
        self.progress.report(units, self.total * UNITS_OF_A_PART, f"{self.text} {text}".strip())

    def part_finished(self, part: BackfillPart, place: int, total: int, outcome: BackfillOutcome) -> None:
        self.rows_written = outcome.rows_written
        if part.error:
            self.progress.say(f"{part}: {part.error}", "error")
        text = f"{place:,} of {counted(total, 'part')}, {counted(outcome.rows_written, 'row')} written"
        self.progress.report(place * UNITS_OF_A_PART, total * UNITS_OF_A_PART, text, always=place == total)

    def is_stopped(self) -> bool:
        """Whether somebody ended the job meanwhile: then no further part is begun."""
        self.own_job.refresh_from_db(fields=["status"])
        return self.own_job.is_finished
