"""Answers of OpenFIGI that are kept: evidence of what was decided, and the reason not to ask again."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils import timezone

from markets.models import FigiAnswer
from markets.openfigi.answers import Answer, FigiRow, Outcome, read_rows

NOT_FOUND_HOLDS = dt.timedelta(days=7)  # new listings appear within days; asking daily for what is not there is waste
KEPT = (Outcome.FOUND, Outcome.NOT_FOUND, Outcome.REJECTED)


def hash_of(body: Mapping[str, Any]) -> str:
    """The key of a job as it is sent."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def kept_answers(hashes: Iterable[str]) -> dict[str, FigiAnswer]:
    """Job hash → its answer, of those that still hold."""
    rows = FigiAnswer.objects.filter(job_hash__in=list(hashes))
    now = timezone.now()
    return {row.job_hash: row for row in rows if row.expires_at is None or row.expires_at > now}


def keep_answers(answered: Sequence[tuple[Mapping[str, Any], Answer]]) -> dict[str, FigiAnswer]:
    """Store the answers that are final for now, over older ones; job hash → row."""
    now = timezone.now()
    rows = {}
    for body, answer in answered:
        if answer.outcome not in KEPT:
            continue
        rows[hash_of(body)] = FigiAnswer(
            job_hash=hash_of(body),
            job=dict(body),
            outcome=answer.outcome.value,
            rows=[dict(row.raw) for row in answer.rows],
            message=answer.message,
            asked_at=now,
            expires_at=now + NOT_FOUND_HOLDS if answer.outcome == Outcome.NOT_FOUND else None,
        )
    ordered = [rows[name] for name in sorted(rows)]  # two writers lock in one order
    FigiAnswer.objects.bulk_create(
        ordered,
        update_conflicts=True,
        unique_fields=["job_hash"],
        update_fields=["outcome", "rows", "message", "asked_at", "expires_at"],
    )
    return {row.job_hash: row for row in FigiAnswer.objects.filter(job_hash__in=list(rows))}


def rows_of(answer: FigiAnswer) -> tuple[FigiRow, ...]:
    """The candidates of a kept answer."""
    return read_rows(answer.rows)
