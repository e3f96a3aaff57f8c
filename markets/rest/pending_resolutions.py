"""REST of the identifiers that wait for OpenFIGI."""

from typing import Any

import django_filters as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from markets.models import PendingResolution, ResolutionScheme, ResolutionStatus
from markets.rest.base import RegistryViewSet
from markets.rest.filters import Ordering, RegistryFilters, TextIn, Uid
from markets.rest.resolutions import ResolutionSerializer, submitted_answer
from markets.rest.serializers import StrictSerializer
from markets.services.resolutions import resolve_pending


class PendingResolutionSerializer(serializers.ModelSerializer):
    asset_uid = serializers.UUIDField(source="asset.uid", read_only=True)
    asset_identifier = serializers.CharField(source="asset.unique_identifier", read_only=True)

    class Meta:
        model = PendingResolution
        fields = [
            *("uid", "scheme", "value", "asset_uid", "asset_identifier", "status", "source", "attempts"),
            *("requested_at", "created_at", "updated_at"),
        ]
        read_only_fields = fields


class PendingResolutionFilters(RegistryFilters):
    status = filters.ChoiceFilter(choices=ResolutionStatus.choices)
    scheme = filters.ChoiceFilter(choices=ResolutionScheme.choices)
    value = filters.CharFilter(help_text="Exact and case-sensitive.")
    value__in = TextIn(field_name="value")
    asset_uid = Uid(field_name="asset__uid")
    ordering = Ordering(fields=["requested_at"])


class NothingSerializer(StrictSerializer):
    """No field: an empty object, or no body."""


class PendingResolutionViewSet(RegistryViewSet):
    """Identifiers whose assets were registered before OpenFIGI was asked; they are made by registering, not here."""

    queryset = PendingResolution.objects.select_related("asset")
    serializer_class = PendingResolutionSerializer
    filterset_class = PendingResolutionFilters
    row_name = "pending resolution"
    action_permissions = {"resolve": ("markets.view_pendingresolution", "markets.resolve_identifiers")}

    @extend_schema(request=NothingSerializer, responses={202: ResolutionSerializer})
    @action(detail=False, methods=["post"], pagination_class=None, filterset_class=None)
    def resolve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Ask OpenFIGI for all that wait, as one list. 409 when nothing waits, or such a list is being resolved."""
        NothingSerializer(data=request.data).is_valid(raise_exception=True)
        return submitted_answer(self, resolve_pending(user=request.user), status.HTTP_202_ACCEPTED)
