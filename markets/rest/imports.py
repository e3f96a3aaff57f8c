"""REST of imports: upload a file, look at what each row would do, apply it, undo it, fetch the refused rows."""

import json
from typing import Any, ClassVar

import django_filters as filters
from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.json import strict_constant

from markets.models import EmptyCells, ImportOutcome, ImportRow, ImportRun, ImportStatus
from markets.rest import parameters
from markets.rest.base import COUNT_PRECISION, UID, RegistryViewSet, etag, parse_uid
from markets.rest.errors import TooLarge
from markets.rest.filters import Ordering, RegistryFilters, SearchFilter
from markets.rest.frames import AnyAccept
from markets.rest.jobs import JobSerializer
from markets.rest.pagination import PAGING
from markets.rest.parsers import Utf8JSONParser
from markets.rest.permissions import RegistryPermission
from markets.rest.serializers import StrictCharField, StrictSerializer
from markets.services import imports

VIEW = "markets.view_importrun"
IMPORT = imports.kind_of("asset").permissions
UNDO = imports.kind_of("asset").undo_permissions
FORM_OVERHEAD = 2**20  # bytes of a form beside its file
OUTCOME = OpenApiParameter("outcome", str, enum=list(imports.FILTERS), description="Rows with this outcome only.")
KEY = OpenApiParameter("key", str, description="Rows whose identifier begins so.")


class ImportSerializer(serializers.ModelSerializer):
    status = serializers.ChoiceField(choices=ImportStatus.choices, read_only=True)
    unknown_columns = serializers.SerializerMethodField(help_text="Columns of the file that fill no field.")
    identifier_choices = serializers.SerializerMethodField(help_text="Columns that may name each row.")
    uploaded_by = serializers.CharField(source="uploaded_by.username", read_only=True, allow_null=True, default=None)
    applied_by = serializers.CharField(source="applied_by.username", read_only=True, allow_null=True, default=None)
    undone_by = serializers.CharField(source="undone_by.username", read_only=True, allow_null=True, default=None)
    mapping = serializers.DictField(child=serializers.CharField(), read_only=True, help_text="Column to field.")
    counts = serializers.DictField(child=serializers.IntegerField(), read_only=True, help_text="Rows by outcome.")
    results = serializers.DictField(
        child=serializers.IntegerField(), read_only=True, help_text="What applying and undoing did."
    )
    columns = serializers.ListField(child=serializers.CharField(), read_only=True)
    notes = serializers.ListField(child=serializers.CharField(), read_only=True)
    asset_type = serializers.CharField(
        source="default_asset_type",
        read_only=True,
        allow_null=True,
        help_text="Of new rows for which the file says none.",
    )
    error = serializers.SerializerMethodField(help_text="Why the last step came to nothing; empty when it did not.")
    job = JobSerializer(read_only=True, allow_null=True, help_text="The latest step's, with its progress.")

    class Meta:
        model = ImportRun
        fields = [
            *("uid", "entity", "status", "error", "file_name", "file_format", "file_size", "columns", "notes"),
            *("mapping", "unknown_columns", "identifier_column", "identifier_choices", "asset_type", "empty_cells"),
            *("counts", "results", "reason", "undo_reason", "uploaded_by", "applied_by", "undone_by", "job"),
            *("created_at", "updated_at", "previewed_at", "applied_at", "undone_at"),
        ]
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_unknown_columns(self, run: ImportRun) -> list[str]:
        return imports.unknown_columns(run)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_identifier_choices(self, run: ImportRun) -> list[str]:
        return imports.identifier_choices(imports.kind_of(run.entity), run.mapping)

    @extend_schema_field(serializers.CharField())
    def get_error(self, run: ImportRun) -> str:
        return imports.error_of(run)


class FaultSerializer(serializers.Serializer):
    field = serializers.CharField(allow_null=True)
    reason = serializers.CharField()


class ImportRowSerializer(serializers.ModelSerializer):
    outcome = serializers.ChoiceField(choices=ImportOutcome.choices)
    changes = serializers.DictField(
        child=serializers.ListField(), allow_null=True, help_text="Field to [stored, in the file]."
    )
    faults = FaultSerializer(many=True, allow_null=True)
    cells = serializers.ListField(
        child=serializers.CharField(allow_null=True), allow_null=True, help_text="The original texts of a refused row."
    )
    result = serializers.SerializerMethodField(help_text="created, updated, deleted, restored or kept, else null.")
    asset_uid = serializers.UUIDField(source="target", allow_null=True)

    class Meta:
        model = ImportRow
        fields = ["row", "key", "outcome", "changes", "faults", "cells", "asset_uid", "result", "kept"]
        read_only_fields = fields

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_result(self, row: ImportRow) -> str | None:
        return imports.result_of(self.context["run"], row)


class UploadSerializer(serializers.Serializer):
    """The form of an upload."""

    file = serializers.FileField(help_text="CSV (UTF-8), XLSX or Parquet.")
    identifier_column = serializers.CharField(required=False, help_text="The column that names each asset.")
    mapping = serializers.CharField(required=False, help_text="A JSON object of column to field; by name if left out.")
    asset_type = serializers.CharField(required=False, help_text="Of new assets for which the file says none.")
    empty_cells = serializers.ChoiceField(choices=EmptyCells.choices, required=False)


class MappingSerializer(StrictSerializer):
    mapping = serializers.JSONField(required=False, help_text="Column to field; all of it.")
    identifier_column = StrictCharField(required=False)
    asset_type = StrictCharField(required=False, allow_null=True)
    empty_cells = serializers.ChoiceField(choices=EmptyCells.choices, required=False)


class ApplySerializer(StrictSerializer):
    reason = StrictCharField(required=False, allow_blank=True, help_text="Why, for the record.")


class UndoSerializer(StrictSerializer):
    reason = StrictCharField(help_text="Why it is undone.")


class ImportFilters(RegistryFilters):
    status = filters.ChoiceFilter(choices=ImportStatus.choices)
    search = SearchFilter("file_name")
    ordering = Ordering(fields=["created_at", "applied_at"])


class ImportPermission(RegistryPermission):
    """To look at imports takes the permission to view them; who may import sees their own."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        importer = user.is_authenticated and all(user.has_perm(name) for name in IMPORT)
        if request.method in SAFE_METHODS and importer:
            return True
        return super().has_permission(request, view)


class FormParser(MultiPartParser):
    """A form with a file; one that is too large is refused before it is read."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        length = parser_context["request"].META.get("CONTENT_LENGTH") or "0"
        if length.isdigit() and int(length) > settings.IMPORT_MAX_BYTES + FORM_OVERHEAD:
            raise _too_large(int(length))
        return super().parse(stream, media_type, parser_context)


class ImportViewSet(RegistryViewSet):
    queryset = ImportRun.objects.select_related("uploaded_by", "applied_by", "undone_by", "job__requested_by")
    serializer_class = ImportSerializer
    filterset_class = ImportFilters
    permission_classes = [ImportPermission]
    row_name = "import"
    query_parameters: ClassVar = {"rows": (*PAGING, "outcome", "key")}

    @property
    def action_permissions(self) -> dict[str, tuple[str, ...]]:
        """To act on somebody else's import one must be able to see it, too."""
        seen = () if self._is_own() else (VIEW,)
        writes = {"change_mapping": (*seen, *IMPORT), "apply": (*seen, *IMPORT), "undo": (*seen, *UNDO)}
        return {"create": IMPORT, **writes}

    def _is_own(self) -> bool:
        uid = parse_uid(self.kwargs.get("uid", ""))
        return uid is not None and ImportRun.objects.filter(uid=uid, uploaded_by=self.request.user.pk).exists()

    def get_parsers(self) -> list[Any]:
        return [Utf8JSONParser()] if "uid" in getattr(self, "kwargs", {}) else [FormParser()]

    def get_queryset(self) -> QuerySet:
        rows = super().get_queryset()
        user = self.request.user
        return rows if user.has_perm(VIEW) else rows.filter(Q(uploaded_by=user.pk))

    @extend_schema(request={"multipart/form-data": UploadSerializer}, responses={201: ImportSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Upload a file. A worker makes the preview: `status` becomes `previewed`, and nothing is written yet."""
        file, fields = _form(request)
        try:
            run = imports.upload_import(file.file, name=file.name, size=file.size, user=request.user, **fields)
        except imports.FileTooLarge as error:
            raise TooLarge(str(error)) from error
        return self._answer(run, status.HTTP_201_CREATED)

    @extend_schema(parameters=[UID], request=MappingSerializer, responses=ImportSerializer)
    @action(detail=True, methods=["post"], url_path="mapping", pagination_class=None, filterset_class=None)
    def change_mapping(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change how the file is read, and ask for a new preview."""
        values = self._body(MappingSerializer)
        return self._answer(imports.change_mapping(self.get_object(), user=request.user, **values))

    @extend_schema(parameters=[UID], request=ApplySerializer, responses={202: ImportSerializer})
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    def apply(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Ask a worker to write what the preview would create and update, all of it or nothing."""
        values = self._body(ApplySerializer)
        run = imports.request_apply(self.get_object(), user=request.user, **values)
        return self._answer(run, status.HTTP_202_ACCEPTED)

    @extend_schema(parameters=[UID], request=UndoSerializer, responses={202: ImportSerializer})
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    def undo(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Ask a worker to take the import back. What somebody touched since is kept, and told."""
        values = self._body(UndoSerializer)
        force = request.user.has_perm("markets.force_delete_public_asset")
        run = imports.request_undo(self.get_object(), user=request.user, force=force, **values)
        return self._answer(run, status.HTTP_202_ACCEPTED)

    @extend_schema(parameters=[UID, OUTCOME, KEY, COUNT_PRECISION], responses=ImportRowSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None)
    def rows(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What each row of the file does, in the file's order."""
        run = self.get_object()
        outcome = parameters.choice(request, "outcome", ("", *imports.FILTERS), "")
        if "outcome" in request.query_params and not outcome:
            raise ValidationError({"outcome": "outcome is empty. Leave it out, or give it a value."})
        key = request.query_params.get("key")
        if key is not None and (not key or "\x00" in key):
            raise ValidationError(
                {"key": "key is empty or holds a NUL character. Give the beginning of an identifier."}
            )
        page = self.paginate_queryset(imports.rows_of(run, outcome=outcome or None, key=key))
        return self.get_paginated_response(ImportRowSerializer(page, many=True, context={"run": run}).data)

    @extend_schema(
        parameters=[UID],
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, description="A header and a line a fault.")},
    )
    @action(
        detail=True,
        methods=["get"],
        pagination_class=None,
        filterset_class=None,
        content_negotiation_class=AnyAccept,
    )
    def errors(self, request: Request, *args: Any, **kwargs: Any) -> StreamingHttpResponse:
        """The refused rows as CSV: row, outcome, field, reason, and the original cells."""
        run = self.get_object()
        response = StreamingHttpResponse(imports.errors_file(run), content_type="text/csv; charset=utf-8")
        response.headers["Content-Disposition"] = f'attachment; filename="{imports.errors_name(run)}"'
        response.headers["X-Accel-Buffering"] = "no"
        return response

    def _body(self, serializer_class: Any) -> dict[str, Any]:
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def _answer(self, run: ImportRun, code: int = status.HTTP_200_OK) -> Response:
        shown = self.queryset.all().get(pk=run.pk)
        headers = {"ETag": etag(shown)}
        if code == status.HTTP_201_CREATED:
            headers["Location"] = self.reverse_action("detail", args=[shown.uid])
        return Response(self.get_serializer(shown).data, status=code, headers=headers)


def _form(request: Request) -> tuple[Any, dict[str, Any]]:
    """The file and the fields of an upload's form. Raises ValidationError naming what is missing or unknown."""
    known = {"identifier_column", "mapping", "asset_type", "empty_cells"}
    errors: dict[str, Any] = {}
    file = request.FILES.get("file")
    if file is None or len(request.FILES.getlist("file")) > 1 or len(request.FILES) > 1:
        errors["file"] = [ErrorDetail("Send one file, in the form field `file`.", code="required")]
    for name, values in request.POST.lists():
        if name not in known:
            errors[name[:60].replace("\x00", "") or "form"] = [
                ErrorDetail(f"Unknown field. It takes file, {', '.join(sorted(known))}.", code="unknown_field")
            ]
        elif len(values) > 1:
            errors[name] = [ErrorDetail(f"{name} is given {len(values)} times. Give it once.", code="invalid")]
    if errors:
        raise ValidationError(errors)
    fields: dict[str, Any] = {name: value for name, value in request.POST.items() if value}
    if "mapping" in fields:
        fields["mapping"] = _json(fields["mapping"])
    return file, fields


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=strict_constant)
    except (ValueError, RecursionError):
        raise ValidationError({"mapping": "mapping is no JSON object of column to field."}) from None


def _too_large(length: int) -> TooLarge:
    try:
        imports.check_size(length)
    except imports.FileTooLarge as error:
        return TooLarge(str(error))
    raise AssertionError
