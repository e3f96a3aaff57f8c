"""How the fault tests ask for runs of a `Staged` node by a worker, and wait for what comes of it."""

from pathlib import Path

from django.db import OperationalError, connection

from markets.models import Job
from markets.services import jobs, node_runs
from tests.markets.faults.nodes import Staged
from tests.markets.faults.world import wait_for


def job_of(node: Staged, **arguments: object) -> Job:
    """A job to run the node; its message is another matter: `World.send`."""
    update = node_runs.register_node(node)
    return jobs.record("run_node", "run", {"node_update": str(update.uid), "update_tree": True, **arguments})


def ended(job: Job) -> Job:
    def look() -> bool:
        try:
            job.refresh_from_db()
        except OperationalError:  # the server was restarted
            connection.close()
            return False
        return job.is_finished

    wait_for(look, f"the end of {job.title}")
    return job


def reached(place: Path, stage: str) -> bool:
    marks = place / "reached"
    return marks.exists() and stage in marks.read_text().splitlines()
