"""A broker and workers of its own for each test."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from markets.exceptions import Conflict
from markets.models import Job, JobStatus, NodeStep, StepStatus
from markets.services import jobs
from tests.markets.workers import redis_client, registered, wait_for, worker_starter


@pytest.fixture
def broker(transactional_db: None) -> Iterator[None]:
    """An empty queue, and the nodes registered here as in the worker."""
    client = redis_client()
    client.flushdb()
    with registered():
        yield
    client.flushdb()
    client.close()


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., psutil.Process]]:
    with worker_starter(tmp_path) as start:
        yield start


@pytest.fixture
def nodes(transactional_db: None) -> Iterator[None]:
    """The nodes registered here as in the workers; what a test leaves running is cancelled."""
    with registered():
        yield
        for job in Job.objects.filter(status__in=[JobStatus.QUEUED, JobStatus.RUNNING]):
            with suppress(Conflict):
                jobs.cancel(job)
        wait_for(lambda: not NodeStep.objects.filter(status=StepStatus.RUNNING).exists())


@pytest.fixture
def marks(tmp_path: Path) -> str:
    path = tmp_path / "marks"
    path.touch()
    return str(path)
