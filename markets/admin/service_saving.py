"""Saves and deletes through the services, so that the back-office keeps the rules that REST and Python keep."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from django.contrib import messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from markets.admin.base import MarketAdmin
from markets.admin.careful_forms import LinkedDuplicates
from markets.admin.deleting import DeletingAdmin
from markets.admin.exporting import ExportingAdmin
from markets.exceptions import InvalidInput, InvalidReferences, MSMError, NotFound
from markets.services.audit import because, clean_reason


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


class ServiceAdmin(DeletingAdmin, ExportingAdmin, RefusingAdmin):
    """A page whose forms call `create_row`, `update_row` and `delete_row`."""

    form = LinkedDuplicates
    actions: ClassVar[tuple[str, ...]] = ("export_rows", "delete_selected")

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What is saved is recorded with the reason that the form gives, where it has such a field."""
        with _for_reason(request.POST.get("reason")) if "reason" in self.form.base_fields else nullcontext():
            return super().changeform_view(request, object_id, form_url, extra_context)

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Model:
        raise NotImplementedError

    def update_row(self, request: HttpRequest, row: Any, values: dict[str, Any]) -> Model:
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

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        try:
            with transaction.atomic():  # an action is done whole or not at all
                return super().response_action(request, queryset)
        except MSMError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())


def _for_reason(typed: str | None) -> AbstractContextManager[None]:
    """Records changes with a reason that is one; the form says what is wrong with another."""
    try:
        return because(clean_reason(typed)) if typed else nullcontext()
    except InvalidInput:
        return nullcontext()


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
