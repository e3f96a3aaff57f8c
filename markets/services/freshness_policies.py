"""Freshness policies: set and removed here, by whatever door."""

import datetime as dt
from typing import Any

from django.db import transaction

from markets.data_nodes.schedules import clean_zone
from markets.exceptions import InvalidInput, NotFound, clipped
from markets.models import Calendar, FreshnessPolicy, FreshnessRule, FreshnessUnit, NodeUpdate, SessionStamp
from markets.models.freshness import LARGEST_EVERY, LONGEST_DELAY, MOST_DAYS_LATER
from markets.services.values import clean_optional_text

FIELDS: dict[str, tuple[str, ...]] = {
    FreshnessRule.AFTER_CLOSE: ("calendar", "delay_minutes"),
    FreshnessRule.AT_TIME: ("calendar", "due_time", "timezone", "days_later"),
    FreshnessRule.EVERY: ("every", "every_unit"),
}
EMPTY: dict[str, Any] = {
    "calendar": None,
    "delay_minutes": None,
    "due_time": None,
    "timezone": "",
    "days_later": None,
    "every": None,
    "every_unit": "",
}


def policy_of(update: NodeUpdate) -> FreshnessPolicy:
    """The node's policy. Raises NotFound when it has none."""
    policy = FreshnessPolicy.objects.select_related("calendar", "node_update__storage").filter(node_update=update)
    found = policy.first()
    if found is None:
        raise NotFound(f"{update} has no freshness policy. Set one with PUT, or on its page.")
    return found


def set_policy(
    update: NodeUpdate,
    *,
    rule: str,
    calendar: Calendar | None = None,
    delay_minutes: int | None = None,
    due_time: dt.time | None = None,
    timezone: str | None = None,
    days_later: int | None = None,
    every: int | None = None,
    every_unit: str | None = None,
    stamp: str = SessionStamp.CLOSE,
    is_active: bool = True,
    note: str | None = None,
) -> FreshnessPolicy:
    """Give the node this policy in place of the one that it has.

    `rule` after_close takes `calendar` and `delay_minutes` (0 to 20,160); at_time takes `calendar`, `due_time` (to the
    minute, in the IANA zone `timezone`) and `days_later` (0 to 7, 0 unless given); every takes `every` and `every_unit`
    (minutes, hours, days). Raises InvalidInput, naming the field, for one that is missing, wrong or another rule's;
    then nothing was written.
    """
    if rule not in FreshnessRule.values:
        raise InvalidInput(f"rule={clipped(repr(rule))} is none of {', '.join(FreshnessRule.values)}.", field="rule")
    given = {
        "calendar": calendar,
        "delay_minutes": delay_minutes,
        "due_time": due_time,
        "timezone": timezone or "",
        "days_later": days_later,
        "every": every,
        "every_unit": every_unit or "",
    }
    for name, value in given.items():
        if name not in FIELDS[rule] and value != EMPTY[name]:
            takes = ", ".join(FIELDS[rule])
            raise InvalidInput(f"{name} does not go with the rule {rule}, which takes {takes}. Remove it.", field=name)
    if rule == FreshnessRule.AT_TIME and days_later is None:
        given["days_later"] = 0
    for name in FIELDS[rule]:
        if given[name] in (None, ""):
            raise InvalidInput(f"{name} is missing: the rule {rule} takes {', '.join(FIELDS[rule])}.", field=name)
    _check_number(given["delay_minutes"], "delay_minutes", 0, LONGEST_DELAY)
    _check_number(given["days_later"], "days_later", 0, MOST_DAYS_LATER)
    _check_number(given["every"], "every", 1, LARGEST_EVERY)
    if given["every_unit"] and given["every_unit"] not in FreshnessUnit.values:
        shown = clipped(repr(every_unit))
        raise InvalidInput(f"every_unit={shown} is none of {', '.join(FreshnessUnit.values)}.", field="every_unit")
    if given["timezone"]:
        given["timezone"] = clean_zone(given["timezone"])
    if due_time is not None:
        given["due_time"] = _clean_time(due_time)
    if stamp not in SessionStamp.values:
        raise InvalidInput(f"stamp={clipped(repr(stamp))} is none of {', '.join(SessionStamp.values)}.", field="stamp")
    said = clean_optional_text(note, field="note", longest=500) or ""
    with transaction.atomic():
        NodeUpdate.objects.select_for_update().get(pk=update.pk)
        policy = FreshnessPolicy.objects.filter(node_update=update).first() or FreshnessPolicy(node_update=update)
        for name, value in {**given, "rule": rule, "stamp": stamp, "is_active": is_active, "note": said}.items():
            setattr(policy, name, value)
        policy.save()
    return policy


def remove_policy(update: NodeUpdate) -> None:
    """Raises NotFound when the node has none."""
    policy_of(update).delete()


def _clean_time(value: object) -> dt.time:
    if not isinstance(value, dt.time) or value.tzinfo is not None:
        raise InvalidInput("due_time is a time of day without a zone: 18:30. Its zone is timezone.", field="due_time")
    if value.second or value.microsecond:
        raise InvalidInput(f"due_time={value} has seconds. Give it to the minute: {value:%H:%M}.", field="due_time")
    return value


def _check_number(value: object, field: str, least: int, most: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidInput(f"{field} must be a whole number from {least} to {most:,}.", field=field)
