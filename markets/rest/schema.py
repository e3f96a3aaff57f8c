"""OpenAPI: what drf-spectacular finds by itself, plus the errors that every route can give."""

import inspect
from typing import Any

from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS

from markets.rest.acting import REASON_PARAMETER


class ErrorSerializer(serializers.Serializer):
    code = serializers.CharField(help_text="A stable name of the error.")
    detail = serializers.CharField(help_text="What was wrong, with which value, and what to do next.")
    attr = serializers.CharField(allow_null=True, help_text="The field or parameter, null where there is none.")


class ErrorResponseSerializer(serializers.Serializer):
    type = serializers.ChoiceField(choices=["validation_error", "client_error", "server_error"])
    errors = ErrorSerializer(many=True)


_MEANINGS = {
    "400": "A field, parameter or body is wrong; `attr` names it. Nothing was written.",
    "401": "No valid credentials.",
    "403": "The permission is missing, or the token is read-only.",
    "404": "There is no such row.",
    "409": "The stored rows forbid it: a duplicate, or a row that others need.",
    "412": "If-Match does not name the row's present ETag.",
}


class MSMAutoSchema(AutoSchema):
    def _get_parameters(self) -> list[dict[str, Any]]:
        parameters = super()._get_parameters()
        return parameters if self.method in SAFE_METHODS else [*parameters, REASON_PARAMETER]

    def get_description(self) -> str:
        """The docstring of the action, else of the view itself; those of the bases are about the code."""
        method = getattr(self.view, getattr(self.view, "action", None) or self.method.lower(), None)
        own = vars(type(self.view)).get("__doc__") or ""
        return (inspect.getdoc(method) if method is not None else None) or inspect.cleandoc(own)

    def _get_response_bodies(self, direction: str = "response") -> Any:
        responses = super()._get_response_bodies(direction)  # type: ignore[arg-type]
        if direction != "response":
            return responses
        statuses = ["400", "401", "403"]
        if "{" in self.path:
            statuses.append("404")
        if self.method not in SAFE_METHODS:
            statuses.append("409")
        if any(getattr(parameter, "name", None) == "If-Match" for parameter in self.get_override_parameters()):
            statuses.append("412")
        for code in statuses:
            if code not in responses:
                body = self._get_response_for_code(ErrorResponseSerializer, code, media_types=["application/json"])
                responses[code] = {**body, "description": _MEANINGS[code]}
        return responses
