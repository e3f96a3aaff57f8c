"""The schedule of a DataNode: a panel on its page, and the forms that set and remove it."""

from functools import partial
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from markets.admin.formatting import age, badge, code, utc
from markets.admin.node_forms import ZoneSelect, ask_and_save, ask_to_remove, node_of, zones
from markets.admin.selecting import Question
from markets.admin.tables import Fact
from markets.data_nodes.schedules import LONGEST_CRON
from markets.models import NodeSchedule, NodeUpdate
from markets.services import node_schedules

VIEW, CHANGE, DELETE = (f"markets.{verb}_nodeschedule" for verb in ("view", "change", "delete"))
PANEL = "schedule"


class ScheduleForm(forms.Form):
    cron = forms.CharField(
        label="When",
        max_length=LONGEST_CRON,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="Minute, hour, day of month, month, day of week (0 is Sunday). 30 22 * * 1-5 is 22:30 on Monday to "
        "Friday; */15 9-17 * * * every quarter of an hour from 9:00 to 17:45.",
        error_messages={"required": "Say when: 30 22 * * 1-5."},
    )
    timezone = forms.ChoiceField(
        label="Time zone", choices=zones, widget=ZoneSelect, help_text="Whose clock it goes by."
    )
    update_tree = forms.BooleanField(label="Run what it reads first", required=False, widget=UnfoldBooleanSwitchWidget)
    recompute_stale = forms.BooleanField(
        label="Compute again what is stale", required=False, widget=UnfoldBooleanSwitchWidget
    )
    is_enabled = forms.BooleanField(label="Enabled", required=False, widget=UnfoldBooleanSwitchWidget)


def urls(model_admin: Any) -> list[URLPattern]:
    view = model_admin.admin_site.admin_view
    return [
        path("<int:pk>/schedule/", view(partial(_set, model_admin)), name="markets_nodeupdate_schedule"),
        path("<int:pk>/schedule/remove/", view(partial(_remove, model_admin)), name="markets_nodeupdate_unschedule"),
    ]


def panel(request: HttpRequest, update: NodeUpdate) -> dict[str, Any] | None:
    """What the node's page shows; None for whoever may not see schedules."""
    user = request.user
    if not user.has_perm(VIEW):
        return None
    rows = NodeSchedule.objects.select_related("periodic_task__crontab")
    schedule = rows.filter(node_update=update).first()
    may_change = user.has_perm(CHANGE)
    shown: dict[str, Any] = {
        "set_url": reverse("admin:markets_nodeupdate_schedule", args=(update.pk,)) if may_change else "",
        "is_set": schedule is not None,
    }
    if schedule is None:
        return shown
    schedule.node_update = update
    told = node_schedules.described(schedule)
    now = timezone.now()
    next_due = utc(told.next_due_at)
    fired = utc(schedule.last_fired_at)
    return {
        **shown,
        "remove_url": reverse("admin:markets_nodeupdate_unschedule", args=(update.pk,))
        if user.has_perm(DELETE)
        else "",
        "problem": told.problem,
        "facts": [
            Fact("When", told.words),
            Fact("As cron", code(schedule.cron)),
            Fact("State", badge("enabled", "good") if schedule.is_enabled else badge("disabled", "wait")),
            Fact(
                "Next due", f"{next_due} ({age(told.next_due_at, now)})" if told.next_due_at else "not while disabled"
            ),
            Fact(
                "Last fired", f"{fired} ({age(schedule.last_fired_at, now)} ago)" if schedule.last_fired_at else "never"
            ),
            Fact("Runs", _runs(schedule)),
        ],
    }


def _runs(schedule: NodeSchedule) -> str:
    what = "what it reads, then the node" if schedule.update_tree else "the node alone"
    return f"{what}; computes stale rows again" if schedule.recompute_stale else what


def _set(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    update = node_of(request, pk, CHANGE)
    schedule = NodeSchedule.objects.filter(node_update=update).first()
    names = ("cron", "timezone", "update_tree", "recompute_stale", "is_enabled")
    initial: dict[str, Any] = {"timezone": "UTC", "update_tree": True, "is_enabled": True}
    if schedule is not None:
        initial = {name: getattr(schedule, name) for name in names}
    question = Question(
        title=f"Schedule of {update}",
        button="Save schedule",
        will=["Workers run it at these times. While a run of it waits or goes on, no second one is asked for."],
        form=ScheduleForm(request.POST if request.method == "POST" else None, initial=initial),
        is_last=False,
    )

    def save(values: dict[str, Any]) -> str:
        made = node_schedules.set_schedule(update, values.pop("cron"), zone=values.pop("timezone"), **values)
        return f"{update} runs {node_schedules.in_words(made.cron, made.timezone)}" + (
            "." if made.is_enabled else ", once it is enabled."
        )

    return ask_and_save(model_admin, request, update, question, save, panel=PANEL)


def _remove(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    return ask_to_remove(
        model_admin,
        request,
        node_of(request, pk, DELETE),
        "schedule",
        will="It is then run only when somebody asks for it. Its data and runs stay.",
        remove=node_schedules.remove_schedule,
        panel=PANEL,
    )
