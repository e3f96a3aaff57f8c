"""`python -m msm_project.beat`: celery beat, one at a time for each namespace of a database.

Two schedulers would send every scheduled task twice. The right to run is an advisory lock of the database: it ends
with its connection, so a crashed scheduler blocks nobody, and whoever waits takes over.
"""

import logging
import os
import signal
import sys
import threading
import time
from types import FrameType

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "msm_project.settings")

import django
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

WAIT = 5.0  # seconds between two attempts to take over
WATCH = 5.0  # seconds between two looks at the connection that holds the lock
CLOCK_MAY_DIFFER = 2.0  # seconds that a clock may be corrected back without a schedule being late
LOST = 75  # exit code; EX_TEMPFAIL: start it again


def main() -> int:
    django.setup()
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    holder = connections.create_connection("default")  # of its own: Django closes the others after each task
    holder.inc_thread_sharing()
    try:
        wait_for_turn(holder)
        forget_the_future()
    except DatabaseError as error:
        print(f"beat: the database is not available: {error}", file=sys.stderr, flush=True)
        return LOST
    threading.Thread(target=watch, args=[holder], daemon=True).start()
    run_beat()
    return 0


def wait_for_turn(holder: BaseDatabaseWrapper) -> None:
    """Return when this process holds the right to run beat; says so once when another one does."""
    told = False
    while not try_to_hold(holder):
        if not told:
            print(
                "beat: another beat already runs on this database; this one waits and takes over when it ends",
                file=sys.stderr,
                flush=True,
            )
            told = True
        time.sleep(WAIT)


def try_to_hold(holder: BaseDatabaseWrapper) -> bool:
    from markets.locks import LockSpace, lock_class

    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [lock_class(LockSpace.BEAT)])
        return bool(cursor.fetchone()[0])


def forget_the_future() -> int:
    """Schedules that ran in the future, by a clock that was set back, would wait for it: let them have run now."""
    from django.utils import timezone
    from django_celery_beat.models import PeriodicTask

    now = timezone.now()
    return PeriodicTask.objects.filter(last_run_at__gt=now).update(last_run_at=now)


def went_back(before: float, now: float) -> bool:
    """Whether the wall clock, each time counted from the monotonic one, was set back."""
    return now < before - CLOCK_MAY_DIFFER


def clock() -> float:
    return time.time() - time.monotonic()


def watch(holder: BaseDatabaseWrapper) -> None:
    """End this process as soon as the connection, and with it the lock, is gone, or the clock was set back."""
    before = clock()
    while True:
        time.sleep(WATCH)
        now = clock()
        if went_back(before, now):
            print(
                f"beat: the clock was set back by {before - now:.0f} s: starting anew, so that no schedule waits",
                file=sys.stderr,
                flush=True,
            )
            os._exit(LOST)
        before = max(before, now)  # small steps back add up
        try:
            # Not through Django's cursor: that would reconnect, without the lock.
            holder.connection.execute("SELECT 1")
        except Exception as error:
            print(f"beat: lost the database connection that held its lock: {error}", file=sys.stderr, flush=True)
            os._exit(LOST)


def run_beat() -> None:
    from django.conf import settings

    from msm_project.celery import app

    level = logging.getLevelName(settings.LOG_LEVEL)
    app.Beat(loglevel=level, pidfile=None, quiet=True, redirect_stdouts=False).run()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
