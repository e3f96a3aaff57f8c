"""Asset snapshots: written as a batch, and the latest of each asset beside the asset's identity."""

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from django.db import connection

from markets.data_nodes.snapshots import AssetSnapshot
from markets.engine.text import storable_text
from markets.exceptions import InvalidInput
from markets.models import Asset
from markets.models import AssetSnapshot as AssetSnapshotRow
from markets.services.values import as_uid


@dataclass(frozen=True)
class AssetReferenceDetails:
    """An asset's identity and its latest snapshot; what there is no snapshot for is None."""

    asset_uid: uuid.UUID
    asset_identifier: str
    asset_type: str | None
    snapshot_time: dt.datetime | None
    time_index: dt.datetime | None
    name: str | None
    ticker: str | None
    exchange_code: str | None
    asset_ticker_group_id: str | None


def record_snapshots(rows: Any) -> pd.DataFrame:
    """Write a batch of snapshots, all or nothing; returns them as a frame, see `AssetSnapshot.build_frame`.

    Raises DuplicateKeys listing the keys that are stored already, UnknownIdentifiers, InvalidInput, and AlreadyRunning
    while another process writes snapshots.
    """
    return AssetSnapshot().set_snapshots(rows).run(update_tree=False)


def asset_reference_details(
    unique_identifiers: str | Iterable[str], *, latest_snapshot: bool = True
) -> list[AssetReferenceDetails]:
    """The assets with these identifiers, each once, in the order asked for; unknown ones are absent. One query.

    Raises InvalidInput for a blank identifier.
    """
    return _details("unique_identifier", _distinct(unique_identifiers, "unique_identifiers"), latest_snapshot)


def asset_reference_details_by_uids(
    uids: str | uuid.UUID | Iterable[str | uuid.UUID], *, latest_snapshot: bool = True
) -> list[AssetReferenceDetails]:
    """The same by uid. Raises InvalidInput for what is no uid."""
    given = [uids] if isinstance(uids, str | uuid.UUID) else list(uids)
    parsed = []
    for value in given:
        uid = as_uid(value)
        if uid is None:
            raise InvalidInput(f"{str(value)[:60]!r} is no uid.", field="uids")
        parsed.append(uid)
    return _details("uid", list(dict.fromkeys(parsed)), latest_snapshot)


def _distinct(values: str | Iterable[str], name: str) -> list[str]:
    given = [values] if isinstance(values, str) else list(values)
    cleaned = []
    for value in given:
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput(f"{name} holds {value!r}. Each is an asset's identifier.", field=name)
        cleaned.append(value.strip())
    return [text for text in dict.fromkeys(cleaned) if storable_text(text) == text]


def _details(column: str, wanted: list[Any], latest_snapshot: bool) -> list[AssetReferenceDetails]:
    if not wanted:
        return []
    kind = "text" if column == "unique_identifier" else "uuid"
    latest = (
        f'LEFT JOIN LATERAL (SELECT * FROM "{AssetSnapshotRow._meta.db_table}" AS t '
        "WHERE t.asset_identifier = a.unique_identifier ORDER BY t.time_index DESC LIMIT 1) AS s ON %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT a.uid, a.unique_identifier, a.asset_type, s.time_index, s.time_index,
                nullif(s.name, ''), nullif(s.ticker, ''), nullif(s.exchange_code, ''),
                nullif(s.asset_ticker_group_id, '')
            FROM unnest(%s::{kind}[]) WITH ORDINALITY AS w(value, place)
            JOIN "{Asset._meta.db_table}" AS a ON a.{column} = w.value {latest} ORDER BY w.place
            """,
            [wanted, latest_snapshot],
        )
        return [AssetReferenceDetails(*row) for row in cursor.fetchall()]
