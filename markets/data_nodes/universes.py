"""Who belonged to a category when, as DataNodes read it."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from markets.exceptions import NotFound
from markets.models import AssetCategory, AssetCategoryMembership

OPEN = np.iinfo(np.int64).max  # the end of a spell that lasts


@dataclass(frozen=True)
class Universe:
    """The spells of a category. `identifiers` are its A assets in byte order.

    `asset_codes` (n,) places in `identifiers`; `starts` and `ends` (n,) int64 UTC ns, each spell [start, end), OPEN
    while it lasts.
    """

    identifiers: list[str]
    asset_codes: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def load_universe(unique_identifier: str, *, since: dt.datetime, until: dt.datetime) -> Universe:
    """The spells that began by `until` and ended after `since`. Raises NotFound."""
    category = AssetCategory.objects.filter(unique_identifier=unique_identifier).first()
    if category is None:
        raise NotFound(f"There is no asset category {unique_identifier!r}.")
    spells = list(
        AssetCategoryMembership.objects.filter(category=category, valid_from__lte=until)
        .exclude(valid_to__lte=since)
        .values_list("asset__unique_identifier", "valid_from", "valid_to")
        .order_by("asset__unique_identifier", "valid_from")
    )
    identifiers = sorted({name for name, _, _ in spells}, key=str.encode)
    places = {name: place for place, name in enumerate(identifiers)}
    return Universe(
        identifiers=identifiers,
        asset_codes=np.array([places[name] for name, _, _ in spells], dtype=np.int64),
        starts=np.array([_nanoseconds(start) for _, start, _ in spells], dtype=np.int64),
        ends=np.array([OPEN if end is None else _nanoseconds(end) for _, _, end in spells], dtype=np.int64),
    )


def first_member_at(unique_identifier: str) -> dt.datetime | None:
    """When the first asset joined the category; None when it never had one."""
    rows = AssetCategoryMembership.objects.filter(category__unique_identifier=unique_identifier)
    return rows.order_by("valid_from").values_list("valid_from", flat=True).first()


def _nanoseconds(instant: dt.datetime) -> int:
    return int(pd.Timestamp(instant).as_unit("ns").value)
