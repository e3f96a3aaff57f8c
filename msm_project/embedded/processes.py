"""Locks, private directories and detached processes, as the embedded servers need them."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: `require_supported_platform` tells
    fcntl = None  # type: ignore[assignment]

from msm_project.embedded.errors import EmbeddedServerError
from msm_project.embedded.locations import EmbeddedLocations, ServerAccount

OTHER_SERVERS = "set DATABASE_URL and REDIS_URL to servers of your own"
LOCK_TIMEOUT = 330.0  # seconds; longer than the longest start that another process may be doing
LARGEST_LOG = 10 * 1024 * 1024  # bytes; a larger log is set aside when its server starts
# Nothing of the starter's environment (locale, PG* variables, preloaded libraries) reaches a server.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

_children: list["subprocess.Popen[bytes]"] = []


def say(message: str) -> None:
    print(f"msm: {message}", file=sys.stderr, flush=True)


def reap() -> None:
    """Collect servers of ours that have ended, so that none stays behind as a zombie."""
    _children[:] = [child for child in _children if child.poll() is None]


def require_supported_platform() -> None:
    if fcntl is None or not hasattr(os, "geteuid"):
        raise EmbeddedServerError(
            f"The embedded servers need Linux or macOS, this is {sys.platform}. Remedy: {OTHER_SERVERS}."
        )


def check_account(account: ServerAccount | None) -> None:
    """Raises EmbeddedServerError when the account does not exist or is root, as which PostgreSQL refuses to run."""
    if account is None:
        return
    if account.uid is None:
        raise EmbeddedServerError(
            f"There is no user {account.name!r} to run the embedded servers as (root may not run them). "
            "Set MSM_SERVER_USER to an existing unprivileged user."
        )
    if account.uid == 0:
        raise EmbeddedServerError(
            "MSM_SERVER_USER names root, as which PostgreSQL refuses to run. Name an unprivileged user or unset it."
        )


def make_directory(path: Path, data_directory: Path) -> None:
    """Create `path` and missing parents, open to be entered; existing directories stay as they are."""
    try:
        missing = []
        while not path.is_dir():
            missing.append(path)
            path = path.parent
        for directory in reversed(missing):
            with suppress(FileExistsError):
                directory.mkdir()
                if os.geteuid() == 0:  # the servers' user has to get through, whatever root's umask is
                    directory.chmod(0o755)
    except OSError as error:
        raise unwritable(data_directory, error) from error


def make_private_directory(path: Path, locations: EmbeddedLocations) -> bool:
    """Create `path` with mode 0700, owned by the servers' user; whether it was missing."""
    make_directory(path.parent, locations.data_directory)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        check_private_directory(path, locations)
        return False
    except OSError as error:
        raise unwritable(locations.data_directory, error) from error
    if locations.account:
        os.chown(path, locations.account.uid or -1, locations.account.gid or -1, follow_symlinks=False)
    return True


def check_private_directory(path: Path, locations: EmbeddedLocations) -> None:
    """Raises EmbeddedServerError unless `path` is a directory of the servers' user that nobody else may enter."""
    owner = locations.account.uid if locations.account else os.geteuid()
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise EmbeddedServerError(f"{path} is not a directory. Remove it and start again.")
    if found.st_uid != owner:
        raise EmbeddedServerError(
            f"{path} belongs to user id {found.st_uid}, not to user id {owner} as which the servers would run. "
            "Use the account that created it, or another data directory: MSM_DATA_DIR."
        )
    if found.st_mode & 0o077:
        raise EmbeddedServerError(f"{path} is open to other users. Close it: chmod 700 {path}")


def prepare_sockets(locations: EmbeddedLocations) -> None:
    directory = locations.postgres_socket_directory
    if locations.sockets_elsewhere and make_private_directory(directory, locations):
        say(f"the path of {locations.data_directory} is too long or unfit for sockets: they are in {directory}")


def unwritable(data_directory: Path, error: OSError) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"The data directory {data_directory} cannot be written ({error.strerror}: {error.filename}). "
        "Make it writable, free some space, or name another: MSM_DATA_DIR."
    )


@contextmanager
def exclusive(locations: EmbeddedLocations, name: str) -> Iterator[None]:
    """Hold the lock `name`, so that one process at a time starts or stops that server."""
    descriptor = open_lock(locations, name)
    deadline = time.monotonic() + LOCK_TIMEOUT
    try:
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"Another process has been starting or stopping a server for {LOCK_TIMEOUT:.0f} s: it holds "
                    f"{locations.lock_directory / name}. Look for it, and at the logs in {locations.log_directory}."
                )
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def open_lock(locations: EmbeddedLocations, name: str) -> int:
    make_directory(locations.lock_directory, locations.data_directory)
    try:
        return os.open(locations.lock_directory / name, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise unwritable(locations.data_directory, error) from error


def try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_alive(locations: EmbeddedLocations, name: str) -> bool:
    """Whether a server that was started with the lock `name` (or a process it forked) still lives.

    The server inherited the locked descriptor: no pid can be mistaken, and a zombie holds nothing.
    """
    if not (locations.lock_directory / name).exists():
        return False
    descriptor = open_lock(locations, name)
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def _identity(account: ServerAccount | None) -> dict[str, object]:
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


def start_detached(
    arguments: Sequence[str | Path], *, directory: Path, alive: str, log: str, locations: EmbeddedLocations
) -> "subprocess.Popen[bytes]":
    """Start a server in a session of its own, its output in a log file, holding the lock `alive` while it lives."""
    make_directory(locations.log_directory, locations.data_directory)
    output = open_log(locations, log)
    lock = open_lock(locations, alive)
    try:
        deadline = time.monotonic() + 2.0  # somebody may be asking `is_alive` at this moment
        while not try_lock(lock):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"A server that does not answer holds {locations.lock_directory / alive}.")
            time.sleep(0.005)
        child = subprocess.Popen(  # type: ignore[call-overload]
            [str(argument) for argument in arguments],
            cwd=directory,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # the end, or Ctrl-C, of whoever starts it does not reach it
            pass_fds=(lock,),
            umask=0o077,
            **_identity(locations.account),
        )
    except OSError as error:
        raise _not_runnable(arguments[0], error) from error
    finally:
        os.close(output)
        os.close(lock)
    _children.append(child)
    return child


def _not_runnable(program: str | Path, error: OSError) -> EmbeddedServerError:
    return EmbeddedServerError(f"{program} cannot be run ({error.strerror}). Remedy: {OTHER_SERVERS}.")


def open_log(locations: EmbeddedLocations, name: str) -> int:
    path = locations.log_directory / name
    try:
        with suppress(FileNotFoundError):
            if path.lstat().st_size > LARGEST_LOG:
                path.replace(path.with_name(f"{name}.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(locations.data_directory, error) from error


def log_tail(locations: EmbeddedLocations, name: str, lines: int = 8) -> str:
    try:
        with (locations.log_directory / name).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def run_program(
    arguments: Sequence[str | Path], *, directory: Path, locations: EmbeddedLocations, script: str | None = None
) -> None:
    """Run a server's tool to its end as the servers' user; raises EmbeddedServerError with what it printed."""
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            [str(argument) for argument in arguments],
            cwd=directory,
            env=ENVIRONMENT,
            input=script if script is not None else "",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            umask=0o077,
            start_new_session=True,  # Ctrl-C ends the caller, who leaves a staged directory that the next one removes
            **_identity(locations.account),
        )
    except OSError as error:
        raise _not_runnable(arguments[0], error) from error
    if done.returncode != 0:
        raise EmbeddedServerError(
            f"{Path(arguments[0]).name} failed with exit code {done.returncode}:\n{done.stdout.strip()[-2000:]}"
        )
