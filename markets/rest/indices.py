"""REST of index types and indices."""

from typing import Any

import django_filters as filters
from rest_framework.exceptions import ValidationError

from markets.exceptions import InvalidInput
from markets.models import Index, IndexType
from markets.models.indices import CalculationMethod, ValueFormat
from markets.rest.bulk import BulkUpsertViewSet, describe_bulk
from markets.rest.fields import AnyCaseChoiceField
from markets.rest.filters import Ordering, RegistryFilters, SearchFilter, TextIn, identifier_filters
from markets.rest.index_values import IndexValueActions
from markets.rest.serializers import MetadataField, RegistrySerializer
from markets.services import deletion, index_types, indices
from markets.services.bulk import BulkOutcome, OnError


def _key(value: str) -> str:
    try:
        return index_types.required_key(value)
    except InvalidInput as error:
        raise ValidationError({"index_type": str(error)}) from error


class IndexTypeKey(filters.CharFilter):
    """A type's key in any spelling: `Interest Rate` finds interest_rate."""

    def filter(self, queryset: Any, value: str) -> Any:
        return super().filter(queryset, _key(value) if value else value)


class IndexTypeKeyIn(TextIn):
    def filter(self, queryset: Any, value: list[str] | None) -> Any:
        return super().filter(queryset, [_key(item) for item in value] if value else value)


class IndexTypeSerializer(RegistrySerializer):
    immutable_fields = ("index_type",)
    metadata_json = MetadataField()

    class Meta:
        model = IndexType
        fields = ["uid", "index_type", "display_name", "description", "metadata_json", "created_at", "updated_at"]


class IndexTypeFilters(RegistryFilters):
    index_type = IndexTypeKey()
    index_type__in = IndexTypeKeyIn(field_name="index_type")
    display_name = filters.CharFilter()
    search = SearchFilter("index_type", "display_name")
    ordering = Ordering(fields=["index_type", "display_name", "created_at", "updated_at"])


@describe_bulk("index_type")
class IndexTypeViewSet(BulkUpsertViewSet):
    queryset = IndexType.objects.all()
    serializer_class = IndexTypeSerializer
    bulk_row_serializer = IndexTypeSerializer
    filterset_class = IndexTypeFilters
    row_name = "index type"
    query_parameters = {"bulk_upsert": ("on_error",)}
    action_permissions = {"bulk_upsert": ("markets.add_indextype", "markets.change_indextype")}

    def perform_creation(self, values: dict[str, Any]) -> IndexType:
        return index_types.create_index_type(**values)

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        return index_types.bulk_upsert_index_types(rows, on_error=on_error)

    def perform_change(self, row: IndexType, values: dict[str, Any]) -> IndexType:
        return index_types.update_index_type(row, **values)

    def perform_deletion(self, row: IndexType) -> None:
        index_types.delete_index_type(row)

    def impact(self, row: IndexType) -> deletion.DeleteImpact:
        return index_types.index_type_delete_impact(row)


class IndexSerializer(RegistrySerializer):
    serializer_choice_field = AnyCaseChoiceField
    immutable_fields = ("unique_identifier",)
    metadata_json = MetadataField()

    class Meta:
        model = Index
        fields = [
            *("uid", "unique_identifier", "index_type", "display_name", "provider", "calculation_method"),
            *("value_format", "value_suffix", "description", "metadata_json", "created_at", "updated_at"),
        ]


class IndexFilters(RegistryFilters):
    unique_identifier = identifier_filters()["unique_identifier"]
    unique_identifier__in = identifier_filters()["unique_identifier__in"]
    unique_identifier__contains = identifier_filters()["unique_identifier__contains"]
    index_type = IndexTypeKey()
    index_type__in = IndexTypeKeyIn(field_name="index_type")
    display_name = filters.CharFilter()
    provider = filters.CharFilter()
    calculation_method = filters.ChoiceFilter(choices=CalculationMethod.choices)
    value_format = filters.ChoiceFilter(choices=ValueFormat.choices)
    search = SearchFilter("unique_identifier", "display_name", "description")
    ordering = Ordering(
        fields=["unique_identifier", "display_name", "index_type", "calculation_method", "created_at", "updated_at"]
    )


@describe_bulk("index")
class IndexViewSet(IndexValueActions, BulkUpsertViewSet):
    queryset = Index.objects.all()
    serializer_class = IndexSerializer
    bulk_row_serializer = IndexSerializer
    filterset_class = IndexFilters
    row_name = "index"
    query_parameters = {**IndexValueActions.query_parameters, "bulk_upsert": ("on_error",)}
    action_permissions = {
        **IndexValueActions.action_permissions,
        "bulk_upsert": ("markets.add_index", "markets.change_index"),
    }

    def perform_creation(self, values: dict[str, Any]) -> Index:
        return indices.create_index(**values)

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        return indices.bulk_upsert_indices(rows, on_error=on_error)

    def perform_change(self, row: Index, values: dict[str, Any]) -> Index:
        return indices.update_index(row, **values)
