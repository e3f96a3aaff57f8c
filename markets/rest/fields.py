"""Fields that refuse what the usual ones would quietly complete."""

import datetime as dt
import re
from typing import Any

from rest_framework import serializers

FINER = re.compile(r"\.[0-9]{6}[0-9]*[1-9]")  # Django cuts what stands behind the sixth digit


class AwareDateTimeField(serializers.DateTimeField):
    """An instant with a zone; a naive time is refused instead of being taken for UTC, and so are cut nanoseconds."""

    default_error_messages = {
        "naive": "{value} has no time zone. Add one: {value}Z.",
        "too_fine": "{value} is finer than a microsecond, which is all that is stored. Round it.",
    }

    def enforce_timezone(self, value: dt.datetime) -> dt.datetime:
        if value.tzinfo is None:
            self.fail("naive", value=value.isoformat())
        return super().enforce_timezone(value)

    def to_internal_value(self, data: Any) -> dt.datetime:
        if not isinstance(data, str):
            self.fail("invalid", format="2026-12-18T22:00:00Z")
        if FINER.search(data):
            self.fail("too_fine", value=data[:60])
        return super().to_internal_value(data)


class StrictFloatField(serializers.FloatField):
    """A number only: no text of one, no true."""

    default_error_messages = {"overflow": "The number is too large."}

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        try:
            return float(data)
        except OverflowError:
            self.fail("overflow")


class AnyCaseChoiceField(serializers.ChoiceField):
    """One of the choices, in whatever letter case it was written."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=str(data)[:40])
        by_case = {choice.lower(): choice for choice in self.choices}
        return super().to_internal_value(by_case.get(data.strip().lower(), data[:40]))
