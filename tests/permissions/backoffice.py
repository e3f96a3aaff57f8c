"""The world with rows that only the back-office shows, and forms filled as a browser would send them."""

import datetime as dt
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django import forms
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from markets.models import AccessToken, Change
from tests import factories
from tests.rest.base import World


class Rows:
    """The key of every row, by its name."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rows: dict[str, Any] = {name: getattr(world, name) for name in world.__dataclass_fields__}
        interval = IntervalSchedule.objects.create(every=3, period="days")
        self.rows |= {
            "storage": world.node.storage,
            "node_run": world.node.runs.get(),
            "interval": IntervalSchedule.objects.create(every=4, period="days"),
            "crontab": CrontabSchedule.objects.create(minute="5"),
            "clocked": ClockedSchedule.objects.create(clocked_time=dt.datetime(2030, 1, 1, tzinfo=dt.UTC)),
            "solar": SolarSchedule.objects.create(event="sunset", latitude=1, longitude=1),
            "periodic_task": PeriodicTask.objects.create(
                name="nightly", task="markets.recover_interrupted_jobs", interval=interval
            ),
            "change": Change.objects.get(table_name="markets_asset", row_uid=world.asset.uid),
            "person": factories.user(),
            "others_token": AccessToken.objects.create(factories.user())[0],
            "group": Group.objects.create(name="mine"),
            "access_attempt": AccessAttempt.objects.create(
                username="x", failures_since_start=1, ip_address="127.0.0.1"
            ),
            "access_log": AccessLog.objects.create(username="x", ip_address="127.0.0.1"),
            "access_failure": AccessFailureLog.objects.create(username="x", ip_address="127.0.0.1"),
        }

    def key(self, name: str) -> str:
        return str(self.rows[name].pk)

    def text(self, text: str) -> str:
        """`{name}` is replaced by the key of a row, `{name.field}` by another field of it."""
        keys = {name: _Spelt(row) for name, row in self.rows.items()}
        return text.format(**keys)

    def fill(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values with `{name}` replaced by keys; bytes are an uploaded file."""
        return {name: self._filled(value) for name, value in values.items()}

    def _filled(self, value: Any) -> Any:
        if isinstance(value, bytes):
            return SimpleUploadedFile("assets.csv", value)
        return self.text(value) if isinstance(value, str) else value


class _Spelt:
    """A row that is written as its key."""

    def __init__(self, row: Any) -> None:
        self.row = row

    def __format__(self, _: str) -> str:
        return str(self.row.pk)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.row, name)


def form_of(client: Client, url: str) -> dict[str, Any]:
    """What a browser would send if the person changed nothing on the page."""
    response = client.get(url)
    assert response.status_code == 200, (url, response.status_code)
    data = _typed(response.context["adminform"].form)
    for group in response.context["inline_admin_formsets"]:
        data |= _typed(group.formset.management_form)
        for form in group.formset.forms:
            data |= _typed(form)
    return data


def _typed(form: forms.BaseForm) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for bound in form:
        value, widget = bound.value(), getattr(bound.field.widget, "widget", bound.field.widget)
        if isinstance(widget, forms.MultiWidget):
            for number, part in enumerate(widget.decompress(value)):
                data[f"{bound.html_name}_{number}"] = widget.widgets[number].format_value(part) or ""
        elif isinstance(widget, forms.CheckboxInput):
            if value:
                data[bound.html_name] = "on"
        elif isinstance(value, list | tuple):
            data[bound.html_name] = [str(getattr(item, "pk", item)) for item in value]
        elif value is not None and not isinstance(widget, forms.FileInput):
            data[bound.html_name] = widget.format_value(value) if isinstance(widget, forms.DateInput) else value
    return data
