"""The review inbox: identifiers whose candidates leave a choice, and what a person makes of them."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from markets.engine.figi_choice import Choice, HomeMarkets, choose
from markets.engine.text import storable_text
from markets.exceptions import Conflict, InvalidInput, NotFound, clipped
from markets.models import ItemStatus, RememberedDecision, Resolution, ResolutionItem
from markets.openfigi.answers import FigiRow
from markets.services.openfigi_registration import INDEX_SECTOR
from markets.services.resolutions.answers import rows_of
from markets.services.resolutions.decisions import IS_INDEX, register_chosen
from markets.services.resolutions.items import save_outcomes

LONGEST_REASON = 1_000
_REMEMBERED_BY = ("scheme", "value", "venue", "source")


def inbox(
    *, resolution: Resolution | None = None, source: str | None = None, scheme: str = "", search: str = ""
) -> QuerySet[ResolutionItem]:
    """What waits for a person, what was put off last; of one list, source or scheme, or holding a text."""
    waiting = ResolutionItem.objects.filter(status=ItemStatus.REVIEW)
    if resolution is not None:
        waiting = waiting.filter(resolution=resolution)
    if source is not None:
        waiting = waiting.filter(resolution__source=source)
    if scheme:
        waiting = waiting.filter(scheme=scheme)
    if search:
        waiting = waiting.filter(text__icontains=search)
    return waiting.select_related("resolution", "answer").order_by("is_postponed", "id")


def candidates_of(item: ResolutionItem) -> list[FigiRow]:
    """What OpenFIGI answered for it, each FIGI once, in its order. Empty where it was not asked or found nothing."""
    if item.answer is None or item.answer.outcome != "found":
        return []
    return list({row.figi: row for row in rows_of(item.answer)}.values())


def plain_choice(rows: Sequence[FigiRow], exchange_codes: Sequence[str]) -> Choice:
    """What these home markets would choose; an index is never chosen, for it is no asset."""
    choice = choose(rows, HomeMarkets(tuple(exchange_codes)))
    if choice.figi is not None and not is_acceptable(next(row for row in rows if row.figi == choice.figi)):
        return Choice(None, "it is an index")
    return choice


def is_acceptable(row: FigiRow) -> bool:
    """Whether it can become an asset."""
    return row.security_market_sector != INDEX_SECTOR


def accept(item: ResolutionItem, figi: str, *, user: User | None, reason: str = "") -> ResolutionItem:
    """One of the candidates is the one: it is registered, and remembered for lists of the same source.

    Raises InvalidInput when the FIGI is none of the candidates, Conflict when the item was decided meanwhile.
    """
    reason = clean_reason(reason)
    with transaction.atomic():
        item = _waiting(item)
        row = next((row for row in candidates_of(item) if row.figi == figi), None)
        if row is None:
            raise InvalidInput(
                f"{clipped(figi)!r} is none of the candidates of {item}. Choose one of them.", field="figi"
            )
        if not is_acceptable(row):
            raise InvalidInput(f"{figi}: {IS_INDEX}", field="figi")
        sign(item, user)
        register_chosen([(item, row, f"chosen by {user or 'a person'}")])
        remember([(item, figi)], user, reason)
    return item


def decline(item: ResolutionItem, *, user: User | None, reason: str = "") -> ResolutionItem:
    """None of the candidates is the one: nothing is registered, and it is remembered."""
    reason = clean_reason(reason)
    with transaction.atomic():
        item = _waiting(item)
        sign(item, user)
        item.status = ItemStatus.DECLINED
        item.message = f"Declined by {user or 'a person'}. {reason}".strip()
        save_outcomes([item])
        remember([(item, "")], user, reason)
    return item


def postpone(item: ResolutionItem) -> ResolutionItem:
    """Put it at the end of the inbox."""
    with transaction.atomic():
        item = _waiting(item)
        item.is_postponed = True
        item.save(update_fields=["is_postponed"])
    return item


def locked(item: ResolutionItem) -> ResolutionItem:
    """The item as it is now, locked for the transaction. Raises NotFound when it is gone."""
    rows = ResolutionItem.objects.select_for_update(of=("self",)).select_related("resolution", "answer")
    found = rows.filter(pk=item.pk).first()
    if found is None:
        raise NotFound("The list with this identifier was deleted.")
    return found


def _waiting(item: ResolutionItem) -> ResolutionItem:
    """The item, locked. Raises Conflict when it waits no longer, NotFound when it is gone."""
    found = locked(item)
    if found.status != ItemStatus.REVIEW:
        raise Conflict(f"{found} was decided meanwhile: {found.get_status_display().lower()}. {found.message}")
    return found


def sign(item: ResolutionItem, user: User | None) -> None:
    item.decided_by, item.decided_at = user, timezone.now()


def remember(decided: Sequence[tuple[ResolutionItem, str]], user: User | None, reason: str) -> None:
    """Keep the FIGI that was chosen for each item, nothing for none of them; over what was decided before."""
    rows = {}
    for item, figi in decided:
        key = (item.scheme, item.value, item.venue, item.resolution.source)
        names = dict(zip(_REMEMBERED_BY, key, strict=True))
        rows[key] = RememberedDecision(**names, figi=figi, reason=reason, decided_by=user)
    RememberedDecision.objects.bulk_create(
        [rows[key] for key in sorted(rows)],  # two writers lock in one order
        update_conflicts=True,
        unique_fields=_REMEMBERED_BY,
        update_fields=["figi", "reason", "decided_by", "updated_at"],
    )


def clean_reason(reason: object) -> str:
    if not isinstance(reason, str) or storable_text(reason) != reason or len(reason) > LONGEST_REASON:
        raise InvalidInput(f"reason takes text of at most {LONGEST_REASON} characters.", field="reason")
    return reason.strip()
