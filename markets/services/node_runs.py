"""Registers DataNodes and runs them: now, in this process, or by a worker through a job."""

import uuid

from django.contrib.auth.models import User
from django.db import transaction

from markets import namespaces
from markets.data_nodes import registration, run_records, runs
from markets.data_nodes.configuration import build_node
from markets.data_nodes.node import DataNode
from markets.engine.text import storable_text
from markets.exceptions import Conflict, NotFound, clipped
from markets.models import Job, JobStatus, NodeUpdate, StorageNode
from markets.services import jobs, step_recovery, step_runs, steps

RUN_NODE = "run_node"


def register_node(node: DataNode) -> NodeUpdate:
    """Make the node and those it reads known, all or none, so that the back-office and REST can run them.

    Raises Conflict when one's published identifier names another table.
    """
    with transaction.atomic():
        for member in runs.execution_order(node):
            update = registration.ensure_update(member)
            registration.record_metadata(member, update.storage, {}, [])
    return update


def find_node_update(name: str) -> NodeUpdate:
    """The update that a published identifier, an update hash or a uid names.

    Raises NotFound, and Conflict naming the update hashes where several updates write the identifier's table.
    """
    name = storable_text(name)  # a shell hands over bytes that are no text
    updates = NodeUpdate.objects.select_related("storage")
    by_hash = updates.filter(update_hash=name).first() or (updates.filter(uid=name).first() if _is_uid(name) else None)
    if by_hash is not None:
        return by_hash
    found = list(updates.filter(storage__identifier__in={name, namespaces.published(name)})[:11])
    if not found:
        known = NodeUpdate.objects.exclude(storage__identifier=None).values_list("storage__identifier", flat=True)
        listed = ", ".join(sorted({str(identifier) for identifier in known})[:10]) or "none yet"
        raise NotFound(f"No DataNode is named {clipped(name)!r}. Known identifiers: {listed}.")
    if len(found) > 1:
        listed = ", ".join(update.update_hash for update in found[:10])
        raise Conflict(f"Several DataNodes write {name!r}. Name one by its update hash: {listed}.")
    return found[0]


def _is_uid(name: str) -> bool:
    try:
        uuid.UUID(name)
    except ValueError:
        return False
    return True


def run_in_process(
    update: NodeUpdate,
    *,
    update_tree: bool = True,
    update_only_tree: bool = False,
    recompute_stale: bool = False,
    observer: runs.Observer | None = None,
) -> DataNode:
    """Build the node from its stored configuration and run it here; returns it with `last_run` set."""
    node = build_node(update.build_configuration)
    runs.run_tree(
        node,
        update_tree=update_tree,
        update_only_tree=update_only_tree,
        recompute_stale=recompute_stale,
        observer=observer,
    )
    return node


def request_run(
    update: NodeUpdate,
    *,
    user: User | None = None,
    update_tree: bool = True,
    recompute_stale: bool = False,
    because: str = "",
) -> Job:
    """Ask a worker to run the node. While such a job waits or runs, that job is returned instead of a second one.

    With `recompute_stale` it and what it rests on are computed again from where their data changed. `because` is told
    in the job's title.
    """
    build_node(update.build_configuration)  # a class that is not registered is refused here, not in the worker
    with transaction.atomic():
        NodeUpdate.objects.select_for_update().get(pk=update.pk)  # of two who ask at once, one asks first
        pending = Job.objects.filter(
            kind=RUN_NODE,
            status__in=[JobStatus.QUEUED, JobStatus.RUNNING],
            arguments__node_update=str(update.uid),
            arguments__update_tree=update_tree,
            arguments__recompute_stale=recompute_stale,
        ).first()
        if pending is not None:
            return pending
        arguments = {
            "node_update": str(update.uid),
            "update_tree": update_tree,
            "recompute_stale": recompute_stale,
        }
        title = f"{'Recompute' if recompute_stale else 'Run'} {update}{f', {because}' if because else ''}"
        return jobs.submit(RUN_NODE, title, arguments, user=user)


def recover_interrupted() -> int:
    """Mend what dead and hung processes left behind: jobs and steps are queued anew, runs recorded as failed.

    Returns how many jobs and steps.
    """
    recovered = len(jobs.recover_interrupted_jobs()) + step_recovery.recover_steps()
    run_records.close_interrupted_runs()
    return recovered


@jobs.handles(RUN_NODE, stop=steps.cancel_steps, work_off=step_runs.work_off)
def run_node_job(progress: jobs.JobProgress) -> None:
    """The worker's side of `request_run`: it lays out the tree's steps, which workers then do one by one."""
    arguments = progress.job.arguments
    update = NodeUpdate.objects.filter(uid=arguments["node_update"]).first()
    if update is None:
        raise NotFound("The DataNode of this job was deleted.")
    steps.plan(progress.job, build_node(update.build_configuration), update_tree=arguments["update_tree"])


def name_of(node: DataNode) -> str:
    """The published identifier of a node's table, else its class."""
    published = StorageNode.objects.filter(storage_hash=node.storage_hash).values_list("identifier", flat=True).first()
    return published or type(node).__name__
