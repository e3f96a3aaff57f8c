"""Starts, probes and stops the embedded PostgreSQL."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from msm_project.embedded import processes
from msm_project.embedded.errors import EmbeddedServerError
from msm_project.embedded.locations import EmbeddedLocations
from msm_project.embedded.programs import POSTGRES_VERSION, postgres_programs

START, ALIVE, LOG = "postgres.start", "postgres.alive", "postgres.log"
ACCEPTING, REJECTING, DOWN = "accepting", "rejecting", "down"
START_TIMEOUT = 300.0  # seconds; replaying 4 GB of write-ahead log after a power cut takes minutes
CLASH_TIMEOUT = 30.0  # seconds; how long the last processes of a killed server may take to notice
STOP_TIMEOUT = 60.0  # seconds; a fast shutdown writes a checkpoint

# Appended to postgresql.conf when the data are created: an operator may change them there.
SETTINGS = """
# --- MSM ---
shared_buffers = 256MB          # series of some million rows stay in memory on a laptop
max_wal_size = 4GB              # large imports without a checkpoint every few seconds
max_connections = 100           # web threads, workers, scripts and a test run with many processes
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %u@%d '
"""
# A role without superuser rights, as an installation with a server of its own has: what works here works there.
CREATE_DATABASE = "CREATE ROLE msm LOGIN CREATEDB;\nCREATE DATABASE msm OWNER msm;\n"
WITHOUT_DURABILITY = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


def probe(locations: EmbeddedLocations) -> str:
    """ACCEPTING, REJECTING (starting up, recovering or shutting down) or DOWN, found by asking the server."""
    if not os.path.exists(socket_path(locations)):
        return DOWN
    answer = subprocess.run(
        [
            postgres_programs(locations) / "pg_isready",
            "--quiet",
            f"--host={locations.postgres_socket_directory}",
            f"--port={locations.postgres_port}",
            "--username=msm",
            "--dbname=msm",
            "--timeout=3",
        ],
        stdin=subprocess.DEVNULL,
        env=processes.ENVIRONMENT,
        check=False,
    ).returncode
    return {0: ACCEPTING, 1: REJECTING}.get(answer, DOWN)


def socket_path(locations: EmbeddedLocations) -> Path:
    return locations.postgres_socket_directory / f".s.PGSQL.{locations.postgres_port}"


def start(locations: EmbeddedLocations) -> bool:
    """Make the server accept connections; whether this call started it."""
    processes.reap()
    if os.path.exists(socket_path(locations)):
        processes.check_private_directory(locations.postgres_socket_directory, locations)
        if probe(locations) == ACCEPTING:
            return False
    processes.require_supported_platform()
    processes.check_account(locations.account)
    with processes.exclusive(locations, START):
        return _start_alone(locations)


def stop(locations: EmbeddedLocations) -> bool:
    """Stop the server with a checkpoint; whether there was one to stop."""
    processes.reap()
    if not locations.lock_directory.is_dir():
        return False
    with processes.exclusive(locations, START):
        if not processes.is_alive(locations, ALIVE):
            return False
        # A fast shutdown; then an immediate one, after which the next start recovers.
        for sent, patience in ((signal.SIGINT, STOP_TIMEOUT), (signal.SIGQUIT, 10.0)):
            deadline = time.monotonic() + patience
            signalled = None
            while time.monotonic() < deadline:
                pid = server_pid(locations)
                if pid is not None and pid != signalled:
                    with suppress(ProcessLookupError):
                        os.kill(pid, sent)
                    signalled = pid
                processes.reap()
                if not processes.is_alive(locations, ALIVE):
                    return True
                time.sleep(0.02)
    raise EmbeddedServerError(
        f"PostgreSQL (process {server_pid(locations)}) does not stop. See {locations.log_directory / LOG}."
    )


def server_pid(locations: EmbeddedLocations) -> int | None:
    """The pid in postmaster.pid when it is a living process of this data directory, else None.

    The number alone proves nothing: after a crash the kernel may have given it to anyone.
    """
    try:
        pid = int((locations.postgres_data / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return pid if Path(process.cwd()).samefile(locations.postgres_data) else None
    except (OSError, ValueError, psutil.Error):
        return None


def _start_alone(locations: EmbeddedLocations) -> bool:
    """The rest of `start`, with the lock held."""
    programs = postgres_programs(locations)
    _create(locations, programs)
    processes.prepare_sockets(locations)
    child: subprocess.Popen[bytes] | None = None
    began = time.monotonic()
    for _ in _patiently(began + START_TIMEOUT):
        state = probe(locations)
        if state == ACCEPTING:
            return child is not None
        if child is not None and child.poll() is not None:
            # Processes of a killed predecessor that still hold its shared memory need a moment to notice.
            tail = processes.log_tail(locations, LOG)
            if "still in use" not in tail or time.monotonic() - began > CLASH_TIMEOUT:
                raise EmbeddedServerError(
                    f"PostgreSQL did not start; {locations.log_directory / LOG} ends with:\n{tail}"
                )
            child = None
            time.sleep(0.3)
        if child is None and not processes.is_alive(locations, ALIVE):
            if (pid := server_pid(locations)) is not None:
                raise EmbeddedServerError(
                    f"A PostgreSQL that MSM did not start (process {pid}) uses {locations.postgres_data}: stop it."
                )
            _remove_stale_files(locations)
            child = _spawn(locations, programs)
    raise EmbeddedServerError(
        f"PostgreSQL is not ready after {START_TIMEOUT:.0f} s; {locations.log_directory / LOG} ends with:\n"
        + processes.log_tail(locations, LOG)
    )


def _patiently(deadline: float) -> Iterator[None]:
    while time.monotonic() < deadline:
        yield
        time.sleep(0.03)


def _create(locations: EmbeddedLocations, programs: Path) -> None:
    """Create the data directory with its role and database under another name, and give it its name when complete."""
    processes.make_directory(locations.data_directory, locations.data_directory)
    processes.make_private_directory(locations.postgres_directory, locations)
    data = locations.postgres_data
    if (data / "PG_VERSION").is_file():
        version = (data / "PG_VERSION").read_text().strip()
        if version != str(POSTGRES_VERSION):
            raise EmbeddedServerError(
                f"{data} was written by PostgreSQL {version}, the embedded server is {POSTGRES_VERSION}. Dump the data "
                "with the release that wrote them (manage.py dump FILE), move the directory away, and load the file."
            )
        return
    staged = locations.postgres_directory / "data.new"
    shutil.rmtree(staged, ignore_errors=True)
    durable = _durable()
    processes.run_program(
        [
            programs / "initdb",
            f"--pgdata={staged}",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--auth-local=trust",  # only the owner may enter the directory of the socket
            "--auth-host=reject",
            "--no-instructions",
            *([] if durable else ["--no-sync"]),
        ],
        directory=locations.postgres_directory,
        locations=locations,
    )
    with (staged / "postgresql.conf").open("a") as file:
        file.write(SETTINGS)
    processes.run_program(
        [programs / "postgres", "--single", "-D", staged, *(() if durable else WITHOUT_DURABILITY), "postgres"],
        directory=locations.postgres_directory,
        locations=locations,
        script=CREATE_DATABASE,
    )
    staged.rename(data)
    if locations.account:
        processes.say(f"root may not run PostgreSQL: it runs as user {locations.account.name}, its data are in {data}")


def _spawn(locations: EmbeddedLocations, programs: Path) -> "subprocess.Popen[bytes]":
    return processes.start_detached(
        [
            programs / "postgres",
            "-D",
            locations.postgres_data,
            "-c",
            "listen_addresses=",
            "-c",
            f"port={locations.postgres_port}",
            "-c",
            f"unix_socket_directories={locations.postgres_socket_directory}",
            "-c",
            "unix_socket_permissions=0700",
            *(() if _durable() else WITHOUT_DURABILITY),
        ],
        directory=locations.postgres_directory,
        alive=ALIVE,
        log=LOG,
        locations=locations,
    )


def _remove_stale_files(locations: EmbeddedLocations) -> None:
    """Remove the pid files of a server that is known to be dead: the pids in them may belong to others by now.

    PostgreSQL would take such a process for its predecessor and refuse to start. Its other interlock, the shared
    memory of the data directory, stays in force.
    """
    socket = socket_path(locations)
    for path in (locations.postgres_data / "postmaster.pid", socket.with_name(f"{socket.name}.lock"), socket):
        path.unlink(missing_ok=True)


def _durable() -> bool:
    """Whether commits reach the disk: always, but for test runs that throw their data away."""
    return os.environ.get("MSM_EMBEDDED_FSYNC", "").strip().lower() != "off"
