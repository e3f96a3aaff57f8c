"""Fields and views of rows that point at other rows by uid."""

import datetime as dt
from typing import Any

from django.db import models
from rest_framework import serializers

from markets.exceptions import InvalidInput
from markets.rest.base import WritableViewSet
from markets.rest.serializers import RegistrySerializer
from portfolios.engine.inputs import instant


def reference(name: str, **options: Any) -> serializers.UUIDField:
    """The uid of the row that a foreign key points at. Whether there is such a row is the services' business."""
    return serializers.UUIDField(source=f"{name}.uid", **options)


class InstantField(serializers.DateTimeField):
    """An instant with a zone, as ISO 8601 text; shown in UTC."""

    def to_internal_value(self, value: Any) -> dt.datetime:
        if not isinstance(value, str):
            self.fail("invalid", format="2026-01-31T21:00:00Z")
        try:
            return instant(value, field=self.field_name or "time")
        except InvalidInput as error:
            raise serializers.ValidationError(str(error)) from error


class ReferringSerializer(RegistrySerializer):
    """Times are strict; references arrive as `<name>_uid`."""

    serializer_field_mapping = {
        **RegistrySerializer.serializer_field_mapping,
        models.DateTimeField: InstantField,
    }


class ReferringViewSet(WritableViewSet):
    """Hands the services each reference by the name that the body gives it."""

    def values_for_service(self, values: dict[str, Any]) -> dict[str, Any]:
        options = self.queryset.model._meta
        references = {name for name in values if options.get_field(name).is_relation}
        return {
            **{name: value for name, value in values.items() if name not in references},
            **{f"{name}_uid": values[name]["uid"] for name in references},
        }
