"""Servers that may be killed, and this process attached to a database on them."""

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from markets.data_nodes import registry
from msm_project.embedded import redis
from msm_project.embedded.servers import stop_all
from tests.markets.data_nodes.nodes import make_assets
from tests.markets.faults.nodes import Staged
from tests.markets.faults.world import CHECKOUT, NODES, World


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # they share the servers
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("faults"))


@pytest.fixture(scope="session")
def servers() -> Iterator[World]:
    """Both servers, started once, with a migrated database to copy."""
    parent = Path(tempfile.mkdtemp(prefix="msm-faults-", dir="/tmp"))
    if os.geteuid() == 0:
        parent.chmod(0o711)  # the servers' unprivileged user has to pass through
    made = World(parent / "data")
    try:
        made.start_postgres()
        made.start_redis()
        subprocess.run(
            [sys.executable, str(CHECKOUT / "manage.py"), "migrate", "--verbosity", "0"],
            env=made.environment,
            check=True,
            timeout=180,
        )
        yield made
    finally:
        made.end_processes()
        stop_all(made.directory)
        shutil.rmtree(parent)


@pytest.fixture
def world(servers: World, django_db_blocker) -> Iterator[World]:
    """A copy of the migrated database for the test, to which this process is attached; both servers run again after."""
    servers.start_postgres()
    servers.start_redis()
    with redis.client(servers.places) as client:
        client.flushall()
    with_name = f"t_{uuid.uuid4().hex[:8]}"
    servers.on_server("CREATE DATABASE {} TEMPLATE msm", with_name)
    servers.database = with_name
    settings, before = connections.settings["default"], connections["default"]
    kept = {name: settings[name] for name in ("ENGINE", "HOST", "PORT", "USER", "NAME", "PASSWORD")}
    place = servers.place
    settings |= {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": place["host"],
        "PORT": str(place["port"]),
        "USER": "msm",
        "NAME": with_name,
        "PASSWORD": "",
    }
    connections["default"] = connections.create_connection("default")
    modules = list(registry._modules)
    registry.register_module(NODES)
    Staged.at.clear()
    try:
        with django_db_blocker.unblock():
            make_assets("A", "B", "C", "D")
            yield servers
    finally:
        Staged.at.clear()
        registry._modules[:] = modules
        servers.end_processes()
        with django_db_blocker.unblock():
            connections["default"].close()
        settings |= kept
        connections["default"] = before
        servers.database = "msm"
        servers.start_postgres()
        servers.start_redis()
        servers.on_server("DROP DATABASE {} WITH (FORCE)", with_name)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a `Staged` node reads how many days there are, and tells how far it has come."""
    (tmp_path / "days").write_text("200")
    return tmp_path
