"""Asset snapshots: written as a batch, and the latest of each asset beside the asset's identity."""

import datetime as dt
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from markets.data_nodes.reads import aware, read_frame
from markets.data_nodes.snapshots import AssetSnapshot
from markets.data_nodes.upserts import instant_text
from markets.data_nodes.writes import KEYS_IN_ERROR, KEYS_IN_MESSAGE
from markets.engine.text import storable_text
from markets.exceptions import AlreadyRunning, DuplicateKeys, InvalidInput, UnknownIdentifiers
from markets.models import Asset, StorageNode
from markets.models import AssetSnapshot as AssetSnapshotRow
from markets.services.audit import current
from markets.services.values import as_uid

PATIENCE = 10.0  # seconds that a writer waits for others: a batch of 10,000 rows takes less than one
SECONDS_BETWEEN_TRIES = 0.05


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

    Other writers are waited for, ten seconds at most. Who writes and why is kept in the run's log. Raises DuplicateKeys
    with the keys that are stored already, UnknownIdentifiers, InvalidInput, and AlreadyRunning when the wait was vain.
    """
    node = AssetSnapshot().set_snapshots(rows)
    _refuse_faults(node.update())
    node.note = _who_and_why()
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return node.run(update_tree=False)
        except AlreadyRunning:
            if time.monotonic() > deadline:
                raise
            time.sleep(SECONDS_BETWEEN_TRIES)


def _refuse_faults(frame: pd.DataFrame) -> None:
    """Raise for unknown assets and stored keys before a run is opened; the run asks again, with what it locks."""
    times = [time.to_pydatetime(warn=False) for time in frame.index.get_level_values("time_index")]
    names = frame.index.get_level_values("asset_identifier").tolist()
    wanted = [name for name in dict.fromkeys(names) if storable_text(name) == name]
    known = set(Asset.objects.filter(unique_identifier__in=wanted).values_list("unique_identifier", flat=True))
    if known != set(names):
        raise UnknownIdentifiers(set(names) - known)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT w.asset_identifier, w.time_index, count(*) OVER () FROM unnest(%s::text[], %s::timestamptz[]) "
            f'AS w(asset_identifier, time_index) JOIN "{AssetSnapshotRow._meta.db_table}" AS t '
            "USING (asset_identifier, time_index) ORDER BY 1, 2 LIMIT %s",
            [names, times, KEYS_IN_ERROR],
        )
        taken = cursor.fetchall()
    if taken:
        keys = [(name, instant_text(time)) for name, time, _ in taken]
        shown = ", ".join(" / ".join(key) for key in keys[:KEYS_IN_MESSAGE])
        more = ", …" if len(keys) > KEYS_IN_MESSAGE else ""
        raise DuplicateKeys(
            f"{taken[0][2]:,} of the snapshots are stored already: {shown}{more}. "
            "They are written once and never changed: give corrections a later time_index. Nothing was written.",
            keys=keys,
        )


def _who_and_why() -> str:
    said = current()
    who = f"written by {said.actor or 'nobody who is known'}{f' ({said.source})' if said.source else ''}"
    return f"{who}: {said.reason}" if said.reason else who


def snapshot_storage() -> StorageNode | None:
    """The registration of the table of snapshots; None before the first one."""
    return StorageNode.objects.filter(storage_hash=AssetSnapshot().storage_hash).first()


def snapshots_of(
    identifier: str, *, start_date: dt.datetime | None = None, end_date: dt.datetime | None = None
) -> pd.DataFrame:
    """The snapshots of an asset, the oldest first, as `AssetSnapshot.build_frame` gives them; it may have none."""
    storage = snapshot_storage()
    if storage is None:
        return AssetSnapshot.empty_frame()
    only = {"asset_identifier": [identifier]}
    return read_frame(storage, start_date=start_date, end_date=end_date, dimension_filters=only)


def snapshots_as_of(rows: "QuerySet[AssetSnapshotRow]", instant: dt.datetime) -> "QuerySet[AssetSnapshotRow]":
    """Of these snapshots, the one of each asset that held at this instant."""
    later = AssetSnapshotRow.objects.filter(
        asset_identifier=OuterRef("asset_identifier"), time_index__gt=OuterRef("time_index"), time_index__lte=instant
    )
    return rows.filter(~Exists(later), time_index__lte=instant)


def asset_reference_details(
    unique_identifiers: str | Iterable[str], *, latest_snapshot: bool = True, as_of: dt.datetime | None = None
) -> list[AssetReferenceDetails]:
    """The assets with these identifiers, each once, in the order asked for; unknown ones are absent. One query.

    With `as_of`, an aware instant, the snapshot that held then. Raises InvalidInput for a blank identifier.
    """
    wanted = _distinct(unique_identifiers, "unique_identifiers")
    return _details("unique_identifier", wanted, latest_snapshot, aware(as_of, "as_of"))


def asset_reference_details_by_uids(
    uids: str | uuid.UUID | Iterable[str | uuid.UUID],
    *,
    latest_snapshot: bool = True,
    as_of: dt.datetime | None = None,
) -> list[AssetReferenceDetails]:
    """The same by uid. Raises InvalidInput for what is no uid."""
    given = [uids] if isinstance(uids, str | uuid.UUID) else list(uids)
    parsed = []
    for value in given:
        uid = as_uid(value)
        if uid is None:
            raise InvalidInput(f"{str(value)[:60]!r} is no uid.", field="uids")
        parsed.append(uid)
    return _details("uid", list(dict.fromkeys(parsed)), latest_snapshot, aware(as_of, "as_of"))


def _distinct(values: str | Iterable[str], name: str) -> list[str]:
    given = [values] if isinstance(values, str) else list(values)
    cleaned = []
    for value in given:
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput(f"{name} holds {value!r}. Each is an asset's identifier.", field=name)
        cleaned.append(value.strip())
    return [text for text in dict.fromkeys(cleaned) if storable_text(text) == text]


def _details(
    column: str, wanted: list[Any], latest_snapshot: bool, as_of: dt.datetime | None
) -> list[AssetReferenceDetails]:
    if not wanted:
        return []
    kind = "text" if column == "unique_identifier" else "uuid"
    latest = (
        f'LEFT JOIN LATERAL (SELECT * FROM "{AssetSnapshotRow._meta.db_table}" AS t '
        "WHERE t.asset_identifier = a.unique_identifier AND t.time_index <= coalesce(%s::timestamptz, 'infinity') "
        "ORDER BY t.time_index DESC LIMIT 1) AS s ON %s"
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
            [wanted, as_of, latest_snapshot],
        )
        return [AssetReferenceDetails(*row) for row in cursor.fetchall()]
