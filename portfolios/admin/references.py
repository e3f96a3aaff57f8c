"""Pages of rows that point at other rows: the services take references by uid."""

from typing import Any

from django.db.models import Model
from django.http import HttpRequest

from markets.admin.service_saving import ServiceAdmin


class ReferringAdmin(ServiceAdmin):
    """A page whose identity is fixed once the row is made; `fixed_fields` names it."""

    fixed_fields: tuple[str, ...] = ("unique_identifier",)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return self.fixed_fields if obj is not None else ()

    def values_for_service(self, values: dict[str, Any]) -> dict[str, Any]:
        references = {name for name in values if self.model._meta.get_field(name).is_relation}
        return {
            **{name: value for name, value in values.items() if name not in references},
            **{f"{name}_uid": values[name] and values[name].uid for name in references},
        }
