"""Undoing: what an import made is deleted, what it changed is put back, and what somebody touched since is kept."""

from django.db import IntegrityError, transaction
from django.utils import timezone
from psycopg import sql

from markets.exceptions import Conflict
from markets.models import ImportOutcome, ImportRun, ImportStatus
from markets.services import deletion
from markets.services.imports import marks
from markets.services.imports.apply import lock_targets, slices
from markets.services.imports.kinds import ImportKind, kind_of
from markets.services.imports.stage import IN_FILE, STORED, ImportStage
from markets.services.jobs import JobProgress
from markets.services.values import listed


def undo(run: ImportRun, progress: JobProgress) -> dict[str, int]:
    """Take the import back in one transaction; a row that is kept is told why."""
    try:
        with transaction.atomic():
            return _undo(run, progress, force=bool(progress.job.arguments.get("force")))
    except IntegrityError as error:
        raise Conflict(
            "Somebody wrote a row that rests on what would be undone at this moment. Nothing was undone; try again."
        ) from error


def _undo(run: ImportRun, progress: JobProgress, *, force: bool) -> dict[str, int]:
    kind = kind_of(run.entity)
    total = run.results["created"] + run.results["updated"]
    progress.report_beside(0, total, "Comparing with what was written")
    lock_targets(run, ImportStage(kind.entity))
    kept: dict[int, str] = {}
    done = restored = deleted = 0
    for rows in slices(run, [ImportOutcome.UPDATE]):
        restored += _restore(run, kind, rows, kept)
        progress.report_beside(restored, total, f"{restored:,} {kind.plural} put back")
    done = restored
    for rows in slices(run, [ImportOutcome.CREATE]):
        deleted += _delete(run, kind, rows, kept, force=force)
        progress.report_beside(done + deleted, total, f"{deleted:,} {kind.plural} deleted")
    marks.keep(run, kept)
    now = timezone.now()
    results = {**run.results, "deleted": deleted, "restored": restored, "kept": len(kept)}
    changed = ImportRun.objects.filter(pk=run.pk, status=ImportStatus.UNDOING, job=run.job_id).update(
        status=ImportStatus.UNDONE, undone_at=now, updated_at=now, results=results, error=""
    )
    if not changed:
        raise Conflict("The import was changed meanwhile. Nothing was undone; look at it again.")
    return {"deleted": deleted, "restored": restored, "kept": len(kept)}


def _restore(run: ImportRun, kind: ImportKind, rows: sql.Composable, kept: dict[int, str]) -> int:
    stage = ImportStage(kind.entity)
    stage.create()
    stage.fill(rows, STORED)
    stage.settle()
    another = sql.SQL("e.id IS NULL OR e.uid <> i.target")  # deleted, or deleted and made anew
    here = dict.fromkeys(stage.positions(run, another), f"The {kind.entity.noun} was deleted since.")
    here |= {row: f"{listed(names)} changed since." for row, names in stage.differing(run, IN_FILE)}
    stage.remove(here)
    here |= {row: reason for row, _, reason in stage.faults()}
    stage.remove(here)
    restored = len(stage.merge(timezone.now()))
    stage.drop_empty_extensions(run)
    stage.drop()
    kept |= here
    return restored


def _delete(run: ImportRun, kind: ImportKind, rows: sql.Composable, kept: dict[int, str], *, force: bool) -> int:
    stage = ImportStage(kind.entity)
    stage.create()
    stage.fill(rows, IN_FILE)
    stage.settle()
    noun = kind.entity.noun
    here = dict.fromkeys(
        stage.positions(run, sql.SQL("e.id IS NULL OR e.uid <> i.target")), f"The {noun} was deleted since."
    )
    for row, names in stage.differing(run, IN_FILE, whole=True):
        here.setdefault(row, f"{listed(names)} changed since.")
    for model, column, label in _resting(kind):
        for row in stage.owners_in(model, column):
            here.setdefault(row, f"{label.capitalize()} rest on it.")
    if not force:
        for row in stage.positions(run, sql.SQL("NOT e.is_custom_by_organization")):
            here.setdefault(row, f"The {noun} belongs to the public master, which you may not delete from.")
    stage.remove(here)
    deleted = stage.delete()
    stage.drop()
    kept |= here
    return deleted


def _resting(kind: ImportKind) -> list[tuple[type, str, str]]:
    """(table, column, name) of everything that may point at a row, but for the extension that is made with it."""
    extension = kind.entity.extension.model if kind.entity.extension else None
    return [
        (relation.related_model, relation.field.column, str(relation.related_model._meta.verbose_name_plural))
        for relation in deletion.incoming(kind.entity.model)
        if relation.related_model is not extension
    ]
