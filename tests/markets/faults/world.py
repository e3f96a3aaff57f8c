"""A PostgreSQL and a Redis of the fault tests' own, which they may kill, and the processes that work on them.

The servers are reached by DATABASE_URL and REDIS_URL, as an operator's are: what needs them while they are down finds
an outage, where the embedded ones would be started again.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from celery import Celery
from psycopg import sql

from msm_project.embedded import postgres, redis
from msm_project.embedded.locations import embedded_locations
from msm_project.embedded.servers import ensure_postgres, ensure_redis

CHECKOUT = Path(__file__).resolve().parents[3]
NODES = "tests.markets.faults.nodes"
PATIENCE = 60.0  # seconds; a loaded machine starts a worker in five


def wait_for(what: Callable[[], Any], why: str, patience: float = PATIENCE) -> Any:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {patience} s in vain for {why}")


@contextmanager
def durable() -> Iterator[None]:
    """Servers that are started here keep what they have confirmed, unlike those of the rest of the test run."""
    before = os.environ.pop("MSM_EMBEDDED_FSYNC", None)
    try:
        yield
    finally:
        if before is not None:
            os.environ["MSM_EMBEDDED_FSYNC"] = before


@dataclass
class World:
    """The two servers of `directory`; `database` is the one that the present test uses."""

    directory: Path
    database: str = "msm"
    processes: list["subprocess.Popen[str]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.places = embedded_locations(self.directory)

    # --- the servers -------------------------------------------------------------------------------------------------
    def start_postgres(self) -> None:
        with durable():
            ensure_postgres(self.directory)

    def stop_postgres(self, how: str) -> None:
        """`fast` ends every session with a message; `immediate` is a crash, after which the server recovers."""
        pid = postgres.server_pid(self.places)
        assert pid is not None
        os.kill(pid, {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[how])
        wait_for(lambda: postgres.server_pid(self.places) is None, "the end of PostgreSQL")

    def restart_postgres(self, how: str) -> None:
        self.stop_postgres(how)
        self.start_postgres()

    def start_redis(self) -> None:
        with durable():
            ensure_redis(self.directory)

    def stop_redis(self, how: signal.Signals) -> None:
        pid = redis.server_pid(self.places)
        assert pid is not None
        os.kill(pid, how)
        wait_for(lambda: redis.server_pid(self.places) is None, "the end of Redis")

    # --- the database ------------------------------------------------------------------------------------------------
    @property
    def place(self) -> dict[str, Any]:
        host = str(self.places.postgres_socket_directory)
        return {"host": host, "port": self.places.postgres_port, "user": "msm", "dbname": self.database}

    def connect(self, **changes: Any) -> "psycopg.Connection[Any]":
        return psycopg.connect(**(self.place | changes), autocommit=True)

    def on_server(self, statement: str, *names: str, user: str = "msm") -> None:
        with self.connect(dbname="postgres", user=user) as server:
            server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]

    # --- processes ---------------------------------------------------------------------------------------------------
    @property
    def redis_url(self) -> str:
        return f"redis+socket://{self.places.redis_socket}?virtual_host=0"

    @property
    def environment(self) -> dict[str, str]:
        place = self.place
        return {
            **{name: value for name, value in os.environ.items() if name != "MSM_REDIS_DATABASE"},
            "DATABASE_URL": f"postgres://msm@/{self.database}?host={place['host']}&port={place['port']}",
            "REDIS_URL": self.redis_url,
            "MSM_DATA_DIR": str(self.directory / "work"),
            "MSM_NODE_MODULES": NODES,
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "DJANGO_SETTINGS_MODULE": "msm_project.settings",
        }

    def start(self, *arguments: str, log: Path, piped: bool = False, **changes: str) -> "subprocess.Popen[str]":
        with log.open("a") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=CHECKOUT,
                env=self.environment | changes,
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else output,
                stderr=output,
                text=True,
                start_new_session=True,  # so that the whole of it can be killed
            )
        self.processes.append(process)
        return process

    def start_worker(self, log: Path) -> "subprocess.Popen[str]":
        name = f"--hostname=w{uuid.uuid4().hex[:6]}@test"
        worker = [
            "-m",
            "celery",
            "-A",
            "msm_project",
            "worker",
            "--concurrency=1",
            "--loglevel=INFO",
            "-Q",
            "msm",
            name,
        ]
        return self.start(*worker, log=log)

    def kill(self, process: "subprocess.Popen[str]") -> None:
        """SIGKILL to the process and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def end_processes(self) -> None:
        while self.processes:
            self.kill(self.processes.pop())

    def queued(self) -> int:
        """How many tasks wait in the queue."""
        with redis.client(self.places) as client:
            return int(client.llen("msm"))  # type: ignore[arg-type]

    def send(self, uids: Sequence[Any]) -> None:
        """The message that `jobs.publish` sends, for each job."""
        with Celery(broker=self.redis_url, set_as_current=False) as application:
            for uid in uids:
                application.send_task("markets.execute_job", args=[str(uid)], queue="msm", retry=False)
