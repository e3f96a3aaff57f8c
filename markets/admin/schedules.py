"""Schedules of Celery beat, with the theme's forms."""

from typing import Any

from celery.schedules import ParseException
from django import forms
from django.contrib import admin, messages
from django.db.models import Field, Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django_celery_beat.admin import ClockedScheduleAdmin as BeatClockedScheduleAdmin
from django_celery_beat.admin import CrontabScheduleAdmin as BeatCrontabScheduleAdmin
from django_celery_beat.admin import PeriodicTaskAdmin as BeatPeriodicTaskAdmin
from django_celery_beat.admin import PeriodicTaskForm, TaskSelectWidget
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from markets.admin.formatting import NOTHING, counted, link
from markets.admin.strict_input import StrictInput
from markets.models import NodeSchedule

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


class NotOfNodes:
    """For pages of beat's rows: what follows the schedule of a DataNode is changed on the node's page alone."""

    node_schedules: str

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and not self._is_of_node(obj)  # type: ignore[misc]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not self._is_of_node(obj)  # type: ignore[misc]

    def _is_of_node(self, obj: Model | None) -> bool:
        return obj is not None and NodeSchedule.objects.filter(**{self.node_schedules: obj.pk}).exists()


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(NotOfNodes, StrictInput, BeatPeriodicTaskAdmin, ModelAdmin):
    form = ScheduledTaskForm
    change_form_template = None  # beat's own has an inline script, which the content security policy forbids
    node_schedules = "periodic_task"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        schedule = _schedule_behind(object_id)
        if schedule is not None and request.method == "GET":
            url = reverse("admin:markets_nodeupdate_change", args=(schedule.node_update_id,))
            said = format_html(
                "This task belongs to the DataNode {}. Change or remove it on the page of the node.",
                link(f"{url}#schedule", schedule.node_update),
            )
            self.message_user(request, said, messages.INFO)
        return super().changeform_view(request, object_id, form_url, extra_context)

    @admin.action(description="Enable selected tasks")
    def enable_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        super().enable_tasks(request, self._others(request, queryset))

    @admin.action(description="Disable selected tasks")
    def disable_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        super().disable_tasks(request, self._others(request, queryset))

    @admin.action(description="Toggle activity of selected tasks")
    def toggle_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        super().toggle_tasks(request, self._others(request, queryset))

    def _others(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> QuerySet[PeriodicTask]:
        """Those that belong to no DataNode; of the others the person is told."""
        of_nodes = queryset.filter(node_schedule__isnull=False).count()
        if of_nodes:
            self.message_user(
                request,
                f"{counted(of_nodes, 'task')} of DataNodes stayed as they are: change them on the nodes' pages.",
                messages.WARNING,
            )
        return queryset.filter(node_schedule__isnull=True)


def _schedule_behind(object_id: str | None) -> NodeSchedule | None:
    if object_id is None or not (object_id.isascii() and object_id.isdigit() and len(object_id) < 10):
        return None
    rows = NodeSchedule.objects.select_related("node_update__storage")
    return rows.filter(periodic_task=int(object_id)).first()


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(NotOfNodes, StrictInput, BeatCrontabScheduleAdmin, ModelAdmin):
    node_schedules = "periodic_task__crontab"

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
