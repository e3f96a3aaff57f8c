"""Errors over REST: one shape, `{type, errors: [{code, detail, attr}]}`, and a status that says whose turn it is."""

import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, Error, IntegrityError, InterfaceError, OperationalError
from django.db.models.deletion import ProtectedError, RestrictedError
from drf_standardized_errors.handler import ExceptionHandler
from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail, ParseError, ValidationError
from rest_framework.response import Response

from markets.exceptions import Conflict, InvalidFields, InvalidInput, MSMError, NotFound

logger = logging.getLogger(__name__)


class ConflictResponse(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class NotFoundResponse(APIException):
    status_code = status.HTTP_404_NOT_FOUND
    default_code = "not_found"


class PreconditionFailed(APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "precondition_failed"
    default_detail = (
        "The row was changed since you read it: If-Match does not name its present ETag. Read it again, then repeat."
    )


class TooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class Unavailable(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"
    wait = 5


class Handler(ExceptionHandler):
    def convert_known_exceptions(self, exc: Exception) -> Exception:
        if isinstance(exc, MSMError):
            return _of_msm(exc)
        if isinstance(exc, ProtectedError | RestrictedError):
            return ConflictResponse("The row is used by others. See its delete-impact.", "protected")
        if isinstance(exc, Error):
            return _of_database(exc)
        if isinstance(exc, DjangoValidationError):
            return ValidationError(exc.messages)
        if isinstance(exc, RequestDataTooBig):
            most = (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0) // 2**20
            return TooLarge(f"The body is larger than {most} MiB. Send it in several requests.")
        if isinstance(exc, SuspiciousOperation):
            return ParseError("The request cannot be read. Check its headers and its body.")
        if isinstance(exc, ObjectDoesNotExist):  # read once, and gone when it was read again
            return NotFoundResponse("Another request deleted the row meanwhile. Read the list again.")
        return super().convert_known_exceptions(exc)

    def format_exception(self, exc: APIException) -> dict:
        body = super().format_exception(exc)
        for error in body["errors"]:
            for name in ("detail", "attr"):
                if error[name] is not None:  # a message may quote a lone surrogate, which no answer can carry
                    error[name] = str(error[name]).encode("utf-8", "replace").decode()
        return body


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    return Handler(exc, context).run()  # type: ignore[arg-type]


def _of_msm(error: MSMError) -> APIException:
    text = str(error)
    if isinstance(error, NotFound):
        return NotFoundResponse(text, error.code)
    if isinstance(error, InvalidFields):
        return ValidationError({name: [ErrorDetail(fault, error.code)] for name, fault in error.by_field.items()})
    if isinstance(error, InvalidInput):
        detail = [ErrorDetail(text, code=error.code)]
        return ValidationError({error.field: detail} if error.field else detail)
    if isinstance(error, Conflict):
        return ConflictResponse(text, error.code)
    return ValidationError([ErrorDetail(text, code=error.code)])


_BY_SQLSTATE: dict[str, Callable[[], APIException]] = {
    "23505": lambda: ConflictResponse("Another row has this key already.", "duplicate"),
    "23P01": lambda: ConflictResponse("Another row overlaps with this one.", "duplicate"),
    "23503": lambda: ConflictResponse("A row that this needs is gone, or another row needs this one.", "protected"),
    "23514": lambda: ValidationError(["A value breaks a rule of the table."]),
    "23502": lambda: ValidationError(["A value that is required is null."]),
    "40001": lambda: ConflictResponse("Another request changed the same rows. Try again.", "try_again"),
    "40P01": lambda: ConflictResponse("Another request changed the same rows. Try again.", "try_again"),
    "53100": lambda: Unavailable("The disk of the database server is full. Ask its administrator to free space."),
    "55P03": lambda: ConflictResponse("Another request holds the row. Try again.", "try_again"),
}


def _of_database(error: Error) -> Exception:
    cause = error.__cause__
    state = getattr(cause, "sqlstate", None) or ""
    if state in _BY_SQLSTATE:
        logger.warning("a constraint refused a request: %s", error)
        return _BY_SQLSTATE[state]()
    if isinstance(error, DataError):
        logger.warning("the database refused a value: %s", error)
        return ValidationError(["A value is out of the range that can be stored."])
    if isinstance(error, IntegrityError):
        return ConflictResponse("The stored rows forbid this.", "conflict")
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("the database is not available: %s", error)
        return Unavailable("The database is not available. Try again in a moment.")
    return error
