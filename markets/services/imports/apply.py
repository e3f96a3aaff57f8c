"""Applying: the previewed rows are written in one transaction; what changed since the preview is not overwritten."""

from collections.abc import Iterator
from typing import Any

from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone
from psycopg import sql

from markets.exceptions import Conflict
from markets.models import ImportOutcome, ImportRun, ImportStatus
from markets.services.imports import marks
from markets.services.imports.files import drop_file
from markets.services.imports.kinds import ImportKind, kind_of
from markets.services.imports.preview import counts_of, keep_cells
from markets.services.imports.stage import IN_FILE, ROWS, STORED, ImportStage
from markets.services.jobs import JobProgress
from markets.services.values import listed

ROWS_IN_SLICE = 20_000  # written by one statement; progress is told between two
MOST_TRIES = 3  # each lost to somebody who wrote the same rows in the same instant


class _OvertakenError(Exception):
    """Somebody made a row between the check and the merge."""


def apply(run: ImportRun, progress: JobProgress) -> dict[str, int]:
    """Write the rows that the preview would create or update, all or none, but for those that changed since.

    Raises Conflict when others keep writing the same rows.
    """
    for attempt in range(1, MOST_TRIES + 1):
        try:
            with transaction.atomic():
                return _apply(run, progress)
        except (_OvertakenError, IntegrityError, OperationalError) as error:
            if not isinstance(error, _OvertakenError) and _state(error) not in ("23505", "40001", "40P01"):
                raise
            if attempt == MOST_TRIES:
                raise Conflict(
                    "Others keep writing the same rows at this moment. Nothing was written; try again."
                ) from error
    raise AssertionError


def _apply(run: ImportRun, progress: JobProgress) -> dict[str, int]:
    kind = kind_of(run.entity)
    now = timezone.now()
    total = run.counts["create"] + run.counts["update"]
    progress.report_beside(0, total, "Comparing with the preview")
    stage = ImportStage(kind.entity)
    lock_targets(run, stage)
    refuse_changed(run, stage, kind)
    done = created = updated = 0
    for rows in slices(run, [ImportOutcome.CREATE, ImportOutcome.UPDATE]):
        stage = ImportStage(kind.entity)
        stage.create()
        stage.fill(rows, IN_FILE)
        stage.settle()
        refused: dict[int, str] = {
            row: f"{listed(names)} changed since the preview." for row, names in stage.differing(run, STORED)
        }
        refused |= {row: reason for row, _, reason in stage.faults()}
        marks.refuse(run, refused)
        stage.remove(refused)
        new = set(stage.positions(run, sql.SQL("e.id IS NULL")))
        written = stage.merge(now)
        if {row for row, made in written if made} != new:
            raise _OvertakenError
        created, updated = created + len(new), updated + len(written) - len(new)
        if kind.entity.after is not None:
            kind.entity.after(stage)
        stage.drop()
        done += ROWS_IN_SLICE
        progress.report_beside(min(done, total), total, f"{created + updated:,} of {total:,} {kind.plural} written")
    keep_cells(run)
    results = {"created": created, "updated": updated, "conflicts": _late_conflicts(run)}
    changed = ImportRun.objects.filter(pk=run.pk, status=ImportStatus.APPLYING, job=run.job_id).update(
        status=ImportStatus.APPLIED, applied_at=now, updated_at=now, results=results, counts=counts_of(run), error=""
    )
    if not changed:
        raise Conflict("The import was changed meanwhile. Nothing was written; look at it again.")
    drop_file(run)
    return results


def lock_targets(run: ImportRun, stage: ImportStage) -> None:
    """Lock the stored rows of the import, in the order of their key, until the transaction ends."""
    stage.join_as_sets()
    stage.execute(
        sql.SQL(
            "SELECT FROM {base} AS e WHERE e.{key} IN (SELECT key FROM {rows} WHERE run_id = %s AND outcome IN "
            "('create', 'update')) ORDER BY e.{key} FOR UPDATE"
        ).format(base=stage.base, key=stage.key, rows=ROWS),
        [run.pk],
    )


def refuse_changed(run: ImportRun, stage: ImportStage, kind: ImportKind) -> None:
    """Turn the rows whose asset is no longer as the preview saw it into conflicts."""
    found = stage.rows(
        sql.SQL(
            'SELECT i."row", i.seen_at IS NULL, e.id IS NULL FROM {rows} AS i LEFT JOIN {base} AS e ON e.{key} = i.key '
            "WHERE i.run_id = %s AND (i.outcome = 'create' AND e.id IS NOT NULL OR i.outcome IN ('update', 'same') AND "
            "i.seen_at IS NOT NULL AND (e.id IS NULL OR e.uid <> i.target OR e.updated_at <> i.seen_at))"
        ).format(rows=ROWS, base=stage.base, key=stage.key),
        [run.pk],
    )
    noun = kind.entity.noun
    reasons = {
        row: f"The {noun} was {'made by somebody else' if new else 'deleted' if gone else 'changed'} since the preview."
        for row, new, gone in found
    }
    marks.refuse(run, reasons)


def slices(run: ImportRun, outcomes: list[ImportOutcome]) -> Iterator[sql.Composable]:
    """Queries of (row, key, target, changes), each of some rows of the import, in the order of their keys."""
    rows = run.rows.filter(outcome__in=outcomes)
    keys = rows.order_by("key").values_list("key", flat=True)
    below: str | None = None
    while True:
        part = keys if below is None else keys.filter(key__gt=below)
        last = part[ROWS_IN_SLICE - 1 : ROWS_IN_SLICE].first() or part.last()
        if last is None:
            return
        bounds = [sql.SQL("key <= {}").format(sql.Literal(last))]
        if below is not None:
            bounds.append(sql.SQL("key > {}").format(sql.Literal(below)))
        yield sql.SQL('SELECT "row", key, target, changes FROM {} WHERE run_id = {} AND outcome IN ({}) AND {}').format(
            ROWS,
            sql.Literal(run.pk),
            sql.SQL(", ").join(sql.Literal(str(outcome)) for outcome in outcomes),
            sql.SQL(" AND ").join(bounds),
        )
        below = last


def _late_conflicts(run: ImportRun) -> int:
    return run.rows.filter(outcome=ImportOutcome.CONFLICT).count() - run.counts.get("conflict", 0)


def _state(error: Any) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""
