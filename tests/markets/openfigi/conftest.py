"""A real OpenFIGI on a port of its own, and clients of it that share the test's Redis."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from markets.broker import shared_redis
from markets.openfigi.client import OpenFigiClient
from markets.openfigi.fake.server import FakeOpenFigi, FakeServer, FakeSettings
from markets.openfigi.limits import WITHOUT_KEY, Limits, SharedLimiter, caller_name

RECORDINGS = Path(__file__).resolve().parents[4] / "shared" / "data" / "openfigi"
KEY = "a-key-of-the-tests"

MakeClient = Callable[..., OpenFigiClient]


@pytest.fixture
def recordings() -> Path:
    if not RECORDINGS.is_dir():
        pytest.skip("the recorded answers (../shared/data/openfigi) are not here")
    return RECORDINGS


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeServer]]:
    """Starts a fake; keyword arguments are those of FakeSettings."""
    servers: list[FakeServer] = []

    def start(**settings: object) -> FakeServer:
        server = FakeServer(FakeOpenFigi(FakeSettings(**({"keys": frozenset({KEY})} | settings))))
        servers.append(server.__enter__())
        return server

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def make_client() -> Iterator[MakeClient]:
    """Clients of a server; `pauses` of each collects what it would have slept, and moves the fake's clock instead."""
    clients: list[OpenFigiClient] = []

    def make(server: FakeServer, *, key: str | None = None, limits: Limits = WITHOUT_KEY) -> OpenFigiClient:
        limiter = SharedLimiter(shared_redis(), limits, caller=caller_name(server.url, key), longest_request=2.0)
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            server.fake.clock.advance(seconds)
            forget_the_past(server, key, seconds)

        client = OpenFigiClient(limiter, base_url=server.url, api_key=key, sleep=sleep, jitter=lambda: 0.5)
        client.pauses = pauses  # type: ignore[attr-defined]
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


def forget_the_past(server: FakeServer, key: str | None, seconds: float) -> None:
    """Let the slots in Redis age by so many seconds, as if they had passed."""
    redis = shared_redis()
    for name in redis.keys(f"msm:openfigi:{caller_name(server.url, key)}:*"):
        if redis.type(name) == b"zset":
            for member, _ in redis.zrange(name, 0, -1, withscores=True):
                redis.zincrby(name, -seconds * 1000, member)
        elif name.endswith(b"blocked"):
            redis.set(name, int(int(redis.get(name)) - seconds * 1000), keepttl=True)
