"""MSM as an operator runs it, while PostgreSQL and then Redis are away: clear answers, and it recovers by itself."""

import http.client
import json
import signal
import socket
import time

from django.contrib.auth.models import User
from django.db import connection

from markets.models import Job, JobStatus
from markets.services import access, node_runs
from tests.markets.faults.asking import ended
from tests.markets.faults.nodes import Staged, rows_of
from tests.markets.faults.whole import SUCCEEDED, UP_TO_DATE, assert_table_is_whole
from tests.markets.faults.world import CHECKOUT, wait_for

UNAVAILABLE = {
    "type": "server_error",
    "errors": [
        {
            "code": "unavailable",
            "detail": "The database is not available. Try again in a moment.",
            "attr": None,
        }
    ],
}


class Site:
    """The web server at a port, asked as its users do: each time over a connection of its own."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, str, str | None]:
        """Status, body and Retry-After."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            line.request(method, path, body="{}" if method == "POST" else None, headers=headers or self.headers)
            answer = line.getresponse()
            return answer.status, answer.read().decode(), answer.headers.get("Retry-After")
        finally:
            line.close()


def test_msm_while_its_servers_are_away(world, place, tmp_path):
    # given MSM with a web server, a worker and a scheduler, and a node to run
    node = Staged(str(place))
    update = node_runs.register_node(node)
    token = access.create_token(
        owner=User.objects.create_superuser("ada"), made_by=None, name="", is_read_only=False, lasts=None
    ).text
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "msm.log"
    world.start(str(CHECKOUT / "manage.py"), "run_msm", log=log, MSM_PORT=str(port))
    for words in ("running at", " ready.", "beat: Starting..."):
        wait_for(lambda words=words: words in log.read_text(), words)
    site, run = Site(port, token), f"/api/v1/data-node/{update.update_hash}/run/"
    assert [site.ask("GET", "/api/v1/asset/")[0] for _ in range(8)] == [200] * 8  # every thread has a connection
    # when PostgreSQL crashes
    world.stop_postgres("immediate")
    # then whoever asks is told so, over REST, on a page and by the probe
    for method, path in (("GET", "/api/v1/asset/"), ("POST", run), ("GET", f"/api/v1/data-node/{update.update_hash}/")):
        for _ in range(4):
            status, body, retry_after = site.ask(method, path)
            assert (status, json.loads(body), retry_after) == (503, UNAVAILABLE, "5")
    status, body, retry_after = site.ask("GET", "/admin/", Cookie="sessionid=abcdefghijklmnopqrstuvwxyz012345")
    assert (status, retry_after) == (503, "5")
    assert "The database is not available. Try again in a moment." in body
    assert "Traceback" not in body
    status, body, _ = site.ask("GET", "/ready")
    assert status == 503
    assert json.loads(body) == {
        "status": "unavailable",
        "database": "PostgreSQL does not answer (OperationalError)",
        "redis": "ok",
    }
    assert site.ask("GET", "/health")[0] == 200
    wait_for(lambda: "msm: beat ended (exit code 75); starting it again" in log.read_text(), "beat to notice")
    # and when it is back, everything goes on: no request fails, the worker works, the scheduler is there again
    world.start_postgres()
    connection.close()
    assert [site.ask("GET", "/api/v1/asset/")[0] for _ in range(8)] == [200] * 8
    first = asked_for(site, run)
    assert (ended(first).status, first.attempts) == (JobStatus.SUCCEEDED, 1)
    assert_table_is_whole(node, rows_of(200), [SUCCEEDED])
    wait_for(lambda: log.read_text().count("beat: Starting...") == 2, "beat to run again")
    # when Redis is away
    world.stop_redis(signal.SIGKILL)
    # then a run that is asked for is recorded as failed with the remedy, soon
    began = time.monotonic()
    refused = asked_for(site, run)
    assert time.monotonic() - began < 20
    assert (refused.status, refused.attempts) == (JobStatus.FAILED, 0)
    assert refused.error.startswith("The broker cannot be reached (")
    assert refused.error.endswith("). Start Redis, or check REDIS_URL, then ask again.")
    assert json.loads(site.ask("GET", "/ready")[1])["redis"].startswith("Redis does not answer (")
    # and when it is back, asking again is all that it takes
    world.start_redis()
    again = asked_for(site, run)
    assert again != refused
    assert (ended(again).status, again.attempts) == (JobStatus.SUCCEEDED, 1)
    assert_table_is_whole(node, rows_of(200), [SUCCEEDED, UP_TO_DATE])
    text = log.read_text()
    assert "web ended" not in text
    assert "worker ended" not in text


def asked_for(site, run):
    status, body, _ = site.ask("POST", run)
    assert status == 202, body
    return Job.objects.get(uid=json.loads(body)["uid"])
