"""PUT on a list: many rows by natural key in one call, with the outcome of each."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import Route, SimpleRouter
from rest_framework.serializers import BaseSerializer

from markets.exceptions import RejectedRows
from markets.rest import parameters
from markets.rest.base import WritableViewSet
from markets.rest.errors import NotFoundResponse, PreconditionFailed
from markets.services.bulk import OUTCOMES, BulkOutcome, OnError

MOST_ROWS = 10_000
ON_ERROR = OpenApiParameter(
    "on_error",
    str,
    enum=["refuse", "skip"],
    default="refuse",
    description="refuse: one wrong row refuses all. skip: the others are written.",
)


class RowOutcomeSerializer(serializers.Serializer):
    row = serializers.IntegerField(help_text="Position in the array, from 0.")
    key = serializers.CharField(allow_null=True, help_text="The natural key, null when it could not be read.")
    outcome = serializers.ChoiceField(choices=list(OUTCOMES))
    field = serializers.CharField(allow_null=True, help_text="The field at fault of a rejected row.")
    reason = serializers.CharField(allow_null=True)


class BulkOutcomeSerializer(serializers.Serializer):
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    rejected = serializers.IntegerField()
    results = RowOutcomeSerializer(many=True, source="rows", help_text="One entry a row, in the order of the array.")


class BulkUpsertViewSet(WritableViewSet):
    """Adds PUT on the list. A subclass says with which service, and what a row looks like."""

    bulk_row_serializer: ClassVar[type[BaseSerializer]]

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        raise NotImplementedError

    def bulk_upsert(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make or change up to 10,000 rows by their natural key, in one transaction.

        A field that is left out keeps what is stored, null clears it. Rows as a list answers them can be sent back: a
        read-only field is taken when it is as it is stored, so `updated_at` guards against a change meanwhile.
        """
        on_error: Any = parameters.choice(request, "on_error", ("refuse", "skip"), "refuse")
        if request.headers.get("If-Match", "*").strip() != "*":
            raise PreconditionFailed("A list has no ETag that If-Match could name. Send each row's updated_at instead.")
        rows = request.data
        if not isinstance(rows, list):
            raise ValidationError("The body must be a JSON array of rows.")
        if not 0 < len(rows) <= MOST_ROWS:
            raise ValidationError(f"The array has {len(rows):,} rows. Send 1 to {MOST_ROWS:,} rows a request.")
        try:
            outcome = self.perform_bulk_upsert(rows, on_error)
        except RejectedRows as error:
            raise ValidationError(_faults(error)) from error
        return Response(BulkOutcomeSerializer(outcome).data)

    def find(self, rows: Any) -> Any:
        if "uid" not in self.kwargs:  # OPTIONS on the list asks for a row because the list takes PUT
            raise NotFoundResponse("The list is no row.")
        return super().find(rows)


def _faults(error: RejectedRows) -> dict[str, dict[str, list[ErrorDetail]]]:
    """Every fault under `row.field`."""
    faults: dict[str, dict[str, list[ErrorDetail]]] = {}
    for fault in error.rejections:
        of_row = faults.setdefault(str(fault.row), {})
        of_row.setdefault(fault.field or "row", []).append(ErrorDetail(fault.reason, code="invalid"))
    return faults


def describe_bulk(name: str) -> Any:
    """A decorator that describes a view's PUT on the list in OpenAPI."""

    def decorate(view: type[BulkUpsertViewSet]) -> type[BulkUpsertViewSet]:
        described = extend_schema(
            operation_id=f"{name}_bulk_upsert",
            parameters=[ON_ERROR],
            request=view.bulk_row_serializer(many=True),
            responses={200: BulkOutcomeSerializer},
        )

        # a function of its own for each view, so that one description does not overwrite another
        def bulk_upsert(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
            return BulkUpsertViewSet.bulk_upsert(self, request, *args, **kwargs)

        bulk_upsert.__doc__ = BulkUpsertViewSet.bulk_upsert.__doc__
        view.bulk_upsert = described(bulk_upsert)  # type: ignore[method-assign]
        return view

    return decorate


class RegistryRouter(SimpleRouter):
    """Routes PUT on a list to `bulk_upsert`, where a view has it."""

    routes = [
        route._replace(mapping={**route.mapping, "put": "bulk_upsert"})
        if isinstance(route, Route) and "post" in route.mapping
        else route
        for route in SimpleRouter.routes
    ]
