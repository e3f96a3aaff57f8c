"""How fresh the data of DataNodes are, and which are overdue by their policy: for any number of nodes at once."""

import bisect
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, Max, OuterRef, Q, QuerySet, Subquery, prefetch_related_objects

from markets.data_nodes.node_calendars import calendar_of
from markets.engine.freshness import AfterClose, AtTime, Every, Sessions, Verdict, judge
from markets.models import (
    Calendar,
    CalendarSession,
    FreshnessPolicy,
    FreshnessRule,
    NodeRun,
    NodeUpdate,
    SessionStamp,
)

FEW_SESSIONS = 5  # a week: older than that is not a late vendor but a node that nobody runs
FEW_DAYS = 7
RECENT_DAYS = 4  # a long weekend
LOOK_BACK = dt.timedelta(days=15)  # longer than any market stays closed
LOOK_AHEAD = dt.timedelta(days=31)  # longer than any delay and closure together


@dataclass(frozen=True)
class Freshness:
    """`text` for a person; `tone`: good, wait (getting old, or not to be told), bad (old, overdue), plain (no data).

    `verdict` is None for a node without an active policy: such a node is never overdue. `problem` says why the policy
    cannot tell whether data are missing, and what to do.
    """

    text: str
    tone: str
    verdict: Verdict | None = None
    problem: str = ""

    @property
    def is_overdue(self) -> bool:
        return self.verdict is not None and self.verdict.is_overdue

    @property
    def due_at(self) -> dt.datetime | None:
        """When the missing data were due; else when the next are."""
        return None if self.verdict is None else self.verdict.due_since or self.verdict.next_due


@dataclass(frozen=True)
class Overdue:
    """A node that its policy complains of: overdue, or `freshness.problem` says why that cannot be told."""

    update: Any
    freshness: Freshness


def with_latest_run(updates: QuerySet[NodeUpdate]) -> QuerySet[NodeUpdate]:
    """The updates with `last_status` and `last_started` of their latest run, and `last_time` of their data."""
    runs = NodeRun.objects.filter(node_update=OuterRef("pk")).order_by("-id")
    wrote = runs.filter(last_time_index__isnull=False)
    return updates.select_related("storage", "freshness_policy__calendar").annotate(
        last_status=Subquery(runs.values("status")[:1]),
        last_started=Subquery(runs.values("started_at")[:1]),
        last_time=Subquery(wrote.values("last_time_index")[:1]),
    )


def freshness_of(
    updates: Sequence[NodeUpdate], last_times: Mapping[int, dt.datetime | None], now: dt.datetime
) -> dict[int, Freshness]:
    """Primary key of each update → freshness, of each alone.

    Two queries whatever their number, and a third where the policies were not selected along.
    """
    prefetch_related_objects(list(updates), "freshness_policy__calendar")
    policies = {update.pk: policy for update in updates if (policy := _active_policy(update)) is not None}
    names = {update.pk: calendar_of(update.build_configuration) for update in updates if update.pk not in policies}
    needs: dict[Any, list[dt.datetime]] = {}  # a calendar's key or name → the instants from which it is needed
    for update in updates:
        last = last_times.get(update.pk)
        if update.pk in policies:
            if policies[update.pk].calendar_id is not None:
                needs.setdefault(policies[update.pk].calendar_id, []).append(last or now)
        elif names[update.pk] and last is not None:
            needs.setdefault(names[update.pk], []).append(last)
    known = _sessions(needs, now)
    found = {}
    for update in updates:
        last = last_times.get(update.pk)
        policy = policies.get(update.pk)
        if policy is not None:
            found[update.pk] = _by_policy(policy, known.get(policy.calendar_id), last, now)
            continue
        calendar = known.get(names[update.pk])
        closes = calendar.closes if calendar is not None else ()
        is_regular = bool(update.storage.data_frequency_id or names[update.pk])
        found[update.pk] = _by_age(last, closes, now, is_regular=is_regular)
    return found


def overdue(now: dt.datetime) -> list[Overdue]:
    """Every node whose active policy complains, the longest overdue first. Three queries whatever their number."""
    updates: list[Any] = list(with_latest_run(NodeUpdate.objects.filter(freshness_policy__is_active=True)))
    found = freshness_of(updates, {update.pk: update.last_time for update in updates}, now)
    complaints = [
        Overdue(update, found[update.pk])
        for update in updates
        if found[update.pk].is_overdue or found[update.pk].problem
    ]
    far = dt.datetime.max.replace(tzinfo=dt.UTC)
    return sorted(
        complaints,
        key=lambda item: (
            not item.freshness.is_overdue,
            (item.freshness.verdict.due_since if item.freshness.verdict else None) or far,
            str(item.update),
        ),
    )


def any_policy() -> bool:
    """Whether any node has an active policy."""
    return bool(NodeUpdate.objects.filter(Exists(_active_policies())).exists())


def _active_policies() -> QuerySet[FreshnessPolicy]:
    return FreshnessPolicy.objects.filter(node_update=OuterRef("pk"), is_active=True)


def rule_of(policy: FreshnessPolicy) -> AfterClose | AtTime | Every:
    """The stored policy as the engine takes it."""
    if policy.rule == FreshnessRule.AFTER_CLOSE:
        return AfterClose(dt.timedelta(minutes=policy.delay_minutes or 0))
    if policy.rule == FreshnessRule.AT_TIME:
        return AtTime(policy.due_time or dt.time(), policy.timezone, policy.days_later or 0)
    return Every(dt.timedelta(**{policy.every_unit: policy.every or 1}), policy.created_at)


def in_words(policy: FreshnessPolicy) -> str:
    """The policy as a person says it: 90 min after each close of XNYS."""
    if policy.rule == FreshnessRule.EVERY:
        every = policy.every or 1
        return f"every {policy.every_unit.removesuffix('s')}" if every == 1 else f"every {every:,} {policy.every_unit}"
    if policy.rule == FreshnessRule.AFTER_CLOSE:
        return f"{_minutes(policy.delay_minutes or 0)} after each close of {policy.calendar}"
    later = {0: "on the day", 1: "on the day after"}.get(policy.days_later or 0, f"{policy.days_later} days after")
    return f"at {policy.due_time:%H:%M} {policy.timezone}, {later} of each session of {policy.calendar}"


def _minutes(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    if not minutes:
        return "at once"
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{rest} min" if rest else "") if part)


def _active_policy(update: NodeUpdate) -> FreshnessPolicy | None:
    policy: FreshnessPolicy | None = getattr(update, "freshness_policy", None)
    return policy if policy is not None and policy.is_active else None


def _sessions(needs: Mapping[Any, Sequence[dt.datetime]], now: dt.datetime) -> dict[Any, Sessions]:
    """Calendar (by key and by identifier) → its sessions from some days before the earliest need on."""
    if not needs:
        return {}
    keys = [key for key in needs if isinstance(key, int)]
    calendars = list(
        Calendar.objects.filter(Q(pk__in=keys) | Q(unique_identifier__in=[key for key in needs if key not in keys]))
        .annotate(
            last_close=Max("sessions__closes_at", filter=Q(sessions__is_primary=True)),
            last_session=Max("sessions__local_date", filter=Q(sessions__is_primary=True)),
        )
        .order_by("pk")
    )
    wanted = Q(pk__in=[])
    for calendar in calendars:
        if calendar.last_close is not None:
            froms = [*needs.get(calendar.pk, ()), *needs.get(calendar.unique_identifier, ())]
            start = min(*froms, now, calendar.last_close)
            start = start - LOOK_BACK if start > dt.datetime.min.replace(tzinfo=dt.UTC) + LOOK_BACK else start
            wanted |= Q(calendar=calendar.pk, closes_at__gt=start)
    rows = (
        CalendarSession.objects.filter(wanted, is_primary=True, closes_at__lte=now + LOOK_AHEAD)
        .order_by("closes_at")
        .values_list("calendar_id", "closes_at", "local_date")
    )
    read: dict[int, tuple[list[dt.datetime], list[dt.date]]] = {}
    for pk, close, date in rows:
        closes, dates = read.setdefault(pk, ([], []))
        if not closes or (close > closes[-1] and date >= dates[-1]):  # of sessions out of order the first one counts
            closes.append(close)
            dates.append(date)
    found: dict[Any, Sessions] = {}
    for calendar in calendars:
        closes, dates = read.get(calendar.pk, ([], []))
        found[calendar.pk] = found[calendar.unique_identifier] = Sessions(closes, dates, calendar.last_session)
    return found


def _by_policy(
    policy: FreshnessPolicy, sessions: Sessions | None, last: dt.datetime | None, now: dt.datetime
) -> Freshness:
    verdict = judge(rule_of(policy), sessions, last, now, stamped_by_date=policy.stamp == SessionStamp.DATE)
    problem = ""
    if verdict.has_no_sessions:
        problem = f"The calendar {policy.calendar} has no sessions: give it some, then its data can be missed."
    elif verdict.ends_on is not None:
        problem = f"The sessions of {policy.calendar} end on {verdict.ends_on}: extend the calendar."
    if verdict.is_overdue:
        missing = "no data yet" if last is None else _behind(verdict.behind) or f"{_span(verdict.late_by(now))} late"
        return Freshness(f"overdue, {missing}", "bad", verdict, problem)
    if problem:
        return Freshness("cannot tell", "wait", verdict, problem)
    if last is None:
        return Freshness("no data yet", "plain", verdict)
    return Freshness("up to date", "good", verdict)


def _behind(sessions: int | None) -> str:
    return f"{sessions:,} session{'' if sessions == 1 else 's'} behind" if sessions else ""


def _span(length: dt.timedelta) -> str:
    """5 min, 3 h, 2 d: the largest unit that says it."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 60:
        return f"{max(minutes, 1)} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440:,} d"


def _by_age(
    last: dt.datetime | None, closes: Sequence[dt.datetime], now: dt.datetime, *, is_regular: bool
) -> Freshness:
    """Without a policy: in sessions of the calendar that the node names, in days where it names none."""
    if last is None:
        return Freshness("no data yet", "plain")
    ended = bisect.bisect_right(closes, now)
    if ended and (now - closes[ended - 1]).days < FEW_DAYS:  # a calendar that ends in the past cannot tell sessions
        behind = ended - bisect.bisect_right(closes, last)
        if behind <= 0:
            return Freshness("up to date", "good")
        return Freshness(_behind(behind), "good" if behind == 1 else "wait" if behind <= FEW_SESSIONS else "bad")
    seconds = (now - last).total_seconds()
    if seconds < -60:
        text = f"in {_span(last - now)}"
    elif seconds < 60:
        text = "just now"
    else:
        text = _span(now - last)
    if not is_regular:  # without a frequency or a calendar nothing is late: a signal may hold for years
        return Freshness(text, "plain")
    days = seconds / 86400
    return Freshness(
        text if text.startswith("in ") or text == "just now" else f"{text} old",
        "good" if days <= RECENT_DAYS else "wait" if days <= FEW_DAYS else "bad",
    )
