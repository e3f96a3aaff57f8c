"""A list of identifiers is given: read, without repetitions, and handed to a worker."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction

from markets.engine.identifier_lines import IdentifierLine, read_lines
from markets.engine.text import storable_text
from markets.exceptions import Conflict, InvalidInput
from markets.models import HomeMarketPolicy, ItemStatus, Job, Resolution, ResolutionItem
from markets.services import jobs

RESOLVE = "resolve_figis"
MOST_LINES = 1_000_000
BATCH = 5_000
DEFAULT_SOURCE = "default"
LONGEST_SOURCE = 64


@dataclass(frozen=True)
class Submitted:
    resolution: Resolution
    job: Job


def submit_resolution(
    lines: Iterable[str],
    *,
    title: str = "",
    source: str = "",
    user: User | None = None,
    here: bool = False,
    most: int = MOST_LINES,
) -> Submitted:
    """A new resolution of the identifiers in the lines, each once, with a job that a worker does.

    `source` names the home markets to prefer. With `here` the caller does the job itself, by `jobs.execute`. Raises
    InvalidInput for an empty list or one of more than `most` lines; then nothing is written.
    """
    source = _clean_source(source)
    read = _once(read_lines(lines), min(most, MOST_LINES))
    with transaction.atomic():
        resolution = Resolution(source=source, exchange_codes=list(home_markets(source)), requested_by=user)
        resolution.title = storable_text(title).strip()[:255] or "Identifiers"
        resolution.save()
        batch: list[ResolutionItem] = []
        for line in read:
            batch.append(_item(resolution, line))
            if len(batch) == BATCH:
                ResolutionItem.objects.bulk_create(batch)
                batch = []
        ResolutionItem.objects.bulk_create(batch)
        if not read.lines:
            raise InvalidInput("The list has no identifier. Give one a line.", field="identifiers")
        resolution.lines, resolution.repeated = read.lines, read.repeated
        arguments = {"resolution": str(resolution.uid)}
        name = f"Resolve {resolution.title}"
        submit = jobs.record if here else jobs.submit
        resolution.job = submit(RESOLVE, name, arguments, user=user)
        resolution.save(update_fields=["lines", "repeated", "job", "updated_at"])
    return Submitted(resolution, resolution.job)


def resume_resolution(resolution: Resolution, *, user: User | None = None) -> Job:
    """A new job for what has no outcome yet, and for what failed. While one waits or runs, that one is returned."""
    with transaction.atomic():
        resolution = Resolution.objects.select_for_update(of=("self",)).select_related("job").get(pk=resolution.pk)
        if resolution.job is not None and not resolution.job.is_finished:
            return resolution.job
        again = ResolutionItem.objects.filter(resolution=resolution, status=ItemStatus.FAILED)
        again.update(status=ItemStatus.PENDING, tries=0)
        if not ResolutionItem.objects.filter(resolution=resolution, status=ItemStatus.PENDING).exists():
            raise Conflict(f"Every identifier of {resolution} has its outcome. Give a new list to ask anew.")
        arguments = {"resolution": str(resolution.uid)}
        resolution.job = jobs.submit(RESOLVE, f"Resolve {resolution.title}", arguments, user=user)
        resolution.save(update_fields=["job", "updated_at"])
        return resolution.job


def home_markets(source: str) -> tuple[str, ...]:
    """The exchange codes that a source prefers: its own, else those of the source `default`."""
    rows = dict(
        HomeMarketPolicy.objects.filter(source__in=[source, DEFAULT_SOURCE]).values_list("source", "exchange_codes")
    )
    return tuple(rows.get(source) or rows.get(DEFAULT_SOURCE) or ())


class _once:
    """The lines whose identifier has not come before; `lines` and `repeated` count while it is walked."""

    def __init__(self, lines: Iterator[IdentifierLine], most: int) -> None:
        self._source = lines
        self._most = most
        self._seen: set[tuple[str, str, str] | str] = set()
        self.lines = 0
        self.repeated = 0

    def __iter__(self) -> Iterator[IdentifierLine]:
        for line in self._source:
            self.lines += 1
            if self.lines > self._most:
                raise InvalidInput(
                    f"The list has more than {self._most:,} lines. Split it, or use manage.py resolve_figis.",
                    field="identifiers",
                )
            key = (line.key.scheme, line.key.value, line.key.venue) if line.key is not None else line.text
            if key in self._seen:
                self.repeated += 1
                continue
            self._seen.add(key)
            yield line


def _item(resolution: Resolution, line: IdentifierLine) -> ResolutionItem:
    item = ResolutionItem(resolution=resolution, line=line.number, text=storable_text(line.text)[:255])
    if line.key is None:
        item.status, item.message = ItemStatus.REJECTED, line.fault
    else:
        item.scheme, item.value, item.venue = line.key.scheme, line.key.value, line.key.venue
    return item


def _clean_source(source: object) -> str:
    if not isinstance(source, str) or storable_text(source) != source or len(source.strip()) > LONGEST_SOURCE:
        raise InvalidInput(f"source takes text of at most {LONGEST_SOURCE} characters.", field="source")
    return source.strip()
