"""The OpenFIGI client: it waits for a slot, looks at the status before the body, and tries again within bounds."""

import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import httpx

from markets.openfigi.answers import Answer, FigiRow, MalformedRow, Outcome, read_mapping, read_rows
from markets.openfigi.errors import OpenFigiConfigurationError, OpenFigiError, OpenFigiUnavailable
from markets.openfigi.limits import Bucket, SharedLimiter
from markets.openfigi.requests import Filters, MappingJob, mapping_bodies

logger = logging.getLogger(__name__)

DEFAULT_BASE_URL = "https://api.openfigi.com"
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
LONGEST_REQUEST_SECONDS = 90.0  # an answer that trickles in is cut off here
LARGEST_ANSWER = 64 * 2**20  # bytes; 100 jobs with 200 rows each are 5 MB
MOST_TRIES = 5
FIRST_PAUSE = 0.5  # seconds before the second try; it doubles, with jitter, up to
LONGEST_PAUSE = 30.0
LONGEST_WAIT_FOR_SLOT = 900.0  # a batch job may wait a quarter of an hour for its turn, then something is wrong
MOST_RESULTS = 15_000  # OpenFIGI gives no more rows to one query
PROVIDER_DEFAULT_WAIT = 60.0  # a 429 without a header

VALUE_KEYS = (
    *("idType", "exchCode", "micCode", "currency", "marketSecDes", "securityType", "securityType2", "stateCode"),
)


class _Malformed(Exception):
    """An answer with a good status that is not what OpenFIGI answers."""


class OpenFigiClient:
    """Maps, searches and filters. One client serves one thread; all clients with one Redis share the limits.

    A request is tried `tries` times. The key goes into the header of requests and nowhere else; `sleep` and `jitter`
    are for tests.
    """

    def __init__(
        self,
        limiter: SharedLimiter,
        *,
        base_url: str = DEFAULT_BASE_URL,
        api_key: str | None = None,
        tries: int = MOST_TRIES,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.limiter = limiter
        self.base_url = base_url.rstrip("/")
        self.requests_sent = 0
        self.tries = tries
        self._sleep = sleep
        self._jitter = jitter
        headers = {"Accept": "application/json"}
        if api_key:
            headers["X-OPENFIGI-APIKEY"] = api_key
        self._http = httpx.Client(
            base_url=f"{self.base_url}/v3",
            headers=headers,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            follow_redirects=False,
        )

    def __enter__(self) -> "OpenFigiClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # --- the endpoints -----------------------------------------------------------------------------------------------
    def map(self, jobs: Sequence[MappingJob]) -> list[Answer]:
        """An answer for each job, in order; as many requests as their number needs.

        Raises InvalidInput for a job that OpenFIGI would refuse, before anything is sent; OpenFigiUnavailable after the
        bounded number of tries; OpenFigiConfigurationError for a wrong key.
        """
        bodies = mapping_bodies(jobs)
        answers: list[Answer] = []
        while len(answers) < len(bodies):
            batch = bodies[len(answers) : len(answers) + self.limiter.jobs_per_request()]
            answers += self._map_batch(batch)
        return answers

    def search(self, query: str, filters: Filters | None = None, *, most: int = MOST_RESULTS) -> Iterator[FigiRow]:
        """Instruments whose name or ticker matches, page by page, at most `most`."""
        yield from self._pages("/search", {"query": query, **(filters or Filters()).body()}, most)

    def filter(self, filters: Filters, query: str = "", *, most: int = MOST_RESULTS) -> Iterator[FigiRow]:
        """Instruments that have all these properties, sorted by FIGI, at most `most`."""
        yield from self._pages("/filter", ({"query": query} if query else {}) | filters.body(), most)

    def values(self, key: str) -> list[str]:
        """The values that OpenFIGI knows for a property, sorted; `key` is one of VALUE_KEYS."""
        if key not in VALUE_KEYS:
            raise OpenFigiError(f"OpenFIGI lists no values of {key!r}. It lists {', '.join(VALUE_KEYS)}.")

        def read(body: Any) -> list[str]:
            values = body.get("values") if isinstance(body, dict) else None
            if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
                raise _Malformed(f"the values of {key} are no list of texts")
            return sorted(set(values))

        return self._ask("mapping", "GET", f"/mapping/values/{key}", None, read)

    # --- one request and what becomes of it --------------------------------------------------------------------------
    def _map_batch(self, batch: list[dict[str, Any]]) -> list[Answer]:
        """The answers to one request's jobs; two halves where the provider finds them too many."""
        try:
            return self._ask("mapping", "POST", "/mapping", batch, lambda body: read_mapping(body, len(batch)))
        except _TooManyJobs:
            if len(batch) == 1:
                return [Answer(Outcome.ERROR, message="OpenFIGI finds a single job too large (413).")]
            half = self.limiter.too_many_jobs(len(batch))
            logger.warning("OpenFIGI takes fewer than %s jobs a request; going on with %s", len(batch), half)
            return self._map_batch(batch[:half]) + self._map_batch(batch[half:])

    def _pages(self, path: str, body: dict[str, Any], most: int) -> Iterator[FigiRow]:
        given = 0
        cursors: set[str] = set()
        while given < most:
            rows, cursor = self._ask("search", "POST", path, body, _read_page)
            yield from rows[: most - given]
            given += len(rows)
            if cursor is None or not rows:
                return
            if cursor in cursors:
                raise OpenFigiError(
                    f"OpenFIGI sent the same page twice after {given} rows of {path}; narrow the query."
                )
            cursors.add(cursor)
            body = {**body, "start": cursor}

    def _ask(self, bucket: Bucket, method: str, path: str, body: Any, read: Callable[[Any], Any]) -> Any:
        """The answer of a request as `read` makes it; tried again where that may help."""
        problem = ""
        tries = 0
        while tries < self.tries:
            slot = self._wait_for_slot(bucket)
            with self.limiter.slot(bucket, slot):
                try:
                    status, headers, content = self._send(method, path, body)
                except httpx.TransportError as error:
                    status, headers, content = 0, httpx.Headers(), b""
                    problem = f"{type(error).__name__}: {error}"
            if headers.get("ratelimit-remaining") == "0" and status != 429:  # others may share our limit
                self.limiter.block(bucket, _seconds_to_wait(headers))
            if status == 200:
                try:
                    return read(json.loads(content))
                except (_Malformed, ValueError, RecursionError) as error:
                    problem = f"the answer is not OpenFIGI's: {error}"
            elif status == 429:
                wait = _seconds_to_wait(headers)
                self.limiter.block(bucket, wait)  # whoever waits for a slot waits for this, too
                problem = f"it asked for a pause of {wait:g} s (429)"
                tries += 1
                continue
            elif status >= 500:
                problem = f"it answered {status}"
            elif status:
                _refuse(status, content)
            tries += 1
            if tries < self.tries:
                pause = min(FIRST_PAUSE * 2 ** (tries - 1), LONGEST_PAUSE) * (0.5 + self._jitter())
                logger.info("OpenFIGI: %s; try %s of %s in %.1f s", problem, tries + 1, self.tries, pause)
                self._sleep(pause)
        raise OpenFigiUnavailable(
            f"OpenFIGI at {self.base_url} did not answer after {self.tries} tries: {problem}. Try again later; what "
            "was answered before is kept."
        )

    def _wait_for_slot(self, bucket: Bucket) -> str:
        waited = 0.0
        while True:
            slot, wait = self.limiter.try_take(bucket)
            if slot:
                return slot
            if waited >= LONGEST_WAIT_FOR_SLOT:
                raise OpenFigiUnavailable(
                    f"No request to OpenFIGI was possible for {waited:.0f} s: others use the whole limit. Try again "
                    "later, or set OPEN_FIGI_API_KEY for a larger one."
                )
            self._sleep(wait)
            waited += wait

    def _send(self, method: str, path: str, body: Any) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body; the whole request is over within LONGEST_REQUEST_SECONDS."""
        self.requests_sent += 1
        deadline = time.monotonic() + LONGEST_REQUEST_SECONDS - READ_SECONDS
        with self._http.stream(method, path, json=body) if body is not None else self._http.stream(method, path) as got:
            content = bytearray()
            for block in got.iter_bytes():
                content += block
                if len(content) > LARGEST_ANSWER:
                    raise httpx.ReadError(f"the answer is larger than {LARGEST_ANSWER} bytes")
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the answer trickles in too slowly")
            return got.status_code, got.headers, bytes(content)


class _TooManyJobs(Exception):
    """413: the request holds more jobs than the provider takes."""


def _refuse(status: int, content: bytes) -> NoReturn:
    """Raise for a status that trying again does not mend."""
    said = content[:200].decode("utf-8", "replace").strip()
    if status == 413:
        raise _TooManyJobs
    if status in (401, 403):
        raise OpenFigiConfigurationError(
            f"OpenFIGI refuses the key ({status}: {said}). Correct OPEN_FIGI_API_KEY where MSM runs, or unset it to "
            "work without a key at lower limits."
        )
    raise OpenFigiError(f"OpenFIGI refuses the request ({status}: {said}). Nothing was resolved by it.")


def _seconds_to_wait(headers: httpx.Headers) -> float:
    """The larger of what the two headers ask for: in 2023 they differed by 18 s."""
    asked = []
    for name in ("retry-after", "ratelimit-reset"):
        try:
            seconds = float(headers.get(name, ""))
        except ValueError:
            continue
        if 0 <= seconds <= LONGEST_WAIT_FOR_SLOT:
            asked.append(seconds)
    return max(asked, default=PROVIDER_DEFAULT_WAIT)


def _read_page(body: Any) -> tuple[tuple[FigiRow, ...], str | None]:
    if not isinstance(body, dict):
        raise _Malformed(f"a page is a {type(body).__name__}")
    if isinstance(body.get("error"), str):
        raise OpenFigiError(f"OpenFIGI refuses the query: {body['error']}")
    data, cursor = body.get("data"), body.get("next")
    if not isinstance(data, list) or (cursor is not None and not isinstance(cursor, str)):
        raise _Malformed("a page has no list of rows")
    try:
        return read_rows(data), cursor
    except MalformedRow as error:
        raise _Malformed(str(error)) from error
