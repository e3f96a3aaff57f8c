"""Which errors may pass by themselves, and how long to wait before the next try. Pure: an error in, a verdict out."""

import errno
import socket

TRANSIENT_ERRNOS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EAGAIN, errno.EBUSY, errno.EMFILE, errno.ENFILE),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT),
        *(errno.ESTALE, errno.EIO),
    }
)
# Named, not imported: this module knows neither Django nor any HTTP client, and most nodes use none of them.
TRANSIENT_CLASSES = frozenset(
    {
        *("django.db.utils.OperationalError", "django.db.utils.InterfaceError"),
        *("psycopg.OperationalError", "psycopg.InterfaceError"),
        *("httpx.TransportError", "requests.exceptions.ConnectionError", "requests.exceptions.Timeout"),
        *("urllib3.exceptions.TimeoutError", "urllib3.exceptions.ProtocolError", "http.client.IncompleteRead"),
        *("redis.exceptions.ConnectionError", "redis.exceptions.TimeoutError"),
    }
)
# An answer, but not a good one: its status tells.
HTTP_STATUS_CLASSES = frozenset({"httpx.HTTPStatusError", "requests.exceptions.HTTPError", "urllib.error.HTTPError"})
TRANSIENT_HTTP = frozenset({408, 425, 429, 500, 502, 503, 504})
TRANSIENT_CODES = frozenset({"already_running", "run_superseded"})  # of MSM's own errors: another process was there
LASTING_SQLSTATES = ("28", "3D", "3F", "42")  # wrong password, no such database: no waiting mends it
LONGEST_DELAY = 900.0  # seconds: what has not passed in a quarter of an hour needs a person sooner than another try
JITTER = 0.2  # so that many steps that fell over one cause do not all come back at one instant


def is_transient(error: BaseException, retry_on: tuple[type[Exception], ...] = ()) -> bool:
    """Whether the same run may succeed later without anybody changing anything.

    So may a lost connection, a deadlock, a full disk, a timeout, an overloaded server, and whatever the node's class
    names in `retry_on`. A refused frame, a failed quality check, a wrong input or an error of the node's own code may
    not: the next run would end the same way.
    """
    if retry_on and isinstance(error, retry_on):
        return True
    if getattr(error, "is_msm_error", False):
        return getattr(error, "code", "") in TRANSIENT_CODES
    names = {f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__}
    if names & HTTP_STATUS_CLASSES:
        response = getattr(error, "response", None)
        return (getattr(response, "status_code", None) or getattr(error, "code", None)) in TRANSIENT_HTTP
    if names & TRANSIENT_CLASSES:
        state = getattr(error, "sqlstate", None) or getattr(error.__cause__, "sqlstate", None) or ""
        return not str(state).startswith(LASTING_SQLSTATES)
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    reason = getattr(error, "reason", None)  # urllib's URLError wraps what happened
    if isinstance(error, OSError) and isinstance(reason, BaseException):
        return is_transient(reason)
    return isinstance(error, OSError) and error.errno in TRANSIENT_ERRNOS


def retry_delay(retries: int, *, base: float, chance: float) -> float:
    """Seconds before the next try after `retries` earlier ones: four times as long each time, within JITTER of it.

    `chance` in [0, 1) is drawn by the caller.
    """
    delay = min(base * 4.0**retries, LONGEST_DELAY)
    return delay * (1.0 - JITTER + 2.0 * JITTER * chance)
