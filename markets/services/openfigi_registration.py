"""Registers what OpenFIGI describes: asset, details, identifiers and first snapshot, in one transaction."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from markets.constants import (
    ASSET_TYPE_BOND,
    ASSET_TYPE_CRYPTO,
    ASSET_TYPE_CURRENCY_SPOT,
    ASSET_TYPE_EQUITY,
    ASSET_TYPE_FUTURE,
)
from markets.engine.identifier_schemes import IdentifierKey
from markets.models import Asset, AssetIdentifier, OpenFigiDetails, PendingResolution, ResolutionStatus
from markets.openfigi.answers import FigiRow
from markets.services.asset_types import register_asset_types
from markets.services.public_assets import LONGEST_SNAPSHOT_TEXT, made_and_known, write_first_snapshots

SOURCE = "openfigi"
DEBT_SECTORS = ("Govt", "Corp", "Muni", "Mtge", "M-Mkt")
INDEX_SECTOR = "Index"
LONGEST = {
    "ticker": 50,
    "name": 255,
    "exchange_code": 50,
    "security_type": 50,
    "security_type_2": 50,
    "security_market_sector": 50,
    "security_description": 255,
}
DETAIL_FIELDS = ("figi", "composite", "share_class", *LONGEST)


@dataclass(frozen=True)
class FoundAsset:
    """A row of OpenFIGI, and the identifiers under which it was asked for; `evidence` is kept with those.

    `asset_type` is the type of a new asset, where the row does not decide.
    """

    row: FigiRow
    asset_type: str | None = None
    asked: tuple[IdentifierKey, ...] = ()
    evidence: Any = None


@dataclass(frozen=True)
class RegisteredAsset:
    asset: Asset
    is_new: bool


def default_asset_type(row: FigiRow) -> str | None:
    """The type of what a row describes, None where the row does not tell."""
    kinds = {(row.security_type or "").upper(), (row.security_type_2 or "").upper()}
    sector = row.security_market_sector
    if "FUTURE" in kinds:
        return ASSET_TYPE_FUTURE
    if "CRYPTO" in kinds:
        return ASSET_TYPE_CRYPTO
    if kinds & {"OPTION", "WARRANT"}:
        return None
    if sector in ("Equity", "Pfd"):
        return ASSET_TYPE_EQUITY
    if sector in DEBT_SECTORS:
        return ASSET_TYPE_BOND
    if sector == "Curncy" and kinds & {"SPOT", "CROSS"}:
        return ASSET_TYPE_CURRENCY_SPOT
    return None


def register_found(found: Sequence[FoundAsset]) -> dict[str, RegisteredAsset]:
    """The asset of each row, by FIGI; made where there is none. One transaction: all of them or none.

    A FIGI belongs to an asset when it is its identifier or stands in its details. A new asset is not custom, and gets
    its details, its identifiers and a first snapshot. One that waited for OpenFIGI gets what OpenFIGI says. The
    identifiers that were asked with are added to either, unless they name another asset. Concurrent callers end with
    one asset.
    """
    by_figi = {item.row.figi: item for item in found}
    figis = sorted(by_figi)
    now = timezone.now()
    with transaction.atomic():
        made, known = made_and_known(
            {figi: by_figi[figi].asset_type or default_asset_type(by_figi[figi].row) for figi in figis}
        )
        bare = _without_details(known)
        _describe({figi: by_figi[figi].row for figi in (*made, *bare)}, made | bare, now)
        _resolve_pending({figi: by_figi[figi].row for figi in known}, known)
        _identify(found, made | known, now.date())
    return {figi: RegisteredAsset(asset, True) for figi, asset in made.items()} | {
        figi: RegisteredAsset(asset, False) for figi, asset in known.items()
    }


def _without_details(known: Mapping[str, Asset]) -> dict[str, Asset]:
    """The known assets of which OpenFIGI has not said anything yet."""
    described = set(
        OpenFigiDetails.objects.filter(asset__in=[asset.pk for asset in known.values()]).values_list(
            "asset_id", flat=True
        )
    )
    return {figi: asset for figi, asset in known.items() if asset.pk not in described}


def _describe(rows: Mapping[str, FigiRow], assets: Mapping[str, Asset], now: dt.datetime) -> None:
    """Details and a snapshot for assets that have none."""
    if not rows:
        return
    OpenFigiDetails.objects.bulk_create(
        OpenFigiDetails(asset=assets[figi], **details_of(row)) for figi, row in rows.items()
    )
    write_first_snapshots(
        [
            {
                "time_index": now,
                "asset_identifier": assets[figi].unique_identifier,
                "name": (row.name or "")[:LONGEST_SNAPSHOT_TEXT],
                "ticker": row.ticker or "",
                "exchange_code": row.exchange_code or "",
                "asset_ticker_group_id": row.share_class or "",
            }
            for figi, row in rows.items()
        ]
    )


def details_of(row: FigiRow) -> dict[str, Any]:
    """The fields of OpenFIGI details that a row fills; a text that is too long is left to `raw_payload`."""
    values = {name: getattr(row, name) for name in DETAIL_FIELDS}
    fitting = {
        name: value if value is None or len(value) <= LONGEST.get(name, 12) else None for name, value in values.items()
    }
    return fitting | {"metadata_text": row.metadata, "raw_payload": dict(row.raw)}


def _resolve_pending(rows: Mapping[str, FigiRow], known: Mapping[str, Asset]) -> None:
    """Give assets that wait for OpenFIGI what it says."""
    waiting = PendingResolution.objects.filter(status=ResolutionStatus.PENDING, scheme="figi", value__in=list(known))
    for pending in waiting.select_for_update(of=("self",)).order_by("pk"):
        OpenFigiDetails.objects.update_or_create(asset_id=pending.asset_id, defaults=details_of(rows[pending.value]))
        kind = default_asset_type(rows[pending.value])
        if kind is not None:
            register_asset_types({kind})
            Asset.objects.filter(pk=pending.asset_id, asset_type__isnull=True).update(asset_type=kind)
        pending.status, pending.attempts = ResolutionStatus.RESOLVED, pending.attempts + 1
        pending.save(update_fields=["status", "attempts", "updated_at"])


def _identify(found: Sequence[FoundAsset], assets: Mapping[str, Asset], today: dt.date) -> None:
    """The identifiers of the rows and those asked with; one that names another asset at the time is left out."""
    rows = []
    for item in found:
        asset = assets[item.row.figi]
        own = [
            ("figi", item.row.figi),
            ("composite_figi", item.row.composite),
            ("share_class_figi", item.row.share_class),
        ]
        keys: dict[IdentifierKey, dt.date | None] = {
            IdentifierKey(scheme, value): None for scheme, value in own if value
        }
        for key in item.asked:
            # A bare ticker is no identifier; one at a venue holds from today, for OpenFIGI knows no past.
            if key.scheme != "ticker":
                keys[key] = None
            elif key.venue:
                keys[key] = today
        rows += [
            AssetIdentifier(
                asset=asset,
                scheme=key.scheme,
                value=key.value,
                venue=key.venue,
                valid_from=since,
                source=SOURCE,
                evidence=item.evidence,
            )
            for key, since in keys.items()
        ]
    rows.sort(key=lambda row: (row.scheme, row.value, row.venue, row.asset_id))  # writers lock in one order
    AssetIdentifier.objects.bulk_create(rows, ignore_conflicts=True)
