"""The pages of resolutions: a list is pasted or uploaded, watched, filtered, exported and resumed."""

import csv
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from markets.models import Job, Resolution, ResolutionItem
from markets.services import jobs
from tests import factories
from tests.admin import rows

ADD, LIST = reverse("admin:markets_resolution_add"), reverse("admin:markets_resolution_changelist")
APPLE, WRONG = "US0378331005", "US0378331006"
pytestmark = pytest.mark.django_db


def paste(client: Client, text: str, **fields: Any) -> Any:
    return client.post(ADD, {"identifiers": text, "source": "", "title": "", **fields})


def page_url(row: Resolution) -> str:
    return reverse("admin:markets_resolution_change", args=(row.pk,))


def page(client: Client, row: Resolution, query: str = "") -> str:
    response = client.get(page_url(row) + query)
    assert response.status_code == 200
    text = response.content.decode()
    assert rows.HOSTILE not in text
    return text


def test_the_empty_list_says_what_a_resolution_is(boss: Client) -> None:
    text = boss.get(LIST).content.decode()
    assert "There are no resolutions yet" in text
    assert "manage.py resolve_figis FILE" in text
    assert "What will happen" in boss.get(ADD).content.decode()


def test_a_pasted_list_is_resolved_filtered_and_exported(openfigi, boss: Client) -> None:
    factories.home_market(source="us_broker")
    assert '<option value="us_broker">' in boss.get(ADD).content.decode()
    answer = paste(boss, f"{APPLE}\r\n{WRONG}\r\n{rows.HOSTILE}\r\n{APPLE}", source="desk", title="Mine")
    row = Resolution.objects.get()
    assert answer.headers["Location"] == page_url(row)
    assert (row.title, row.source, row.lines, row.repeated) == ("Mine", "desk", 4, 1)
    progress = reverse("admin:resolution_progress", args=(row.pk,))
    assert progress in page(boss, row)
    assert boss.get(progress).json()["status"] == "queued"

    jobs.execute(str(row.job.uid))
    text = page(boss, row)
    assert progress not in text
    assert "Decide 1…" in text
    assert "&lt;script&gt;" in text
    assert "16 candidates" in text
    assert "Resume" not in text
    assert WRONG not in page(boss, row, "?status=review")
    assert APPLE in page(boss, row, "?scheme=isin&q=us03")
    assert "No identifier of the list is like that." in page(boss, row, "?q=nothing")
    for junk in ("?status=junk&scheme=%00&items_page=99999999999", "?q=%00%00", "?items_sort=x&items_page=-1"):
        page(boss, row, junk)

    file = b"".join(boss.get(reverse("admin:resolution_outcomes", args=(row.pk,))).streaming_content)
    table = list(csv.DictReader(io.StringIO(file.decode("utf-8-sig"))))
    assert [(line["line"], line["identifier"], line["outcome"]) for line in table] == [
        ("1", APPLE, "review"),
        ("2", WRONG, "rejected"),
        ("3", rows.HOSTILE, "not_found"),
    ]
    some = b"".join(boss.get(reverse("admin:resolution_outcomes", args=(row.pk,)) + "?status=review").streaming_content)
    assert some.decode().count("\n") == 2
    assert "Mine" in boss.get(LIST).content.decode()


def test_the_evidence_of_an_item_is_the_question_and_its_candidates(boss: Client) -> None:
    item = factories.resolution_item(status="review")
    text = boss.get(reverse("admin:markets_resolutionitem_change", args=(item.pk,))).content.decode()
    for part in ("idType", "TICKER", factories.CANDIDATE, factories.OTHER_CANDIDATE, "BBG001S5N8V8", "Decide…"):
        assert part in text
    assert 'type="radio"' not in text
    unasked = factories.resolution_item(status="rejected")
    text = boss.get(reverse("admin:markets_resolutionitem_change", args=(unasked.pk,))).content.decode()
    assert "OpenFIGI was not asked" in text


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (f"isin,name\n{APPLE},Apple\nIBM,x\n", [(2, APPLE), (3, "IBM")]),
        (f'\ufeffISIN;Name\r\n"{APPLE}";"A; B"\r\n', [(2, APPLE)]),
        (f"{APPLE}\tApple\n# none\n\nIBM@XNYS\t1\n", [(1, APPLE), (4, "IBM@XNYS")]),
    ],
)
def test_of_a_file_the_first_column_is_taken(boss: Client, content: str, lines: list[tuple[int, str]]) -> None:
    answer = paste(boss, "", file=SimpleUploadedFile("list.csv", content.encode()))
    assert answer.status_code == 302
    assert list(ResolutionItem.objects.order_by("line").values_list("line", "text")) == lines
    assert Resolution.objects.get().title == "list.csv"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"identifiers": ""}, "Paste identifiers, or choose a file."),
        ({"identifiers": "# nothing"}, "The list has no identifier."),
        ({"identifiers": "A", "file": b"A"}, "Paste a list or choose a file, not both."),
        ({"file": b""}, "The list has no identifier."),
        ({"file": "Größe".encode("latin-1")}, "The file is no text in UTF-8"),
        ({"file": b"PK\x03\x04\xff\xfe"}, "The file is no text in UTF-8"),
        ({"file": b"A\n" * 50_001}, "more than 50,000 lines"),
        ({"file": b"\n" * (20 * 2**20 + 1)}, "and a list takes 20"),
        ({"identifiers": "A", "source": "x" * 65}, "at most 64 characters"),
        ({"identifiers": "A\x00"}, "Null characters are not allowed."),
    ],
    ids=range(10),
)
def test_what_is_no_list_is_told_and_leaves_nothing(boss: Client, fields: dict[str, Any], said: str) -> None:
    if "file" in fields:
        fields = {**fields, "file": SimpleUploadedFile("list.txt", fields["file"])}
    answer = boss.post(ADD, fields)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert (Resolution.objects.count(), Job.objects.count()) == (0, 0)


def test_what_failed_is_resumed_by_whoever_may(boss: Client, viewer: Client) -> None:
    item = factories.resolution_item(status="failed")
    url = reverse("admin:resolution_resume", args=(item.resolution_id,))
    assert "Resume" not in page(viewer, item.resolution)
    assert viewer.post(url).status_code == 403
    assert viewer.get(ADD).status_code == 403
    assert not Job.objects.exists()
    assert "Resume 1 identifier" in page(boss, item.resolution)
    assert boss.post(url).status_code == 302
    item.refresh_from_db()
    assert item.status == "pending"
    assert Job.objects.count() == 1


def test_all_that_waits_is_asked_for_from_its_list(boss: Client, viewer: Client) -> None:
    factories.pending_resolution()
    listed = reverse("admin:markets_pendingresolution_changelist")
    assert "Ask OpenFIGI for all that wait" not in viewer.get(listed).content.decode()
    assert "Ask OpenFIGI for all that wait" in boss.get(listed).content.decode()
    answer = boss.post(reverse("admin:pending_resolve"))
    assert answer.headers["Location"] == page_url(Resolution.objects.get())
    assert boss.post(reverse("admin:pending_resolve")).headers["Location"] == listed
    assert Resolution.objects.count() == 1


def test_pages_take_as_many_queries_for_many_rows(boss: Client) -> None:
    owner = factories.resolution(job=factories.job())

    def grow(number: int) -> None:
        for _ in range(number):
            factories.resolution_item(owner, status="registered", asset=factories.asset())
            factories.resolution_item(owner, status="review")
            factories.resolution_item(factories.resolution(job=factories.job()), status="review")
            factories.home_market()
            factories.remembered_decision()

    def queries() -> dict[str, int]:
        counts = {}
        for url in (
            LIST,
            page_url(owner),
            *(reverse(f"admin:markets_{name}_changelist") for name in ("resolutionitem", "homemarketpolicy")),
            reverse("admin:markets_remembereddecision_changelist"),
            reverse("admin:review_rule"),
        ):
            boss.get(url)
            with CaptureQueriesContext(connection) as counted:
                assert boss.get(url).status_code == 200
            counts[url] = len(counted)
        return counts

    grow(2)
    few = queries()
    grow(9)
    assert queries() == few
    assert max(few.values()) <= 20
