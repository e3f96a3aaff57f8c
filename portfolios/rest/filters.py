"""Filters that the lists of accounts need beside the market's."""

import datetime as dt
from typing import Any

import django_filters as filters
from django import forms

from markets.exceptions import InvalidInput
from markets.rest.filters import refusal
from portfolios.engine.inputs import instant


class InstantFormField(forms.Field):
    def to_python(self, value: Any) -> dt.datetime | None:
        if value in (None, ""):
            return None
        # In a query a `+` that was not escaped arrives as a space.
        text = value.replace(" ", "+") if value[-6:-5] == " " else value
        try:
            return instant(text, field="The time")
        except InvalidInput as error:
            raise refusal(error) from error


class Instant(filters.Filter):
    """An instant with a zone, exactly."""

    field_class = InstantFormField

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"help_text": "Exactly this instant: 2026-05-25T00:00:00Z.", **options})
