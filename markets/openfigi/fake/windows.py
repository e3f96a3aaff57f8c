"""Requests counted in fixed windows, as the provider counts them: a window begins with a caller's first request."""

import math
import threading
import time
from dataclasses import dataclass


class Clock:
    """The time of the fake, which a test may move on instead of sleeping."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


@dataclass
class _Window:
    ends_at: float
    used: int = 0


@dataclass(frozen=True)
class Count:
    """Whether a request is within the limit, and the headers that say so."""

    allowed: bool
    headers: dict[str, str]


class Windows:
    """One counter for each caller and bucket."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, str], _Window] = {}
        self._guard = threading.Lock()

    def count(self, caller: str, bucket: str, requests: int, seconds: float) -> Count:
        now = self._clock.now()
        with self._guard:
            window = self._windows.get((caller, bucket))
            if window is None or window.ends_at <= now:
                window = self._windows[caller, bucket] = _Window(now + seconds)
            window.used += 1
            used = window.used
        left = max(math.ceil(window.ends_at - now), 0)
        headers = {
            "ratelimit-policy": f"{requests};w={seconds:g}",
            "ratelimit-limit": str(requests),
            "ratelimit-remaining": str(max(requests - used, 0)),
            "ratelimit-reset": str(left),
        }
        if used > requests:
            headers["retry-after"] = str(left)
        return Count(used <= requests, headers)

    def forget(self) -> None:
        with self._guard:
            self._windows.clear()
