"""PostgreSQL restarts in the middle of a run: nothing half written, nothing lost, and whoever was cut off goes on."""

import datetime as dt
from functools import partial

import pytest
from django.db import OperationalError, connection, connections

from markets.data_nodes import run_records, storage
from markets.models import JobStatus, NodeRun, RunStatus
from markets.services import node_runs
from tests.markets.faults.asking import ended, job_of, reached
from tests.markets.faults.nodes import Staged, rows_of
from tests.markets.faults.whole import SUCCEEDED, UP_TO_DATE, assert_table_is_whole
from tests.markets.faults.world import wait_for

INTERRUPTED = ("failed", "Interrupted")
CUT = ("failed", "OperationalError")


def once(happens):
    left = [happens]
    return lambda: left.pop()() if left else None


def in_mid_copy(monkeypatch, happens):
    """Let something happen when half of the rows are on their way to the server."""
    pack = storage.pack_rows

    def packed(fields, count):
        data = b"".join(bytes(chunk) for chunk in pack(fields, count))
        yield data[: len(data) // 2]
        happens()
        yield data[len(data) // 2 :]

    monkeypatch.setattr(storage, "pack_rows", packed)


# --- a run in this process -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("stage", "how"), [("update", "fast"), ("copy", "immediate"), ("before commit", "immediate")])
def test_a_run_that_is_cut_off_fails_with_nothing_written_and_the_next_one_ends_well(
    world, place, monkeypatch, stage, how
):
    # given
    node = Staged(str(place))
    cut_off = once(lambda: world.restart_postgres(how))
    if stage == "copy":
        in_mid_copy(monkeypatch, cut_off)
    else:
        Staged.at[stage] = cut_off
    # when
    with pytest.raises(Exception, match=r"terminating connection|closed|lost|abort"):
        node.run()
    # then
    assert node.last_run.status == RunStatus.FAILED
    assert_table_is_whole(node, [], [CUT])
    # and the run after it
    Staged(str(place)).run()
    assert_table_is_whole(node, rows_of(200), [CUT, SUCCEEDED])
    Staged(str(place)).run()
    assert_table_is_whole(node, rows_of(200), [CUT, SUCCEEDED, UP_TO_DATE])


def test_a_restart_in_a_later_run_leaves_the_rows_of_the_earlier_ones(world, place):
    # given
    node = Staged(str(place))
    (place / "days").write_text("50")
    node.run()
    (place / "days").write_text("200")
    Staged.at["before commit"] = once(lambda: world.restart_postgres("fast"))
    # when
    with pytest.raises(OperationalError):
        Staged(str(place)).run()
    # then
    assert_table_is_whole(node, rows_of(50), [SUCCEEDED, CUT])
    Staged(str(place)).run()
    assert_table_is_whole(node, rows_of(200), [SUCCEEDED, CUT, SUCCEEDED])


def test_a_run_that_cannot_record_its_failure_is_recorded_by_the_next_one(world, place):
    # given a server that stays down
    node = Staged(str(place))
    Staged.at["update"] = once(lambda: world.stop_postgres("immediate"))
    # when
    with pytest.raises(OperationalError):
        node.run()
    # then the process knows no better than that it failed
    assert node.last_run.status == RunStatus.FAILED
    # and when the server is back, the record still says running, until somebody looks
    world.start_postgres()
    connection.close()
    assert NodeRun.objects.get().status == RunStatus.RUNNING
    assert run_records.close_interrupted_runs() == 1
    assert_table_is_whole(node, [], [INTERRUPTED])
    assert NodeRun.objects.get().error_message == (
        "The process that ran this update died or lost its database. Nothing of the run was written; run it again."
    )
    Staged(str(place)).run()
    assert_table_is_whole(node, rows_of(200), [INTERRUPTED, SUCCEEDED])


def test_a_commit_whose_answer_is_lost_is_told_as_the_success_that_it_was(world, place, monkeypatch):
    # given a server that crashes between the commit and its answer
    node = Staged(str(place))
    commit = connection._commit

    def crash_after_commit():
        commit()
        with world.connect() as other:
            written = other.execute("SELECT count(*) FROM markets_noderun WHERE status = 'succeeded'").fetchone()[0]
        if written:
            monkeypatch.undo()
            world.restart_postgres("immediate")
            with connection.wrap_database_errors:
                connection.connection.execute("SELECT 1")

    monkeypatch.setattr(connections["default"], "_commit", crash_after_commit)
    # when
    with pytest.raises(OperationalError):
        node.run()
    # then the error was raised, and the records say what is there
    assert (node.last_run.status, node.last_run.rows_written) == (RunStatus.SUCCEEDED, 400)
    assert_table_is_whole(node, rows_of(200), [SUCCEEDED])
    Staged(str(place)).run()
    assert_table_is_whole(node, rows_of(200), [SUCCEEDED, UP_TO_DATE])


# --- a worker's job --------------------------------------------------------------------------------------------------
def test_a_workers_job_is_cut_off_by_restarts_and_done_to_its_end(world, place, tmp_path):
    """One worker, never started again: it is cut off in update(), in the COPY and before the commit."""
    log = tmp_path / "worker.log"
    worker = world.start_worker(log)
    for stage, how in (("update", "immediate"), ("copy", "fast"), ("before commit", "immediate")):
        # given a job that has come to this stage
        where = tmp_path / stage
        where.mkdir()
        (where / "days").write_text("200")
        node = Staged(str(where), table=stage)
        before, release = [], None
        if stage == "copy":  # a trigger that waits, in mid-COPY, for a lock that this test holds
            (where / "days").write_text("50")
            node.run()
            (where / "days").write_text("200")
            before = [SUCCEEDED]
            wait_in_copy(node.get_storage().table_name)
            release = world.connect()
            release.execute("SELECT pg_advisory_lock(77)")
        else:
            (where / f"hold {stage}").touch()
        job = job_of(node)
        world.send([job.uid])
        if stage == "copy":
            wait_for(somebody_waits_for_the_lock, "the COPY to come to the trigger")
        else:
            wait_for(partial(reached, where, stage), f"the job to come to {stage}")
        # when
        world.restart_postgres(how)
        connection.close()
        (where / f"hold {stage}").unlink(missing_ok=True)
        # then
        ended(job)
        step = job.steps.get()
        assert (job.status, step.status, step.attempts) == (JobStatus.SUCCEEDED, JobStatus.SUCCEEDED, 2), job.error
        assert step.retries + step.deaths == 1
        # The failure is recorded by the process that was cut off when the server is back by then, else by the next.
        cut_off = NodeRun.objects.get(node_update__storage=node.get_storage(), status=RunStatus.FAILED).error_type
        assert cut_off in {"OperationalError", "Interrupted"}
        assert_table_is_whole(node, rows_of(200), [*before, ("failed", cut_off), SUCCEEDED])
        again, done = job.messages.all()
        assert (again.level, done.level) == ("warning", "info")
        assert again.text.startswith(f"{node_runs.name_of(node)}: try 2 of 4") or "died" in again.text
        rows_written = 300 if stage == "copy" else 400
        assert done.text.split(" in ")[0] == f"{node_runs.name_of(node)}: succeeded, {rows_written} rows written"
        if release is not None:
            release.close()
    # and a restart while the worker has nothing to do costs nothing
    world.restart_postgres("fast")
    connection.close()
    idle = Staged(str(place), table="idle")
    job = job_of(idle)
    world.send([job.uid])
    assert (ended(job).status, job.attempts) == (JobStatus.SUCCEEDED, 1)
    assert_table_is_whole(idle, rows_of(200), [SUCCEEDED])
    assert worker.poll() is None


def test_a_message_that_arrives_while_the_database_is_down_is_not_lost(world, place, tmp_path):
    # regression: the message was thrown away and the job waited ten minutes for another
    node = Staged(str(place))
    job = job_of(node)
    log = tmp_path / "worker.log"
    world.start_worker(log)
    wait_for(lambda: " ready." in log.read_text(), "the worker")
    world.stop_postgres("fast")
    connection.close()
    # when
    world.send([job.uid])
    wait_for(lambda: "Retry in" in log.read_text(), "the worker to ask again")
    world.start_postgres()
    # then
    assert (ended(job).status, job.attempts) == (JobStatus.SUCCEEDED, 1)
    assert_table_is_whole(node, rows_of(200), [SUCCEEDED])


def wait_in_copy(table):
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NEW; END $$"
        )
        cursor.execute(
            f'CREATE TRIGGER waits BEFORE INSERT ON "{table}" FOR EACH ROW '
            f"WHEN (NEW.time_index = '{dt.date(2026, 6, 1)} 21:00Z' AND NEW.asset_identifier = 'B') "
            "EXECUTE FUNCTION wait_for_the_test()"
        )


def somebody_waits_for_the_lock():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND NOT granted")
        return cursor.fetchone()[0]
