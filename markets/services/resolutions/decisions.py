"""What becomes of identifiers that OpenFIGI has answered: registered, put to a person, or ended with the reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from markets.engine.figi_choice import HomeMarkets, choose
from markets.engine.identifier_schemes import IdentifierKey
from markets.models import (
    FigiAnswer,
    ItemStatus,
    PendingResolution,
    RememberedDecision,
    Resolution,
    ResolutionItem,
    ResolutionStatus,
)
from markets.openfigi.answers import FigiRow
from markets.services.openfigi_registration import INDEX_SECTOR, FoundAsset, register_found
from markets.services.resolutions.answers import rows_of
from markets.services.resolutions.items import key_of, save_outcomes

IS_INDEX = "It is an index, not an asset. Register it with register_index_from_figi."


@dataclass
class _Plan:
    """Items on their way to an outcome."""

    ended: list[ResolutionItem] = field(default_factory=list)
    chosen: list[tuple[ResolutionItem, FigiRow]] = field(default_factory=list)


def settle(resolution: Resolution, answered: Sequence[tuple[ResolutionItem, FigiAnswer]]) -> None:
    """Decide what can be decided of answered items, and register it; in one transaction."""
    home = HomeMarkets(tuple(resolution.exchange_codes))
    with transaction.atomic():
        remembered = remembered_decisions(resolution.source, [key_of(item) for item, _ in answered])
        plan = _Plan()
        for item, answer in answered:
            item.answer = answer
            _judge(plan, item, answer, home, remembered.get(key_of(item)))
        _register(plan)
        _refuse_pending(plan.ended)
        save_outcomes(plan.ended)


def _refuse_pending(ended: Sequence[ResolutionItem]) -> None:
    """Assets that wait for OpenFIGI wait no longer where it does not know their FIGI."""
    unknown = [item.value for item in ended if item.status == ItemStatus.NOT_FOUND and item.scheme == "figi"]
    PendingResolution.objects.filter(scheme="figi", value__in=unknown, status=ResolutionStatus.PENDING).update(
        status=ResolutionStatus.REFUSED, attempts=F("attempts") + 1, updated_at=timezone.now()
    )


def _judge(
    plan: _Plan, item: ResolutionItem, answer: FigiAnswer, home: HomeMarkets, remembered: RememberedDecision | None
) -> None:
    if answer.outcome != "found":
        item.status = ItemStatus.NOT_FOUND if answer.outcome == "not_found" else ItemStatus.REJECTED
        item.message = f"OpenFIGI: {answer.message}"
        plan.ended.append(item)
        return
    rows = rows_of(answer)
    if remembered is not None and not remembered.figi:
        item.status, item.message = ItemStatus.DECLINED, f"Declined before. {remembered.reason}".strip()
        plan.ended.append(item)
        return
    by_figi = {row.figi: row for row in rows}
    if remembered is not None and remembered.figi in by_figi:
        figi, reason = remembered.figi, "chosen before by a person"
    else:
        choice = choose(rows, home, asked_figi=item.value if item.scheme == "figi" else None)
        figi, reason = choice.figi or "", choice.reason
    if not figi:
        item.status, item.message = ItemStatus.REVIEW, f"{len(by_figi)} candidates: {reason}."
        plan.ended.append(item)
    else:
        take(plan, item, by_figi[figi], reason)


def take(plan: _Plan, item: ResolutionItem, row: FigiRow, reason: str) -> None:
    """A row is chosen for an item; an index is refused with the way that it takes."""
    item.figi, item.decided_at = row.figi, timezone.now()
    if row.security_market_sector == INDEX_SECTOR:
        item.status, item.message = ItemStatus.REJECTED, IS_INDEX
        plan.ended.append(item)
        return
    item.message = f"{row.figi}: {reason}."
    plan.chosen.append((item, row))


def _register(plan: _Plan) -> None:
    """Register what was chosen. Several identifiers may mean one asset."""
    asked: dict[str, list[ResolutionItem]] = {}
    rows: dict[str, FigiRow] = {}
    for item, row in plan.chosen:
        asked.setdefault(row.figi, []).append(item)
        rows[row.figi] = row
    found = [
        FoundAsset(
            row,
            asked=tuple(key_of(item) for item in asked[figi]),
            evidence={"openfigi_answer": asked[figi][0].answer_id, "asked": [str(key_of(i)) for i in asked[figi]]},
        )
        for figi, row in rows.items()
    ]
    registered = register_found(found)
    for figi, items in asked.items():
        for place, item in enumerate(items):
            is_first = registered[figi].is_new and place == 0
            item.status = ItemStatus.REGISTERED if is_first else ItemStatus.KNOWN
            item.asset = registered[figi].asset
            plan.ended.append(item)


def register_chosen(chosen: Sequence[tuple[ResolutionItem, FigiRow, str]]) -> None:
    """Register rows that were chosen for items, with the reason of each; in the caller's transaction."""
    plan = _Plan()
    for item, row, reason in chosen:
        take(plan, item, row, reason)
    _register(plan)
    save_outcomes(plan.ended)


def remembered_decisions(source: str, keys: Iterable[IdentifierKey]) -> dict[IdentifierKey, RememberedDecision]:
    """What was decided before for lists of this source."""
    wanted = set(keys)
    rows = RememberedDecision.objects.filter(source=source, value__in={key.value for key in wanted})
    found = {IdentifierKey(row.scheme, row.value, row.venue): row for row in rows}
    return {key: row for key, row in found.items() if key in wanted}
