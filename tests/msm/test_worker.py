"""Celery workers use the Python API, each in its own namespace, and take the jobs of no other."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from django.conf import settings

from msm_project.embedded.servers import ensure_redis
from tests.scripts import Scripts

pytestmark = pytest.mark.xdist_group("worker")

PATIENCE = 90.0  # seconds; a loaded machine starts a worker in ten
ASK = """
import msm
from msm.api.assets import Asset
from markets.services import node_runs
from tests.msm.worker_nodes import Census

msm.start_engine(namespace={namespace!r})
Asset.upsert(unique_identifier="SEEN BY THE WORKER")
for wanted in (None, "elsewhere"):
    print(node_runs.request_run(node_runs.register_node(Census(wanted))).uid)
"""


@pytest.fixture
def workers(scripts: Scripts) -> Iterator[list[subprocess.Popen[bytes]]]:
    """One worker of the default namespace, and one of `examples`."""
    if settings.EMBEDDED_REDIS:
        ensure_redis(settings.DATA_DIR)
    assert scripts.manage("migrate_namespace", "examples", "--json").returncode == 0
    scripts.environment["MSM_NODE_MODULES"] = "tests.msm.worker_nodes"
    started: list[subprocess.Popen[bytes]] = []
    try:
        for number, changes in enumerate([{}, {"MSM_AUTO_REGISTER_NAMESPACE": "examples"}]):
            command = [sys.executable, "-m", "celery", "-A", "msm_project", "--quiet", "worker", "--concurrency=1"]
            with (scripts.directory / f"worker-{number}.log").open("wb") as log:
                process = subprocess.Popen(
                    [*command, f"--hostname=msm-{number}@%h"],
                    env=scripts.environment | changes,
                    cwd=scripts.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            started.append(process)
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=60)


def test_a_worker_sees_its_namespace_and_cannot_leave_it(
    scripts: Scripts, workers: list[subprocess.Popen[bytes]]
) -> None:
    asked = scripts.output(ASK.format(namespace="examples")).split()
    finished = "SELECT status, error FROM examples.markets_job WHERE uid::text = ANY(%s) AND finished_at IS NOT NULL"
    deadline = time.monotonic() + PATIENCE
    while len(rows := scripts.rows(finished, asked)) < 2:
        assert time.monotonic() < deadline, _logs(scripts)
        assert all(process.poll() is None for process in workers), _logs(scripts)
        time.sleep(0.2)
    done = dict(rows)
    assert set(done) == {"succeeded", "failed"}, done
    assert done["failed"] == (
        "NamespaceInUse: The engine already works in the namespace examples, not in the namespace elsewhere. "
        "One process has one: start another."
    )
    identifiers = "SELECT identifier, table_name FROM examples.markets_storagenode ORDER BY 1"
    published, table = scripts.rows(identifiers)[-1]
    assert published == "examples.census-own"
    assert scripts.rows(f"SELECT asset_identifier FROM examples.{table}") == [("SEEN BY THE WORKER",)]
    for name in ("markets_job", "markets_noderun", "markets_asset", "markets_storagenode"):
        assert scripts.rows(f"SELECT count(*) FROM {name}") == [(0,)]


def _logs(scripts: Scripts) -> str:
    return "\n".join(path.read_text() for path in sorted(scripts.directory.glob("worker-*.log")))
