"""Celery tasks; each calls one service."""

from typing import Any

from celery import shared_task
from celery.signals import worker_init, worker_ready

from markets.services import audit, imports, jobs, node_runs, step_runs


@shared_task(name="markets.execute_job")
def execute_job(uid: str) -> None:
    jobs.execute(uid, hand_out=True)


@shared_task(name="markets.execute_step", bind=True)
def execute_step(self: Any, uid: str) -> None:
    redelivered = bool((self.request.delivery_info or {}).get("redelivered"))
    step_runs.execute(uid, redelivered=redelivered, may_kill=not self.request.is_eager)


@shared_task(name="markets.recover_interrupted_jobs", ignore_result=True)
def recover_interrupted_jobs() -> int:
    return node_runs.recover_interrupted()


@shared_task(name="markets.tidy_imports", ignore_result=True)
def tidy_imports() -> int:
    return imports.tidy_imports()


@worker_init.connect
def speak_as_task(**_: Any) -> None:
    """What a worker writes outside a job is a task's doing, too."""
    audit.speak_for_process(source="task")


@worker_ready.connect
def recover_at_start(**_: Any) -> None:
    node_runs.recover_interrupted()
