"""A frame of a million rows streamed over REST as Arrow, beside the same read in process; and the server's memory.

Run as `python -m benchmarks.rest_frame_stream`. The server is gunicorn as `make run` starts it, with one worker
process, asked over TCP on the same machine; the reader makes an Arrow table of what comes. The worker's peak memory is
taken while it streams one million rows and while it streams five.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa

from benchmarks import _bars
from benchmarks._server import own_server, server_settings, superuser

DAYS = 500  # a million rows
SPEED_GOAL, MEMORY_GOAL = 0.5, 1.25
REPEATS = 5


@contextlib.contextmanager
def web_server() -> Iterator[tuple[str, int]]:
    """Address and worker's process id of a server for this benchmark's data."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "msm_project.wsgi", f"--bind=127.0.0.1:{port}", "--workers=1"]
    command += ["--threads=4", "--log-level=warning", "--no-control-socket"]
    server = subprocess.Popen(command, env=dict(os.environ))
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            time.sleep(0.1)
        (worker,) = psutil.Process(server.pid).children()
        yield address, worker.pid
    finally:
        server.terminate()
        server.wait(timeout=30)


def peak(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def main() -> int:
    claims = _bars.Claims()
    with own_server() as directory:
        with superuser(directory) as server:
            print(server_settings(server))
        from django.contrib.auth import get_user_model

        from markets.services.access import create_token

        _bars.make_assets()
        node = _bars.load("bars", _bars.DAYS_OF_5M)
        owner = get_user_model().objects.create_superuser("benchmark")
        token = create_token(owner=owner, made_by=None).text
        since, until = _bars.day(0).to_pydatetime(), _bars.day(DAYS - 1).to_pydatetime()

        with web_server() as (address, worker):

            def stream(last: str) -> int:
                url = f"{address}/api/v1/data-node/{node.storage_hash}/data/?format=arrow&end={last}"
                request = urllib.request.Request(url, headers={"Authorization": f"Token {token}"})
                with urllib.request.urlopen(request, timeout=600) as answer:
                    return pa.ipc.open_stream(answer).read_all().num_rows

            def growth(last: str) -> int:
                before = peak(worker, "VmRSS")
                Path(f"/proc/{worker}/clear_refs").write_text("5")  # the peak begins anew
                stream(last)
                return peak(worker, "VmHWM") - before

            last = f"{until:%Y-%m-%dT%H:%M:%SZ}"
            everything = f"{_bars.day(_bars.DAYS_OF_5M):%Y-%m-%dT%H:%M:%SZ}"
            assert stream(last) == DAYS * _bars.ASSETS  # and imports, connection
            taken = _bars.alternated(
                REPEATS,
                {
                    "get_df_between_dates in process": lambda: node.get_df_between_dates(since, until),
                    "REST, Arrow": lambda: stream(last),
                },
            )
            claims.times("a million rows", taken)
            claims.at_least(
                "REST's speed against the read in process",
                taken["get_df_between_dates in process"] / taken["REST, Arrow"],
                SPEED_GOAL,
            )
            rss = peak(worker, "VmRSS")
            million, all_rows = growth(last), growth(everything)
            print(
                f"\nthe worker holds {rss / 2**20:.0f} MiB; its peak is {million / 2**20:.0f} MiB more while it sends "
                f"1 M rows, {all_rows / 2**20:.0f} MiB more while it sends 5 M rows"
            )
            claims.at_most("the worker's peak at 5 M rows against 1 M", (rss + all_rows) / (rss + million), MEMORY_GOAL)
    return claims.exit_code()


if __name__ == "__main__":
    sys.exit(main())
