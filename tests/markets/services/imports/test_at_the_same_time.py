"""Imports beside other callers on real connections: two who apply, one who is overtaken, one who is killed."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from markets.exceptions import Conflict
from markets.models import Asset, ImportRun, ImportStatus, Job, JobStatus
from markets.services import imports, jobs
from tests import factories
from tests.markets.services.imports.steps import apply, done, reasons, upload
from tests.markets.test_jobs_and_workers import ROOT, environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("worker")]


def in_thread(action: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(action())
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def wait_until_blocked(number: int = 1) -> None:
    for _ in range(600):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_locks "
                "WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
            )
            if cursor.fetchone()[0] >= number:
                return
        time.sleep(0.05)
    raise AssertionError("nobody waits")


def test_of_two_who_ask_at_once_one_applies() -> None:
    run = upload("unique_identifier\nA\nB\n")
    with transaction.atomic():
        ImportRun.objects.select_for_update().get(pk=run.pk)
        askers = [in_thread(lambda: imports.request_apply(run, start=jobs.record)) for _ in range(2)]
        wait_until_blocked(2)
    for thread, _ in askers:
        thread.join()
    outcomes = [results[0] for _, results in askers]
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "ImportRun"]
    assert any(isinstance(outcome, Conflict) for outcome in outcomes)
    assert Job.objects.filter(kind="apply_import").count() == 1
    assert done(ImportRun.objects.get()).results == {"created": 2, "updated": 0, "conflicts": 0}
    assert Asset.objects.count() == 2


def test_a_row_that_somebody_makes_during_the_merge_is_not_overwritten() -> None:
    run = upload("unique_identifier,type\nMADE,fund\nNEW,fund\n")
    with transaction.atomic():
        factories.asset(unique_identifier="MADE", asset_type="bond")
        thread, results = in_thread(lambda: apply(run))
        wait_until_blocked()  # the merge waits for the end of this transaction
    thread.join()
    applied = results[0]
    assert applied.results == {"created": 1, "updated": 0, "conflicts": 1}
    assert reasons(applied) == {2: [(None, "The asset was made by somebody else since the preview.")]}
    assert list(Asset.objects.values_list("unique_identifier", "asset_type")) == [("MADE", "bond"), ("NEW", "fund")]


def test_a_change_that_commits_while_the_import_waits_is_not_overwritten() -> None:
    factories.asset(unique_identifier="A", asset_type="bond")
    run = upload("unique_identifier,type\nA,fund\nB,fund\n")
    with transaction.atomic():
        Asset.objects.select_for_update().get()
        Asset.objects.update(asset_type="future")
        thread, results = in_thread(lambda: apply(run))
        wait_until_blocked()
    thread.join()
    assert results[0].results == {"created": 1, "updated": 0, "conflicts": 1}
    assert list(Asset.objects.values_list("unique_identifier", "asset_type")) == [("A", "future"), ("B", "fund")]


@pytest.mark.parametrize("step", ["apply", "undo"])
def test_a_worker_that_is_killed_leaves_nothing_half_done_and_the_job_is_done_again(step: str) -> None:
    factories.asset(unique_identifier="HELD", asset_type="bond")
    run = upload("unique_identifier,type\nA,fund\nHELD,fund\nZ,fund\n")
    if step == "undo":
        run = imports.request_undo(apply(run), reason="Wrong", start=jobs.record)
    else:
        run = imports.request_apply(run, start=jobs.record)
    before = list(Asset.objects.values_list("unique_identifier", "asset_type"))
    code = (
        f"import django; django.setup(); from markets.services import imports, jobs; jobs.execute({str(run.job.uid)!r})"
    )
    with transaction.atomic():
        Asset.objects.select_for_update().get(unique_identifier="HELD")
        worker = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=environment(DJANGO_SETTINGS_MODULE="msm_project.settings"),
        )
        wait_until_blocked()
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert list(Asset.objects.values_list("unique_identifier", "asset_type")) == before
    run.refresh_from_db()
    assert run.status in (ImportStatus.APPLYING, ImportStatus.UNDOING)
    assert run.job.status == JobStatus.RUNNING
    jobs.execute(str(run.job.uid))  # the message comes again
    run.refresh_from_db()
    assert Job.objects.get(pk=run.job_id).status == JobStatus.SUCCEEDED
    if step == "undo":
        assert (run.status, run.results["deleted"], run.results["restored"]) == (ImportStatus.UNDONE, 2, 1)
        assert list(Asset.objects.values_list("unique_identifier", "asset_type")) == [("HELD", "bond")]
    else:
        assert (run.status, run.results) == (ImportStatus.APPLIED, {"created": 2, "updated": 1, "conflicts": 0})
        assert set(Asset.objects.values_list("asset_type", flat=True)) == {"fund"}


def test_progress_is_visible_while_the_transaction_runs() -> None:
    factories.asset(unique_identifier="HELD", asset_type="bond")
    run = imports.request_apply(upload("unique_identifier,type\nHELD,fund\nZ,fund\n"), start=jobs.record)
    with transaction.atomic():
        Asset.objects.select_for_update().get(unique_identifier="HELD")
        thread, _ = in_thread(lambda: done(run))
        wait_until_blocked()
        seen = Job.objects.get(pk=run.job_id)
        assert (seen.status, seen.progress_done, seen.progress_total) == (JobStatus.RUNNING, 0, 2)
        assert seen.progress_text == "Comparing with the preview"
    thread.join()
    assert Job.objects.get(pk=run.job_id).counters == {"created": 1, "updated": 1, "conflicts": 0}
