"""The answers that no view gives: JSON under /api/, a page elsewhere, each with what to do."""

import json

import pytest
from django.core.management.base import CommandError
from django.db import OperationalError
from django.test import RequestFactory
from psycopg.errors import DiskFull
from rest_framework.request import Request

from markets.rest.errors import exception_handler
from msm_project import problems
from msm_project.management.commands.run_msm import listen

REQUEST = RequestFactory()


@pytest.mark.parametrize("path", ["/ready", "/admin/", "/api/v1/asset/"])
def test_a_database_that_is_gone_is_503_and_not_a_defect(path: str) -> None:
    try:
        raise OperationalError("the connection is closed")
    except OperationalError:
        answer = problems.failed(REQUEST.get(path))
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert b"Try again in a moment" in answer.content


@pytest.mark.parametrize("path", ["/admin/", "/api/v1/asset/"])
def test_a_disk_that_is_full_is_named(path: str) -> None:
    try:
        raise OperationalError("could not extend file") from DiskFull()
    except OperationalError as error:
        answer = problems.failed(REQUEST.get(path))
        over_rest = exception_handler(error, {"request": Request(REQUEST.get(path)), "view": None})
    said = "The disk of the database server is full. Ask its administrator to free space."
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert said.encode() in answer.content
    assert (over_rest.status_code, over_rest["Retry-After"]) == (503, "5")
    assert over_rest.data == {"type": "server_error", "errors": [{"code": "unavailable", "detail": said, "attr": None}]}


def test_a_defect_is_500_and_tells_where_to_look() -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        answer = problems.failed(REQUEST.get("/api/v1/asset/"))
    assert answer.status_code == 500
    body = json.loads(answer.content)
    assert body["type"] == "server_error"
    assert "log" in body["errors"][0]["detail"]


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_port_that_is_none(port: int) -> None:
    with pytest.raises(CommandError, match="from 1 to 65535"):
        listen("127.0.0.1", port)


def test_a_host_that_is_none() -> None:
    with pytest.raises(CommandError, match=r"on no\.such\.host\.invalid cannot be used"):
        listen("no.such.host.invalid", 8000)
