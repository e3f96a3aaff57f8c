"""What the web server's process does before its first request."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import CHECKOUT

TOLD = """
import gc, sys
import msm_project.wsgi
print("markets.admin.lineage" in sys.modules, "markets.rest.urls" in sys.modules)
print(gc.get_freeze_count(), len(gc.get_objects()))
"""


def test_the_pages_are_loaded_and_out_of_the_garbage_collectors_way(
    environment: dict[str, str], data_directory: Path
) -> None:
    # regression: every fourth request for a large page waited a quarter of a second for a full collection
    done = subprocess.run(
        [sys.executable, "-c", TOLD], env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    loaded, counts = done.stdout.splitlines()
    kept, watched = map(int, counts.split())
    assert loaded == "True True"
    assert kept > 100_000
    assert watched < kept / 100
    assert not (data_directory / "pg").exists()  # no server was started for it
