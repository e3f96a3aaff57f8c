"""The stored state of a row: that a caller read earlier, or that another caller may be making at the same time."""

from typing import TypeVar

from django.db import models

from markets.exceptions import Conflict, NotFound
from markets.models import Asset
from markets.redirects import refuse_merged
from markets.services.values import Upserted

RowT = TypeVar("RowT", bound=models.Model)
MOST_TRIES = 5  # each lost to somebody who made the row and deleted it again in the same instant


def locked(row: RowT) -> RowT:
    """The row as it is stored now, locked until the transaction ends.

    Raises NotFound when it is deleted, MergedAsset for an asset that was merged into another.
    """
    stored: RowT | None = type(row)._default_manager.select_for_update(of=("self",)).filter(pk=row.pk).first()
    if stored is None:
        raise NotFound(f"The {row._meta.verbose_name} {row} is deleted.")
    if isinstance(stored, Asset) and stored.merged_into_id is not None:
        refuse_merged([stored.pk])
    return stored


def insert_or_lock(candidate: RowT, *, key: str) -> Upserted[RowT]:
    """Store the row unless its `key` is taken: the stored row, locked, and whether it is this one.

    Concurrent callers end with one row. Raises Conflict when others keep making and deleting it.
    """
    rows = type(candidate)._default_manager
    value = getattr(candidate, key)
    for _ in range(MOST_TRIES):
        rows.bulk_create([candidate], ignore_conflicts=True)
        stored = rows.select_for_update(of=("self",)).filter(**{key: value}).first()
        if stored is not None:
            return Upserted(stored, created=stored.uid == candidate.uid)  # type: ignore[attr-defined]
    raise Conflict(f"{candidate._meta.verbose_name} {value!r} is made and deleted by others at this moment. Try again.")
