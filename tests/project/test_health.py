"""`/health`, `/ready` and the system checks."""

import json

import pytest
from django.db import OperationalError
from django.test import RequestFactory

from markets import broker
from msm_project import checks, health

REQUEST = RequestFactory()


def test_health_asks_nobody(monkeypatch):
    def forbidden() -> None:
        raise AssertionError("a server was asked")

    monkeypatch.setattr(health, "ask_database", forbidden)
    monkeypatch.setattr(health, "ask_redis", forbidden)
    answer = health.health(REQUEST.get("/health"))  # no database mark: a query would fail the test
    assert (answer.status_code, json.loads(answer.content)) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]
    assert health.health(REQUEST.post("/health")).status_code == 405


@pytest.mark.django_db
def test_ready_asks_both():
    answer = health.ready(REQUEST.get("/ready"))
    assert (answer.status_code, json.loads(answer.content)) == (
        200,
        {"status": "ok", "database": "ok", "redis": "ok"},
    )


def test_ready_names_the_server_that_is_away_and_tells_strangers_no_more(monkeypatch):
    def fail() -> None:
        raise OperationalError("connection to db.internal refused for user msm")

    monkeypatch.setattr(health, "ask_database", fail)
    monkeypatch.setattr(health, "ask_redis", lambda: None)
    answer = health.ready(REQUEST.get("/ready"))
    assert (answer.status_code, json.loads(answer.content)) == (
        503,
        {"status": "unavailable", "database": "PostgreSQL does not answer (OperationalError)", "redis": "ok"},
    )
    assert b"db.internal" not in answer.content


def test_a_broker_url_names_the_same_database_to_the_probe():
    client = broker.redis_client("redis+socket:///srv/redis.sock?virtual_host=3")
    options = client.connection_pool.connection_kwargs
    assert (options["path"], options["db"]) == ("/srv/redis.sock", 3)
    options = broker.redis_client("redis://:secret@host:6380/2").connection_pool.connection_kwargs
    assert (options["host"], options["port"], options["db"]) == ("host", 6380, 2)


def test_embedded_servers_are_reported_when_deploying(settings):
    settings.EMBEDDED_DATABASE, settings.EMBEDDED_REDIS = True, False
    assert [(found.id, found.msg) for found in checks.one_host(None)] == [
        ("msm.W001", "The embedded servers serve this host only (DATABASE_URL not set).")
    ]
    settings.EMBEDDED_DATABASE = False
    assert checks.one_host(None) == []


def test_a_wildcard_host_is_reported(settings):
    settings.ALLOWED_HOSTS = ["*"]
    assert [found.id for found in checks.every_host(None)] == ["msm.W002"]
    settings.ALLOWED_HOSTS = ["msm.example.com"]
    assert checks.every_host(None) == []


class OldServer:
    vendor = "postgresql"
    pg_version = 140011

    def temporary_connection(self) -> "OldServer":
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_an_old_postgres_is_an_error_and_nothing_is_asked_without_the_database_tag(monkeypatch):
    monkeypatch.setattr(checks, "connections", {"default": OldServer()})
    assert [(found.id, found.msg) for found in checks.postgres_version(None, databases=["default"])] == [
        ("msm.E001", "The database 'default' is PostgreSQL 14; MSM needs 15 or newer.")
    ]
    assert checks.postgres_version(None, databases=None) == []
