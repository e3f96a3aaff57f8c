"""Asks OpenFIGI for FIGIs that are to be registered now, as far as it answers at once."""

import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from django.conf import settings

from markets.openfigi.answers import Answer, Outcome
from markets.openfigi.client import OpenFigiClient
from markets.openfigi.errors import OpenFigiError
from markets.openfigi.requests import FIGI, MappingJob
from markets.services.openfigi_access import openfigi_client
from markets.services.resolutions.answers import hash_of, keep_answers, kept_answers, rows_of

logger = logging.getLogger(__name__)
TRIES = 2  # somebody waits for it: what is not answered now is asked for later


class FigiQuestions:
    """Answers within what one window of the limit allows; beyond it, and once OpenFIGI fails, none. A context."""

    def __init__(self) -> None:
        self._client: OpenFigiClient | None = None
        self._left: int | None = None
        self._is_off = not settings.OPENFIGI_BASE_URL

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()

    def answers(self, figis: Sequence[str]) -> dict[str, Answer]:
        """FIGI → answer, of those that were found or are unknown to OpenFIGI; the others were not answered."""
        jobs = {figi: MappingJob(id_type=FIGI, id_value=figi) for figi in figis}
        hashes = {hash_of(job.body()): figi for figi, job in jobs.items()}
        found = {
            hashes[name]: Answer(Outcome(row.outcome), rows_of(row), row.message)
            for name, row in kept_answers(hashes).items()
        }
        waiting = [figi for figi in figis if figi not in found]
        found |= self._asked({figi: jobs[figi] for figi in waiting})
        return {figi: answer for figi, answer in found.items() if answer.outcome in (Outcome.FOUND, Outcome.NOT_FOUND)}

    def _asked(self, jobs: dict[str, MappingJob]) -> dict[str, Answer]:
        if self._is_off or not jobs:
            return {}
        try:
            if self._client is None:
                self._client = openfigi_client(tries=TRIES)
                self._left = self._client.limiter.jobs_per_window()
            assert self._left is not None
            asked = dict(list(jobs.items())[: self._left])
            self._left -= len(asked)
            answers = dict(zip(asked, self._client.map(list(asked.values())), strict=True)) if asked else {}
        except OpenFigiError as error:
            logger.warning("OpenFIGI is not asked any more for now: %s", error)
            self._is_off = True
            return {}
        keep_answers([(jobs[figi].body(), answer) for figi, answer in answers.items()])
        return answers
