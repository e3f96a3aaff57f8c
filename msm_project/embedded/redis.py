"""Starts, probes and stops the embedded Redis."""

import os
import signal
import subprocess
import time
from contextlib import suppress

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from msm_project.embedded import processes
from msm_project.embedded.errors import EmbeddedServerError
from msm_project.embedded.locations import EmbeddedLocations
from msm_project.embedded.programs import redis_program

START, ALIVE, LOG = "redis.start", "redis.alive", "redis.log"
ACCEPTING, REJECTING, DOWN = "accepting", "rejecting", "down"
START_TIMEOUT = 120.0  # seconds; reading a large append-only file
STOP_TIMEOUT = 30.0


def client(locations: EmbeddedLocations) -> Redis:
    """A client that fails at once when the server is down, instead of retrying for seconds."""
    return Redis(
        unix_socket_path=str(locations.redis_socket),
        socket_timeout=3,
        socket_connect_timeout=3,
        retry=Retry(NoBackoff(), 0),
    )


def probe(locations: EmbeddedLocations) -> str:
    """ACCEPTING, REJECTING (loading its data, or not answering) or DOWN, found by asking the server."""
    if not os.path.exists(locations.redis_socket):
        return DOWN
    with client(locations) as connection:
        try:
            connection.ping()
        except (BusyLoadingError, RedisTimeoutError):
            return REJECTING
        except (RedisError, OSError):
            return DOWN
    return ACCEPTING


def start(locations: EmbeddedLocations) -> bool:
    """Make the server answer; whether this call started it."""
    processes.reap()
    if os.path.exists(locations.redis_socket):
        processes.check_private_directory(locations.redis_socket.parent, locations)
        if probe(locations) == ACCEPTING:
            return False
    processes.require_supported_platform()
    processes.check_account(locations.account)
    with processes.exclusive(locations, START):
        return _start_alone(locations)


def stop(locations: EmbeddedLocations) -> bool:
    """Stop the server after it has written its append-only file; whether there was one to stop."""
    processes.reap()
    if not locations.lock_directory.is_dir():
        return False
    with processes.exclusive(locations, START):
        if not processes.is_alive(locations, ALIVE):
            return False
        deadline = time.monotonic() + STOP_TIMEOUT
        signalled = False
        while time.monotonic() < deadline:
            if not signalled and (pid := server_pid(locations)) is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                signalled = True
            processes.reap()
            if not processes.is_alive(locations, ALIVE):
                return True
            time.sleep(0.02)
    raise EmbeddedServerError(f"Redis does not stop. See {locations.log_directory / LOG}.")


def server_pid(locations: EmbeddedLocations) -> int | None:
    """The pid that the answering server itself names, else None."""
    if not os.path.exists(locations.redis_socket):
        return None
    with client(locations) as connection:
        try:
            return int(connection.info("server")["process_id"])
        except (RedisError, OSError, KeyError):
            return None


def _start_alone(locations: EmbeddedLocations) -> bool:
    """The rest of `start`, with the lock held."""
    program = redis_program(locations)
    processes.make_directory(locations.data_directory, locations.data_directory)
    created = processes.make_private_directory(locations.redis_directory, locations)
    processes.prepare_sockets(locations)
    child: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if probe(locations) == ACCEPTING:
            if created and locations.account:
                processes.say(
                    f"Redis runs as user {locations.account.name}, its data are in {locations.redis_directory}"
                )
            return child is not None
        if child is not None and child.poll() is not None:
            tail = processes.log_tail(locations, LOG)
            raise EmbeddedServerError(f"Redis did not start; {locations.log_directory / LOG} ends with:\n{tail}")
        if child is None and not processes.is_alive(locations, ALIVE):
            child = processes.start_detached(
                [program, *_configuration(locations)],
                directory=locations.redis_directory,
                alive=ALIVE,
                log=LOG,
                locations=locations,
            )
        time.sleep(0.02)
    raise EmbeddedServerError(
        f"Redis is not ready after {START_TIMEOUT:.0f} s; {locations.log_directory / LOG} ends with:\n"
        + processes.log_tail(locations, LOG)
    )


def _configuration(locations: EmbeddedLocations) -> list[str]:
    durable = os.environ.get("MSM_EMBEDDED_FSYNC", "").strip().lower() != "off"
    settings = {
        "port": "0",  # no TCP
        "unixsocket": str(locations.redis_socket),
        "unixsocketperm": "700",
        "dir": ".",
        "daemonize": "no",
        "databases": "16",
        "appendonly": "yes",
        "appendfsync": "everysec" if durable else "no",
        "save": "",  # the append-only file is the one copy
        "maxmemory-policy": "noeviction",  # a broker must not forget messages
    }
    return [part for name, value in settings.items() for part in (f"--{name}", value)]
