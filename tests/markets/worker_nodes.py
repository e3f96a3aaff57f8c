"""DataNodes that a worker runs in `test_jobs_and_workers`; the worker finds them by MSM_NODE_MODULES."""

import os
import signal
import time
from pathlib import Path

import pandas as pd

from markets.data_nodes.node import DataNode

DAYS = 300
IDENTIFIERS = ("A", "B")


def frame_of(first: str = "2026-01-02T21:00Z") -> pd.DataFrame:
    times = pd.date_range(first, periods=DAYS, freq="D")
    index = pd.MultiIndex.from_product([times, IDENTIFIERS], names=["time_index", "asset_identifier"])
    return pd.DataFrame({"close": [float(number) for number in range(len(index))]}, index=index)


class Slow(DataNode):
    """Takes `steps` quarters of a second in update(), and as many after the rows were copied, before the commit."""

    def __init__(self, marks: str, steps: int = 0, steps_before_commit: int = 0) -> None:
        self.marks = Path(marks)
        self.steps = steps
        self.steps_before_commit = steps_before_commit
        super().__init__()

    def update(self) -> pd.DataFrame:
        self._tell("update")
        for step in range(self.steps):
            self.report_progress(step, self.steps, f"step {step}\x00")
            time.sleep(0.25)
        return frame_of()

    def run_post_update_routines(self, error_on_last_update: bool) -> None:
        self._tell("before commit")
        time.sleep(0.25 * self.steps_before_commit)

    def _tell(self, stage: str) -> None:
        with self.marks.open("a") as file:
            file.write(f"{stage}\n")


class Murderous(DataNode):
    """Kills the process that runs it."""

    def update(self) -> pd.DataFrame:
        os.kill(os.getpid(), signal.SIGKILL)
        return frame_of()
