"""`make run`: starts everything, answers, and leaves nothing behind."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from msm_project.embedded.servers import ensure_postgres, status
from msm_project.supervisor import Child, Supervisor
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.xdist_group("run")


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Running:
    """One `run_msm` and what it prints."""

    def __init__(self, environment: dict[str, str], port: int, output: Path) -> None:
        self.output = output
        with output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, str(CHECKOUT / "manage.py"), "run_msm"],
                env=environment | {"MSM_PORT": str(port)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def text(self) -> str:
        return self.output.read_text()

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + 60
        while words not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.05)


@pytest.fixture
def start(environment, port, tmp_path) -> Iterator[object]:
    started: list[Running] = []

    def begin(at: int = port) -> Running:
        started.append(Running(environment, at, tmp_path / f"output{len(started)}"))
        return started[-1]

    yield begin
    for running in started:
        if running.process.poll() is None:
            running.process.terminate()
            running.process.wait(timeout=30)


def processes_of(data_directory: Path) -> list[str]:
    """Every living process that works on the data directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and (
                process.environ().get("MSM_DATA_DIR") == str(data_directory)
                or any(str(data_directory) in part for part in process.cmdline())
            ):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_and_a_signal_leaves_nothing_running(start, port, data_directory, ending):
    running = start()
    running.wait_for("running at http://127.0.0.1:")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=10) as answer:
        assert (answer.status, answer.read()) == (200, b'{"status": "ok", "database": "ok", "redis": "ok"}')
    running.wait_for(" ready.")  # the worker
    running.process.send_signal(ending)
    assert running.process.wait(timeout=30) == 0
    text = running.text()
    assert text.count("msm: created the superuser 'admin' with the password ") == 1
    assert text.splitlines()[-1] == "msm: stopped"
    assert "starting it again" not in text
    assert processes_of(data_directory) == []


def test_servers_that_ran_before_stay_and_a_second_start_shows_no_password(start, data_directory):
    first = start()
    first.wait_for("running at")
    first.process.terminate()
    assert first.process.wait(timeout=30) == 0
    ensure_postgres(data_directory)
    second = start()
    second.wait_for("running at")
    second.process.terminate()
    assert second.process.wait(timeout=30) == 0
    assert "password" not in second.text()
    assert [server.running for server in status(data_directory)] == [True, False]


def test_a_killed_worker_comes_back_and_beat_runs_once(start, port, data_directory):
    first = start()
    first.wait_for("running at")
    first.wait_for("beat: Starting...")
    with socket.create_server(("127.0.0.1", 0)) as server:
        other_port = server.getsockname()[1]
    second = start(other_port)
    second.wait_for("beat: another beat already runs on this database")
    assert "beat: Starting..." not in second.text()
    workers = [
        child
        for child in psutil.Process(first.process.pid).children()
        if "celery" in child.cmdline() and "worker" in child.cmdline()
    ]
    assert len(workers) == 1
    workers[0].kill()
    first.wait_for("worker ended (killed by SIGKILL); starting it again in 1 s")
    second.process.terminate()
    assert second.process.wait(timeout=30) == 0
    assert [server.running for server in status(data_directory)] == [True, True]
    first.process.terminate()
    assert first.process.wait(timeout=30) == 0
    assert processes_of(data_directory) == []


def test_a_taken_port_is_named_and_nothing_is_started(manage, data_directory):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        done = manage("run_msm", MSM_PORT=str(number))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"CommandError: Port {number} on 127.0.0.1 cannot be used (Address already in use). "
        f"Stop what uses it or choose another: MSM_PORT={number + 1}\n"
    )
    assert not (data_directory / "pg").exists()
    assert not (data_directory / "redis").exists()


def test_a_child_that_keeps_failing_is_restarted_ever_more_slowly(tmp_path):
    said: list[str] = []
    child = Child("web", [sys.executable, "-c", "raise SystemExit(3)"])
    supervisor = Supervisor([child], directory=tmp_path, say=said.append)

    def after_two() -> None:
        supervisor.stopping = len(said) == 2

    supervisor.run(after_two)
    assert said == [
        "web ended (exit code 3); starting it again in 1 s",
        "web ended (exit code 3); starting it again in 2 s",
    ]


def test_a_stubborn_child_and_its_offspring_are_ended_by_force(tmp_path, monkeypatch):
    monkeypatch.setattr("msm_project.supervisor.GRACE", 0.2)
    script = (
        "import signal, subprocess, sys, time\n"
        "for number in (signal.SIGTERM, signal.SIGQUIT): signal.signal(number, signal.SIG_IGN)\n"
        "offspring = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(offspring.pid))\n"
        "time.sleep(60)\n"
    )
    child = Child("worker", [sys.executable, "-c", script])
    supervisor = Supervisor([child], directory=tmp_path, say=print)
    supervisor.impatient = True

    def when_ready() -> None:
        supervisor.stopping = (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != ""

    supervisor.run(when_ready)
    offspring = int((tmp_path / "pid").read_text())
    assert child.process.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 5
    while psutil.pid_exists(offspring) and psutil.Process(offspring).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
