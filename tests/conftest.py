"""Private data directories and commands in processes of their own, for every test that needs them."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from msm_project.embedded.servers import stop_all
from tests.markets.openfigi.provider import openfigi  # noqa: F401  (a fixture)
from tests.scripts import migrated_template, scripts  # noqa: F401  (fixtures)

# A busy machine is no fault of the code: neither a slow example nor slow generation fails a test.
settings.register_profile("msm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("msm")

CHECKOUT = Path(__file__).resolve().parents[1]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def data_directory() -> Iterator[Path]:
    """A data directory that does not exist yet, in a private parent; its servers are stopped afterwards."""
    parent = Path(tempfile.mkdtemp(prefix="msm-private-", dir="/tmp"))
    if os.geteuid() == 0:
        parent.chmod(0o711)
    directory = parent / "data"
    try:
        yield directory
    finally:
        stop_all(directory)
        shutil.rmtree(parent)


@pytest.fixture
def environment(data_directory: Path) -> dict[str, str]:
    """The environment of a user who has set nothing but the data directory."""
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    kept.pop("MSM_REDIS_DATABASE", None)
    kept.pop("SECRET_KEY", None)
    return {**kept, "MSM_DATA_DIR": str(data_directory), "MSM_EMBEDDED_FSYNC": "off", "PYTHONPATH": str(CHECKOUT)} | (
        {"PYTHONPATH": f"{CHECKOUT}{os.pathsep}{os.environ['PYTHONPATH']}"} if os.environ.get("PYTHONPATH") else {}
    )


@pytest.fixture
def manage(environment: dict[str, str]) -> Run:
    """Runs `manage.py` to its end in a process of its own, with changes to the environment."""

    def run(*arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, str(CHECKOUT / "manage.py"), *arguments],
            env=environment | changes,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
