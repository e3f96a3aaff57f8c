"""The embedded servers of a data directory: make sure that they run, stop them, tell their state."""

import os
from dataclasses import dataclass
from pathlib import Path

from msm_project.embedded import postgres, redis
from msm_project.embedded.locations import embedded_locations


@dataclass(frozen=True, slots=True)
class ServerStatus:
    name: str
    running: bool
    pid: int | None
    socket: str
    data: str
    log: str
    user: str | None  # as whom it runs when MSM runs as root


def ensure_postgres(data_dir: Path) -> bool:
    """Make PostgreSQL accept connections, creating its data when there are none; whether this call started it.

    Raises EmbeddedServerError with the remedy.
    """
    return postgres.start(embedded_locations(data_dir))


def ensure_redis(data_dir: Path) -> bool:
    """Make Redis answer; whether this call started it. Raises EmbeddedServerError with the remedy."""
    return redis.start(embedded_locations(data_dir))


def stop_postgres(data_dir: Path) -> bool:
    return postgres.stop(embedded_locations(data_dir))


def stop_redis(data_dir: Path) -> bool:
    return redis.stop(embedded_locations(data_dir))


def stop_all(data_dir: Path) -> list[str]:
    """Stop both servers with their data written; the names of those that ran."""
    stops = {"redis": stop_redis, "postgres": stop_postgres}
    return [name for name, stop in stops.items() if stop(data_dir)]


def status(data_dir: Path) -> list[ServerStatus]:
    """The state of PostgreSQL and of Redis; starts nothing."""
    places = embedded_locations(data_dir)
    user = places.account.name if places.account else None
    database_runs = postgres.probe(places) == postgres.ACCEPTING
    broker_runs = redis.probe(places) == redis.ACCEPTING
    return [
        ServerStatus(
            name="postgres",
            running=database_runs,
            pid=postgres.server_pid(places) if database_runs else None,
            socket=os.fspath(postgres.socket_path(places)),
            data=os.fspath(places.postgres_data),
            log=os.fspath(places.log_directory / postgres.LOG),
            user=user,
        ),
        ServerStatus(
            name="redis",
            running=broker_runs,
            pid=redis.server_pid(places) if broker_runs else None,
            socket=os.fspath(places.redis_socket),
            data=os.fspath(places.redis_directory),
            log=os.fspath(places.log_directory / redis.LOG),
            user=user,
        ),
    ]
