"""The review inbox: identifiers whose candidates leave a choice, and what a person makes of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from markets.engine.figi_choice import HomeMarkets, choose
from markets.engine.text import storable_text
from markets.exceptions import Conflict, InvalidInput, NotFound
from markets.models import ItemStatus, RememberedDecision, ResolutionItem
from markets.services.resolutions.answers import rows_of
from markets.services.resolutions.decisions import register_chosen
from markets.services.resolutions.items import save_outcomes

LONGEST_REASON = 1_000
MOST_AT_ONCE = 10_000


@dataclass(frozen=True)
class DecidedByRule:
    """How many a rule decided, and how many it left."""

    accepted: int
    left: int


def inbox() -> QuerySet[ResolutionItem]:
    """What waits for a person, what was put off last."""
    waiting = ResolutionItem.objects.filter(status=ItemStatus.REVIEW)
    return waiting.select_related("resolution", "answer").order_by("is_postponed", "id")


def accept(item: ResolutionItem, figi: str, *, user: User | None, reason: str = "") -> ResolutionItem:
    """One of the candidates is the one: it is registered, and remembered for lists of the same source.

    Raises InvalidInput when the FIGI is none of the candidates, Conflict when the item was decided meanwhile.
    """
    reason = _clean_reason(reason)
    with transaction.atomic():
        item = _waiting(item)
        row = next((row for row in rows_of(item.answer) if row.figi == figi), None)  # type: ignore[arg-type]
        if row is None:
            raise InvalidInput(f"{figi!r} is none of the candidates of {item}. Choose one of them.", field="figi")
        _sign(item, user)
        register_chosen([(item, row, f"chosen by {user or 'a person'}")])
        _remember(item, figi, user, reason)
    return item


def decline(item: ResolutionItem, *, user: User | None, reason: str = "") -> ResolutionItem:
    """None of the candidates is the one: nothing is registered, and it is remembered."""
    reason = _clean_reason(reason)
    with transaction.atomic():
        item = _waiting(item)
        _sign(item, user)
        item.status = ItemStatus.DECLINED
        item.message = f"Declined by {user or 'a person'}. {reason}".strip()
        save_outcomes([item])
        _remember(item, "", user, reason)
    return item


def postpone(item: ResolutionItem) -> ResolutionItem:
    """Put it at the end of the inbox."""
    with transaction.atomic():
        item = _waiting(item)
        item.is_postponed = True
        item.save(update_fields=["is_postponed"])
    return item


def decide_by_rule(
    items: Iterable[ResolutionItem], exchange_codes: Sequence[str], *, user: User | None, reason: str = ""
) -> DecidedByRule:
    """Accept the composite of the first of these home markets for each item where that is plain; leave the others."""
    codes = tuple(code.strip().upper() for code in exchange_codes if code.strip())
    if not codes:
        raise InvalidInput("Name at least one home market by its exchange code, such as US.", field="exchange_codes")
    reason = _clean_reason(reason)
    wanted = [item.pk for item in items]
    if len(wanted) > MOST_AT_ONCE:
        raise InvalidInput(f"Decide at most {MOST_AT_ONCE:,} at once.", field="items")
    home = HomeMarkets(codes)
    with transaction.atomic():
        waiting = ResolutionItem.objects.select_for_update(of=("self",)).filter(pk__in=wanted, status=ItemStatus.REVIEW)
        chosen = []
        for item in waiting.select_related("answer", "resolution").order_by("pk"):
            rows = {row.figi: row for row in rows_of(item.answer)}  # type: ignore[arg-type]
            choice = choose(list(rows.values()), home)
            if choice.figi is not None:
                _sign(item, user)
                chosen.append((item, rows[choice.figi], f"{choice.reason}, as {user or 'a person'} decided"))
        register_chosen(chosen)
        for item, row, _ in chosen:
            _remember(item, row.figi, user, reason)
    return DecidedByRule(len(chosen), len(wanted) - len(chosen))


def _waiting(item: ResolutionItem) -> ResolutionItem:
    """The item, locked. Raises Conflict when it waits no longer, NotFound when it is gone."""
    locked = ResolutionItem.objects.select_for_update(of=("self",)).select_related("resolution", "answer")
    found = locked.filter(pk=item.pk).first()
    if found is None:
        raise NotFound("The list with this identifier was deleted.")
    if found.status != ItemStatus.REVIEW:
        raise Conflict(f"{found} was decided meanwhile: {found.get_status_display().lower()}. {found.message}")
    return found


def _sign(item: ResolutionItem, user: User | None) -> None:
    item.decided_by, item.decided_at = user, timezone.now()


def _remember(item: ResolutionItem, figi: str, user: User | None, reason: str) -> None:
    RememberedDecision.objects.update_or_create(
        scheme=item.scheme,
        value=item.value,
        venue=item.venue,
        source=item.resolution.source,
        defaults={"figi": figi, "reason": reason, "decided_by": user},
    )


def _clean_reason(reason: object) -> str:
    if not isinstance(reason, str) or storable_text(reason) != reason or len(reason) > LONGEST_REASON:
        raise InvalidInput(f"reason takes text of at most {LONGEST_REASON} characters.", field="reason")
    return reason.strip()
