"""The pages of imports: upload, preview, mapping, apply, undo, and what the pages refuse."""

import csv
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from markets.models import Asset, ImportRun, ImportStatus
from markets.services import jobs
from tests import factories
from tests.admin import rows
from tests.markets.services.imports.steps import apply, undo, upload

CONTENT = f"unique_identifier,symbol,label\nA,007,x\nB,{rows.HOSTILE},x\n,C,=1+1\n"
LIST = "admin:markets_importrun_changelist"


def send(client: Client, content: str | bytes = CONTENT, **fields: Any) -> Any:
    file = SimpleUploadedFile("assets.csv", content.encode() if isinstance(content, str) else content)
    return client.post(reverse("admin:markets_importrun_add"), {"file": file, "empty_cells": "keep", **fields})


def work(run: ImportRun) -> ImportRun:
    run.refresh_from_db()
    assert run.job is not None
    jobs.execute(str(run.job.uid))
    run.refresh_from_db()
    return run


def page(client: Client, run: ImportRun, query: str = "") -> str:
    response = client.get(reverse("admin:markets_importrun_change", args=(run.pk,)) + query)
    assert response.status_code == 200
    text = response.content.decode()
    assert rows.HOSTILE not in text
    return text


def test_the_empty_list_says_what_an_import_is(boss: Client) -> None:
    text = boss.get(reverse(LIST)).content.decode()
    assert "There are no imports yet" in text
    assert "manage.py import_assets FILE" in text


def test_a_file_is_uploaded_previewed_applied_and_undone(boss: Client) -> None:
    factories.asset(unique_identifier="B")
    answer = send(boss, asset_type="Equity")
    run = ImportRun.objects.get()
    assert answer.headers["Location"] == reverse("admin:markets_importrun_change", args=(run.pk,))
    waiting = page(boss, run)
    assert "Being previewed" in waiting
    assert reverse("admin:import_progress", args=(run.pk,)) in waiting
    assert boss.get(reverse("admin:import_progress", args=(run.pk,))).json()["status"] == "queued"
    run = work(run)
    text = page(boss, run)
    assert "Apply to 2 assets" in text
    assert "&lt;script&gt;" in text
    assert "unique_identifier is missing. It names the asset." in text
    assert "007" not in page(boss, run, "?outcome=error")
    assert "007" in page(boss, run, "?outcome=create&key=A")
    assert "There are no" not in boss.get(reverse(LIST)).content.decode()

    ask = reverse("admin:import_apply", args=(run.pk,))
    assert "1 new assets and changes 1" in boss.get(ask).content.decode()
    assert not Asset.objects.filter(unique_identifier="A").exists()
    assert boss.post(ask, {"reason": "New"}).status_code == 302
    assert "cannot be applied: it is being applied" in boss.post(ask, {}).content.decode()
    run = work(run)
    text = page(boss, run)
    assert "Apply to" not in text
    assert "1 created, 1 updated" in text
    assert Asset.objects.values_list("asset_type", "openfigi_details__ticker").get(unique_identifier="A") == (
        *("equity", "007"),
    )

    ask = reverse("admin:import_undo", args=(run.pk,))
    assert "Say why the import is undone." in boss.post(ask, {"reason": " "}).content.decode()
    assert boss.post(ask, {"reason": "Wrong file"}).status_code == 302
    run = work(run)
    assert "1 deleted, 1 restored" in page(boss, run)
    assert list(Asset.objects.values_list("unique_identifier", flat=True)) == ["B"]


def test_the_mapping_is_changed_in_its_form(boss: Client) -> None:
    run = upload(CONTENT)
    assert "not imported" in page(boss, run)
    url = reverse("admin:import_mapping", args=(run.pk,))
    form = {"column-0": "unique_identifier", "column-1": "", "column-2": "name", "empty_cells": "clear"}
    assert boss.post(url, form).status_code == 302
    run = work(run)
    assert run.mapping == {"unique_identifier": "unique_identifier", "label": "name"}
    assert run.empty_cells == "clear"
    refused = boss.post(url, {**form, "column-1": "name"}, follow=True)
    assert "both fill name" in refused.content.decode()
    run.refresh_from_db()
    assert run.mapping == {"unique_identifier": "unique_identifier", "label": "name"}


def test_a_file_that_does_not_say_what_names_its_rows_asks(boss: Client) -> None:
    run = upload("ticker,code\nA,1\nA,2\n")
    assert "say below which column names each asset" in page(boss, run)
    url = reverse("admin:import_mapping", args=(run.pk,))
    assert (
        "cannot name each asset"
        in boss.post(url, {"column-0": "ticker", "identifier": "isin"}, follow=True).content.decode()
    )
    boss.post(url, {"column-0": "ticker", "column-1": "isin", "identifier": "isin", "empty_cells": "keep"})
    run = work(run)
    assert run.identifier_column == "code"
    assert "named by its column “code”" in page(boss, run)
    boss.post(url, {"column-0": "ticker", "column-1": "unique_identifier", "identifier": "isin", "empty_cells": "keep"})
    assert work(run).mapping["code"] == "unique_identifier"


def test_a_refused_upload_shows_why_and_keeps_nothing(boss: Client, settings: Any) -> None:
    assert "no rows" in send(boss, "unique_identifier\n").content.decode()
    assert "at most 64 characters" in send(boss, asset_type="x" * 65).content.decode()
    assert boss.post(reverse("admin:markets_importrun_add"), {"empty_cells": "keep"}).status_code == 200
    assert send(boss, empty_cells="maybe").status_code == 200
    settings.IMPORT_MAX_BYTES = 10
    assert "MSM_IMPORT_MAX_MIB" in send(boss).content.decode()
    assert not ImportRun.objects.exists()


def test_the_errors_file_and_the_deletion_of_a_record(boss: Client) -> None:
    run = apply(upload(CONTENT))
    response = boss.get(reverse("admin:import_errors", args=(run.pk,)))
    lines = list(csv.reader(io.StringIO(b"".join(response.streaming_content).decode("utf-8-sig"))))
    assert lines[1][-1] == "'=1+1"
    assert boss.get(reverse("admin:import_discard", args=(run.pk,))).status_code == 200
    assert boss.post(reverse("admin:import_discard", args=(run.pk,))).status_code == 302
    assert not ImportRun.objects.exists()
    assert Asset.objects.count() == 2


def test_a_viewer_looks_and_changes_nothing(viewer: Client) -> None:
    run = upload(CONTENT)
    text = page(viewer, run)
    assert "Apply to" not in text
    assert "How the file is read" not in text
    assert viewer.get(reverse("admin:markets_importrun_add")).status_code == 403
    assert send(viewer).status_code == 403
    for name in ("apply", "undo", "discard", "mapping"):
        assert viewer.post(reverse(f"admin:import_{name}", args=(run.pk,)), {"reason": "x"}).status_code == 403
    run.refresh_from_db()
    assert run.status == ImportStatus.PREVIEWED
    assert ImportRun.objects.count() == 1


def test_an_importer_sees_their_own_and_may_not_undo_without_the_permission(db: None) -> None:
    theirs = upload(CONTENT)
    user = factories.user("markets.add_asset", "markets.change_asset", is_staff=True)
    client = Client()
    client.force_login(user)
    send(client)
    own = work(ImportRun.objects.get(uploaded_by=user))
    assert "assets.csv" in page(client, own)
    for name in ("progress", "errors", "apply"):
        assert client.get(reverse(f"admin:import_{name}", args=(theirs.pk,))).status_code == 404
    assert client.get(reverse("admin:markets_importrun_change", args=(theirs.pk,))).status_code == 302
    client.post(reverse("admin:import_apply", args=(own.pk,)), {})
    own = work(own)
    assert "Undo…" not in page(client, own)
    assert client.post(reverse("admin:import_undo", args=(own.pk,)), {"reason": "x"}).status_code == 403


@pytest.mark.parametrize("query", ["?outcome=nonsense", "?key=%00", "?rows_page=9999999", "?rows_page=x&rows_sort=y"])
def test_hostile_addresses_break_nothing(boss: Client, query: str) -> None:
    page(boss, upload(CONTENT), query)


def test_every_state_has_a_page(boss: Client) -> None:
    failed = upload("unique_identifier\n" + "A\n" * 1_100 + '"')
    assert "never closed" in page(boss, failed)
    undone = undo(apply(upload("unique_identifier\nZ\n")))
    assert "Undone" in page(boss, undone)
    lost = upload(CONTENT)
    ImportRun.objects.filter(pk=lost.pk).update(job=None)
    page(boss, lost)
    assert boss.get(reverse("admin:import_progress", args=(lost.pk,))).status_code == 404
    assert boss.get(reverse(LIST)).status_code == 200
