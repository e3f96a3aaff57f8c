"""Saves and deletes through the services, so that the back-office keeps the rules that REST and Python keep."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from markets.admin.base import MarketAdmin
from markets.exceptions import InvalidReferences, MSMError, NotFound


class RefusingAdmin(MarketAdmin):
    """What a service refuses while a form is saved is shown in the form, with what was typed."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except MSMError as error:  # nothing was written: show the form again, with what was typed and the reason
            request.refused_by_service = error  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:
        form = super().get_form(request, obj, change=change, **kwargs)
        error = getattr(request, "refused_by_service", None)
        return form if error is None else _refused(form, error)


class ServiceAdmin(RefusingAdmin):
    """A page whose forms call `create_row`, `update_row` and `delete_row`."""

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Model:
        raise NotImplementedError

    def update_row(self, request: HttpRequest, row: Any, values: dict[str, Any]) -> Model:
        raise NotImplementedError

    def delete_row(self, request: HttpRequest, row: Any) -> None:
        raise NotImplementedError

    def save_model(self, request: HttpRequest, obj: Model, form: ModelForm, change: bool) -> None:
        names = {field.name for field in self.model._meta.concrete_fields}
        values = {name: value for name, value in form.cleaned_data.items() if name in names}
        if change:
            row = self.model._default_manager.filter(pk=obj.pk).first()
            if row is None:
                raise NotFound(f"The {self.opts.verbose_name} {obj} was deleted meanwhile. Go back to the list.")
            saved = self.update_row(request, row, values)
        else:
            saved = self.create_row(request, values)
        vars(obj).update(vars(saved))

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        self.delete_row(request, obj)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_row(request, row)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except MSMError as error:
            return self._refused_deletion(request, error)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        try:
            with transaction.atomic():  # a refused deletion must not stay in the log
                return super().response_action(request, queryset)
        except MSMError as error:
            return self._refused_deletion(request, error)

    def _refused_deletion(self, request: HttpRequest, error: MSMError) -> HttpResponse:
        self.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(request.get_full_path().replace("/delete/", "/change/"))


def _refused(form: type[ModelForm], error: MSMError) -> type[ModelForm]:
    class RefusedForm(form):  # type: ignore[valid-type, misc]
        def clean(self) -> dict[str, Any] | None:
            cleaned = super().clean()
            faults = error.by_field if isinstance(error, InvalidReferences) else {getattr(error, "field", None): error}
            for name, fault in faults.items():
                shown = name if name in self.fields else (name or "").removesuffix("_uid")
                self.add_error(shown if shown in self.fields else None, str(fault))
            return cleaned

    return RefusedForm
