"""Choosing a type by typing: fields that hold the text key of another row, with the autocomplete of a foreign key."""

from types import SimpleNamespace
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse


class KeySelect(AutocompleteSelect):
    """Asks the page of the chosen model, whose rows are named by their key."""

    def __init__(self, model: type[Model], key: str) -> None:
        named = SimpleNamespace(model=model, name=key, remote_field=SimpleNamespace(model=model, field_name=key))
        super().__init__(named, admin.site)

    def get_url(self) -> str:
        return reverse(f"admin:{self.field.model._meta.model_name}_choices")

    def optgroups(self, name: str, value: list[str], attr: Any = None) -> Any:
        return super().optgroups(name, [text for text in value if "\x00" not in str(text)], attr)


class KeyChoiceField(forms.ModelChoiceField):
    """A key, chosen among the stored ones: text, or None."""

    def __init__(self, model: type[Model], key: str, **options: Any) -> None:
        super().__init__(
            model._default_manager.all(), to_field_name=key, widget=KeySelect(model, key), empty_label=None, **options
        )

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return None
        found = None if "\x00" in str(value) else self.queryset.filter(**{self.to_field_name: value}).first()
        if found is None:
            noun = self.queryset.model._meta.verbose_name
            raise ValidationError(f"There is no {noun} {str(value)[:64]!r}. Choose one of the list, or add it first.")
        return getattr(found, self.to_field_name)

    def validate(self, value: Any) -> None:
        forms.Field.validate(self, value)


class KeyChoicesAdmin(admin.ModelAdmin):
    """For the page of a model whose rows others name by the text of `choice_key`."""

    choice_key: str

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.choices_view)
        return [path("choices/", view, name=f"{self.opts.model_name}_choices"), *super().get_urls()]

    def choices_view(self, request: HttpRequest) -> HttpResponse:
        return _Choices.as_view(admin_site=self.admin_site, page=self)(request)


class _Choices(AutocompleteJsonView):
    page: Any = None

    def process_request(self, request: HttpRequest) -> tuple[str, Any, Any, str]:
        return request.GET.get("term", ""), self.page, None, self.page.choice_key

    def get_queryset(self) -> QuerySet[Any]:
        rows = self.page.get_queryset(self.request).order_by(self.page.choice_key)
        return self.page.get_search_results(self.request, rows, self.term)[0]
