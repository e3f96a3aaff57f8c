"""The fake's HTTP server: the provider's addresses, and `/__fake__/` to steer and watch it."""

import base64
import hashlib
import hmac
import json
import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from markets.openfigi.fake import rules
from markets.openfigi.fake.faults import Fault, Plan
from markets.openfigi.fake.recordings import Recordings
from markets.openfigi.fake.universe import NOT_FOUND_EVERY, Row, security
from markets.openfigi.fake.windows import Clock, Windows
from markets.openfigi.limits import WITH_KEY, WITHOUT_KEY, Limits

PAGE = 100
LISTED = 2_000  # made-up securities that a search looks through
LARGEST_BODY = 4 * 2**20
LOG_KEPT = 200_000
TEXT = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"
VALUES = {
    "idType": sorted(rules.ID_TYPES),
    "marketSecDes": list(rules.MARKET_SECTORS),
    "exchCode": ["US", "UN", "UW", "GR", "GY", "LN"],
    "micCode": ["XETR", "XFRA", "XLON", "XNAS", "XNYS"],
    "currency": ["CHF", "EUR", "GBP", "USD"],
    "securityType": ["Common Stock", "US GOVERNMENT"],
    "securityType2": ["Common Stock", "Note"],
    "stateCode": ["CA", "NY", "TX"],
}


@dataclass
class FakeSettings:
    """Limits by kind of caller, the keys that are known, the folder of recordings, and rows known beside them."""

    without_key: Limits = WITHOUT_KEY
    with_key: Limits = WITH_KEY
    keys: frozenset[str] = frozenset()
    recordings: Path | None = None
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class FakeOpenFigi:
    """The provider without its sockets: what is answered to a request, and a log of all of them."""

    def __init__(self, settings: FakeSettings | None = None) -> None:
        self.settings = settings or FakeSettings()
        self.recordings = Recordings(self.settings.recordings, self.settings.rows)
        self.clock = Clock()
        self.windows = Windows(self.clock)
        self.plan = Plan()
        self.log: list[dict[str, Any]] = []
        self._secret = hashlib.sha256(repr(sorted(self.settings.keys)).encode()).digest()
        self._guard = threading.Lock()

    def reply(self, method: str, path: str, headers: Mapping[str, str], content: bytes, address: str) -> Reply:
        """What the provider answers. Raises ConnectionResetError for a planned reset."""
        arrived, entry = self.clock.now(), {"method": method, "path": path, "jobs": 0, "id_values": [], "fault": None}
        key = headers.get("X-OPENFIGI-APIKEY", "")
        entry |= {"at": arrived, "wall": time.time(), "keyed": bool(key), "client": headers.get("User-Agent", "")}
        try:
            answer = self._checked(method, path, key, content, address, entry)
            entry["status"] = answer.status
            return answer
        except ConnectionResetError:
            entry["status"] = 0
            raise
        finally:
            with self._guard:
                self.log.append(entry)
                del self.log[:-LOG_KEPT]

    def _checked(self, method: str, path: str, key: str, content: bytes, address: str, entry: dict[str, Any]) -> Reply:
        endpoint, _, name = path.partition("/values/")
        if path not in ("/v3/mapping", "/v3/search", "/v3/filter") and not (
            endpoint == "/v3/mapping" and name in VALUES
        ):
            return _text(404, "Invalid url.")
        if key and key not in self.settings.keys:
            return _text(401, "Invalid API key.")
        if method != ("GET" if name else "POST"):
            return _text(405, "Method not allowed.")
        limits = self.settings.with_key if key else self.settings.without_key
        bucket = "mapping" if endpoint == "/v3/mapping" else "search"
        limit = limits.mapping if bucket == "mapping" else limits.search
        count = self.windows.count(key or address, bucket, limit.requests, limit.seconds)
        entry["bucket"], entry["over_limit"] = bucket, not count.allowed
        if not count.allowed:
            return Reply(429, b"Too many requests, please try again later.", TEXT, count.headers)
        if name:
            return _json(200, {"values": self.recordings.values.get(name, VALUES[name])}, count.headers)
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            return _text(400, "Invalid JSON.", count.headers)
        if bucket == "mapping":
            return self._mapping(body, limits.jobs, count.headers, path, entry)
        return self._query(path, body, count.headers, entry)

    def _mapping(self, jobs: Any, most: int, headers: Mapping[str, str], path: str, entry: dict[str, Any]) -> Reply:
        if not isinstance(jobs, list) or not jobs:
            return _text(400, "Request body must be a non-empty array of mapping jobs.", headers)
        entry["jobs"] = len(jobs)
        entry["id_values"] = [str(job.get("idValue")) for job in jobs if isinstance(job, dict)]
        fault = self._planned(path, entry)
        if fault is not None and (early := _before_answering(fault, headers)) is not None:
            return early
        if len(jobs) > most:
            return _text(413, "Too many mapping jobs in request.", headers)
        answers = [self.recordings.job(job) or rules.answer(job, self.recordings.lookup) for job in jobs]
        return _json(200, answers, headers) if fault is None else _spoilt(answers, fault, headers)

    def _query(self, path: str, body: Any, headers: Mapping[str, str], entry: dict[str, Any]) -> Reply:
        if not isinstance(body, dict):
            return _text(400, "Request body must be an object.", headers)
        fault = self._planned(path, entry)
        if fault is not None and (early := _before_answering(fault, headers)) is not None:
            return early
        recorded = self.recordings.query(path, body)
        if recorded is not None:
            return _json(200, recorded, headers)
        wrong = rules.fault_of_filters(body)
        query = body.get("query", "")
        if wrong is None and (not isinstance(query, str) or (path == "/v3/search" and not query)):
            wrong = "Invalid value for query."
        if wrong is not None:
            return _json(200, {"error": wrong}, headers)
        start = self._offset_of(body.get("start"))
        if start is None:
            return _json(200, {"error": "Invalid value for start."}, headers)
        found = self._found(query, body)
        page = found[start : start + PAGE]
        answer: dict[str, Any] = {"data": page}
        if start + PAGE < min(len(found), rules.MOST_ROWS):
            answer["next"] = self._cursor(start + PAGE)
        if path == "/v3/filter":
            answer["total"] = len(found)
        return _json(200, answer, headers)

    def _found(self, query: str, body: Mapping[str, Any]) -> list[Row]:
        made = (row for number in range(LISTED) if number % NOT_FOUND_EVERY for row in security(number))
        every = [*self.recordings.rows, *made]
        found = [row for row in every if rules.words_match(row, query) and rules.matches(row, body)]
        return sorted(found, key=lambda row: row["figi"])

    def _planned(self, path: str, entry: dict[str, Any]) -> Fault | None:
        fault = self.plan.fault_of(path, set(entry["id_values"]))
        entry["fault"] = fault.kind if fault is not None else None
        return fault

    def _cursor(self, offset: int) -> str:
        signed = hmac.new(self._secret, str(offset).encode(), hashlib.sha256).hexdigest()[:16]
        return base64.urlsafe_b64encode(f"{offset}.{signed}".encode()).decode()

    def _offset_of(self, cursor: Any) -> int | None:
        if cursor is None:
            return 0
        try:
            offset = int(base64.urlsafe_b64decode(str(cursor).encode()).decode().partition(".")[0])
        except ValueError:
            return None
        return offset if hmac.compare_digest(self._cursor(offset), str(cursor)) else None


def _before_answering(fault: Fault, headers: Mapping[str, str]) -> Reply | None:
    """The answer of a fault that does not look at the request; None for one that spoils the answer."""
    if fault.kind == "too_many_requests":
        wait = {
            "ratelimit-remaining": "0",
            "ratelimit-reset": f"{fault.seconds:g}",
            "retry-after": f"{fault.seconds:g}",
        }
        return Reply(429, b"Too many requests, please try again later.", TEXT, {**headers, **wait})
    if fault.kind == "server_error":
        return _text(fault.status, "upstream connect error or disconnect/reset before headers")
    if fault.kind == "html":
        return Reply(200, b"<html><body>Scheduled maintenance</body></html>", TEXT, headers)
    if fault.kind == "reset":
        raise ConnectionResetError
    if fault.kind == "slow":
        time.sleep(fault.seconds)
    return None


def _spoilt(answers: list[Any], fault: Fault, headers: Mapping[str, str]) -> Reply:
    """A mapping answer that is not what it should be."""
    spoilt = json.loads(json.dumps(answers))
    rows = [row for answer in spoilt for row in answer.get("data", [])]
    if fault.kind == "short_array":
        spoilt.pop()
    elif fault.kind == "extra_null":
        spoilt.append(None)
    elif fault.kind == "unknown_key":
        for row in rows:
            row["newFieldOfTheProvider"] = "x"
    elif fault.kind == "missing_key":
        for row in rows:
            row.pop("securityDescription", None)
    elif fault.kind == "changed":
        for row in rows:
            row["ticker"] = f"{row['ticker']}Z"
    reply = _json(200, spoilt, headers)
    if fault.kind == "truncated":
        return Reply(200, reply.body[: len(reply.body) // 2], JSON, headers)
    return reply


def _text(status: int, text: str, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, text.encode(), TEXT, headers or {})


def _json(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(body, separators=(",", ":")).encode(), JSON, headers or {})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "FakeServer"

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    do_PUT = do_DELETE = do_PATCH = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        """The log is asked for, not printed."""

    def _handle(self) -> None:
        try:
            length = min(int(self.headers.get("Content-Length") or 0), LARGEST_BODY)
        except ValueError:
            length = 0
        content = self.rfile.read(length)
        try:
            reply = self._steer(content) if self.path.startswith("/__fake__/") else self._provider(content)
        except ConnectionResetError:
            self._reset()
            return
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Type": reply.content_type}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _provider(self, content: bytes) -> Reply:
        headers = {name: self.headers.get(name, "") for name in ("X-OPENFIGI-APIKEY", "User-Agent")}
        return self.server.fake.reply(
            self.command, self.path.partition("?")[0], headers, content, self.client_address[0]
        )

    def _steer(self, content: bytes) -> Reply:
        """GET log · POST plan · POST clock {"advance": seconds} · POST reset."""
        fake, what = self.server.fake, self.path.removeprefix("/__fake__/").rstrip("/")
        try:
            body: Any = json.loads(content) if content else None
            if (self.command, what) == ("GET", "log"):
                return _json(200, {"requests": list(fake.log)})
            if (self.command, what) == ("POST", "plan"):
                fake.plan.replace(body)
            elif (self.command, what) == ("POST", "clock"):
                fake.clock.advance(float(body["advance"]))
            elif (self.command, what) == ("POST", "reset"):
                fake.plan.replace([])
                fake.windows.forget()
                fake.log.clear()
            else:
                return _json(404, {"error": "GET log, POST plan, POST clock or POST reset"})
        except (ValueError, TypeError, KeyError) as error:
            return _json(400, {"error": str(error)})
        return _json(200, {"ok": True})

    def _reset(self) -> None:
        """Cut the connection so that the client sees a reset, not an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


class FakeServer(ThreadingHTTPServer):
    """Serves a FakeOpenFigi; port 0 takes a free one. As a context it runs in a thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fake: FakeOpenFigi, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.fake = fake
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""

    def __enter__(self) -> "FakeServer":
        threading.Thread(target=self.serve_forever, daemon=True, name="fake-openfigi").start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
