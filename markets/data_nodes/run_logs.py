"""What the nodes say while a run lasts, kept with the run."""

import datetime as dt
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from markets.engine.text import storable_text
from markets.exceptions import MSMError

LOGGER_NAME = "msm.nodes"
LONGEST_LOG = 100_000  # characters kept of a run's log: a page can show it


class RunLog(logging.Handler):
    """Keeps what the nodes of this thread say while a run lasts."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.thread = threading.get_ident()
        self.lines: list[str] = []
        self.size = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self.thread or self.size > LONGEST_LOG:
            return
        stamp = dt.datetime.fromtimestamp(record.created, dt.UTC).strftime("%H:%M:%S")
        try:
            line = f"{stamp} {record.levelname.lower()} {record.getMessage()}"
        except Exception:  # a line that cannot be formatted is no reason to fail the run
            self.handleError(record)
            return
        self.lines.append(line)
        self.size += len(line)

    def text(self, error: BaseException | None = None) -> str:
        lines = list(self.lines)
        if error is not None and not isinstance(error, MSMError):
            lines.append(logging.Formatter().formatException((type(error), error, error.__traceback__)))
        return storable_text("\n".join(lines))[:LONGEST_LOG]


@contextmanager
def keep_log() -> Iterator[RunLog]:
    handler = RunLog()
    nodes = logging.getLogger(LOGGER_NAME)
    nodes.addHandler(handler)
    try:
        yield handler
    finally:
        nodes.removeHandler(handler)
