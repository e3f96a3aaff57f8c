"""When a DataNode is run by itself: a line of cron in a time zone, kept with the task of Celery beat that does it."""

import re
from zoneinfo import ZoneInfo, available_timezones

from celery.schedules import ParseException, crontab
from django.db import transaction
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from markets.data_nodes.configuration import build_node
from markets.exceptions import Conflict, InvalidInput, NotFound, clipped
from markets.models import NodeSchedule, NodeUpdate

TASK = "markets.run_scheduled_node"
LONGEST_CRON = 255
EXAMPLE = "30 22 * * 1-5, which is 22:30 on Monday to Friday"
_PARTS = (  # name, values, first value, longest text that beat's table holds
    ("minute", 60, 0, 240),
    ("hour", 24, 0, 96),
    ("day of month", 31, 1, 124),
    ("month", 12, 1, 64),
    ("day of week", 7, 0, 64),
)
_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
_TERM = r"(\*|[0-9]{1,2}|[a-z]{3})(-([0-9]{1,2}|[a-z]{3}))?(/[0-9]{1,2})?"
_PART = re.compile(rf"{_TERM}(,{_TERM})*")


def clean_cron(value: object) -> str:
    """The five fields of a line of cron, one space apart, in small letters. Raises InvalidInput (field "cron").

    Each field is `*`, a number, a range, a list of those, or one of them with a step. Days of the week go from 0,
    Sunday, to 6, or by name; a day of the month and a day of the week must both agree, unlike in Unix's cron.
    """
    if not isinstance(value, str) or len(value) > LONGEST_CRON:
        raise InvalidInput(f"cron must be text of at most {LONGEST_CRON} characters: {EXAMPLE}.", field="cron")
    parts = value.lower().split()
    if len(parts) != len(_PARTS):
        names = ", ".join(name for name, *_ in _PARTS)
        raise InvalidInput(
            f"cron={clipped(repr(value))} has {len(parts)} fields. Write five, {names}: {EXAMPLE}.", field="cron"
        )
    for field, text, (name, values, first, longest) in zip(_FIELDS, parts, _PARTS, strict=True):
        span = f"{first} to {first + values - 1}"
        if not _PART.fullmatch(text) or len(text) > longest:
            raise InvalidInput(
                f"The {name} {clipped(repr(text))} is not understood. Write *, numbers from {span}, ranges, lists or "
                "steps: *, 5, 1-5, 0,30, */15.",
                field="cron",
            )
        try:
            crontab(**{field: text})
        except (ParseException, ValueError) as error:
            hint = " Sunday is 0." if name == "day of week" else ""
            raise InvalidInput(
                f"The {name} {clipped(repr(text))} is not understood ({error}). It goes from {span}.{hint}",
                field="cron",
            ) from error
    try:
        crontab(**dict(zip(_FIELDS, parts, strict=True))).remaining_estimate(timezone.now())
    except (ParseException, ValueError, RuntimeError) as error:
        raise InvalidInput(
            f"cron={clipped(repr(value))} never comes: no such month has that day. Change the day or the month.",
            field="cron",
        ) from error
    return " ".join(parts)


def clean_zone(value: object, *, field: str = "timezone") -> str:
    """The name of a zone, as the IANA lists it. Raises InvalidInput."""
    name = value.strip() if isinstance(value, str) else value
    if not isinstance(name, str) or name not in available_timezones():
        shown = clipped(repr(value)) if isinstance(value, str) else "That"
        raise InvalidInput(f"{shown} is no IANA time zone. Write it as America/New_York.", field=field)
    return name


def set_schedule(
    update: NodeUpdate,
    cron: str,
    *,
    zone: str = "UTC",
    update_tree: bool = True,
    recompute_stale: bool = False,
    is_enabled: bool = True,
) -> NodeSchedule:
    """Let workers run the node at these times, in place of the schedule that it has.

    A schedule that is new, changed or enabled again counts from now on: what it would have missed is not made up for.
    Raises InvalidInput (field "cron" or "timezone"), and UnknownNodeClass for a node that no worker could build; then
    nothing was written.
    """
    cron, zone = clean_cron(cron), clean_zone(zone)
    build_node(update.build_configuration)
    with transaction.atomic():
        NodeUpdate.objects.select_for_update().get(pk=update.pk)  # of two who set it at once, one is first
        schedule = NodeSchedule.objects.select_related("periodic_task__crontab").filter(node_update=update).first()
        if schedule is None:
            schedule = NodeSchedule(node_update=update)
        schedule.cron, schedule.timezone = cron, zone
        schedule.update_tree, schedule.recompute_stale, schedule.is_enabled = update_tree, recompute_stale, is_enabled
        schedule.periodic_task = _follow(schedule, update)
        schedule.save()
    return schedule


def schedule_of(update: NodeUpdate) -> NodeSchedule:
    """The node's schedule. Raises NotFound when it has none."""
    rows = NodeSchedule.objects.select_related("node_update__storage", "periodic_task__crontab")
    schedule = rows.filter(node_update=update).first()
    if schedule is None:
        raise NotFound(f"{update} has no schedule. Set one with PUT, on its page, or by node.set_schedule().")
    return schedule


def remove_schedule(update: NodeUpdate) -> None:
    """Raises NotFound when the node has none. Beat's task goes along."""
    schedule_of(update).delete()


def follows(schedule: NodeSchedule) -> bool:
    """Whether beat's task still is as the schedule says: it may have been changed by SQL or a script."""
    task = schedule.periodic_task
    wanted = _wanted(schedule)
    return (
        task.crontab is not None
        and all(str(getattr(task.crontab, name)) == text for name, text in wanted.items())
        and (task.task, task.args, task.kwargs, task.enabled)
        == (TASK, f'["{schedule.node_update.uid}"]', "{}", schedule.is_enabled)
        and not (task.one_off or task.expires or task.start_time or task.queue)
    )


def _wanted(schedule: NodeSchedule) -> dict[str, str]:
    return {**dict(zip(_FIELDS, schedule.cron.split(), strict=True)), "timezone": schedule.timezone}


def _follow(schedule: NodeSchedule, update: NodeUpdate) -> PeriodicTask:
    """Make beat's task, or put it right."""
    is_new = schedule.pk is None
    task = PeriodicTask() if is_new else schedule.periodic_task
    wanted = _wanted(schedule)
    times = CrontabSchedule() if is_new or task.crontab is None else task.crontab
    if times.pk is not None and PeriodicTask.objects.filter(crontab=times).exclude(pk=task.pk).exists():
        times = CrontabSchedule()  # somebody let another task follow it: that one keeps its times
    is_changed = times.pk is None or any(str(getattr(times, name)) != text for name, text in wanted.items())
    if is_changed:
        for name, text in wanted.items():
            setattr(times, name, ZoneInfo(text) if name == "timezone" else text)
        times.save()
    name = f"run {str(update)[:150]} {update.uid}"
    if PeriodicTask.objects.filter(name=name).exclude(pk=task.pk).exists():
        raise Conflict(f"A periodic task named {name!r} exists already. Rename or delete it under Schedules.")
    if is_new or is_changed or (schedule.is_enabled and not task.enabled):
        task.last_run_at = timezone.now()
    task.name, task.task, task.args, task.kwargs = name, TASK, f'["{update.uid}"]', "{}"
    task.crontab, task.interval, task.solar, task.clocked = times, None, None, None
    task.enabled, task.one_off = schedule.is_enabled, False
    task.queue = task.exchange = task.routing_key = None
    task.expires = task.expire_seconds = task.start_time = task.priority = None
    task.description = "Made on the page of its DataNode; change it there."
    task.save()
    return task
