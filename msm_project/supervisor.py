"""Keeps a few child processes running until told to stop, and leaves none behind."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

FIRST_DELAY = 1.0  # seconds before the first restart; doubles up to the longest
LONGEST_DELAY = 30.0
STEADY = 60.0  # seconds after which a child counts as healthy and its delay starts anew
TURN = 0.1  # seconds between two looks at the children
GRACE = 15.0  # seconds for a child to end by itself; an interrupted job is queued anew, so none is lost
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Child:
    """One supervised program; `pass_fds` are descriptors that it inherits."""

    name: str
    arguments: Sequence[str]
    pass_fds: tuple[int, ...] = ()
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    delay: float = FIRST_DELAY
    due: float = field(default=0.0)


class Supervisor:
    """Runs children in sessions of their own, so that Ctrl-C reaches them through us and in order."""

    def __init__(self, children: Sequence[Child], *, directory: Path, say: Callable[[str], None]) -> None:
        self.children = list(children)
        self.directory = directory
        self.say = say
        self.running = False
        self.stopping = False
        self.impatient = False

    def handle_signals(self) -> None:
        """From here on a signal ends `run`, or raises KeyboardInterrupt in what comes before it."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def run(self, on_turn: Callable[[], None]) -> None:
        """Keep the children running until a signal comes; `on_turn` is called between two looks at them."""
        self.running = True
        try:
            while not self.stopping:
                for child in self.children:
                    self._look_after(child)
                on_turn()
                time.sleep(TURN)
        finally:
            self.stop()

    def stop(self) -> None:
        """End the children: politely, then firmly, then by force with all that they started."""
        for number, patience in ((signal.SIGTERM, GRACE), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            living = [child for child in self.children if child.process and child.process.poll() is None]
            for child in living:
                _signal_child(child, number)
            deadline = time.monotonic() + patience
            while living and time.monotonic() < deadline and not (self.impatient and number != signal.SIGKILL):
                living = [child for child in living if child.process and child.process.poll() is None]
                time.sleep(0.02)
        for child in self.children:
            if child.process:
                _kill_session(child.process.pid)  # what a child that was killed has left behind

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.due:
                self._start(child)
            return
        code = child.process.poll()
        if code is None:
            return
        _kill_session(child.process.pid)
        child.delay = FIRST_DELAY if now - child.started > STEADY else child.delay
        self.say(f"{child.name} ended ({_ending(code)}); starting it again in {child.delay:.0f} s")
        child.process, child.due = None, now + child.delay
        child.delay = min(2 * child.delay, LONGEST_DELAY)

    def _start(self, child: Child) -> None:
        child.started = time.monotonic()
        child.process = subprocess.Popen(
            child.arguments,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=child.pass_fds,
            preexec_fn=_end_with(os.getpid()),
        )

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            self.impatient = True  # a second Ctrl-C: do not wait for running jobs
            return
        self.stopping = True
        self.say("stopping (once more to stop at once)" if self.running else "stopping")
        if not self.running:
            raise KeyboardInterrupt


def _end_with(parent: int) -> Callable[[], None] | None:
    """On Linux, what makes a child get SIGTERM when its supervisor is killed."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _signal_child(child: Child, number: signal.Signals) -> None:
    if child.process is None:
        return
    if number == signal.SIGKILL:
        _kill_session(child.process.pid)
    else:
        child.process.send_signal(number)


def _kill_session(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
