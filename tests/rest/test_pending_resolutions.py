"""What waits for OpenFIGI over REST and in the back-office: listed, filtered, never written there."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from markets.models import PendingResolution
from markets.services.figi_registration import register_assets_from_figis
from tests import factories
from tests.rest.base import ROOT

pytestmark = pytest.mark.django_db
PATH = f"{ROOT}openfigi/pending/"
APPLE, IBM = "BBG000B9XRY4", "BBG000BLNNH6"


@pytest.fixture
def reader() -> APIClient:
    client = APIClient()
    client.force_authenticate(factories.user("markets.view_pendingresolution"))
    return client


def test_what_waits_is_listed_with_its_asset(reader: APIClient) -> None:
    apple = register_assets_from_figis([APPLE], source="master.csv")[0].asset
    factories.pending_resolution(value=IBM, status="resolved")
    (row,) = reader.get(f"{PATH}?status=pending").json()["results"]
    assert (row["scheme"], row["value"], row["asset_uid"]) == ("figi", APPLE, str(apple.uid))
    assert (row["asset_identifier"], row["status"], row["source"]) == (APPLE, "pending", "master.csv")
    assert row["attempts"] == 0
    assert reader.get(f"{PATH}{row['uid']}/").json() == row
    assert [
        item["value"] for item in reader.get(f"{PATH}?value__in={APPLE},{IBM}&status=resolved").json()["results"]
    ] == [IBM]
    assert reader.get(f"{PATH}?asset_uid={apple.uid}").json()["count"] == 1


@pytest.mark.parametrize("query", ["status=waiting", "scheme=isin", "colour=red", "asset_uid=x", "ordering=value"])
def test_what_is_no_filter_is_refused(reader: APIClient, query: str) -> None:
    answer = reader.get(f"{PATH}?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["attr"] == query.partition("=")[0]


def test_nothing_is_written_there(reader: APIClient) -> None:
    row = factories.pending_resolution()
    for method, path in (("post", PATH), ("put", f"{PATH}{row.uid}/"), ("delete", f"{PATH}{row.uid}/")):
        assert getattr(reader, method)(path, {"status": "resolved"}, format="json").status_code in (403, 405)
    assert PendingResolution.objects.get().status == "pending"


def test_a_list_takes_as_many_queries_for_many_rows(reader: APIClient) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as counted:
            assert reader.get(PATH).status_code == 200
        return len(counted)

    factories.pending_resolution()
    queries()  # the first request looks up the permissions
    one = queries()
    for _ in range(20):
        factories.pending_resolution()
    assert queries() == one


def test_the_page_says_what_an_empty_list_means() -> None:
    client = Client()
    client.force_login(factories.person("viewer"))
    page = client.get("/admin/markets/pendingresolution/").content.decode()
    assert "Nothing waits. An asset that is registered from a file" in page
    row = factories.pending_resolution(source="<script>alert(1)</script>")
    page = client.get("/admin/markets/pendingresolution/").content.decode()
    assert "Nothing waits" not in page
    assert row.value in page
    assert "<script>alert(1)" not in page
    assert client.get(f"/admin/markets/pendingresolution/{row.pk}/change/").status_code == 200
    assert client.post(f"/admin/markets/pendingresolution/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert PendingResolution.objects.count() == 1
