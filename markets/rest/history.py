"""REST of a row's history: who changed which field, when, from where and why."""

import datetime as dt
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import models
from django.db.models import F, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from markets.models import Change, Operation
from markets.rest import parameters
from markets.rest.errors import NotFoundResponse
from markets.rest.pagination import PAGING, ListPages
from markets.rest.walks import Term, Walk
from markets.services import history
from markets.services.history import Described, FieldChange, Reference

OPERATIONS = {
    Operation.INSERT: "created",
    Operation.UPDATE: "changed",
    Operation.DELETE: "deleted",
    Operation.TRUNCATE: "table emptied",
}
PARAMETERS = (*PAGING, "since", "until", "source", "actor")
DOCUMENTED = [
    OpenApiParameter("uid", uuid.UUID, OpenApiParameter.PATH, description="The row's, also when it is deleted."),
    OpenApiParameter("since", dt.datetime, description="Changes from this time on."),
    OpenApiParameter("until", dt.datetime, description="Changes before this time."),
    OpenApiParameter("source", str, description="Changes from there only: admin, REST, Python, task, command, SQL."),
    OpenApiParameter("actor", str, description="Changes by this user or program only."),
]


class FieldChangeSerializer(serializers.Serializer):
    field = serializers.CharField()
    old = serializers.JSONField(allow_null=True, help_text="A row that the field refers to is {uid, name}.")
    new = serializers.JSONField(allow_null=True)

    def to_representation(self, instance: FieldChange) -> dict[str, Any]:
        return {"field": instance.field, "old": _shown(instance.old), "new": _shown(instance.new)}


class ChangeSerializer(serializers.Serializer):
    """A change of the row, of its details, or of what belongs to it."""

    id = serializers.IntegerField(source="change.id", help_text="Later changes have larger ones.")
    at = serializers.DateTimeField(source="change.at")
    operation = serializers.ChoiceField(choices=list(OPERATIONS.values()), source="change.operation")
    entity = serializers.CharField(help_text="What kind of row changed: asset, bond, category membership …")
    uid = serializers.UUIDField(source="change.row_uid", allow_null=True)
    name = serializers.CharField(source="change.row_name", help_text="What the row was called.")
    changes = FieldChangeSerializer(many=True, source="fields", help_text="Created and deleted rows: each field set.")
    source = serializers.CharField(source="change.source", help_text="admin, REST, Python, task, command or SQL.")
    actor = serializers.CharField(source="change.actor", allow_null=True)
    reason = serializers.CharField(source="change.reason", allow_null=True)
    transaction = serializers.IntegerField(source="change.transaction_id", help_text="Changes made at once share it.")

    def to_representation(self, instance: Described) -> dict[str, Any]:
        return {**super().to_representation(instance), "operation": OPERATIONS[Operation(instance.change.operation)]}


class HistoryWalk(Walk):
    """A history from the latest change on. `changes` finds them: each part of its union begins behind the cursor."""

    def __init__(self, changes: Callable[..., QuerySet[Change]]) -> None:
        self.name = "history"
        self.terms = [Term(F("id"), is_descending=True, is_nullable=False)]
        self.aliases = ["id"]
        self.changes = changes

    def slice(self, offset: int, size: int) -> list[Any]:
        return list(self.changes()[offset : offset + size])

    def page(self, cursor: str, size: int) -> list[Any]:
        behind = {"id__lt": self._values(cursor)[0]} if cursor else {}
        return list(self.changes(**behind)[:size])


class HistoryPages(ListPages):
    def walk_over(self, rows: QuerySet[Any], view: Any) -> Walk:
        return HistoryWalk(view.changes)


class HistoryMixin:
    """For views of registry rows: `GET …/{uid}/history/`."""

    changes: Callable[..., QuerySet[Change]]

    @extend_schema(parameters=DOCUMENTED, responses=ChangeSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, filter_backends=[], pagination_class=HistoryPages)
    def history(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What happened to the row, its details and what belongs to it, the latest first.

        A deleted row keeps its history. Rows of kinds that you may not view are left out.
        """
        uid = self.uid_with_history()
        tables = history.viewable_tables(request.user)
        self.changes = partial(history.history_of, uid, tables=tables, **_conditions(request))
        page = self.paginate_queryset(self.changes())  # type: ignore[attr-defined]
        return self.get_paginated_response(ChangeSerializer(history.describe(page), many=True).data)  # type: ignore[attr-defined]

    def known_parameters(self, action_name: str) -> tuple[str, ...]:
        return PARAMETERS if action_name == "history" else super().known_parameters(action_name)  # type: ignore[misc]

    def uid_with_history(self) -> uuid.UUID:
        """The uid in the path, when there is or was such a row."""
        text = self.kwargs["uid"]  # type: ignore[attr-defined]
        uid = parameters.parse_uid(text)
        if uid is None or not self.is_or_was(uid):
            raise NotFoundResponse(f"There is and was no {self.row_name} with the uid {text[:60]!r}.")  # type: ignore[attr-defined]
        return uid

    def is_or_was(self, uid: uuid.UUID) -> bool:
        model: type[models.Model] = self.queryset.model  # type: ignore[attr-defined]
        return model._default_manager.filter(uid=uid).exists() or history.was_recorded(uid, model)


def _conditions(request: Request) -> dict[str, Any]:
    since, until = parameters.instant(request, "since"), parameters.instant(request, "until")
    if since is not None and until is not None and until < since:
        raise ValidationError({"until": f"until={until.isoformat()} is before since={since.isoformat()}. Swap them."})
    conditions: dict[str, Any] = {"at__gte": since, "at__lt": until}
    for name in ("source", "actor"):
        text = request.query_params.get(name)
        if text is not None and (not text.strip() or "\x00" in text):
            raise ValidationError({name: f"{name} is empty or holds a NUL character. Leave it out, or give a name."})
        conditions[name] = text
    return {name: value for name, value in conditions.items() if value is not None}


def _shown(value: Any) -> Any:
    if isinstance(value, Reference):
        return {"uid": None if value.uid is None else str(value.uid), "name": value.name}
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value
