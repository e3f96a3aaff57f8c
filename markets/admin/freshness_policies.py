"""The freshness policy of a DataNode: a panel on its page, and the forms that set and remove it."""

from functools import partial
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminTimeWidget,
    UnfoldBooleanSwitchWidget,
)

from markets.admin.formatting import age, badge, utc
from markets.admin.node_forms import ZoneSelect, ask_and_save, ask_to_remove, node_of, zones
from markets.admin.selecting import Question
from markets.admin.tables import Fact
from markets.models import Calendar, FreshnessPolicy, FreshnessRule, FreshnessUnit, SessionStamp
from markets.models.freshness import LARGEST_EVERY, LONGEST_DELAY, MOST_DAYS_LATER
from markets.services import freshness, freshness_policies

VIEW, CHANGE, DELETE = (f"markets.{verb}_freshnesspolicy" for verb in ("view", "change", "delete"))
PANEL = "freshness"
NAMES = (
    *("rule", "calendar", "delay_minutes", "due_time", "timezone", "days_later", "every", "every_unit", "stamp"),
    *("is_active", "note"),
)


def _whole(label: str, least: int, most: int, help_text: str) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        required=False,
        min_value=least,
        max_value=most,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        help_text=help_text,
    )


class PolicyForm(forms.Form):
    rule = forms.ChoiceField(
        label="Data are expected",
        choices=[("", "Choose…"), *FreshnessRule.choices],
        widget=UnfoldAdminSelectWidget,
        error_messages={"required": "Choose when data are expected."},
    )
    calendar = forms.ModelChoiceField(
        label="Calendar",
        queryset=Calendar.objects.order_by("unique_identifier"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="Whose sessions count. For the first two rules.",
    )
    delay_minutes = _whole("Minutes after the close", 0, LONGEST_DELAY, "For the first rule: 90.")
    due_time = forms.TimeField(
        label="Time of day",
        required=False,
        widget=UnfoldAdminTimeWidget,
        help_text="For the second rule: 18:30. Never before the session's close.",
    )
    timezone = forms.ChoiceField(
        label="Time zone",
        choices=partial(zones, empty="—"),
        required=False,
        widget=ZoneSelect,
        help_text="Of that time of day.",
    )
    days_later = _whole("Days later", 0, MOST_DAYS_LATER, "0: on the session's own day; 1: on the day after.")
    every = _whole("Every", 1, LARGEST_EVERY, "For the third rule: 30 minutes, 6 hours, 1 day since the last data.")
    every_unit = forms.ChoiceField(
        label="Unit", choices=[("", "—"), *FreshnessUnit.choices], required=False, widget=UnfoldAdminSelectWidget
    )
    stamp = forms.ChoiceField(
        label="Rows are stamped with",
        choices=SessionStamp.choices,
        widget=UnfoldAdminSelectWidget,
        help_text="What the time of a session's row is.",
    )
    is_active = forms.BooleanField(
        label="Active",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Switched off, the node is never overdue.",
    )
    note = forms.CharField(
        label="Note", max_length=500, required=False, widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    )


def urls(model_admin: Any) -> list[URLPattern]:
    view = model_admin.admin_site.admin_view
    return [
        path("<int:pk>/freshness/", view(partial(_set, model_admin)), name="markets_nodeupdate_freshness"),
        path("<int:pk>/freshness/remove/", view(partial(_remove, model_admin)), name="markets_nodeupdate_unwatch"),
    ]


def panel(request: HttpRequest, update: Any) -> dict[str, Any] | None:
    """What the node's page shows; None for whoever may not see policies."""
    user = request.user
    if not user.has_perm(VIEW):
        return None
    policy: FreshnessPolicy | None = getattr(update, "freshness_policy", None)
    shown: dict[str, Any] = {
        "set_url": reverse("admin:markets_nodeupdate_freshness", args=(update.pk,)) if user.has_perm(CHANGE) else "",
        "is_set": policy is not None,
    }
    if policy is None:
        return shown
    now = timezone.now()
    found = freshness.freshness_of([update], {update.pk: getattr(update, "last_time", None)}, now)[update.pk]
    verdict = found.verdict
    state = badge(found.text, found.tone) if policy.is_active else badge("not watched", "plain")
    facts = [Fact("Expected", freshness.in_words(policy)), Fact("State", state)]
    if verdict is not None:
        if verdict.expected_date is not None:
            facts.append(Fact("Newest session due", verdict.expected_date.strftime("%a %Y-%m-%d")))
        if verdict.is_overdue:
            facts.append(Fact("Due since", f"{utc(verdict.due_since)} ({age(verdict.due_since, now)})"))
        facts.append(Fact("Next due", utc(verdict.next_due)))
    if policy.note:
        facts.append(Fact("Note", policy.note, wide=True))
    return {
        **shown,
        "remove_url": reverse("admin:markets_nodeupdate_unwatch", args=(update.pk,)) if user.has_perm(DELETE) else "",
        "facts": facts,
        "problem": found.problem,
    }


def _set(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    update = node_of(request, pk, CHANGE)
    policy = FreshnessPolicy.objects.filter(node_update=update).first()
    initial = {"is_active": True} if policy is None else {name: getattr(policy, name) for name in NAMES}
    question = Question(
        title=f"Freshness policy of {update}",
        button="Save policy",
        will=[
            "By when its data are expected. When they are missing, the node is overdue: on the dashboard, over REST "
            "and for manage.py overdue_nodes."
        ],
        form=PolicyForm(request.POST if request.method == "POST" else None, initial=initial),
        is_last=False,
    )

    def save(values: dict[str, Any]) -> str:
        made = freshness_policies.set_policy(update, **values)
        return f"The data of {update} are expected {freshness.in_words(made)}."

    return ask_and_save(model_admin, request, update, question, save, panel=PANEL)


def _remove(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    return ask_to_remove(
        model_admin,
        request,
        node_of(request, pk, DELETE),
        "freshness policy",
        will="Its age is still shown, but it is never overdue.",
        remove=freshness_policies.remove_policy,
        panel=PANEL,
    )


def overdue_cells(item: freshness.Overdue, now: Any) -> tuple[Any, Any]:
    """What is expected, and since when, of a node in the overdue list."""
    verdict, problem = item.freshness.verdict, item.freshness.problem
    if verdict is None or not verdict.is_overdue:
        return problem, badge(item.freshness.text, item.freshness.tone)
    what = f"session {verdict.expected_date:%a %Y-%m-%d}" if verdict.expected_date else "new data"
    if verdict.behind and verdict.behind > 1:
        what = f"{what} and {verdict.behind - 1:,} before it"
    since = format_html("{}<div class='msm-quiet'>{} late</div>", utc(verdict.due_since), age(verdict.due_since, now))
    return format_html("{}<div class='msm-quiet'>{}</div>", what, problem) if problem else what, since
