"""The pages of a DataNode's gaps and backfills."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from markets.data_nodes import registry
from markets.models import Backfill, Job, NodeRun, NodeUpdate
from markets.services import jobs
from tests.markets.backfills import nodes
from tests.markets.backfills.nodes import Closes, delete_rows, make_calendar, weekdays
from tests.markets.data_nodes.nodes import make_assets, stored

DAYS = weekdays(10)
RANGE = {"start": str(DAYS[0]), "end": str(DAYS[-1]), "calendar": "DAYS"}


@pytest.fixture
def node(db: None, monkeypatch: pytest.MonkeyPatch) -> Closes:
    """Ten days of A and B, of which A misses the third and fourth, and B the seventh."""
    monkeypatch.setattr(registry, "_modules", [*registry._modules, nodes.__name__])
    monkeypatch.setattr(Closes, "days", list(DAYS))
    make_assets("A", "B", "C")
    make_calendar()
    made = Closes()
    made.run()
    delete_rows(made, ("A", DAYS[2]), ("A", DAYS[3]), ("B", DAYS[6]))
    return made


def page(client: Client, name: str, query: dict[str, Any] | None = None, *, pk: int | None = None) -> Any:
    update = pk or NodeUpdate.objects.get(storage__identifier="closes").pk
    return client.get(reverse(f"admin:markets_nodeupdate_{name}", args=(update,)), query or {})


def send(client: Client, **values: Any) -> Any:
    update = NodeUpdate.objects.get(storage__identifier="closes")
    return client.post(reverse("admin:markets_nodeupdate_backfill", args=(update.pk,)), {**RANGE, **values})


# --- gaps ------------------------------------------------------------------------------------------------------------
def test_the_worst_come_first_and_lead_to_their_gaps_and_to_a_backfill(boss: Client, node: Closes) -> None:
    response = page(boss, "gaps", RANGE)
    rows = response.context["table"].rows
    assert [cells[3:] for cells in rows] == [("10", "2", "20.00 %", "2", "0"), ("10", "1", "10.00 %", "1", "0")]
    assert "asset=A#spells" in rows[0][0]
    one = page(boss, "gaps", {**RANGE, "asset": "A"})
    assert one.context["spells"].rows == [("2026-01-07 21:00", "2026-01-08 21:00", "2")]
    assert one.context["backfill_url"].endswith(
        "backfill/?start=2026-01-05&end=2026-01-16&failed_only=1&assets=A&calendar=DAYS"
    )
    assert "Backfill these" in one.content.decode()


def test_columns_sort_and_pages_turn(boss: Client, node: Closes) -> None:
    by_name = page(boss, "gaps", {**RANGE, "gaps_sort": "-asset"}).context["table"].rows
    assert [cells[4] for cells in by_name] == ["1", "2"]
    for column in ("first", "-last", "expected", "-share", "off", "longest", "nonsense", "missing"):
        assert len(page(boss, "gaps", {**RANGE, "gaps_sort": column}).context["table"].rows) == 2
    assert page(boss, "gaps", {**RANGE, "gaps_page": "9"}).context["table"].rows == []


def test_the_csv_has_the_assets_or_the_gaps(viewer: Client, node: Closes) -> None:
    assets = b"".join(page(viewer, "gaps_export", RANGE).streaming_content).decode("utf-8-sig").splitlines()
    assert assets[0] == "asset_identifier,calendar,first,last,expected,stored,missing,off_session,longest_gap"
    assert assets[1] == "A,DAYS,2026-01-05T21:00:00Z,2026-01-16T21:00:00Z,10,8,2,0,2"
    found = b"".join(page(viewer, "gaps_export", {**RANGE, "what": "gaps"}).streaming_content).decode("utf-8-sig")
    assert found.splitlines() == [
        "asset_identifier,from,to,missing_sessions",
        "A,2026-01-07T21:00:00Z,2026-01-08T21:00:00Z,2",
        "B,2026-01-13T21:00:00Z,2026-01-13T21:00:00Z,1",
    ]


def test_who_may_only_look_sees_gaps_without_the_way_to_fill_them(viewer: Client, node: Closes) -> None:
    response = page(viewer, "gaps", RANGE)
    assert response.status_code == 200
    assert "Backfill these" not in response.content.decode()
    assert page(viewer, "backfill").status_code == 403
    assert send(viewer, confirm="1").status_code == 403
    assert not Job.objects.exists()
    shown = viewer.get(reverse("admin:markets_nodeupdate_change", args=(node.get_node_update().pk,))).content.decode()
    assert "/gaps/" in shown
    assert "/backfill/" not in shown


def test_pages_that_have_nothing_to_show_say_what_to_do(boss: Client, node: Closes) -> None:
    bare = Closes("bare", calendar_identifier="")
    bare.run()
    pk = bare.get_node_update().pk
    said = page(boss, "gaps", pk=pk).content.decode()
    assert "bare names no calendar" in said
    assert page(boss, "gaps", {"calendar": "DAYS"}, pk=pk).context["table"].rows
    assert "It was never backfilled. Choose the days above" in page(boss, "backfill", pk=pk).content.decode()


@pytest.mark.parametrize(
    "query",
    [
        {"start": "2026-02-01", "end": "2026-01-01"},
        {"start": "NaN"},
        {"end": "\x00"},
        {"start": "0001-01-01"},
        {"calendar": "<script>"},
        {"calendar": "\x00"},
        {"asset": "\x00<script>alert(1)</script>"},
        {"gaps_page": "-1", "gaps_sort": "\x00"},
        {"start": "9" * 5000},
    ],
)
def test_hostile_addresses_break_no_page(boss: Client, node: Closes, query: dict[str, str]) -> None:
    for name in ("gaps", "backfill"):
        response = page(boss, name, query)
        assert response.status_code == 200
        assert "<script>alert(1)" not in response.content.decode()
    assert page(boss, "gaps_export", query).status_code in (200, 302)


def test_gaps_take_as_many_queries_for_many_assets_as_for_few(
    boss: Client, node: Closes, django_assert_num_queries: Any
) -> None:
    names = [f"Z{number:03d}" for number in range(60)]
    make_assets(*names)
    many = Closes("many", names)
    many.run()
    page(boss, "gaps", RANGE)
    for pk, shown in ((node.get_node_update().pk, 2), (many.get_node_update().pk, 25)):
        with django_assert_num_queries(10):
            assert len(page(boss, "gaps", RANGE, pk=pk).context["table"].rows) == shown


# --- backfill --------------------------------------------------------------------------------------------------------
def test_a_preview_shows_what_would_be_done_and_does_nothing(boss: Client, node: Closes) -> None:
    response = send(boss, failed_only="on")
    assert [cells[1:] for cells in response.context["windows"].rows] == [
        ("2026-01-07 21:00", "2026-01-08 21:00", "A", "fill in", "2"),
        ("2026-01-13 21:00", "2026-01-13 21:00", "B", "fill in", "1"),
    ]
    assert "2 parts, 3 rows expected, 3 missing. Nothing is written yet." in response.content.decode()
    assert (Backfill.objects.count(), Job.objects.count(), NodeRun.objects.count()) == (0, 0, 1)


def test_what_was_shown_is_confirmed_done_by_a_worker_and_listed(boss: Client, node: Closes) -> None:
    mark = send(boss, failed_only="on", assets="A, B\nA").context["mark"]
    response = send(boss, failed_only="on", assets="B\nA", confirm="1", shown=mark)
    assert response.status_code == 302
    job = Job.objects.get()
    assert page(boss, "backfill").context["progress_url"] == reverse("admin:job_progress", args=(job.uid,))
    jobs.execute(str(job.uid))
    after = page(boss, "backfill")
    assert after.context["progress_url"] == ""
    assert after.context["earlier"].rows[0][1:4] == ("2026-01-05 to 2026-01-16", "2 assets", "failed and missing")
    assert after.context["earlier"].rows[0][5:] == ("2 of 2", "3")
    assert ">Done<" in after.content.decode()
    assert len(stored(node)) == 20


def test_a_form_that_changed_since_its_preview_is_previewed_again(boss: Client, node: Closes) -> None:
    mark = send(boss, failed_only="on").context["mark"]
    response = send(boss, confirm="1", shown=mark)
    assert "The form has changed since it was previewed." in response.content.decode()
    assert response.context["plan"].missing is None
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"start": "2026-02-01"}, "start", "is after end"),
        ({"start": ""}, "start", "required"),
        ({"start": "yesterday"}, "start", "valid date"),
        ({"assets": "A, NONE"}, "__all__", "NONE"),
        ({"assets": "\x00"}, "assets", "Null characters"),
        ({"calendar": "NONE", "failed_only": "on"}, "__all__", "There is no calendar"),
        ({"end": "9999-12-31"}, "end", "outside the years"),
    ],
)
def test_bad_forms_are_shown_again_with_the_fault(
    boss: Client, node: Closes, values: dict[str, str], field: str, said: str
) -> None:
    for confirm in ({}, {"confirm": "1", "shown": "x"}):
        response = send(boss, **values, **confirm)
        assert response.status_code == 200
        assert said in str(response.context["form"].errors[field])
    assert not Backfill.objects.exists()


def test_failed_parts_are_told_with_their_error_and_run(
    boss: Client, node: Closes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Closes, "breaks_on", {"A": "The vendor is closed."})
    mark = send(boss).context["mark"]
    send(boss, confirm="1", shown=mark)
    jobs.execute(str(Job.objects.get().uid))
    response = page(boss, "backfill")
    assert response.context["failed"].rows[0][-1] == "The vendor is closed."
    assert "/noderun/" in response.context["failed"].rows[0][-2]
    run = NodeRun.objects.get(is_backfill=True)
    shown = boss.get(reverse("admin:markets_noderun_change", args=(run.pk,))).content.decode()
    assert "2026-01-05 00:00 UTC to 2026-01-16 23:59:59 UTC" in shown


def test_a_link_fills_the_form(boss: Client, node: Closes) -> None:
    form = page(boss, "backfill", {**RANGE, "assets": "A", "failed_only": "1"}).context["form"]
    assert (form["start"].value(), form["assets"].value(), form["failed_only"].value()) == ("2026-01-05", "A", True)
    assert dt.date.fromisoformat(form["end"].value()) == DAYS[-1]
