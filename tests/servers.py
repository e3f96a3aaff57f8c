"""A pytest plugin that gives a test run PostgreSQL and Redis servers of its own, shared by its xdist workers.

It is loaded with `-p tests.servers`, so that the environment is set before pytest-django reads the settings.
`DATABASE_URL` and `REDIS_URL` in the environment are respected.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

import pytest

ROOT = Path("/tmp")  # short, for the sockets' sake
PREFIX = "msm-tests-"
# What a developer may have set for daily work and must not colour a test run.
FOREIGN = (
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "DEBUG",
    "LOG_LEVEL",
    "MSM_AUTO_REGISTER_NAMESPACE",
    "MSM_HOST",
    "MSM_NODE_MODULES",
    "MSM_OPENFIGI_BASE_URL",
    "MSM_OPENFIGI_JOBS_PER_REQUEST",
    "MSM_OPENFIGI_MAPPING_LIMIT",
    "MSM_OPENFIGI_SEARCH_LIMIT",
    "MSM_PORT",
    "MSM_REDIS_DATABASE",
    "OPEN_FIGI_API_KEY",
    "SECRET_KEY",
    "SECURE",
)
REDIS_DATABASES = 16

_created: Path | None = None


def prepare(environment: MutableMapping[str, str], worker: str | None) -> Path | None:
    """Set the environment of the controller, or of the xdist worker `gwN`; the directory when one was created.

    A worker inherits the controller's directory and differs by the number of its Redis database only.
    """
    if worker is not None:
        # Databases 1 to 15; 0 is the controller's, and a run without xdist.
        environment["MSM_REDIS_DATABASE"] = str(int(worker.removeprefix("gw")) % (REDIS_DATABASES - 1) + 1)
        return None
    for name in FOREIGN:
        environment.pop(name, None)
        environment.pop(f"{name}_FILE", None)
    environment["MSM_OPENFIGI_BASE_URL"] = "off"  # no test asks the provider; the fixture `openfigi` has a server
    environment["SECRET_KEY"] = "only-for-the-tests-" + "0123456789" * 5
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=ROOT))
    if os.geteuid() == 0:
        directory.chmod(0o711)  # the servers' unprivileged user has to pass through
    environment["MSM_DATA_DIR"] = str(directory)
    environment["MSM_EMBEDDED_FSYNC"] = "off"
    return directory


def remove(directory: Path) -> None:
    """Stop the servers of `directory` and remove it."""
    from msm_project.embedded.servers import stop_all

    try:
        stop_all(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def remove_abandoned() -> None:
    """Remove what test runs left behind that were killed before they could clean up."""
    for directory in ROOT.glob(f"{PREFIX}*-*"):
        try:
            pid = int(directory.name.removeprefix(PREFIX).split("-", 1)[0])
            if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
                continue
            os.kill(pid, 0)
        except ProcessLookupError:
            remove(directory)
        except (ValueError, OSError):
            continue


def _clean_up() -> None:
    global _created
    directory, _created = _created, None
    if directory is not None:
        remove(directory)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    _clean_up()


# At import, because pytest-django reads the settings before any hook of a plugin that is loaded by `-p`.
if os.environ.get("PYTEST_XDIST_WORKER") is None:
    remove_abandoned()
_created = prepare(os.environ, os.environ.get("PYTEST_XDIST_WORKER"))
atexit.register(_clean_up)  # for a run that ends before pytest is configured
