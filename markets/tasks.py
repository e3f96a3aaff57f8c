"""Celery tasks; each calls one service."""

from typing import Any

from celery import Task, shared_task
from celery.signals import worker_init, worker_ready
from django.db import InterfaceError, OperationalError

from markets.services import (
    audit,
    backfills,
    imports,
    jobs,
    node_runs,
    node_schedules,
    resolutions,
    sealing,
    step_runs,
)

SECONDS_FOR_THE_DATABASE = 3.0  # a server that restarts is back by then; one that is not is asked again


@shared_task(name="markets.execute_job", bind=True, max_retries=None)
def execute_job(self: Task, uid: str) -> None:
    try:
        jobs.execute(uid, hand_out=True)
    except (jobs.JobInterrupted, OperationalError, InterfaceError) as error:
        raise self.retry(exc=error, countdown=SECONDS_FOR_THE_DATABASE) from error


@shared_task(name="markets.execute_step", bind=True, max_retries=None)
def execute_step(self: Task, uid: str) -> None:
    redelivered = bool((self.request.delivery_info or {}).get("redelivered"))
    try:
        step_runs.execute(uid, redelivered=redelivered, may_kill=not self.request.is_eager)
    except (OperationalError, InterfaceError) as error:
        raise self.retry(exc=error, countdown=SECONDS_FOR_THE_DATABASE) from error


@shared_task(name="markets.recover_interrupted_jobs", ignore_result=True)
def recover_interrupted_jobs() -> int:
    return node_runs.recover_interrupted()


@shared_task(name="markets.run_scheduled_node", ignore_result=True)
def run_scheduled_node(update_uid: str) -> None:
    node_schedules.run_scheduled(update_uid)


@shared_task(name="markets.tidy_imports", ignore_result=True)
def tidy_imports() -> int:
    return imports.tidy_imports()


@shared_task(name="markets.seal_history", ignore_result=True)
def seal_history() -> int:
    return sealing.seal_all()


JOB_KINDS = (backfills, imports, node_runs, resolutions)  # importing them makes their jobs known


@worker_init.connect
def speak_as_task(**_: Any) -> None:
    """What a worker writes outside a job is a task's doing, too."""
    audit.speak_for_process(source="task")


@worker_ready.connect
def recover_at_start(**_: Any) -> None:
    node_runs.recover_interrupted()
