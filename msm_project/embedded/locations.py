"""Where the embedded servers of a data directory keep their files, decided by looking only."""

import hashlib
import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

try:
    import pwd
except ImportError:  # Windows: the embedded servers do not run there, the settings still load
    pwd = None  # type: ignore[assignment]

SYSTEM_STATE_DIRECTORY = Path("/var/lib/msm")
POSTGRES_PORT = 5432
LONGEST_SOCKET_PATH = 103 if sys.platform == "darwin" else 107  # bytes; what sockaddr_un holds
# libpq splits a host at commas and a broker URL knows more special characters: such a path gets short sockets too.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~-]+")


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """The unprivileged user that the servers run as when we are root; `uid` is None when there is no such user."""

    name: str
    uid: int | None
    gid: int | None


@dataclass(frozen=True, slots=True)
class EmbeddedLocations:
    data_directory: Path
    state_directory: Path  # the data directory, or a system directory when the server's user cannot reach it
    postgres_directory: Path
    postgres_data: Path
    postgres_socket_directory: Path
    postgres_port: int
    redis_directory: Path
    redis_socket: Path
    lock_directory: Path
    log_directory: Path
    programs_directory: Path  # a copy of the servers' programs, made when their user cannot reach the installed ones
    account: ServerAccount | None  # None: the servers run as ourselves
    sockets_elsewhere: bool  # the data directory's path is too long, or unfit, for sockets


def embedded_locations(data_dir: Path) -> EmbeddedLocations:
    """Locations for `data_dir`: the same answer in every process of this host, whatever its environment.

    Reads a few inodes and creates nothing.
    """
    data_dir = Path(os.path.abspath(data_dir))
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    account = server_account(data_dir, digest) if _is_root() else None
    state = _state_directory(data_dir, digest, account)
    postgres, redis = state / "pg", state / "redis"
    postgres_sockets, redis_sockets = postgres, redis
    elsewhere = not (_fits(postgres / f".s.PGSQL.{POSTGRES_PORT}") and _fits(redis / "redis.sock"))
    if elsewhere:
        owner = account.uid if account else _user_id()
        postgres_sockets = redis_sockets = _short_root() / f"msm-{owner}-{digest}"
    return EmbeddedLocations(
        data_directory=data_dir,
        state_directory=state,
        postgres_directory=postgres,
        postgres_data=postgres / "data",
        postgres_socket_directory=postgres_sockets,
        postgres_port=POSTGRES_PORT,
        redis_directory=redis,
        redis_socket=redis_sockets / "redis.sock",
        lock_directory=data_dir / "locks",
        log_directory=data_dir / "logs",
        programs_directory=state / "programs",
        account=account,
        sockets_elsewhere=elsewhere,
    )


def server_account(data_dir: Path, digest: str) -> ServerAccount:
    """Whom the servers run as when we are root: the owner of existing data, else MSM_SERVER_USER, else nobody."""
    for directory in (data_dir / "pg", SYSTEM_STATE_DIRECTORY / digest / "pg"):
        try:
            owner = directory.stat()
        except OSError:
            continue
        if owner.st_uid != 0:
            return ServerAccount(_user_name(owner.st_uid), owner.st_uid, owner.st_gid)
    name = os.environ.get("MSM_SERVER_USER", "").strip() or "nobody"
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return ServerAccount(name, None, None)
    return ServerAccount(name, entry.pw_uid, entry.pw_gid)


def reaches(account: ServerAccount, path: Path, *, file: bool = False) -> bool:
    """Whether the account may enter every existing directory down to `path` (and read and run it, for a file).

    Decided by the mode bits, because that is what the servers' own access(2) checks will see.
    """
    path = Path(os.path.abspath(path))
    for step in [*reversed(path.parents), path]:
        try:
            found = step.stat()
        except FileNotFoundError:
            return True  # what is missing we create ourselves, open to the account
        except OSError:
            return False
        wanted = 0o5 if file and step == path else 0o1
        if not _granted(account, found, wanted):
            return False
    return True


def _granted(account: ServerAccount, found: os.stat_result, wanted: int) -> bool:
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid == account.uid:
        return mode >> 6 & wanted == wanted
    if found.st_gid == account.gid:
        return mode >> 3 & wanted == wanted
    return mode & wanted == wanted


def _state_directory(data_dir: Path, digest: str, account: ServerAccount | None) -> Path:
    if account is None or account.uid is None or (data_dir / "pg").is_dir():
        return data_dir
    system = SYSTEM_STATE_DIRECTORY / digest
    # A directory that was opened up later must not make the data, which are there by now, vanish.
    if (system / "pg").is_dir() or not reaches(account, data_dir):
        return system
    return data_dir


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and PLAIN_PATH.fullmatch(str(path)) is not None


def _short_root() -> Path:
    # Not the environment's TMPDIR or XDG_RUNTIME_DIR: a cron job that lacks them must find the same sockets.
    return Path("/tmp")  # noqa: S108  (the directory in it is private, and its owner is checked)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _user_id() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
