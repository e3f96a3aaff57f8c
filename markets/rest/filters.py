"""Filters of lists: one documented parameter for each indexed field; whatever is unknown or malformed is refused."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import django_filters as filters
from django import forms
from django.db.models import Q, QuerySet
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from markets.exceptions import InvalidInput
from markets.rest.pagination import PAGING
from markets.rest.parameters import refuse_unknown
from markets.services.values import clean_as_of, normalise_type_key

LONGEST_LIST = 500


class StrictFilterBackend(DjangoFilterBackend):
    """django-filter, with 400 for unknown, repeated, empty and malformed parameters."""

    raise_exception = True

    def filter_queryset(self, request: Request, queryset: QuerySet, view: Any) -> QuerySet:
        filterset_class = self.get_filterset_class(view, queryset)
        known = set(filterset_class.base_filters) if filterset_class is not None else set()
        refuse_unknown(request, known | set(PAGING))
        empty = [
            name
            for name, text in request.query_params.items()
            if not text.strip() and name in known and name != "search" and not name.endswith("_contains")
        ]
        if empty:
            raise ValidationError({name: f"{name} is empty. Leave it out, or give it a value." for name in empty})
        return super().filter_queryset(request, queryset, view)


class UuidField(forms.UUIDField):
    default_error_messages = {"invalid": "This is no uid. A uid looks like 0190d7e2-3f4a-7cde-8a11-0123456789ab."}


class Uid(filters.UUIDFilter):
    field_class = UuidField


def refusal(error: InvalidInput) -> forms.ValidationError:
    """The error for a filter's field. Its text may hold what the caller sent, so it is never a format itself."""
    return forms.ValidationError("%(reason)s", code="invalid", params={"reason": str(error)})


class AsOfField(forms.Field):
    def to_python(self, value: Any) -> dt.datetime | None:
        if value in (None, ""):
            return None
        text = str(value)
        try:
            # In a query a `+` that was not escaped arrives as a space.
            return clean_as_of(text.replace(" ", "+") if text[-6:-5] == " " else text)
        except InvalidInput as error:
            raise refusal(error) from error


@extend_schema_field(OpenApiTypes.STR)
class AsOf(filters.Filter):
    """A point in time that another filter of the list looks at; alone it filters nothing."""

    field_class = AsOfField

    def filter(self, queryset: QuerySet, value: dt.datetime | None) -> QuerySet:
        return queryset


class UidIn(filters.BaseInFilter, Uid):
    """Comma-separated uids."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"help_text": "Comma-separated uids.", **options})


class TextIn(filters.BaseInFilter, filters.CharFilter):
    """Comma-separated texts."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"help_text": "Comma-separated values.", **options})

    def filter(self, queryset: QuerySet, value: list[str] | None) -> QuerySet:
        if value is not None and len(value) > LONGEST_LIST:
            raise ValidationError({self.field_name: f"At most {LONGEST_LIST} values at once; ask in several requests."})
        return super().filter(queryset, value)


def _type_key(value: str) -> str:
    try:
        return normalise_type_key(value, field="asset_type") or ""
    except InvalidInput as error:
        raise ValidationError({"asset_type": str(error)}) from error


class TypeKey(filters.CharFilter):
    """A type's key in any spelling: `Currency Spot` finds currency_spot."""

    def filter(self, queryset: QuerySet, value: str) -> QuerySet:
        return super().filter(queryset, _type_key(value) if value else value)


class TypeKeyIn(TextIn):
    def filter(self, queryset: QuerySet, value: list[str] | None) -> QuerySet:
        return super().filter(queryset, [_type_key(item) for item in value] if value else value)


class StrictBooleanField(forms.Field):
    def to_python(self, value: Any) -> bool | None:
        if value in (None, ""):
            return None
        if value not in ("true", "false"):
            raise forms.ValidationError("Use true or false.", code="invalid")
        return value == "true"


class Flag(filters.Filter):
    field_class = StrictBooleanField


class Ordering(filters.OrderingFilter):
    """`ordering=field,-other`. `then` names, for a field, what its index orders ties by; else they go by their id."""

    def __init__(self, *args: Any, then: Mapping[str, str] | None = None, **options: Any) -> None:
        self.then = then or {}
        super().__init__(*args, **options)

    def filter(self, queryset: QuerySet, value: list[str] | None) -> QuerySet:
        ordered = super().filter(queryset, value)
        terms = list(ordered.query.order_by)
        if len(terms) == 1 and terms[0].removeprefix("-") in self.then:
            sign = "-" if terms[0].startswith("-") else ""
            return ordered.order_by(*terms, sign + self.then[terms[0].removeprefix("-")])
        return ordered


class SearchFilter(filters.CharFilter):
    """Case-insensitive: the text occurs in any of the fields. `%` and `_` are themselves."""

    may_scan = True

    def __init__(self, *fields: str, **options: Any) -> None:
        self.fields = fields
        shown = ", ".join(field.rpartition("__")[2] for field in fields)
        super().__init__(help_text=f"Text that occurs, in any case, in one of: {shown}.", **options)

    def filter(self, queryset: QuerySet, value: str) -> QuerySet:
        if not value:
            return queryset
        condition = Q()
        for field in self.fields:
            condition |= Q(**{f"{field}__icontains": value})
        return queryset.filter(condition)


class Contains(filters.CharFilter):
    """Case-insensitive substring. No index serves it: it reads the whole table, within the time limit of lists."""

    may_scan = True

    def __init__(self, field_name: str) -> None:
        super().__init__(field_name=field_name, lookup_expr="icontains", help_text="Substring, in any case.")


class RegistryFilters(FilterSet):
    """What every registry list can be filtered by."""

    uid = Uid()
    uid__in = UidIn(field_name="uid")


def identifier_filters(field: str = "unique_identifier") -> dict[str, filters.Filter]:
    """Equality, membership and substring of a business key."""
    return {
        field: filters.CharFilter(field_name=field, help_text="Exact and case-sensitive."),
        f"{field}__in": TextIn(field_name=field),
        f"{field}__contains": Contains(field),
    }


def refuse_reversed(first: Any, last: Any) -> None:
    """Raise 400 for a range that ends before it begins."""
    if first is not None and last is not None and last < first:
        raise ValidationError({"end": f"end={last} is before start={first}. Swap them."})
