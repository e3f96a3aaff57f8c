"""Addresses and forms that nobody's browser made: what they name wrongly finds nothing, and breaks no page."""

import json
import logging
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import Field, ForeignKey, Model, QuerySet
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

logger = logging.getLogger(__name__)


class MetadataField(forms.JSONField):
    """A JSON value whose absence is an empty box, not the word null; what cannot be stored is refused."""

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)

    def to_python(self, value: Any) -> Any:
        try:
            found = super().to_python(value)
            json.dumps(found, ensure_ascii=False).encode()
        except RecursionError:
            raise ValidationError("This is nested too deeply. Flatten it.") from None
        except UnicodeEncodeError:
            raise ValidationError("This holds a lone surrogate, which is no character. Remove it.") from None
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        """As it was typed, for to read it again may fail as it did before."""
        return data if data is None else InvalidJSONInput(data)


class KnownChoices(AutocompleteSelect):
    """Shows the chosen row; a key that is none is shown as no choice."""

    def optgroups(self, name: str, value: list[str], attr: Any = None) -> Any:
        key = self.choices.queryset.model._meta.pk
        return super().optgroups(name, [text for text in value if _is_key(key, text)], attr)


class StrictForeignKeys:
    """For pages and inlines with `autocomplete_fields`."""

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        if "widget" not in kwargs and db_field.name in self.get_autocomplete_fields(request):  # type: ignore[attr-defined]
            kwargs["widget"] = KnownChoices(db_field, self.admin_site, using=kwargs.get("using"))  # type: ignore[attr-defined]
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]


class StrictInput(StrictForeignKeys):
    """For pages: before the theme's ModelAdmin among the bases."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list; one whose filters the database cannot even read is shown whole instead, saying so."""
        try:
            return super().get_changelist_instance(request)  # type: ignore[misc]
        except (IncorrectLookupParameters, DataError, ValueError, OverflowError) as error:
            logger.warning("filters of %s not understood: %s", request.path, error)
            self.message_user(  # type: ignore[attr-defined]
                request, "The address names a filter that cannot be read, so everything is listed.", messages.WARNING
            )
            raise IncorrectLookupParameters from error

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Model | None:
        if "\x00" in object_id:
            return None
        return super().get_object(request, object_id, from_field)  # type: ignore[misc, no-any-return]

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        return super().get_search_results(request, queryset, search_term.replace("\x00", ""))  # type: ignore[misc, no-any-return]

    def response_action(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        key = self.model._meta.pk  # type: ignore[attr-defined]
        if not all(_is_key(key, text) for text in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            self.message_user(request, "The selection names no row. Select the rows again.", messages.ERROR)  # type: ignore[attr-defined]
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset)  # type: ignore[misc, no-any-return]


def _is_key(key: Field, text: object) -> bool:
    """Whether `text` could be a primary key."""
    try:
        return "\x00" not in str(text) and key.to_python(text) is not None
    except ValidationError:
        return False
