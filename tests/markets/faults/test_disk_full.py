"""The disk of the database server is full: a real, small file system under the tables of DataNodes."""

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from markets.exceptions import StorageFull
from markets.models import NodeRun
from tests.markets.data_nodes.nodes import drop_tables
from tests.markets.faults.nodes import Staged, rows_of
from tests.markets.faults.whole import SUCCEEDED, assert_table_is_whole

FULL = ("failed", "StorageFull")


@pytest.fixture
def disk(world) -> Iterator[Callable[[str], None]]:
    """Puts new tables on a file system of their own, whose size the test sets."""
    place = world.directory.parent / "disk"
    place.mkdir()
    account = world.places.account
    mounted = account is not None and not mount("-t", "tmpfs", "-o", "size=600k,mode=700", "msm-faults", str(place))
    if not mounted:
        place.rmdir()
        pytest.skip("a small disk cannot be mounted here (that takes root and the right to mount)")
    try:
        os.chown(place, account.uid, account.gid)
        world.on_server(f"CREATE TABLESPACE small LOCATION '{place}'", user="postgres")
        world.on_server("GRANT CREATE ON TABLESPACE small TO msm", user="postgres")
        world.on_server("ALTER DATABASE {} SET default_tablespace = small", world.database)
        connection.close()
        yield lambda size: check(mount("-o", f"remount,size={size}", str(place)))
        drop_tables()
        connection.close()
        world.on_server("DROP TABLESPACE small", user="postgres")
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


def mount(*arguments: str) -> str:
    """What mount complains of; nothing when all went well."""
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    except OSError as error:
        return str(error)
    return (done.stderr.strip() or "failed") if done.returncode else ""


def check(complaint: str) -> None:
    assert complaint == ""


def test_a_full_disk_fails_the_run_with_the_remedy_and_the_next_one_ends_well_when_there_is_space(world, place, disk):
    # given more rows than the disk can hold
    node = Staged(str(place))
    (place / "days").write_text("8000")
    # when
    with pytest.raises(StorageFull) as caught:
        node.run()
    # then the message says what is full, where, and what to do
    said = str(caught.value)
    server = f"{world.place['host']} {world.place['port']}"
    start = f"The disk of the PostgreSQL server is full (database {world.database} at {server}): could not extend file "
    end = "No space left on device. Nothing was written. Free space on that disk, or give it more, then run again."
    assert (said[: len(start)], said[-len(end) :]) == (start, end)
    assert NodeRun.objects.get().error_message == said
    assert_table_is_whole(node, [], [FULL])
    # and nothing changes while it is full
    with pytest.raises(StorageFull):
        Staged(str(place)).run()
    assert_table_is_whole(node, [], [FULL, FULL])
    # and with more space it ends well
    disk("3m")
    Staged(str(place)).run()
    assert_table_is_whole(node, rows_of(8000), [FULL, FULL, SUCCEEDED])
    # and a later run that fills the disk leaves the rows of the earlier ones
    (place / "days").write_text("20000")
    with pytest.raises(StorageFull):
        Staged(str(place)).run()
    assert_table_is_whole(node, rows_of(8000), [FULL, FULL, SUCCEEDED, FULL])
    disk("32m")
    Staged(str(place)).run()
    assert_table_is_whole(node, rows_of(20000), [FULL, FULL, SUCCEEDED, FULL, SUCCEEDED])
