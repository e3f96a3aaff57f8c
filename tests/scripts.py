"""Users' scripts in interpreters of their own, each against a database that is fresh and migrated.

A database is migrated once for a test run; each test gets a copy of it, which takes a fraction of a second.
"""

import os
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from psycopg import sql

from msm_project.embedded.servers import ensure_postgres

CHECKOUT = Path(__file__).resolve().parents[1]
Completed = subprocess.CompletedProcess[str]


@dataclass
class Scripts:
    """Runs programs as a user does whose DATABASE_URL names the test's database."""

    directory: Path
    environment: dict[str, str]
    database: str

    def run(self, text: str, **changes: str) -> Completed:
        path = self.directory / "script.py"
        path.write_text(textwrap.dedent(text))
        return self._completed([sys.executable, str(path)], changes)

    def manage(self, *arguments: str, **changes: str) -> Completed:
        return self._completed([sys.executable, str(CHECKOUT / "manage.py"), *arguments], changes)

    def output(self, text: str, **changes: str) -> str:
        """What the script prints; it must succeed."""
        ran = self.run(text, **changes)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def last_error(self, text: str, **changes: str) -> str:
        """The last line of what the script says when it fails; it must fail."""
        ran = self.run(text, **changes)
        assert ran.returncode == 1, ran.stdout
        return ran.stderr.strip().splitlines()[-1]

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What the database answers a user who sees the default schema."""
        with psycopg.connect(**_place(self.database), autocommit=True) as server:
            answer = server.execute(query, parameters or None)  # type: ignore[call-overload]
            return answer.fetchall() if answer.description else []

    def _completed(self, command: list[str], changes: dict[str, str]) -> Completed:
        return subprocess.run(
            command,
            env=self.environment | changes,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
        )


def _place(database: str) -> dict[str, Any]:
    given = connection.settings_dict
    named = {"user": given["USER"], "password": given["PASSWORD"], "host": given["HOST"], "port": given["PORT"]}
    return {"dbname": database, **{name: value for name, value in named.items() if value}}


def _url(database: str) -> str:
    place = _place(database)
    password = f":{place['password']}" if "password" in place else ""
    return f"postgres://{place['user']}{password}@/{database}?host={place['host']}&port={place.get('port', 5432)}"


def _on_server(statement: str, *names: str) -> None:
    with psycopg.connect(**_place("postgres"), autocommit=True) as server:
        server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _user_environment(database: str, data_directory: Path) -> dict[str, str]:
    paths = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    return {
        **inherited,
        "DATABASE_URL": _url(database),
        "REDIS_URL": settings.REDIS_URL,
        "MSM_DATA_DIR": str(data_directory),
        "PYTHONPATH": os.pathsep.join(paths),
        "LOG_LEVEL": "WARNING",
    }


@pytest.fixture(scope="session")
def migrated_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if settings.EMBEDDED_DATABASE:
        ensure_postgres(settings.DATA_DIR)
    name = f"msm_template_{uuid.uuid4().hex[:8]}"
    _on_server("CREATE DATABASE {}", name)
    try:
        subprocess.run(
            [sys.executable, str(CHECKOUT / "manage.py"), "migrate", "--verbosity", "0"],
            env=_user_environment(name, tmp_path_factory.mktemp("data")),
            check=True,
            timeout=180,
        )
        yield name
    finally:
        _on_server("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def scripts(migrated_template: str, tmp_path: Path) -> Iterator[Scripts]:
    """A directory of its own and a migrated database, gone after the test."""
    name = f"msm_script_{uuid.uuid4().hex[:8]}"
    _on_server("CREATE DATABASE {} TEMPLATE {}", name, migrated_template)
    try:
        yield Scripts(tmp_path, _user_environment(name, tmp_path / "data"), name)
    finally:
        _on_server("DROP DATABASE {} WITH (FORCE)", name)
