"""Many waiting identifiers decided at once: the composite of the first of the given home markets, where it is plain."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from markets.exceptions import InvalidInput
from markets.models import ItemStatus, ResolutionItem
from markets.openfigi.answers import FigiRow
from markets.services.home_markets import clean_exchange_codes
from markets.services.resolutions.decisions import register_chosen
from markets.services.resolutions.inbox import candidates_of, clean_reason, plain_choice, remember, sign

MOST_AT_ONCE = 10_000
CHUNK = 100  # items whose candidates, hundreds each, are in memory together
EXAMPLES = 50


@dataclass(frozen=True)
class Proposal:
    """What a rule makes of one item; `row` is None where it leaves it, for the reason."""

    item: ResolutionItem
    row: FigiRow | None
    reason: str


@dataclass(frozen=True)
class DecidedByRule:
    """How many a rule decides, and how many it leaves; `examples` are the first of both."""

    accepted: int
    left: int
    examples: Sequence[Proposal] = field(default_factory=tuple)


def preview_rule(items: Iterable[ResolutionItem], exchange_codes: object) -> DecidedByRule:
    """What `decide_by_rule` would do now. Reads only."""
    codes = clean_exchange_codes(exchange_codes)
    accepted = left = 0
    examples: list[Proposal] = []
    for keys in _chunks(_keys_of(items)):
        for proposal in _proposals(_waiting(keys), codes):
            accepted, left = accepted + (proposal.row is not None), left + (proposal.row is None)
            if len(examples) < EXAMPLES:
                examples.append(proposal)
    return DecidedByRule(accepted, left, examples)


def decide_by_rule(
    items: Iterable[ResolutionItem], exchange_codes: object, *, user: User | None, reason: str = ""
) -> DecidedByRule:
    """Accept the composite of the first of these home markets for each item where that is plain; leave the others.

    `items` is a queryset, or the items themselves; those that wait no longer are left alone. Each chunk is one
    transaction: what was decided stays decided when the rest is interrupted. Raises InvalidInput for no or a wrong
    exchange code, and for more than 10,000 items.
    """
    codes = clean_exchange_codes(exchange_codes)
    reason = clean_reason(reason)
    wanted = _keys_of(items)
    accepted = sum(_decide(keys, codes, user, reason) for keys in _chunks(wanted))
    return DecidedByRule(accepted, len(wanted) - accepted)


@transaction.atomic
def _decide(keys: Sequence[int], codes: Sequence[str], user: User | None, reason: str) -> int:
    chosen: list[tuple[ResolutionItem, FigiRow, str]] = []
    for proposal in _proposals(_waiting(keys).select_for_update(of=("self",)), codes):
        if proposal.row is not None:
            sign(proposal.item, user)
            chosen.append((proposal.item, proposal.row, f"{proposal.reason}, as {user or 'a person'} decided"))
    register_chosen(chosen)
    remember([(item, row.figi) for item, row, _ in chosen], user, reason)
    return len(chosen)


def _proposals(items: QuerySet[ResolutionItem], codes: Sequence[str]) -> Iterator[Proposal]:
    for item in items:
        rows = candidates_of(item)
        choice = plain_choice(rows, codes)
        yield Proposal(item, next((row for row in rows if row.figi == choice.figi), None), choice.reason)


def _waiting(keys: Sequence[int]) -> QuerySet[ResolutionItem]:
    rows = ResolutionItem.objects.filter(pk__in=keys, status=ItemStatus.REVIEW)
    return rows.select_related("answer", "resolution").order_by("pk")


def _keys_of(items: Iterable[ResolutionItem]) -> list[int]:
    if isinstance(items, QuerySet):
        keys = list(items.order_by("pk").values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
    else:
        keys = sorted(item.pk for item in items)
    if len(keys) > MOST_AT_ONCE:
        raise InvalidInput(
            f"More than {MOST_AT_ONCE:,} identifiers wait here. Decide at most that many at once: choose one list, "
            "source or scheme.",
            field="items",
        )
    return keys


def _chunks(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]
