"""Schedules of Celery beat, with the theme's forms."""

from typing import Any

from celery.schedules import ParseException
from django import forms
from django.contrib import admin
from django.db.models import Field
from django.http import HttpRequest
from django_celery_beat.admin import ClockedScheduleAdmin as BeatClockedScheduleAdmin
from django_celery_beat.admin import CrontabScheduleAdmin as BeatCrontabScheduleAdmin
from django_celery_beat.admin import PeriodicTaskAdmin as BeatPeriodicTaskAdmin
from django_celery_beat.admin import PeriodicTaskForm, TaskSelectWidget
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from markets.admin.formatting import NOTHING
from markets.admin.strict_input import StrictInput

for model in (PeriodicTask, IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule):
    admin.site.unregister(model)


class TaskSelect(UnfoldAdminSelectWidget, TaskSelectWidget):
    pass


class ScheduledTaskForm(PeriodicTaskForm):
    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = TaskSelect()

    def clean(self) -> dict[str, Any]:
        self.cleaned_data.setdefault("task", "")  # it is missing when it was refused, and beat's form reads it
        return super().clean()

    def _clean_json(self, field: str) -> str:
        try:
            return super()._clean_json(field)
        except RecursionError:
            raise forms.ValidationError("This is nested too deeply. Flatten it.") from None


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(StrictInput, BeatPeriodicTaskAdmin, ModelAdmin):
    form = ScheduledTaskForm
    change_form_template = None  # beat's own has an inline script, which the content security policy forbids


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(StrictInput, BeatCrontabScheduleAdmin, ModelAdmin):
    def human_readable(self, schedule: CrontabSchedule) -> str:
        """In words; a refused schedule is shown with its form, and has none."""
        try:
            return str(schedule.human_readable)
        except (ParseException, ValueError):
            return NOTHING

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.show_hidden_initial = False  # a time zone that a browser sends back unasked is read unchecked
        return field


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(StrictInput, BeatClockedScheduleAdmin, ModelAdmin):
    pass


@admin.register(IntervalSchedule, SolarSchedule)
class ScheduleAdmin(StrictInput, ModelAdmin):
    pass
