"""Imports over REST: upload, look, apply, undo; and what nobody should upload."""

import csv
import io
import json
import uuid
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from markets.models import Asset, ImportRun, Job
from markets.services import jobs
from tests import factories
from tests.markets.services.imports.steps import apply, upload
from tests.rest.base import IMPORT, ROOT, VIEW_IMPORT, is_error, stored

pytestmark = pytest.mark.django_db
CONTENT = "unique_identifier,Symbol,Sector\nA,007,x\nB,B,x\n,C,=1+1\n"


def send(client: APIClient, content: str | bytes = CONTENT, name: str = "assets.csv", **fields: Any) -> Any:
    file = SimpleUploadedFile(name, content.encode() if isinstance(content, str) else content)
    return client.post(f"{ROOT}import/", {"file": file, **fields}, format="multipart")


def work(answer: Any) -> Any:
    """Do the job that the answer names, as a worker would; the answer's body."""
    jobs.execute(answer.json()["job"]["uid"])
    return answer.json()


def client_of(user: Any) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {factories.token(user)}")
    return client


def test_a_file_is_uploaded_previewed_applied_and_undone(admin: APIClient) -> None:
    factories.asset(unique_identifier="B", asset_type="bond")
    answer = send(admin, asset_type="Equity")
    assert answer.status_code == 201, answer.content
    made = work(answer)
    assert (made["status"], made["mapping"]) == (
        "uploaded",
        {"unique_identifier": "unique_identifier", "Symbol": "ticker"},
    )
    assert (made["unknown_columns"], made["asset_type"], made["entity"]) == (["Sector"], "equity", "asset")
    url = answer.headers["Location"]
    shown = admin.get(url).json()
    assert shown["status"] == "previewed"
    assert shown["counts"] == {"rows": 3, "create": 1, "update": 1, "same": 0, "conflict": 0, "error": 1}
    rows = admin.get(f"{url}rows/").json()
    assert rows["count"] == 3
    assert rows["results"][1] == {
        "row": 3,
        "key": "B",
        "outcome": "update",
        "changes": {"ticker": [None, "B"]},
        "faults": None,
        "cells": None,
        "asset_uid": str(Asset.objects.get().uid),
        "result": None,
        "kept": None,
    }
    assert [row["row"] for row in admin.get(f"{url}rows/?outcome=error").json()["results"]] == [4]
    assert [row["row"] for row in admin.get(f"{url}rows/?key=A").json()["results"]] == [2]
    errors = admin.get(f"{url}errors/")
    assert errors.headers["Content-Disposition"] == 'attachment; filename="assets_errors.csv"'
    lines = list(csv.reader(io.StringIO(b"".join(errors.streaming_content).decode("utf-8-sig"))))
    assert lines[1][0] == "4"
    assert lines[1][-3:] == ["", "C", "'=1+1"]

    answer = admin.post(f"{url}apply/", {"reason": "New listings"}, format="json")
    assert answer.status_code == 202
    assert is_error(admin.post(f"{url}apply/", {}, format="json"), 409)
    work(answer)
    shown = admin.get(url).json()
    assert (shown["status"], shown["reason"]) == ("applied", "New listings")
    assert shown["results"] == {"created": 1, "updated": 1, "conflicts": 0}
    assert [row["result"] for row in admin.get(f"{url}rows/").json()["results"]] == ["created", "updated", None]
    assert is_error(admin.post(f"{url}apply/", {}, format="json"), 409)
    assert is_error(admin.post(f"{url}undo/", {}, format="json"), 400)
    work(admin.post(f"{url}undo/", {"reason": "Wrong file"}, format="json"))
    assert admin.get(url).json()["results"]["deleted"] == 1
    assert list(Asset.objects.values_list("unique_identifier", "openfigi_details__ticker")) == [("B", None)]


def test_who_may_import_sees_their_own_and_with_permission_all() -> None:
    theirs = upload("unique_identifier\nTHEIRS\n")
    importer = client_of(factories.user(*IMPORT[1:]))
    own = send(importer).json()["uid"]
    assert [row["uid"] for row in importer.get(f"{ROOT}import/").json()["results"]] == [own]
    assert importer.get(f"{ROOT}import/{own}/").status_code == 200
    assert is_error(importer.get(f"{ROOT}import/{theirs.uid}/"), 404)
    before = stored()
    assert is_error(importer.post(f"{ROOT}import/{theirs.uid}/apply/", {}, format="json"), 403)
    assert stored() == before
    viewer = client_of(factories.user(VIEW_IMPORT))
    assert viewer.get(f"{ROOT}import/").json()["count"] == 2
    assert importer.post(f"{ROOT}import/{own}/mapping/", {"empty_cells": "clear"}, format="json").status_code == 409
    jobs.execute(str(ImportRun.objects.get(uid=own).job.uid))
    assert importer.post(f"{ROOT}import/{own}/apply/", {}, format="json").status_code == 202


def test_the_mapping_can_be_changed(admin: APIClient) -> None:
    answer = send(admin, "ticker,label\nA,x\nA,y\n")
    shown = answer.json()
    assert (shown["status"], shown["job"], shown["identifier_choices"]) == ("uploaded", None, ["ticker"])
    url = answer.headers["Location"]
    body = {"mapping": {"ticker": "ticker", "label": "unique_identifier"}}
    changed = admin.post(f"{url}mapping/", body, format="json")
    assert changed.status_code == 200, changed.content
    work(changed)
    assert admin.get(url).json()["counts"]["create"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {"mapping": []},
        {"mapping": {"nothing": "name"}},
        {"mapping": {"Symbol": "uid"}},
        {"mapping": {"Symbol": 5}},
        {"mapping": {"Symbol": None}},
        {"mapping": {"Symbol": "name", "Sector": "name"}},
        {"identifier_column": "Sector"},
        {"identifier_column": "\x00"},
        {"asset_type": "x" * 65},
        {"asset_type": "\x00"},
        {"empty_cells": "maybe"},
        {"nonsense": 1},
    ],
)
def test_a_wrong_mapping_is_400_and_changes_nothing(admin: APIClient, body: Any) -> None:
    run = upload(CONTENT)
    before = stored()
    assert is_error(
        admin.post(f"{ROOT}import/{run.uid}/mapping/", json.dumps(body), content_type="application/json"), 400
    )
    assert stored() == before


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (b"", {}),
        (b"a\n", {}),
        (b"\x00" * 1_000, {}),
        (b"\xff" * 1_000, {}),
        (b"PK\x03\x04" + b"\x00" * 1_000, {}),
        (b"PAR1" + b"\x00" * 1_000, {}),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", {}),
        (b'"', {}),
        (b"," * 5_000 + b"\nx", {}),
        (CONTENT, {"nonsense": "1"}),
        (CONTENT, {"mapping": "{"}),
        (CONTENT, {"mapping": "[" * 50_000}),
        (CONTENT, {"mapping": '{"Symbol": NaN}'}),
        (CONTENT, {"mapping": '{"Symbol": "nothing"}'}),
        (CONTENT, {"identifier_column": "nothing"}),
        (CONTENT, {"asset_type": "x" * 100}),
        (CONTENT, {"empty_cells": "maybe"}),
        (CONTENT, {"empty_cells": ["keep", "clear"]}),
    ],
)
def test_a_hostile_upload_is_400_and_kept_nowhere(admin: APIClient, content: Any, fields: Any) -> None:
    before = stored()
    response = send(admin, content, **fields)
    assert is_error(response, 400), response.content
    assert stored() == before


def test_a_form_without_one_file_is_400(admin: APIClient) -> None:
    before = stored()
    two = {"file": [SimpleUploadedFile("a.csv", b"x"), SimpleUploadedFile("b.csv", b"x")]}
    for form in ({}, {"file": "text"}, {"other": SimpleUploadedFile("a.csv", b"x")}, two):
        assert is_error(admin.post(f"{ROOT}import/", form, format="multipart"), 400), form
    for body in (b"", b"--x\r\n\r\n--x--", b"--x"):
        response = admin.post(f"{ROOT}import/", body, content_type="multipart/form-data; boundary=x")
        assert is_error(response, 400), response.content
    assert is_error(admin.post(f"{ROOT}import/", "{}", content_type="application/json"), 415)
    assert stored() == before


def test_a_file_beyond_the_limit_is_413_with_the_setting(admin: APIClient, settings: Any) -> None:
    settings.IMPORT_MAX_BYTES = 1_000
    before = stored()
    for content in ("x" * 1_001, "x" * 2_000_000):
        response = send(admin, content)
        assert is_error(response, 413)
        assert "MSM_IMPORT_MAX_MIB" in response.json()["errors"][0]["detail"]
    assert stored() == before


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "x" * 400 + ".csv", "a\\b.csv", "<script>.csv", "ä‮.csv", "a\r\nb.csv", "; x.csv"]
)
def test_a_hostile_file_name_is_only_a_name(admin: APIClient, name: str) -> None:
    answer = send(admin, name=name)
    assert answer.status_code == 201
    shown = answer.json()["file_name"]
    assert len(shown) <= 255
    assert "/" not in shown
    assert "\\" not in shown
    work(answer)
    errors = admin.get(f"{answer.headers['Location']}errors/")
    assert errors.status_code == 200
    assert errors.headers["Content-Disposition"].isascii()


@pytest.mark.parametrize(
    "query",
    ["outcome=nonsense", "outcome=", "key=", "key=%00", "nonsense=1", "limit=501", "outcome=same&outcome=error"],
)
def test_a_wrong_parameter_is_400(admin: APIClient, query: str) -> None:
    run = upload(CONTENT)
    assert is_error(admin.get(f"{ROOT}import/{run.uid}/rows/?{query}"), 400)


def test_what_does_not_exist_is_404(admin: APIClient) -> None:
    for name in ("junk", str(uuid.uuid4()), "%00"):
        for path in ("", "rows/", "errors/"):
            assert is_error(admin.get(f"{ROOT}import/{name}/{path}"), 404)
        assert is_error(admin.post(f"{ROOT}import/{name}/apply/", {}, format="json"), 404)


def test_a_public_asset_is_kept_unless_the_user_may_delete_it() -> None:
    for permissions, deleted in (((), 0), (("markets.force_delete_public_asset",), 1)):
        run = apply(upload(f"unique_identifier,custom\nPUBLIC-{deleted},no\n"))
        client = client_of(factories.user(*IMPORT, "markets.delete_asset", *permissions))
        work(client.post(f"{ROOT}import/{run.uid}/undo/", {"reason": "x"}, format="json"))
        run.refresh_from_db()
        assert run.results["deleted"] == deleted


def test_lists_take_a_constant_number_of_queries(admin: APIClient, django_assert_max_num_queries: Any) -> None:
    for name in range(5):
        upload(f"unique_identifier\nA{name}\n")
    with django_assert_max_num_queries(6):
        assert admin.get(f"{ROOT}import/").json()["count"] == 5
    assert Job.objects.count() == 5
