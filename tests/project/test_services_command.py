"""`manage.py services`."""

import json

import pytest

pytestmark = pytest.mark.xdist_group("embedded servers")


def test_status_start_stop(manage, data_directory):
    stopped = manage("services", "status")
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert stopped.stdout == (
        f"postgres  stopped; data in {data_directory}/pg/data\nredis     stopped; data in {data_directory}/redis\n"
    )
    assert not (data_directory / "pg").exists()

    started = json.loads(manage("services", "start", "--json").stdout)
    assert started["changed"] == ["postgres", "redis"]
    assert {name: server["running"] for name, server in started["servers"].items()} == {"postgres": True, "redis": True}
    again = json.loads(manage("services", "start", "--json").stdout)
    assert again["changed"] == []
    assert again["servers"] == started["servers"]

    ended = manage("services", "stop")
    assert ended.stdout.splitlines()[-1] == "2 stopped: redis, postgres"
    assert json.loads(manage("services", "status", "--json").stdout)["servers"]["postgres"]["running"] is False
    assert manage("services", "stop").stdout.splitlines()[-1] == "0 stopped"


def test_servers_of_ones_own_are_left_alone(manage, data_directory):
    done = manage(
        "services", "start", DATABASE_URL="postgres://me:hidden@db/msm", REDIS_URL="redis://r:6379/0", SECRET_KEY="k"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "postgres  not embedded: postgres://me:***@db/msm\nredis     not embedded: redis://r:6379/0\n0 started\n"
    )
    assert not (data_directory / "pg").exists()
