"""The FIGIs of assets that were registered before OpenFIGI was asked, given to it as one list."""

from collections.abc import Iterator

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from markets.exceptions import Conflict
from markets.models import JobStatus, PendingResolution, Resolution, ResolutionStatus
from markets.services.resolutions.submission import Submitted, submit_resolution

SOURCE = "pending"
TITLE = "All that waited for OpenFIGI"


@transaction.atomic
def resolve_pending(*, user: User | None = None, here: bool = False) -> Submitted:
    """A resolution of all identifiers that wait. Raises Conflict when none does, or such a list is being resolved."""
    busy = (
        Resolution.objects.filter(source=SOURCE, job__status__in=(JobStatus.QUEUED, JobStatus.RUNNING))
        .order_by("-id")
        .first()
    )
    if busy is not None:
        raise Conflict(f"What waits is being resolved already, as {busy} of {busy.created_at:%Y-%m-%d %H:%M} UTC.")
    waiting = PendingResolution.objects.filter(status=ResolutionStatus.PENDING)
    if not waiting.exists():
        raise Conflict("Nothing waits for OpenFIGI.")
    return submit_resolution(_lines(waiting.order_by("id")), title=TITLE, source=SOURCE, user=user, here=here)


def _lines(waiting: QuerySet[PendingResolution]) -> Iterator[str]:
    for scheme, value in waiting.values_list("scheme", "value").iterator(chunk_size=5_000):
        yield f"{scheme}:{value}"
