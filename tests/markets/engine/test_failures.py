"""Which errors may pass by themselves: errors in, verdicts out."""

import errno
import socket
import urllib.error

import httpx
import psycopg
import pytest
from django.db import IntegrityError, InterfaceError, OperationalError, ProgrammingError

from markets.engine.failures import LONGEST_DELAY, is_transient, retry_delay
from markets.exceptions import AlreadyRunning, FrameError, InvalidInput, QualityError, RunSuperseded


class VendorBusy(Exception):
    pass


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def answered(status: int) -> Exception:
    request = httpx.Request("GET", "https://vendor.example/")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status))


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("the connection is lost"),
        InterfaceError("connection already closed"),
        caused(OperationalError("disk"), psycopg.errors.DiskFull("disk full")),
        psycopg.errors.DeadlockDetected("deadlock"),
        psycopg.errors.SerializationFailure("could not serialize"),
        ConnectionResetError("reset"),
        TimeoutError("timed out"),
        OSError(errno.ENOSPC, "No space left on device"),
        socket.gaierror(socket.EAI_AGAIN, "try again"),
        urllib.error.URLError(ConnectionRefusedError("refused")),
        httpx.ConnectTimeout("timed out"),
        answered(429),
        answered(503),
        urllib.error.HTTPError("https://vendor.example/", 502, "Bad Gateway", None, None),  # type: ignore[arg-type]
        AlreadyRunning("another process"),
        RunSuperseded("another run took over"),
    ],
    ids=repr,
)
def test_what_may_pass(error):
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        FrameError("the frame"),
        QualityError("the rows"),
        InvalidInput("the input"),
        ValueError("the node's own"),
        KeyError("column"),
        MemoryError(),
        FileNotFoundError(errno.ENOENT, "No such file"),
        PermissionError(errno.EACCES, "Permission denied"),
        IntegrityError("duplicate key"),
        ProgrammingError("no such column"),
        psycopg.errors.InvalidPassword("wrong password"),
        caused(ValueError("wrapped by the node"), ConnectionResetError("reset")),
        socket.gaierror(socket.EAI_NONAME, "no such host"),
        answered(404),
        answered(401),
        VendorBusy("come back later"),
    ],
    ids=repr,
)
def test_what_would_come_again(error):
    assert not is_transient(error)


def test_a_class_names_its_own():
    assert is_transient(VendorBusy("later"), (VendorBusy,))
    assert is_transient(QualityError("late feed"), (QualityError,))
    assert not is_transient(ValueError("no"), (VendorBusy,))


def test_pauses_grow_fourfold_within_a_fifth_and_have_an_end():
    assert [retry_delay(retries, base=5.0, chance=0.5) for retries in range(4)] == [5.0, 20.0, 80.0, 320.0]
    assert retry_delay(0, base=5.0, chance=0.0) == 4.0
    assert retry_delay(0, base=5.0, chance=0.999) == pytest.approx(6.0, abs=0.01)
    assert retry_delay(9, base=5.0, chance=0.5) == LONGEST_DELAY
