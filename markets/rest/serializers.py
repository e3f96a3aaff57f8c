"""The base of serializers: strict about types and names, so that what GET gives is valid input for PUT."""

from typing import Any

from django.db import models
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from markets.services.values import UNSET, cannot_be_changed


class StrictCharField(serializers.CharField):
    """Text only: a number is not taken for its digits."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictBooleanField(serializers.BooleanField):
    """true or false only."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=str(data)[:40])
        return data


class StrictFieldsMixin:
    """Refuses unknown fields; takes read-only ones when they are as stored, so that an answer can be sent back.

    `immutable_fields` can be given when a row is made and never changed afterwards.
    """

    immutable_fields: tuple[str, ...] = ()

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            return super().to_internal_value(data)  # type: ignore[misc]
        errors: dict[str, list[ErrorDetail]] = {}
        fields: dict[str, serializers.Field] = self.fields  # type: ignore[attr-defined]
        for name in data:
            if name not in fields:
                shown = str(name)[:60]
                writable = ", ".join(key for key, field in fields.items() if not field.read_only)
                errors[shown] = [ErrorDetail(f"Unknown field. It takes {writable}.", code="unknown_field")]
        fixed = [name for name in data if name in fields and self._is_fixed(name)]
        stored = self._stored() if fixed else {}
        for name in fixed:
            if name not in stored or stored[name] != data[name]:
                text = cannot_be_changed(name, stored.get(name, UNSET))
                errors[name] = [ErrorDetail(text, code="read_only")]
        if errors:
            raise ValidationError(errors)
        remaining = {name: value for name, value in data.items() if name not in fixed}
        for name in self.immutable_fields:
            if self._instance() is not None and name in fields:
                fields[name].required = False
        return super().to_internal_value(remaining)  # type: ignore[misc]

    def _is_fixed(self, name: str) -> bool:
        field = self.fields[name]  # type: ignore[attr-defined]
        return field.read_only or (name in self.immutable_fields and self._instance() is not None)

    def _instance(self) -> models.Model | None:
        instance = getattr(self, "instance", None)
        return instance if isinstance(instance, models.Model) else None

    def _stored(self) -> dict[str, Any]:
        instance = self._instance()
        return {} if instance is None else self.to_representation(instance)  # type: ignore[attr-defined]


class RegistrySerializer(StrictFieldsMixin, serializers.ModelSerializer):
    """A row of the registry. Rules between rows are the services' business, so no validator asks the database."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: StrictCharField,
        models.TextField: StrictCharField,
        models.BooleanField: StrictBooleanField,
    }

    def get_validators(self) -> list[Any]:
        return []

    def build_standard_field(self, field_name: str, model_field: models.Field) -> Any:
        field_class, options = super().build_standard_field(field_name, model_field)
        options.pop("validators", None)
        return field_class, options


class StrictSerializer(StrictFieldsMixin, serializers.Serializer):
    """The body of an action."""


class MetadataField(serializers.JSONField):
    """A JSON object or null; the services check what is in it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "allow_null": True, "help_text": "A JSON object.", **options})
