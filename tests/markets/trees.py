"""What the tests of trees share: asking for a run, what the nodes marked, and that nothing is half written."""

from collections.abc import Callable
from pathlib import Path

from django.contrib.auth.models import User

from markets.models import Job, NodeRun, NodeStep, RunStatus
from markets.services import node_runs
from tests.markets.data_nodes.nodes import recount, statistics, stored
from tests.markets.tree_nodes import CHUNK, IDENTIFIERS, Source

WHOLE = CHUNK * len(IDENTIFIERS)


def told(marks: str) -> dict[str, list[float]]:
    """'name begin' and 'name end' → the instants."""
    found: dict[str, list[float]] = {}
    for line in Path(marks).read_text().splitlines():
        name, what, instant, _ = line.split()
        found.setdefault(f"{name} {what}", []).append(float(instant))
    return found


def ask(node: Source) -> Job:
    return node_runs.request_run(node_runs.register_node(node))


def step_of(job: Job, node: Source) -> NodeStep:
    return job.steps.get(node_update__update_hash=node.update_hash)


def statuses(job: Job) -> dict[str, str]:
    return {
        step.node_update.build_configuration["arguments"]["name"]: step.status
        for step in job.steps.select_related("node_update")
    }


def has_begun(marks: str, name: str) -> Callable[[], bool]:
    return lambda: f"{name} begin" in told(marks)


def named(name: str) -> User:
    return User.objects.create_user(name)


def nothing_is_half_written(*written: Source) -> None:
    """No key twice, no row missing, statistics as a recount gives them, no run that pretends to go on."""
    for node in written:
        rows = stored(node)
        assert len({row[:2] for row in rows}) == len(rows)
        assert statistics(node) == recount(node)
        assert sum(run.rows_written for run in NodeRun.objects.filter(node_update=node.get_node_update())) == len(rows)
    assert not NodeRun.objects.filter(status=RunStatus.RUNNING).exists()
