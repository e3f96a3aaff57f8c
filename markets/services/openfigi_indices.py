"""Indices and index futures that OpenFIGI describes: both are resolved before anything is written."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from markets.constants import ASSET_TYPE_FUTURE
from markets.exceptions import InvalidInput
from markets.models import Future, Index
from markets.openfigi.answers import FigiRow
from markets.services.futures import upsert_future
from markets.services.indices import upsert_index
from markets.services.openfigi_lookup import query_by_figi, query_rows
from markets.services.openfigi_registration import INDEX_SECTOR, FoundAsset, register_found

FACTS = (  # what metadata keeps of a row
    *("figi", "composite", "share_class", "ticker", "name", "exchange_code", "security_type", "security_type_2"),
    *("security_market_sector", "security_description", "metadata"),
)


def register_index_from_figi(
    figi: str, *, index_type: str, api_key: str | None = None, api_url: str | None = None
) -> Index:
    """The index of a FIGI, made or renewed from what OpenFIGI says.

    Raises InvalidInput when the FIGI is no index's, and what `query_by_figi` raises; then nothing is written.
    """
    row = query_by_figi(figi, api_key=api_key, api_url=api_url)
    return _write_index(row, index_type)


def register_index_future_from_figis(
    future_figi: str,
    *,
    underlying_index_figi: str,
    underlying_index_type: str,
    metadata: Mapping[str, Any] | None = None,
    api_key: str | None = None,
    api_url: str | None = None,
    **terms: Any,
) -> Future:
    """A future and its underlying index, both from their FIGIs; its terms are the caller's, nothing is inferred.

    `terms` are those of `upsert_future`: `settlement_asset_uid`, `margin_asset_uid`, `kind`, `quote_unit`,
    `settlement_model`, `settlement_method`, `contract_size`, `contract_unit`, `expires_at`, `settles_at`. The metadata
    gets `underlying_index_figi` and `openfigi` where the caller's has none. One transaction: all of it or nothing.
    """
    index_row, future_row = query_rows([underlying_index_figi, future_figi], api_key=api_key, api_url=api_url)
    named = {name.removesuffix("_uid"): value for name, value in terms.items()}
    told = {"underlying_index_figi": index_row.figi, "openfigi": facts_of(future_row)} | dict(metadata or {})
    with transaction.atomic():
        index = _write_index(index_row, underlying_index_type)
        asset = register_found([FoundAsset(future_row, ASSET_TYPE_FUTURE)])[future_row.figi].asset
        identifier = asset.unique_identifier
        saved = upsert_future(unique_identifier=identifier, underlying_index_uid=index.uid, metadata=told, **named)
    return saved.row


def facts_of(row: FigiRow) -> dict[str, Any]:
    """What OpenFIGI says of an instrument, as metadata keep it: 14 keys, the last the row as it came."""
    facts = {name: getattr(row, name) for name in FACTS}
    return facts | {
        "unique_id": row.raw.get("uniqueID"),
        "unique_id_fut_opt": row.raw.get("uniqueIDFutOpt"),
        "raw_payload": dict(row.raw),
    }


def _write_index(row: FigiRow, index_type: str) -> Index:
    sector = (row.security_market_sector or "").strip()
    if sector.lower() != INDEX_SECTOR.lower():
        raise InvalidInput(
            f"{row.figi} is no index: OpenFIGI puts it in the market sector {sector or 'nothing'}, not {INDEX_SECTOR}. "
            "Give the FIGI of the index, or register this one as an asset.",
            field="figi",
        )
    return upsert_index(
        unique_identifier=row.figi,
        index_type=index_type,
        display_name=row.name or row.security_description or row.figi,
        description=row.security_description,
        metadata_json={"openfigi": facts_of(row)},
    ).row
