"""`run_node` is killed: what it had begun is undone, its record closed, and running it again ends well."""

import subprocess
import sys
from functools import partial

from django.db import connection

from markets import locks
from markets.models import NodeRun, RunStatus
from markets.services import node_runs
from tests.markets.faults.asking import reached
from tests.markets.faults.nodes import Staged, rows_of
from tests.markets.faults.whole import SUCCEEDED, assert_table_is_whole
from tests.markets.faults.world import CHECKOUT, wait_for

INTERRUPTED = ("failed", "Interrupted")


def test_a_killed_run_node_is_run_again(world, place, tmp_path):
    node = Staged(str(place))
    update = node_runs.register_node(node)
    command = (str(CHECKOUT / "manage.py"), "run_node", update.update_hash)
    for stage in ("update", "before commit"):
        # given a command in the middle of its run
        (place / f"hold {stage}").touch()
        running = world.start(*command, log=tmp_path / "run_node.log")
        wait_for(partial(reached, place, stage), f"the command to come to {stage}")
        # when
        world.kill(running)
        wait_for(lambda: not locks.is_held(locks.LockSpace.NODE_UPDATE, update.pk), "the server to notice")
        # then nothing of it is there but the record
        (place / f"hold {stage}").unlink()
        assert NodeRun.objects.latest("id").status == RunStatus.RUNNING
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", [f"dn_{node.storage_hash}"])
            assert cursor.fetchone() == (None,)
    # and run once more
    done = subprocess.run(
        [sys.executable, *command], cwd=CHECKOUT, env=world.environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1 nodes run, 400 rows written"
    assert_table_is_whole(node, rows_of(200), [INTERRUPTED, INTERRUPTED, SUCCEEDED])
