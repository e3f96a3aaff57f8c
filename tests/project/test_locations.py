"""Where the embedded servers keep their files; nothing is created by asking."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from msm_project.embedded import locations
from msm_project.embedded.locations import ServerAccount, embedded_locations, reaches

NOBODY = ServerAccount("nobody", 65534, 65534)


@pytest.fixture
def as_user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4321)


@pytest.fixture
def as_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("MSM_SERVER_USER", raising=False)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody can enter, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix="msm-private-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def test_everything_lies_in_the_data_directory(as_user):
    found = embedded_locations(Path("/srv/msm"))
    assert found.account is None
    assert found.state_directory == Path("/srv/msm")
    assert found.postgres_data == Path("/srv/msm/pg/data")
    assert found.postgres_socket_directory == Path("/srv/msm/pg")
    assert found.redis_socket == Path("/srv/msm/redis/redis.sock")
    assert found.log_directory == Path("/srv/msm/logs")
    assert not found.sockets_elsewhere
    assert not Path("/srv/msm").exists()


def test_the_longest_path_that_fits_and_one_byte_more(as_user):
    room = locations.LONGEST_SOCKET_PATH - len("//pg/.s.PGSQL.5432")
    fits = embedded_locations(Path("/" + "x" * room))
    assert len(str(fits.postgres_socket_directory / ".s.PGSQL.5432")) == locations.LONGEST_SOCKET_PATH
    assert not fits.sockets_elsewhere
    longer = embedded_locations(Path("/" + "x" * (room + 1)))
    assert longer.sockets_elsewhere
    assert longer.postgres_data == Path("/" + "x" * (room + 1)) / "pg" / "data"
    assert longer.postgres_socket_directory == longer.redis_socket.parent
    assert longer.postgres_socket_directory.parent == Path("/tmp")
    assert longer.postgres_socket_directory.name.startswith("msm-4321-")


@pytest.mark.parametrize("name", ["a b", "a,b", "a%b", "a?b", "a#b", "ä"])
def test_a_path_that_a_url_or_libpq_would_misread_gets_short_sockets(as_user, name):
    assert embedded_locations(Path("/srv") / name).sockets_elsewhere


def test_two_data_directories_never_share_sockets(as_user):
    one, other = (embedded_locations(Path("/srv") / ("x" * 120 + end)) for end in "ab")
    assert one.postgres_socket_directory != other.postgres_socket_directory


def test_the_environment_does_not_move_the_sockets(as_user, monkeypatch):
    path = Path("/srv") / ("x" * 120)
    before = embedded_locations(path)
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/4321")
    assert embedded_locations(path) == before


def test_root_hands_the_servers_to_nobody_or_to_whom_it_names(as_root, tmp_path, monkeypatch):
    assert embedded_locations(tmp_path / "data").account.name == "nobody"
    monkeypatch.setenv("MSM_SERVER_USER", "no-such-user")
    assert embedded_locations(tmp_path / "data").account == ServerAccount("no-such-user", None, None)


def test_a_closed_directory_sends_the_state_to_the_system_directory(as_root, open_directory, monkeypatch):
    monkeypatch.setattr(locations, "SYSTEM_STATE_DIRECTORY", open_directory / "system")
    monkeypatch.setattr(locations, "server_account", lambda *_: NOBODY)
    closed = open_directory / "home"
    closed.mkdir(mode=0o700)
    found = embedded_locations(closed / "data")
    assert found.state_directory.parent == open_directory / "system"
    assert found.postgres_data == found.state_directory / "pg" / "data"
    assert found.log_directory == closed / "data" / "logs"
    assert not (open_directory / "system").exists()
    assert oct(closed.stat().st_mode & 0o777) == "0o700"


def test_state_in_the_system_directory_stays_there_when_the_home_is_opened(as_root, open_directory, monkeypatch):
    monkeypatch.setattr(locations, "SYSTEM_STATE_DIRECTORY", open_directory / "system")
    monkeypatch.setattr(locations, "server_account", lambda *_: NOBODY)
    closed = open_directory / "home"
    closed.mkdir(mode=0o700)
    before = embedded_locations(closed / "data")
    before.postgres_directory.mkdir(parents=True)
    closed.chmod(0o755)
    assert embedded_locations(closed / "data") == before


def test_an_open_directory_keeps_the_state_even_when_it_does_not_exist_yet(as_root, open_directory, monkeypatch):
    monkeypatch.setattr(locations, "server_account", lambda *_: NOBODY)
    assert embedded_locations(open_directory / "data").state_directory == open_directory / "data"
    assert list(open_directory.iterdir()) == []


@pytest.mark.parametrize(("mode", "expected"), [(0o700, False), (0o711, True), (0o755, True), (0o750, False)])
def test_reach_is_decided_by_the_mode_bits_of_every_step(open_directory, mode, expected):
    directory = open_directory / "a"
    (directory / "b").mkdir(parents=True)
    directory.chmod(mode)
    assert reaches(NOBODY, directory / "b") is expected
    assert oct(directory.stat().st_mode & 0o777) == oct(mode)


@pytest.mark.parametrize(("mode", "expected"), [(0o744, False), (0o755, True), (0o711, False)])
def test_a_program_has_to_be_readable_and_executable(open_directory, mode, expected):
    program = open_directory / "postgres"
    program.touch()
    program.chmod(mode)
    assert reaches(NOBODY, program, file=True) is expected
