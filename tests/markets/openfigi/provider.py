"""A fixture that lets the services of a test ask a real server on this machine in place of the provider."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from markets.broker import shared_redis
from markets.openfigi.fake.server import FakeOpenFigi, FakeServer, FakeSettings
from markets.openfigi.limits import WITHOUT_KEY, Limit


@pytest.fixture
def openfigi(settings) -> Iterator[FakeServer]:
    """The server; it allows ten jobs a request and more requests than a test sends."""
    with FakeServer(FakeOpenFigi(FakeSettings(without_key=replace(WITHOUT_KEY, mapping=Limit(10_000, 1.0))))) as server:
        settings.OPENFIGI_BASE_URL = server.url
        settings.OPENFIGI_API_KEY = ""
        settings.OPENFIGI_MAPPING_LIMIT = (10_000, 1.0)
        settings.OPENFIGI_JOBS_PER_REQUEST = 10
        yield server
    redis = shared_redis()
    for name in redis.keys("msm:openfigi:*"):
        redis.delete(name)
