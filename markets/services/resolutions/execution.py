"""The worker's side of a resolution: what is known, what is kept, and only then OpenFIGI; batch by batch."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Count, F

from markets.engine.identifier_schemes import SCHEMES
from markets.exceptions import InvalidInput, NotFound
from markets.models import (
    Asset,
    FigiAnswer,
    ItemStatus,
    PendingResolution,
    Resolution,
    ResolutionItem,
    ResolutionStatus,
)
from markets.openfigi.answers import Answer
from markets.openfigi.client import OpenFigiClient
from markets.openfigi.keys import mapping_job
from markets.openfigi.requests import MappingJob
from markets.services import jobs
from markets.services.identifier_resolution import resolve_many
from markets.services.openfigi_access import openfigi_client
from markets.services.resolutions.answers import KEPT, hash_of, keep_answers, kept_answers
from markets.services.resolutions.decisions import settle
from markets.services.resolutions.items import key_of, save_outcomes
from markets.services.resolutions.submission import RESOLVE

logger = logging.getLogger(__name__)

CHUNK = 2_000  # identifiers that are looked up at home at once
MOST_TRIES = 3  # of an answer that cannot be read
PAUSE = 1.0  # seconds before such an identifier is asked again


@jobs.handles(RESOLVE, stop=jobs.stop_between_parts)
def resolve_job(progress: jobs.JobProgress) -> dict[str, Any]:
    """Each batch is one transaction: a job that is killed goes on with what has no outcome yet."""
    resolution = Resolution.objects.filter(uid=progress.job.arguments["resolution"]).first()
    if resolution is None:
        raise NotFound("The resolution of this job was deleted.")
    pace = _Pace(progress, resolution)
    pace.report(always=True)
    with openfigi_client() as client:
        while not pace.is_stopped() and (items := _pending(resolution)):
            _resolve_chunk(client, resolution, items, pace)
    pace.report(always=True)
    return outcome_counts(resolution)


def outcome_counts(resolution: Resolution) -> dict[str, int]:
    """How many identifiers ended how."""
    rows = ResolutionItem.objects.filter(resolution=resolution).values_list("status").annotate(n=Count("*"))
    return {str(status): number for status, number in rows.order_by("status")}


def _pending(resolution: Resolution) -> list[ResolutionItem]:
    items = ResolutionItem.objects.filter(resolution=resolution, status=ItemStatus.PENDING)
    return list(items.order_by("tries", "line")[:CHUNK])


def _resolve_chunk(
    client: OpenFigiClient, resolution: Resolution, items: Sequence[ResolutionItem], pace: "_Pace"
) -> None:
    asked = _jobs_of(_end_known(resolution, items))
    pace.report()
    kept = kept_answers(hash_of(job.body()) for _, job in asked)
    at_home = [(item, kept[name]) for item, job in asked if (name := hash_of(job.body())) in kept]
    settle(resolution, at_home)
    pace.came_further()
    remote = [(item, job) for item, job in asked if hash_of(job.body()) not in kept]
    while remote and not pace.is_stopped():
        size = client.limiter.jobs_per_request()
        batch, remote = remote[:size], remote[size:]
        if any(item.tries for item, _ in batch):
            time.sleep(PAUSE)
        _ask(client, resolution, batch)
        pace.came_further()


def _end_known(resolution: Resolution, items: Sequence[ResolutionItem]) -> list[ResolutionItem]:
    """End what names one asset of ours already; returns the others, and those whose asset waits for OpenFIGI."""
    found = resolve_many([key_of(item) for item in items])
    names = {name for answer in found if (name := answer.asset_identifier) is not None}
    assets = {
        asset.unique_identifier: asset
        for asset in Asset.objects.filter(unique_identifier__in=names).select_related("openfigi_details")
    }
    waiting = set(
        PendingResolution.objects.filter(
            asset__in=assets.values(), status=ResolutionStatus.PENDING, scheme="figi"
        ).values_list("asset_id", flat=True)
    )
    unknown: list[ResolutionItem] = []
    ended: list[ResolutionItem] = []
    for item, answer in zip(items, found, strict=True):
        asset = assets.get(answer.asset_identifier or "")
        if asset is None or asset.pk in waiting or not _is_meant(item, asset, resolution.exchange_codes):
            unknown.append(item)
            continue
        item.status, item.asset, item.message = ItemStatus.KNOWN, asset, f"{asset} has this identifier."
        ended.append(item)
    save_outcomes(ended)
    return unknown


def _is_meant(item: ResolutionItem, asset: Asset, home: Sequence[str]) -> bool:
    """Whether an asset that has the identifier is the one that the list means.

    A bare ticker means whatever OpenFIGI says. An identifier of many listings means the one in the home market; where
    the asset's market is not known, or the list names none, the asset is it.
    """
    scheme = SCHEMES.get(item.scheme)
    if item.scheme == "ticker" and not item.venue:
        return False
    if scheme is None or scheme.is_unique:
        return True
    details = getattr(asset, "openfigi_details", None)
    if item.scheme == "composite_figi":
        return details is not None and details.figi == item.value
    market = details.exchange_code if details is not None else None
    return not home or not market or market in home


def _jobs_of(items: Sequence[ResolutionItem]) -> list[tuple[ResolutionItem, MappingJob]]:
    """Each item with the job that asks for it; one that OpenFIGI cannot be asked for ends here."""
    asked: list[tuple[ResolutionItem, MappingJob]] = []
    ended: list[ResolutionItem] = []
    for item in items:
        try:
            job = mapping_job(key_of(item))
            job.body()
        except InvalidInput as error:
            item.status, item.message = ItemStatus.REJECTED, str(error)
            ended.append(item)
        else:
            asked.append((item, job))
    save_outcomes(ended)
    return asked


def _ask(client: OpenFigiClient, resolution: Resolution, batch: Sequence[tuple[ResolutionItem, MappingJob]]) -> None:
    """One request's worth of identifiers: what was answered is kept and decided in one transaction."""
    sent = client.requests_sent
    try:
        answers = client.map([job for _, job in batch])
    finally:
        Resolution.objects.filter(pk=resolution.pk).update(
            requests_sent=F("requests_sent") + client.requests_sent - sent
        )
    with transaction.atomic():
        kept = keep_answers([(job.body(), answer) for (_, job), answer in zip(batch, answers, strict=True)])
        decided: list[tuple[ResolutionItem, FigiAnswer]] = []
        unread: list[ResolutionItem] = []
        for (item, job), answer in zip(batch, answers, strict=True):
            row = kept.get(hash_of(job.body()))
            if row is not None and answer.outcome in KEPT:
                decided.append((item, row))
            else:
                unread.append(_tried(item, answer))
        settle(resolution, decided)
        save_outcomes(unread)
    for item in unread:
        logger.warning("OpenFIGI's answer to %s is %s: %s", key_of(item), item.status, item.message)


def _tried(item: ResolutionItem, answer: Answer) -> ResolutionItem:
    """An answer that says nothing: the identifier is asked again, and ends after MOST_TRIES."""
    item.tries += 1
    item.message = f"OpenFIGI's answer could not be used ({answer.outcome}): {answer.message}"
    if item.tries >= MOST_TRIES:
        item.status = ItemStatus.FAILED
    return item


class _Pace:
    """Tells how far a resolution has come, and how long the rest will take."""

    def __init__(self, progress: jobs.JobProgress, resolution: Resolution) -> None:
        self._progress = progress
        self._resolution = resolution
        self._total = ResolutionItem.objects.filter(resolution=resolution).count()
        self._done_before = self._done()
        self._began = time.monotonic()

    def _done(self) -> int:
        pending = ResolutionItem.objects.filter(resolution=self._resolution, status=ItemStatus.PENDING)
        return self._total - pending.count()

    def report(self, *, always: bool = False) -> None:
        done = self._done()
        self._progress.report(
            done, self._total, f"{done:,} of {self._total:,} identifiers{self._eta(done)}", always=always
        )

    def is_stopped(self) -> bool:
        """Whether somebody cancelled the job: then no further request is sent."""
        self._progress.job.refresh_from_db(fields=["status"])
        return self._progress.job.is_finished

    def came_further(self) -> None:
        self._progress.came_further()
        self.report()

    def _eta(self, done: int) -> str:
        fresh, seconds = done - self._done_before, time.monotonic() - self._began
        if not fresh or done >= self._total:
            return ""
        left = seconds / fresh * (self._total - done)
        return f", about {left:.0f} s left" if left < 120 else f", about {left / 60:.0f} min left"
