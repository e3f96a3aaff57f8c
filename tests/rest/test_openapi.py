"""The OpenAPI document: valid without a warning, with tokens as a security scheme, and complete."""

import re

import pytest
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from tests.rest.base import ROOT, ROUTES


def test_it_is_valid_without_a_warning(tmp_path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "openapi.yaml"))


def test_every_route_is_described_with_its_errors() -> None:
    document = SchemaGenerator().get_schema(request=None, public=True)
    shape = re.compile(r"\{[^}]*\}")
    described = {
        (method, shape.sub("{}", path)): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    for route in ROUTES:
        operation = described[route.method, ROOT + route.shape]
        assert {"token": []} in operation["security"], route
        assert {"400", "401", "403", str(route.status)} <= set(operation["responses"]), route
        assert ("404" in operation["responses"]) == ("{" in route.path), route
    names = [operation["operationId"] for operation in described.values()]
    assert len(names) == len(set(names))


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/redoc"])
def test_documents_are_public(path: str) -> None:
    assert APIClient().get(path).status_code == 200


@pytest.mark.django_db
def test_the_document_is_json_for_whoever_asks() -> None:
    for headers in ({}, {"HTTP_ACCEPT": "*/*"}):
        assert APIClient().get("/openapi.json", **headers).json()["info"]["title"] == "MSM"


def test_a_guarded_route_names_412_and_no_text_is_about_the_code() -> None:
    document = SchemaGenerator().get_schema(request=None, public=True)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            guarded = any(parameter["name"] == "If-Match" for parameter in operation.get("parameters", ()))
            assert guarded == ("412" in operation["responses"]), (method, path)
            assert "subclass" not in operation.get("description", ""), (method, path)
    statistics = document["paths"]["/api/v1/portfolio/{uid}/statistics/"]["get"]
    assert "409" in statistics["responses"]  # without a calendar nothing can be annualised
