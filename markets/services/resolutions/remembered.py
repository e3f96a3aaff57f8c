"""Remembered decisions: changed by a person who thinks better of it, or forgotten."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from markets.engine.identifiers import figi_fault
from markets.exceptions import Conflict, InvalidInput, clipped
from markets.models import ItemStatus, RememberedDecision, ResolutionItem
from markets.services.home_markets import clean_note
from markets.services.registry_rows import change
from markets.services.resolutions.inbox import LONGEST_REASON, locked
from markets.services.values import UNSET, Unset, given


@transaction.atomic
def change_remembered(
    row: RememberedDecision, *, user: User | None, figi: str | Unset = UNSET, reason: str | Unset = UNSET
) -> RememberedDecision:
    """Another FIGI, or none of the candidates (empty), for the lists to come. What was registered stays as it is."""
    fields: dict[str, Any] = given(figi=figi, reason=reason)
    if "figi" in fields:
        fields["figi"] = _clean_figi(fields["figi"])
    if "reason" in fields:
        fields["reason"] = clean_note(fields["reason"], field="reason", longest=LONGEST_REASON)
    if any(getattr(row, name) != value for name, value in fields.items()):
        fields["decided_by"] = user
    return change(row, fields)


@transaction.atomic
def reopen(item: ResolutionItem) -> ResolutionItem:
    """A declined item waits in the inbox again, and its decision is forgotten. Nothing rests on it: no asset was made.

    Raises Conflict for an item that ended otherwise.
    """
    item = locked(item)
    if item.status != ItemStatus.DECLINED or item.answer is None or not item.answer.rows:
        raise Conflict(
            f"{item} is not declined but {item.get_status_display().lower()}. Only what was declined is reopened."
        )
    RememberedDecision.objects.filter(
        scheme=item.scheme, value=item.value, venue=item.venue, source=item.resolution.source
    ).delete()
    item.status, item.is_postponed = ItemStatus.REVIEW, False
    item.decided_by = item.decided_at = None
    item.message = f"{len({row['figi'] for row in item.answer.rows})} candidates: reopened."
    item.save(update_fields=["status", "is_postponed", "decided_by", "decided_at", "message"])
    return item


def _clean_figi(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput("figi must be text: a FIGI, or nothing for none of the candidates.", field="figi")
    text = value.strip().upper()
    if text and (fault := figi_fault(text)) is not None:
        raise InvalidInput(f"{clipped(text)!r} is no FIGI: {fault}.", field="figi")
    return text
