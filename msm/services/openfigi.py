"""OpenFIGI in scripts: questions to it, and assets, indices and futures registered from what it says."""

import datetime as dt
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from markets.openfigi.answers import FigiRow
from markets.services import openfigi_indices
from markets.services.openfigi_lookup import query_by_figi, query_by_isin, query_figi, search_figi
from msm.api.derivatives import Future
from msm.api.indices import Index
from msm.runtime import attached

__all__ = [
    "FigiRow",
    "query_by_figi",
    "query_by_isin",
    "query_figi",
    "register_index_from_figi",
    "register_index_future_from_figis",
    "search_figi",
]


def register_index_from_figi(
    figi: str, *, index_type: str, api_key: str | None = None, api_url: str | None = None
) -> Index:
    """The index of a FIGI, made or renewed from what OpenFIGI says of it.

    Raises InvalidInput when OpenFIGI puts the FIGI in another market sector than Index, FigiNotFound when it does not
    know it, OpenFigiUnavailable when it does not answer. Then nothing is written.
    """
    attached("register_index_from_figi", *Index.__required_tables__)
    row = openfigi_indices.register_index_from_figi(figi, index_type=index_type, api_key=api_key, api_url=api_url)
    found = Index.get_by_uid(row.uid)
    assert found is not None
    return found


def register_index_future_from_figis(
    future_figi: str,
    *,
    underlying_index_figi: str,
    underlying_index_type: str,
    settlement_asset_uid: uuid.UUID | str,
    margin_asset_uid: uuid.UUID | str,
    kind: str,
    quote_unit: str,
    settlement_model: str,
    settlement_method: str,
    contract_size: Decimal | str | int,
    contract_unit: str,
    expires_at: dt.datetime | str | None = None,
    settles_at: dt.datetime | str | None = None,
    metadata: Mapping[str, Any] | None = None,
    api_key: str | None = None,
    api_url: str | None = None,
) -> Future:
    """A future and its underlying index from their FIGIs, both resolved before anything is written.

    The contract's terms are the caller's; OpenFIGI's rows give names, types and metadata. Raises what
    `register_index_from_figi` raises, and what `Future.upsert` raises for wrong terms. Then nothing is written.
    """
    attached("register_index_future_from_figis", *Future.__required_tables__)
    row = openfigi_indices.register_index_future_from_figis(
        future_figi,
        underlying_index_figi=underlying_index_figi,
        underlying_index_type=underlying_index_type,
        settlement_asset_uid=settlement_asset_uid,
        margin_asset_uid=margin_asset_uid,
        kind=kind,
        quote_unit=quote_unit,
        settlement_model=settlement_model,
        settlement_method=settlement_method,
        contract_size=contract_size,
        contract_unit=contract_unit,
        expires_at=expires_at,
        settles_at=settles_at,
        metadata=metadata,
        api_key=api_key,
        api_url=api_url,
    )
    found = Future.get_by_uid(row.asset.uid)
    assert found is not None
    return found
