"""Real worker processes for tests, on the broker and the database of the test run."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import redis
from django.conf import settings
from django.db import connection

from markets.data_nodes import registry
from markets.models import Job, NodeStep
from msm_project.embedded.servers import ensure_redis
from tests.markets import tree_nodes, worker_nodes
from tests.markets.data_nodes.nodes import drop_tables, make_assets

ROOT = Path(__file__).resolve().parents[2]
MODULES = (worker_nodes, tree_nodes)
PATIENCE = 60.0  # seconds; a loaded machine starts a worker in five


def wait_for(what: Callable[[], Any], patience: float = PATIENCE) -> Any:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError(
        f"waited {patience} s in vain; jobs: {list(Job.objects.values())}, steps: {list(NodeStep.objects.values())}"
    )


def environment(**changes: str) -> dict[str, str]:
    user, name, host, port = (connection.settings_dict[key] for key in ("USER", "NAME", "HOST", "PORT"))
    return {
        **os.environ,
        "DATABASE_URL": f"postgres://{user}@/{name}?host={host}&port={port or 5432}",
        "REDIS_URL": settings.REDIS_URL,
        "MSM_NODE_MODULES": ",".join(module.__name__ for module in MODULES),
        **changes,
    }


def redis_client() -> redis.Redis:
    if not settings.EMBEDDED_REDIS:
        return redis.Redis.from_url(settings.REDIS_URL)
    ensure_redis(settings.DATA_DIR)
    path, _, database = settings.REDIS_URL.removeprefix("redis+socket://").partition("?virtual_host=")
    return redis.Redis(unix_socket_path=path, db=int(database or 0))


@contextmanager
def registered() -> Iterator[None]:
    """The nodes are known here as in the workers, with the assets that they write; their tables are dropped after."""
    before = list(registry._modules)
    for module in MODULES:
        registry.register_module(module.__name__)
    make_assets("A", "B", *tree_nodes.IDENTIFIERS)
    yield
    registry._modules[:] = before
    drop_tables()


@contextmanager
def worker_starter(logs: Path) -> Iterator[Callable[..., psutil.Process]]:
    """Starts workers; whatever of them is left is killed at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(concurrency: int = 1) -> psutil.Process:
        log = (logs / f"worker-{len(started)}.log").open("w")
        command = ["-m", "celery", "-A", "msm_project", "worker", "--loglevel=INFO", "-Q", "msm"]
        name = f"w{len(started)}-{uuid.uuid4().hex[:6]}@test"
        process = subprocess.Popen(
            [sys.executable, *command, f"--concurrency={concurrency}", f"--hostname={name}"],
            cwd=ROOT,
            env=environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,  # so that the whole of it can be killed
        )
        started.append(process)
        return psutil.Process(process.pid)

    yield start
    for process in started:
        kill_whole(process.pid)
        process.wait()


def kill_whole(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def pool_children(worker: psutil.Process) -> list[psutil.Process]:
    return worker.children()


def has_begun(marks: Path, stage: str) -> Callable[[], bool]:
    return lambda: marks.exists() and stage in marks.read_text().splitlines()


def finished(job: Job) -> Job:
    def is_finished() -> bool:
        job.refresh_from_db()
        return job.is_finished

    wait_for(is_finished)
    return job
