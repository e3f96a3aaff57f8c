"""The Redis server that all processes of MSM share: clients of it that fail at once when it does not answer."""

from celery import current_app
from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT = 3  # seconds; a probe that waits longer is as good as failed


def redis_client(url: str) -> Redis:
    """A client that fails at once, for a Redis URL as Celery reads it (`redis+socket://` names a socket)."""
    location, _, parameters = url.partition("?")
    if location.startswith("redis+socket://"):
        location = f"unix://{location.removeprefix('redis+socket://')}"
        parameters = parameters.replace("virtual_host=", "db=")
    return Redis.from_url(
        f"{location}?{parameters}" if parameters else location,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )


def shared_redis() -> Redis:
    """A client of the server that the settings name; the embedded one is started when it does not run."""
    if settings.EMBEDDED_REDIS:
        current_app.connection_for_write().release()  # making a connection starts the server, using it is not needed
    return redis_client(settings.REDIS_URL)
