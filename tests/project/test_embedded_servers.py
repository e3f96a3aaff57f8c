"""The embedded servers for real: cold starts, kills, stale files, users, messages. Each test has servers of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from django.db import OperationalError

from msm_project.embedded import postgres, programs, redis
from msm_project.embedded.errors import EmbeddedServerError
from msm_project.embedded.locations import embedded_locations
from msm_project.embedded.servers import ensure_postgres, ensure_redis, status, stop_all
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.xdist_group("embedded servers")

START_BOTH = """
import sys
from pathlib import Path
from msm_project.embedded.servers import ensure_postgres, ensure_redis
print(ensure_postgres(Path(sys.argv[1])), ensure_redis(Path(sys.argv[1])))
"""


def starter(directory: Path, **options: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", START_BOTH, str(directory)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def query(directory: Path, sql: str) -> list[tuple[object, ...]]:
    host = str(embedded_locations(directory).postgres_socket_directory)
    with psycopg.connect(host=host, user="msm", dbname="msm", autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def pids(directory: Path) -> list[int | None]:
    return [server.pid for server in status(directory)]


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} still runs")


def test_six_processes_that_start_cold_share_one_pair_of_servers(data_directory):
    starters = [starter(data_directory) for _ in range(6)]
    answers = sorted(process.communicate(timeout=60)[0].strip() for process in starters)
    assert [process.returncode for process in starters] == [0] * 6
    started = [answer.split() for answer in answers]
    assert [sum(answer[column] == "True" for answer in started) for column in (0, 1)] == [1, 1]
    # The starters have ended, the servers have not.
    assert [server.running for server in status(data_directory)] == [True, True]
    assert {path.name for path in data_directory.iterdir()} == {"pg", "redis", "logs", "locks"}


def test_the_database_is_as_promised(data_directory):
    assert ensure_postgres(data_directory) is True
    assert ensure_postgres(data_directory) is False
    assert query(
        data_directory,
        "SELECT pg_encoding_to_char(encoding), datlocprovider::text, datlocale, current_setting('listen_addresses'), "
        "current_setting('unix_socket_permissions'), current_setting('TimeZone'), current_setting('max_connections'), "
        "(SELECT rolsuper FROM pg_roles WHERE rolname = 'msm') FROM pg_database WHERE datname = 'msm'",
    ) == [("UTF8", "b", "C.UTF-8", "", "0700", "UTC", "100", False)]
    places = embedded_locations(data_directory)
    assert oct(places.postgres_directory.stat().st_mode & 0o777) == "0o700"


def test_commits_are_durable_unless_the_tests_say_otherwise(data_directory, monkeypatch):
    settings = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
    ensure_postgres(data_directory)
    assert query(data_directory, settings) == [("off", "off")]
    stop_all(data_directory)
    monkeypatch.delenv("MSM_EMBEDDED_FSYNC")
    ensure_postgres(data_directory)
    assert query(data_directory, settings) == [("on", "on")]


def test_killed_servers_come_back_with_their_data(data_directory, monkeypatch):
    monkeypatch.delenv("MSM_EMBEDDED_FSYNC")
    ensure_postgres(data_directory)
    ensure_redis(data_directory)
    query(data_directory, "CREATE TABLE kept AS SELECT generate_series(1, 100) AS n")
    places = embedded_locations(data_directory)
    redis.client(places).set("kept", "yes")
    killed = pids(data_directory)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert ensure_postgres(data_directory) is True
    assert ensure_redis(data_directory) is True
    assert query(data_directory, "SELECT count(*) FROM kept") == [(100,)]
    assert redis.client(places).get("kept") == b"yes"
    assert redis.client(places).config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert not set(killed) & set(pids(data_directory))


def test_the_pid_of_a_dead_server_in_the_hands_of_another_process_prevents_nothing(data_directory):
    ensure_postgres(data_directory)
    places = embedded_locations(data_directory)
    dead = pids(data_directory)[0]
    files = [
        places.postgres_data / "postmaster.pid",
        postgres.socket_path(places).with_name(f"{postgres.socket_path(places).name}.lock"),
    ]
    texts = [path.read_text() for path in files]
    os.kill(dead, signal.SIGKILL)
    wait_until_gone(dead)
    identity = {"user": places.account.uid, "group": places.account.gid} if places.account else {}
    foreign = subprocess.Popen(["sleep", "60"], **identity)
    try:
        for path, text in zip(files, texts, strict=True):
            path.write_text(text.replace(str(dead), str(foreign.pid), 1))
        assert ensure_postgres(data_directory) is True
        assert query(data_directory, "SELECT 1") == [(1,)]
        assert stop_all(data_directory) == ["postgres"]
        assert foreign.poll() is None, "the foreign process was signalled"
    finally:
        foreign.kill()
        foreign.wait()


def test_the_end_of_the_starters_process_group_takes_no_server_down(data_directory):
    script = START_BOTH + "import time; print('ready', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(data_directory)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "True True\n"
    before = pids(data_directory)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    process.stdout.close()
    assert ensure_postgres(data_directory) is False
    assert ensure_redis(data_directory) is False
    assert pids(data_directory) == before


def test_an_interrupted_creation_is_begun_anew(data_directory):
    places = embedded_locations(data_directory)
    ensure_postgres(data_directory)
    stop_all(data_directory)
    places.postgres_data.rename(places.postgres_directory / "data.new")  # what a kill during initdb leaves
    assert ensure_postgres(data_directory) is True
    assert query(data_directory, "SELECT current_database()") == [("msm",)]
    assert not (places.postgres_directory / "data.new").exists()


def test_stop_ends_both_and_starts_nothing(data_directory):
    assert stop_all(data_directory) == []
    assert not data_directory.exists()
    ensure_postgres(data_directory)
    ensure_redis(data_directory)
    running = pids(data_directory)
    assert stop_all(data_directory) == ["redis", "postgres"]
    for pid in running:
        wait_until_gone(pid)
    assert pids(data_directory) == [None, None]
    assert stop_all(data_directory) == []


def test_a_long_path_is_served_through_a_short_private_directory(data_directory, capfd):
    directory = data_directory / ("x" * 100)
    sockets = embedded_locations(directory).postgres_socket_directory
    try:
        assert ensure_postgres(directory) is True
        assert query(directory, "SELECT 1") == [(1,)]
        assert oct(sockets.stat().st_mode & 0o777) == "0o700"
        assert f"is too long or unfit for sockets: they are in {sockets}\n" in capfd.readouterr().err
        sockets.chmod(0o755)
        with pytest.raises(EmbeddedServerError) as raised:
            ensure_postgres(directory)
        assert str(raised.value) == f"{sockets} is open to other users. Close it: chmod 700 {sockets}"
        sockets.chmod(0o700)
    finally:
        stop_all(directory)
        for path in sockets.iterdir():
            path.unlink()
        sockets.rmdir()


def test_other_data_are_never_overwritten(data_directory):
    places = embedded_locations(data_directory)
    ensure_postgres(data_directory)
    stop_all(data_directory)
    (places.postgres_data / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedServerError, match=r"was written by PostgreSQL 17, the embedded server is 18\. Dump"):
        ensure_postgres(data_directory)
    assert (places.postgres_data / "PG_VERSION").read_text() == "17\n"


def test_without_programs_the_message_names_the_remedy(data_directory, monkeypatch):
    monkeypatch.setattr(programs, "_package_directory", lambda name: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EmbeddedServerError, match=r"or set DATABASE_URL to a PostgreSQL 15 or newer: postgres://user"):
        ensure_postgres(data_directory)
    with pytest.raises(EmbeddedServerError, match=r"Install redis or valkey .* or set REDIS_URL: redis://host:6379/0$"):
        ensure_redis(data_directory)


def test_the_error_is_one_that_database_code_expects():
    assert issubclass(EmbeddedServerError, OperationalError)
    assert EmbeddedServerError.is_msm_error is True


def test_an_unwritable_place_is_named(data_directory):
    data_directory.parent.joinpath("file").touch()
    impossible = data_directory.parent / "file" / "data"
    with pytest.raises(EmbeddedServerError) as raised:
        ensure_postgres(impossible)
    assert str(raised.value).startswith(f"The data directory {impossible} cannot be written (Not a directory: ")
    assert str(raised.value).endswith("or name another: MSM_DATA_DIR.")
