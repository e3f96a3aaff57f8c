"""The client against a real server: limits, retries, faults, and a key that nobody sees."""

import logging
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from markets.broker import shared_redis
from markets.openfigi.answers import Outcome
from markets.openfigi.client import OpenFigiClient, _seconds_to_wait
from markets.openfigi.errors import OpenFigiConfigurationError, OpenFigiError, OpenFigiUnavailable
from markets.openfigi.fake.universe import NOT_FOUND_EVERY, ticker_of
from markets.openfigi.limits import WITH_KEY, WITHOUT_KEY, Limit, Limits, SharedLimiter, caller_name
from markets.openfigi.requests import Filters, MappingJob
from tests.markets.openfigi.conftest import KEY


def tickers(number: int) -> list[MappingJob]:
    """Jobs for identifiers that the fake knows."""
    known = [place for place in range(2 * number) if place % NOT_FOUND_EVERY][:number]
    return [MappingJob(id_type="TICKER", id_value=ticker_of(place)) for place in known]


def statuses(server) -> list[int]:
    return [entry["status"] for entry in server.fake.log]


def test_jobs_are_answered_in_their_order_in_as_many_requests_as_needed(serve, make_client):
    server = serve()
    client = make_client(server)
    jobs = tickers(23)
    jobs[7] = MappingJob(id_type="ID_CUSIP", id_value="037833101")
    answers = client.map(jobs)
    assert [entry["jobs"] for entry in server.fake.log] == [10, 10, 3]
    assert [answer.outcome for answer in answers] == [
        Outcome.REJECTED if place == 7 else Outcome.FOUND for place in range(23)
    ]
    for place, (job, answer) in enumerate(zip(jobs, answers, strict=True)):
        assert place == 7 or answer.rows[0].ticker == job.id_value or job.id_value in {r.ticker for r in answer.rows}


def test_a_key_allows_a_hundred_jobs_and_is_sent_in_the_header_only(serve, make_client, caplog):
    server = serve()
    with caplog.at_level(logging.DEBUG):
        make_client(server, key=KEY, limits=WITH_KEY).map(tickers(150))
    assert [(entry["jobs"], entry["keyed"]) for entry in server.fake.log] == [(100, True), (50, True)]
    assert KEY not in caplog.text
    assert KEY not in str(server.fake.log)
    assert not [name for name in shared_redis().keys("*") if KEY.encode() in name]


def test_a_wrong_key_is_told_with_its_remedy_and_is_not_tried_again(serve, make_client):
    server = serve()
    with pytest.raises(OpenFigiConfigurationError) as caught:
        make_client(server, key="wrong-key", limits=WITH_KEY).map(tickers(1))
    assert str(caught.value) == (
        "OpenFIGI refuses the key (401: Invalid API key.). Correct OPEN_FIGI_API_KEY where MSM runs, or unset it to "
        "work without a key at lower limits."
    )
    assert statuses(server) == [401]


def test_too_many_jobs_are_halved_and_the_ceiling_is_remembered(serve, make_client):
    server = serve(without_key=Limits(WITHOUT_KEY.mapping, WITHOUT_KEY.search, jobs=5))
    first = make_client(server)
    assert [answer.outcome for answer in first.map(tickers(10))] == [Outcome.FOUND] * 10
    assert [(entry["jobs"], entry["status"]) for entry in server.fake.log] == [(10, 413), (5, 200), (5, 200)]
    server.fake.log.clear()
    make_client(server).map(tickers(7))
    assert [(entry["jobs"], entry["status"]) for entry in server.fake.log] == [(5, 200), (2, 200)]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "60", "ratelimit-reset": "42"}, 60),  # as recorded in 2023
        ({"retry-after": "5", "ratelimit-reset": "58"}, 58),
        ({"ratelimit-reset": "58"}, 58),
        ({"retry-after": "soon", "ratelimit-reset": "3"}, 3),
        ({"retry-after": "-5"}, 60),
        ({"retry-after": "1e9"}, 60),
        ({"retry-after": "nan"}, 60),
        ({}, 60),
    ],
)
def test_the_larger_of_what_two_headers_ask_for_is_waited(headers, seconds):
    assert _seconds_to_wait(httpx.Headers(headers)) == seconds


def test_a_pause_asked_for_is_kept(serve, make_client):
    server = serve()
    server.fake.plan.replace([{"match": {"nth": 1}, "fault": "too_many_requests", "seconds": 42, "times": 1}])
    client = make_client(server)
    assert client.map(tickers(1))[0].outcome == Outcome.FOUND
    assert statuses(server) == [429, 200]
    assert 18 < sum(client.pauses) <= 42.1  # a slow machine has less to wait for


@pytest.mark.parametrize("fault", ["server_error", "reset", "truncated", "html"])
def test_a_passing_fault_is_tried_again(serve, make_client, fault):
    server = serve()
    server.fake.plan.replace([{"fault": fault, "times": 2}])
    client = make_client(server)
    assert client.map(tickers(1))[0].outcome == Outcome.FOUND
    assert len(server.fake.log) == 3
    assert client.pauses == [0.5, 1.0]


@pytest.mark.parametrize("fault", ["server_error", "reset", "truncated", "html"])
def test_a_fault_that_stays_ends_after_five_tries(serve, make_client, fault):
    server = serve()
    server.fake.plan.replace([{"fault": fault}])
    client = make_client(server)
    with pytest.raises(OpenFigiUnavailable, match="did not answer after 5 tries"):
        client.map(tickers(1))
    assert len(server.fake.log) == 5
    assert client.pauses == [0.5, 1.0, 2.0, 4.0]


def test_a_short_answer_pairs_no_job_with_another_ones_rows(serve, make_client):
    server = serve()
    server.fake.plan.replace([{"fault": "short_array"}])
    answers = make_client(server).map(tickers(5))
    assert [answer.outcome for answer in answers] == [Outcome.MALFORMED] * 5
    assert not any(answer.rows for answer in answers)


def test_a_request_that_is_wrong_is_not_tried_again(serve, make_client):
    server = serve()
    client = make_client(server)
    with pytest.raises(OpenFigiError, match=r"refuses the request \(404: Invalid url\.\)"):
        client._ask("mapping", "POST", "/nowhere", [], lambda body: body)
    assert statuses(server) == [404]


def test_nobody_listening_is_told(make_client, serve):
    server = serve()
    client = make_client(server)
    server.__exit__()
    with pytest.raises(OpenFigiUnavailable, match="did not answer after 5 tries: ConnectError"):
        client.map(tickers(1))


def test_a_search_is_walked_page_by_page(serve, make_client):
    server = serve()
    client = make_client(server)
    found = [row.figi for row in client.search("SYNTHETIC AURORA", Filters(exchange_code="US"))]
    assert len(found) == len(set(found)) > 100
    assert found == sorted(found)
    assert len(server.fake.log) == -(-len(found) // 100)
    assert [row.figi for row in client.search("SYNTHETIC AURORA", Filters(exchange_code="US"), most=3)] == found[:3]
    assert list(client.search("NOBODY IS CALLED SO")) == []


def test_searches_have_a_limit_of_their_own(serve, make_client):
    server = serve()
    client = make_client(server)
    for _ in range(6):
        list(client.search("NOBODY", most=1))
    client.map(tickers(1))
    assert statuses(server) == [200] * 7
    assert 30 < sum(client.pauses) <= 60.1  # a slow machine has less to wait for


def test_many_workers_together_never_send_more_than_the_provider_allows(serve):
    """Eight clients, each with a connection of its own, as fast as they can, over several of the provider's windows."""
    limits = Limits(mapping=Limit(25, 1.0), search=Limit(5, 1.0), jobs=10)
    server = serve(without_key=limits)

    def work(_: int) -> list[Outcome]:
        limiter = SharedLimiter(shared_redis(), limits, caller=caller_name(server.url, None), longest_request=5.0)
        with OpenFigiClient(limiter, base_url=server.url) as client:
            return [answer.outcome for answer in client.map(tickers(120))]

    with ThreadPoolExecutor(8) as pool:
        outcomes = [outcome for part in pool.map(work, range(8)) for outcome in part]
    assert outcomes == [Outcome.FOUND] * 960
    assert statuses(server) == [200] * 96
    times = sorted(entry["at"] for entry in server.fake.log)
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[25:], strict=False))
    assert times[-1] - times[0] < 8  # and no slower than four windows ask, with room for a busy machine


def test_a_dead_process_gives_its_slots_back(serve):
    limits = Limits(mapping=Limit(1, 0.2), search=Limit(1, 0.2), jobs=10)
    server = serve()
    limiter = SharedLimiter(shared_redis(), limits, caller=caller_name(server.url, "dead"), longest_request=0.3)
    slot, _ = limiter.try_take("mapping")
    assert slot
    nothing, wait = limiter.try_take("mapping")
    assert nothing == ""
    assert 0.4 < wait <= 0.6
    assert limiter.try_take("search")[0]


def test_lists_of_values(serve, make_client):
    server = serve()
    client = make_client(server)
    assert client.values("marketSecDes") == [
        *("Comdty", "Corp", "Curncy", "Equity", "Govt", "Index", "M-Mkt", "Mtge", "Muni", "Pfd")
    ]
    with pytest.raises(OpenFigiError, match="OpenFIGI lists no values of 'lei'"):
        client.values("lei")


def test_an_answer_without_end_is_cut(serve, make_client, monkeypatch):
    server = serve()
    monkeypatch.setattr("markets.openfigi.client.LARGEST_ANSWER", 1000)
    with pytest.raises(OpenFigiUnavailable, match="larger than 1000 bytes"):
        make_client(server).map(tickers(10))


def test_the_client_follows_no_redirect(serve, make_client):
    client = make_client(serve())
    assert client._http.follow_redirects is False
    assert isinstance(client._http.timeout, httpx.Timeout)
    assert client._http.timeout.connect == 10.0


def test_without_redis_nothing_is_asked_and_the_remedy_is_told(serve):
    server = serve()
    nowhere = Redis(port=1, retry=Retry(NoBackoff(), 0))
    limiter = SharedLimiter(nowhere, WITHOUT_KEY, caller="x", longest_request=1.0)
    with (
        OpenFigiClient(limiter, base_url=server.url) as client,
        pytest.raises(
            OpenFigiUnavailable, match=r"Redis, .* cannot be reached .* check REDIS_URL; nothing was asked\."
        ),
    ):
        client.map(tickers(1))
    assert server.fake.log == []
