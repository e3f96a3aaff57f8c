"""The main job end to end: migrations, assets, prices through a worker, portfolio values; then says what came out."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from markets.data_nodes.runs import execution_order
from markets.models import Job, JobStatus
from markets.services.node_runs import request_run
from portfolios.models import Portfolio
from portfolios.services import demo

LONGEST_WAIT = 300  # seconds; the job takes a few, a stopped worker would take for ever


class Command(BaseCommand):
    help = "Load the demo: four stocks, their prices by a Celery worker, an equal-weights portfolio. Can be repeated."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        logging.getLogger().setLevel(logging.WARNING)
        call_command("migrate", verbosity=0, interactive=False)
        self.say("database: migrated")
        portfolio, node = demo.prepare(settings.DATA_DIR, self.say)
        if demo.is_up_to_date(node):
            self.say("update: every DataNode is up to date, nothing to run")
        else:
            self._update(portfolio, len(execution_order(node)))
        result = demo.result(node)
        self._tell(result)
        self.say(
            f"look: make run, then http://127.0.0.1:{settings.PORT}/admin/portfolios/portfolio/{portfolio.pk}/change/"
        )
        self.say(
            f"ok portfolio={demo.PORTFOLIO} sessions={result.sessions} first={result.first} last={result.last} "
            f"close={result.close!r}"
        )

    def say(self, text: str) -> None:
        self.stdout.write(f"demo: {text}")
        self.stdout.flush()

    def _update(self, portfolio: Portfolio, nodes: int) -> None:
        with _worker() as worker:
            job = request_run(portfolio.values_node)
            self.say(f"update: queued for a Celery worker (process {worker.pid}), job {job.uid}")
            self._watch(job, worker, nodes)
        if job.status != JobStatus.SUCCEEDED:
            raise CommandError(f"The update failed: {job.error} Mend the cause and run make demo again.")

    def _watch(self, job: Job, worker: subprocess.Popen[bytes], nodes: int) -> None:
        shown = done = 0
        deadline = time.monotonic() + LONGEST_WAIT
        while True:
            job.refresh_from_db()
            for message in job.messages.filter(id__gt=shown, level="info"):
                shown = message.pk
                done += 1
                self.say(f"update: {done} of {nodes} DataNodes, {message.text}")
            if job.is_finished:
                return
            if worker.poll() is not None:
                raise CommandError(f"The worker ended ({worker.returncode}); see {_log_path()}. Run make demo again.")
            if time.monotonic() > deadline:
                raise CommandError(f"The job did not end within {LONGEST_WAIT} s; see {_log_path()}.")
            time.sleep(0.1)

    def _tell(self, result: demo.DemoResult) -> None:
        figures = result.statistics
        self.say(f"portfolio: {result.sessions:,} sessions, value {result.close:.6f} for 1 invested on {result.first}")
        if figures.annualised_return is not None and figures.annualised_volatility is not None:
            self.say(
                f"portfolio: {figures.annualised_return:.2%} a year, volatility {figures.annualised_volatility:.2%} "
                f"({figures.sessions_a_year:.2f} sessions a year), deepest drawdown {figures.max_drawdown:.2%}"
            )


def _log_path() -> str:
    return str(settings.DATA_DIR / "logs" / "demo_worker.log")


@contextmanager
def _worker() -> Iterator[subprocess.Popen[bytes]]:
    """A Celery worker of our own for as long as the demo's job lasts."""
    (settings.DATA_DIR / "logs").mkdir(parents=True, exist_ok=True)
    with open(_log_path(), "ab") as log:
        worker = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "-A", "msm_project", "worker"),
                *("--pool", "solo", "--hostname", f"demo-{os.getpid()}@%h", "--loglevel", "INFO"),
                *("--without-gossip", "--without-mingle"),
            ],
            cwd=settings.BASE_DIR,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    try:
        yield worker
    finally:
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
            try:
                worker.wait(timeout=15)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
