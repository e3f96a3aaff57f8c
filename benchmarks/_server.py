"""A PostgreSQL of its own for a benchmark: the embedded one, durable, in a directory that is removed afterwards."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

SHOWN = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_level", "shared_buffers")


@contextmanager
def own_server() -> Iterator[Path]:
    """Django set up on a fresh, migrated database; yields the data directory."""
    directory = Path(tempfile.mkdtemp(prefix="msm-bench-"))
    directory.chmod(0o711)  # run by root, the server has a user of its own, who must pass through
    for name in ("DATABASE_URL", "REDIS_URL", "MSM_EMBEDDED_FSYNC"):
        os.environ.pop(name, None)
    os.environ |= {
        "MSM_DATA_DIR": str(directory),
        "DJANGO_SETTINGS_MODULE": "msm_project.settings",
        "LOG_LEVEL": "WARNING",
    }
    try:
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        yield directory
    finally:
        from msm_project.embedded.servers import stop_all

        try:
            stop_all(directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def superuser(directory: Path) -> psycopg.Connection:
    """A connection that may read and write the server's files."""
    from msm_project.embedded.locations import embedded_locations

    host = str(embedded_locations(directory).postgres_socket_directory)
    return psycopg.connect(host=host, user="postgres", dbname="msm", autocommit=True)


def server_settings(connection: psycopg.Connection) -> str:
    found = {name: connection.execute(f"SHOW {name}").fetchone() for name in SHOWN}
    return ", ".join(f"{name}={value[0]}" for name, value in found.items() if value)
