"""Resolutions by several processes at once, some of them killed: never over the limit, nothing lost, nothing twice."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.db import connections

from markets.models import (
    Asset,
    AssetSnapshot,
    HomeMarketPolicy,
    Job,
    JobStatus,
    OpenFigiDetails,
    Resolution,
    ResolutionItem,
)
from markets.openfigi.fake.universe import NOT_FOUND_EVERY, ticker_of
from markets.openfigi.limits import Limit
from markets.services import jobs
from markets.services.resolutions import resume_resolution, submit_resolution

pytestmark = pytest.mark.django_db(transaction=True)


def in_a_process(work: Callable[[], None]) -> int:
    """Fork a process that does the work over connections of its own; its process id."""
    connections.close_all()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        # A browser's event loop in the parent hides a connection from its close_all() that the child finds.
        for inherited in connections.all(initialized_only=True):
            del connections[inherited.alias]
        work()
        code = 0
    finally:
        os._exit(code)


def tickers(first: int, number: int) -> list[str]:
    return [f"ticker:{ticker_of(place)}" for place in range(first, first + number)]


def nothing_is_lost_or_twice(expected: int) -> None:
    statuses = Counter(ResolutionItem.objects.values_list("status", flat=True))
    assert sum(statuses.values()) == expected
    assert set(statuses) <= {"registered", "known", "not_found", "review"}
    assert Asset.objects.count() == statuses["registered"] == OpenFigiDetails.objects.count()
    assert AssetSnapshot.objects.count() == statuses["registered"]
    with_asset = ResolutionItem.objects.filter(status__in=["registered", "known"])
    assert not with_asset.filter(asset__isnull=True).exists()
    assert not ResolutionItem.objects.exclude(status__in=["registered", "known"]).filter(asset__isnull=False).exists()


def test_eight_workers_and_ten_thousand_identifiers_never_exceed_the_limit(openfigi, settings):
    # given: a window of half a second in place of six, and as many jobs a request as with a key
    limit = Limit(25, 0.5)
    openfigi.fake.settings.without_key = replace(openfigi.fake.settings.without_key, mapping=limit, jobs=100)
    settings.OPENFIGI_MAPPING_LIMIT = (limit.requests, limit.seconds)
    settings.OPENFIGI_JOBS_PER_REQUEST = 100
    HomeMarketPolicy.objects.create(source="default", exchange_codes=["US", "GR"])
    uids = [str(submit_resolution(tickers(1 + 1_250 * part, 1_250), here=True).job.uid) for part in range(8)]
    # when
    processes = [in_a_process(lambda uid=uid: jobs.execute(uid)) for uid in uids]
    assert [os.waitpid(pid, 0)[1] for pid in processes] == [0] * 8
    # then
    assert set(Job.objects.values_list("status", flat=True)) == {JobStatus.SUCCEEDED}
    log = openfigi.fake.log
    assert {entry["status"] for entry in log} == {200}
    assert sum(entry["jobs"] for entry in log) == 10_000
    times = sorted(entry["at"] for entry in log)
    assert all(later - earlier >= 0.5 for earlier, later in zip(times, times[25:], strict=False))
    nothing_is_lost_or_twice(10_000)
    unknown = sum(place % NOT_FOUND_EVERY == 0 for place in range(1, 10_001))
    assert ResolutionItem.objects.filter(status="not_found").count() == unknown


def test_a_worker_that_is_killed_twenty_times_loses_nothing_and_does_nothing_twice(openfigi):
    # given: a provider that takes its time, so that a process dies in the middle of requests and of transactions
    seed = random.SystemRandom().randrange(10**6)
    moments = random.Random(seed)
    openfigi.fake.plan.replace([{"fault": "slow", "seconds": 0.01}])
    HomeMarketPolicy.objects.create(source="default", exchange_codes=["US", "GR"])
    submitted = submit_resolution(tickers(1, 2_000), here=True)
    uid = str(submitted.job.uid)
    # when
    killed = 0
    while killed < 20:
        pid = in_a_process(lambda uid=uid: jobs.execute(uid))
        time.sleep(moments.uniform(0.02, 0.5))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            break  # it was done before its time
        killed += 1
    for _ in range(2):
        pid = in_a_process(lambda uid=uid: jobs.execute(uid))
        assert os.waitpid(pid, 0)[1] == 0
        if Job.objects.get(uid=uid).status == JobStatus.FAILED:  # three deaths in a row before it came any further
            uid = str(resume_resolution(submitted.resolution).uid)
    # then
    job = Job.objects.get(uid=uid)
    assert job.status == JobStatus.SUCCEEDED, (seed, job.error)
    nothing_is_lost_or_twice(2_000)
    asked = Counter(value for entry in openfigi.fake.log for value in entry["id_values"])
    assert set(asked) == {ticker_of(place) for place in range(1, 2_001)}
    # What a dying process had asked and not yet written is asked again, one request's worth a death.
    assert sum(asked.values()) <= 2_000 + 10 * killed, seed
    assert job.counters == dict(Counter(ResolutionItem.objects.values_list("status", flat=True)))
    assert Resolution.objects.get().items.filter(tries__gt=0).count() == 0
