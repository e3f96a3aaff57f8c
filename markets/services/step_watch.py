"""Watches over a running step from a thread: keeps its heartbeat, shows its progress, stops it when it has to end.

The thread has a database connection of its own, so all of it is visible while the step is in a long transaction.
"""

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from django.db import Error, connection, connections
from django.db.models.functions import Now

from markets.engine.text import storable_text
from markets.models import NodeStep, NodeUpdate, StepStatus, StopReason
from markets.services import steps

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.2  # often enough for a live bar; a look without news costs no query
SECONDS_BETWEEN_BEATS = 2.0  # a tiny update; also how soon a cancelled step hears of it
HEARTBEAT_LIMIT = 60.0  # thirty beats: a worker that long without one is hung, not slow
GRACE = 15.0  # seconds in which a stopped step may clean up, before its process is killed
SIGNAL = signal.SIGUSR2  # Celery keeps SIGUSR1 for itself
SUPERSEDED = "superseded"


class Interruption(KeyboardInterrupt):
    """Raised in the thread that runs a step. As a KeyboardInterrupt it passes `except Exception` of a node's code, and
    psycopg cancels the query that it finds running.
    """


class StepWatch:
    """`start`, `arm` before the node's code and `disarm` after it, `close`; `reason` tells why it was interrupted."""

    def __init__(self, step: NodeStep, *, time_limit: float | None, may_kill: bool) -> None:
        self.step = step
        self.time_limit = time_limit
        self.may_kill = may_kill
        self.reason = ""
        self._held = NodeStep.objects.filter(pk=step.pk, attempts=step.attempts, status=StepStatus.RUNNING)
        self._news: dict[str, Any] = {}
        self._news_lock = threading.Lock()
        self._ended = threading.Event()
        self._armed = False
        self._is_visible = not connection.in_atomic_block  # else no other connection can see the step
        self._is_main = threading.current_thread() is threading.main_thread()
        self._former: Any = None
        self._backend = connection.connection.info.backend_pid if connection.connection is not None else None
        self._thread = threading.Thread(target=self._watch, name=f"step-{step.pk}", daemon=True)

    # --- in the thread that runs the step ----------------------------------------------------------------------------
    def start(self) -> None:
        if self._is_main:
            self._former = signal.signal(SIGNAL, self._raise)
        self._thread.start()

    def arm(self) -> None:
        self._armed = True

    def disarm(self) -> None:
        self._armed = False

    def close(self) -> None:
        self._armed = False
        self._ended.set()
        self._thread.join()
        if self._is_main:
            signal.signal(SIGNAL, self._former if self._former is not None else signal.SIG_DFL)

    def tell(self, **news: Any) -> None:
        """Fields of the step that are to be seen soon."""
        with self._news_lock:
            self._news.update(news)

    def unsaid(self) -> dict[str, Any]:
        """The news that nobody has seen yet: a short step ends before the first look."""
        return dict(self._news)

    def _raise(self, _: int, __: FrameType | None) -> None:
        if self._armed:
            self._armed = False  # once: what cleans up must not be interrupted
            raise Interruption(self.reason)

    # --- in the thread that watches ----------------------------------------------------------------------------------
    def _watch(self) -> None:
        began = time.monotonic()
        beat_at = began + SECONDS_BETWEEN_BEATS
        interrupted_at: float | None = None
        try:
            while not self._ended.wait(SECONDS_BETWEEN_LOOKS):
                now = time.monotonic()
                reason = ""
                if self._is_visible and (self._news or now >= beat_at):
                    beat_at = now + SECONDS_BETWEEN_BEATS
                    reason = self._beat()
                if not reason and self.time_limit is not None and now - began > self.time_limit:
                    reason = StopReason.TIME_LIMIT
                if reason and interrupted_at is None:
                    interrupted_at = now
                    self._interrupt(reason)
                elif interrupted_at is not None and now - interrupted_at > GRACE and self.may_kill:
                    self._kill()
        finally:
            connections.close_all()  # this thread's

    def _beat(self) -> str:
        """Tell that the step lives, and its news; returns why it has to end, if so."""
        with self._news_lock:
            news, self._news = self._news, {}
        try:
            if not self._held.update(heartbeat_at=Now(), **news):
                return SUPERSEDED
            if news:
                steps.sum_up(self.step.job)
            asked = self._held.filter(job__cancel_requested_at__isnull=False).exists()
            return StopReason.CANCELLED if asked else ""
        except Error:
            logger.warning("the heartbeat of step %s could not be told", self.step.uid, exc_info=True)
            with suppress(Error):
                connection.close()
            return ""

    def _interrupt(self, reason: str) -> None:
        if reason != SUPERSEDED:  # whoever finds the step without its worker must know why
            with suppress(Error):
                self._held.update(stop_reason=reason)
        self.reason = reason
        logger.warning("step %s is stopped: %s", self.step.uid, reason)
        if self._is_main:
            signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)

    def _kill(self) -> None:
        """End this process. Its connection first, so that a query under way does not keep the node locked."""
        logger.error("step %s does not stop; its process is killed", self.step.uid)
        if self._backend is not None:
            with suppress(Error), connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", [self._backend])
        os.kill(os.getpid(), signal.SIGKILL)


class StepObserver(steps.runs.Observer):
    """Turns what a node tells of its progress into news of its step."""

    def __init__(self, step: NodeStep, watch: StepWatch) -> None:
        self.job = step.job
        self.watch = watch

    def node_progressed(self, node: Any, done: int, total: int | None, text: str) -> None:
        self.watch.tell(
            progress_done=max(int(done), 0),
            progress_total=None if total is None else max(int(total), 0),
            progress_text=storable_text(str(text))[:255],
        )

    def node_counted(self, node: Any, **counts: int) -> None:
        self.watch.tell(**{name: max(int(number), 0) for name, number in counts.items()})


def mark_being_mended(step: NodeStep) -> None:
    """Keep which mark of staleness a shard mends: it is cleared when all shards are done."""
    marked = NodeUpdate.objects.values_list("stale_marked_at", flat=True).get(pk=step.node_update_id)
    NodeStep.objects.filter(pk=step.pk).update(stale_marked_at=marked)
