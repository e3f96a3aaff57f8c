"""Registers FIGIs as assets of the public master: in batches, each one transaction, as often as one likes.

Whether OpenFIGI is asked is not known here: what is registered from a file, or from the FIGI alone, is queued for it.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from django.db import IntegrityError, transaction
from django.utils import timezone

from markets.data_nodes import registration, staleness
from markets.data_nodes.snapshots import AssetSnapshot
from markets.data_nodes.writes import Write
from markets.engine.figi_facts import FigiFacts
from markets.engine.identifiers import figi_fault
from markets.engine.text import storable_text
from markets.exceptions import Conflict, InvalidInput, clipped
from markets.models import Asset, AssetIdentifier, OpenFigiDetails, PendingResolution, ResolutionScheme
from markets.redirects import following
from markets.services.asset_types import register_asset_types
from markets.services.values import clean_optional_text, normalise_type_key

BATCH_SIZE = 500  # the seed's: a few milliseconds of locks, and little is lost when the process is killed
LARGEST_BATCH = 10_000
MOST_TRIES = 3
LONGEST = {"ticker": 50, "name": 255, "isin": 12}
LONGEST_SNAPSHOT_TEXT = 255
LONGEST_SOURCE = 255
Outcome = Literal["existing", "registered", "refused"]


@dataclass(frozen=True)
class FigiOutcome:
    """What became of one FIGI. `asset` is its asset, None where it was refused; then `reason` says why."""

    figi: str
    outcome: Outcome
    asset: Asset | None = None
    reason: str | None = None


def register_assets_from_figis(
    figis: Iterable[str | None],
    *,
    batch_size: int = BATCH_SIZE,
    facts: Mapping[str, FigiFacts] | None = None,
    source: str = "",
) -> list[FigiOutcome]:
    """The asset of each FIGI, registered where there is none; one outcome a FIGI, in the order of the FIGIs.

    Empty ones are left out, and each is treated once. A FIGI is that of an asset when it is the asset's identifier or
    stands in its OpenFIGI details. A new asset is not custom, has what `facts` says of it and nothing else, a first
    snapshot where a name, ticker or exchange is known, and waits for OpenFIGI. A FIGI with a wrong check digit is
    refused, with the reason. Each batch is one transaction: a call that is interrupted leaves whole batches, and may be
    repeated. Raises InvalidInput for an impossible batch size, or facts that no asset can hold.
    """
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or not 1 <= batch_size <= LARGEST_BATCH:
        raise InvalidInput(f"batch_size={batch_size!r} must be from 1 to {LARGEST_BATCH:,}.", field="batch_size")
    if isinstance(figis, str | bytes | Mapping) or not isinstance(figis, Iterable):
        raise InvalidInput("figis must be a list of FIGIs.", field="figis")
    outcomes: dict[str, FigiOutcome] = {}
    sound: list[str] = []
    for text in _distinct(figis):
        fault = figi_fault(text)
        if fault is None:
            sound.append(text)
        else:
            outcomes[text] = FigiOutcome(text, "refused", reason=f"{clipped(text)!r} is no FIGI: {fault}.")
    cleaned = {figi: _clean_facts(figi, (facts or {}).get(figi) or FigiFacts()) for figi in sound}
    for start in range(0, len(sound), batch_size):
        batch = sound[start : start + batch_size]
        for outcome in _register_batch(batch, cleaned, storable_text(source)[:LONGEST_SOURCE]):
            outcomes[outcome.figi] = outcome
    return [outcomes[figi] for figi in sorted(outcomes)]


def register_asset_from_figi(
    figi: str, *, facts: FigiFacts | None = None, source: str = "register_asset_from_figi"
) -> Asset:
    """The asset of one FIGI, registered where there is none; see `register_assets_from_figis`.

    Raises InvalidInput for what is no FIGI.
    """
    if not isinstance(figi, str) or not figi.strip():
        raise InvalidInput(f"figi={figi!r} is no FIGI. An example: BBG000B9XRY4.", field="figi")
    outcome = register_assets_from_figis([figi], facts={figi.strip().upper(): facts or FigiFacts()}, source=source)[0]
    if outcome.asset is None:
        raise InvalidInput(f"figi={outcome.reason} An example: BBG000B9XRY4.", field="figi")
    return outcome.asset


def _distinct(figis: Iterable[object]) -> list[str]:
    """The FIGIs in upper case, each once, sorted: callers lock in one order."""
    texts: set[str] = set()
    for position, figi in enumerate(figis):
        if figi is None or figi != figi:  # a frame's missing value is not equal to itself
            continue
        if not isinstance(figi, str):
            raise InvalidInput(f"figis[{position}] is a {type(figi).__name__}, not text.", field="figis")
        if figi.strip():
            texts.add(figi.strip().upper())
    return sorted(texts)


def _clean_facts(figi: str, facts: FigiFacts) -> FigiFacts:
    texts = {name: clean_optional_text(getattr(facts, name), field=name) for name in ("ticker", "name", "exchange")}
    return FigiFacts(
        **texts,
        isin=clean_optional_text(facts.isin, field="isin"),
        asset_type=normalise_type_key(facts.asset_type, field="asset_type"),
    )


def _register_batch(figis: Sequence[str], facts: Mapping[str, FigiFacts], source: str) -> list[FigiOutcome]:
    """Repeated where another caller gives one of the FIGIs to an asset of another identifier at this moment."""
    for attempt in range(MOST_TRIES):
        try:
            with transaction.atomic():
                return _registered(figis, facts, source)
        except IntegrityError as error:
            if attempt == MOST_TRIES - 1:
                raise Conflict("Others register these FIGIs at this moment. Nothing was written; try again.") from error
    raise AssertionError


def _registered(figis: Sequence[str], facts: Mapping[str, FigiFacts], source: str) -> list[FigiOutcome]:
    known = known_assets(figis)
    missing = [figi for figi in figis if figi not in known]
    made: dict[str, Asset] = {}
    if missing:
        now = timezone.now()
        register_asset_types({kind for figi in missing if (kind := facts[figi].asset_type) is not None})
        candidates = {
            figi: Asset(unique_identifier=figi, asset_type=facts[figi].asset_type, is_custom_by_organization=False)
            for figi in missing
        }
        Asset.objects.bulk_create(candidates.values(), ignore_conflicts=True)
        stored = {row.unique_identifier: row for row in Asset.objects.filter(unique_identifier__in=missing)}
        made = {figi: stored[figi] for figi in missing if stored[figi].uid == candidates[figi].uid}
        known |= {figi: stored[figi] for figi in missing if figi not in made}
        _describe(made, facts, source, now)
    return [
        FigiOutcome(figi, "registered", made[figi]) if figi in made else FigiOutcome(figi, "existing", known[figi])
        for figi in figis
    ]


def known_assets(figis: Sequence[str]) -> dict[str, Asset]:
    """FIGI → asset, of those that there are; the asset of that identifier before one whose details name it.

    Of a duplicate that was merged it is the asset that stayed, which has its FIGI among its identifiers.
    """
    details = OpenFigiDetails.objects.filter(figi__in=figis).select_related("asset")
    by_details = {row.figi: row.asset for row in details if row.figi is not None}
    recorded = AssetIdentifier.objects.filter(
        scheme="figi", value__in=figis, asset__merged_assets__isnull=False
    ).select_related("asset")
    by_record = {row.value: row.asset for row in recorded}
    by_identifier = {row.unique_identifier: row for row in Asset.objects.filter(unique_identifier__in=figis)}
    return following(by_record | by_details | by_identifier)


def _describe(made: Mapping[str, Asset], facts: Mapping[str, FigiFacts], source: str, now: dt.datetime) -> None:
    """Details, a first snapshot and a place in the queue for assets that this transaction has made."""
    OpenFigiDetails.objects.bulk_create(
        OpenFigiDetails(asset=asset, figi=figi, **_fitting(facts[figi])) for figi, asset in made.items()
    )
    PendingResolution.objects.bulk_create(
        (
            PendingResolution(scheme=ResolutionScheme.FIGI, value=figi, asset=asset, source=source, requested_at=now)
            for figi, asset in made.items()
        ),
        ignore_conflicts=True,
    )
    snapshots = [
        {"time_index": now, "asset_identifier": figi, **texts}
        for figi in made
        if any((texts := _snapshot_texts(facts[figi])).values())
    ]
    if snapshots:
        write_first_snapshots(snapshots)


def _fitting(facts: FigiFacts) -> dict[str, str]:
    """What OpenFIGI's details have a place for. A text that is too long is left out: half a name is no name."""
    values = {name: getattr(facts, name) for name in LONGEST}
    return {name: value for name, value in values.items() if value is not None and len(value) <= LONGEST[name]}


def _snapshot_texts(facts: FigiFacts) -> dict[str, str]:
    values = {"name": facts.name, "ticker": facts.ticker, "exchange_code": facts.exchange}
    return {name: text for name, text in values.items() if text is not None and len(text) <= LONGEST_SNAPSHOT_TEXT}


def write_first_snapshots(rows: Sequence[Mapping[str, object]]) -> None:
    """The rows as the engine writes them, in this transaction; their assets are new, so that no key can be taken."""
    node = AssetSnapshot()
    storage = registration.ensure_storage(node)
    write = Write(node, storage, AssetSnapshot.build_frame(rows), list(node.get_column_metadata()))
    write.validate()
    write.execute()
    registration.record_metadata(node, storage, write.tokens, write.metadata)
    staleness.mark_dependents(storage, write.changes, reason=f"{storage} has new snapshots.")
