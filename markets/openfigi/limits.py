"""The provider's limits, kept in Redis for all processes together.

OpenFIGI counts requests in windows whose phase we cannot see. A counter per window of our own would let two windows'
worth of requests fall into one of theirs. So each request takes a slot and gives it back a whole window after its
answer came: whatever the phase, no window of theirs ever sees more requests than there are slots. A process that dies
with a slot gives it back when the longest possible request would have ended.
"""

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from redis import Redis
from redis.exceptions import RedisError

from markets.openfigi.errors import OpenFigiUnavailable

Bucket = Literal["mapping", "search"]

PREFIX = "msm:openfigi"
MARGIN_MS = 50  # what the two clocks may differ in over a window
REMEMBER_CEILING_MS = 7 * 24 * 3600 * 1000  # the provider may raise its limits again: try once a week

_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local blocked = tonumber(redis.call('GET', KEYS[2]) or '0')
if blocked > now then return blocked - now end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[1]) then
    redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
    redis.call('PEXPIRE', KEYS[1], ARGV[2] + ARGV[2])
    return 0
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return math.max(1, first[2] - now)
"""
_GIVE_BACK = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], 'XX', now + ARGV[1], ARGV[2])
return 0
"""
_BLOCK = """
local time = redis.call('TIME')
local until_ms = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
if until_ms > tonumber(redis.call('GET', KEYS[1]) or '0') then
    redis.call('SET', KEYS[1], string.format('%d', until_ms), 'PX', ARGV[1])
end
return 0
"""
_LOWER = """
local stored = tonumber(redis.call('GET', KEYS[1]) or '0')
if stored == 0 or tonumber(ARGV[1]) < stored then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 0
"""


@dataclass(frozen=True)
class Limit:
    """`requests` in `seconds`."""

    requests: int
    seconds: float


@dataclass(frozen=True)
class Limits:
    """What OpenFIGI allows one caller; `jobs` in one mapping request."""

    mapping: Limit
    search: Limit
    jobs: int

    def of(self, bucket: Bucket) -> Limit:
        return self.mapping if bucket == "mapping" else self.search


# As recorded in 2023, 2025 and 2026 without a key, as documented with one.
WITHOUT_KEY = Limits(mapping=Limit(25, 60.0), search=Limit(5, 60.0), jobs=10)
WITH_KEY = Limits(mapping=Limit(25, 6.0), search=Limit(20, 60.0), jobs=100)


def caller_name(base_url: str, api_key: str | None) -> str:
    """Whose limit it is: the key's, or that of all without one at this address. It does not tell the key."""
    return hashlib.sha256(f"{base_url}\n{api_key or ''}".encode()).hexdigest()[:16]


class SharedLimiter:
    """Slots that all processes with the same Redis and the same key share.

    `longest_request` is the time in seconds after which a request has certainly ended.
    """

    def __init__(self, redis: Redis, limits: Limits, *, caller: str, longest_request: float) -> None:
        self._redis = redis
        self._limits = limits
        self._caller = caller
        self._longest_ms = int(longest_request * 1000)
        self._take = redis.register_script(_TAKE)
        self._give_back = redis.register_script(_GIVE_BACK)
        self._block = redis.register_script(_BLOCK)
        self._lower = redis.register_script(_LOWER)

    def try_take(self, bucket: Bucket) -> tuple[str, float]:
        """(slot, 0) when a request may be sent now; else ("", seconds after which it is worth asking again)."""
        limit = self._limits.of(bucket)
        slot = uuid.uuid4().hex
        lease = self._longest_ms + int(limit.seconds * 1000) + MARGIN_MS
        wait = int(
            self._take(keys=[self._key(bucket), self._key(bucket, "blocked")], args=[limit.requests, lease, slot])
        )
        return ("", wait / 1000) if wait else (slot, 0.0)

    def give_back(self, bucket: Bucket, slot: str) -> None:
        """The request of this slot has its answer: the slot is free a window from now."""
        window = int(self._limits.of(bucket).seconds * 1000) + MARGIN_MS
        with _reaching_redis():
            self._give_back(keys=[self._key(bucket)], args=[window, slot])

    def block(self, bucket: Bucket, seconds: float) -> None:
        """Let nobody send a request for so long: the provider said so."""
        with _reaching_redis():
            self._block(keys=[self._key(bucket, "blocked")], args=[max(int(seconds * 1000), 1)])

    def jobs_per_request(self) -> int:
        """How many jobs a mapping request may hold, as far as is known."""
        with _reaching_redis():
            stored = self._redis.get(self._key("mapping", "jobs"))
        return min(int(stored), self._limits.jobs) if stored is not None else self._limits.jobs

    def jobs_per_window(self) -> int:
        """How many jobs one window of the mapping limit allows."""
        return self._limits.mapping.requests * self.jobs_per_request()

    def too_many_jobs(self, jobs: int) -> int:
        """The provider refused this many jobs in one request: remember half of it, and return that."""
        half = max(jobs // 2, 1)
        with _reaching_redis():
            self._lower(keys=[self._key("mapping", "jobs")], args=[half, REMEMBER_CEILING_MS])
        return half

    def _key(self, bucket: Bucket, what: str = "slots") -> str:
        return f"{PREFIX}:{self._caller}:{bucket}:{what}"

    @contextmanager
    def slot(self, bucket: Bucket, slot: str) -> Iterator[None]:
        """Give the slot back when the block ends, however it ends."""
        try:
            yield
        finally:
            self.give_back(bucket, slot)


@contextmanager
def _reaching_redis() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise OpenFigiUnavailable(
            f"Redis, by which all processes share OpenFIGI's limit, cannot be reached ({error}). Start it, or check "
            "REDIS_URL; nothing was asked."
        ) from error
