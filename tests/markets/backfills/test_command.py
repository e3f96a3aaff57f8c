"""manage.py backfill: what it prints, and what it refuses."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from markets.data_nodes import registry
from markets.exceptions import InvalidInput, NotFound, UnknownIdentifiers
from markets.models import Backfill, NodeRun
from tests.markets.backfills import nodes
from tests.markets.backfills.nodes import Closes, delete_rows, make_calendar, weekdays
from tests.markets.data_nodes.nodes import make_assets, stored

pytestmark = pytest.mark.django_db
DAYS = weekdays(10)
RANGE = ("--start", str(DAYS[0]), "--end", str(DAYS[-1]), "--calendar", "DAYS")


@pytest.fixture(autouse=True)
def node(monkeypatch):
    """Ten days of A and B, of which A misses the third and fourth, and B the seventh."""
    monkeypatch.setattr(registry, "_modules", [*registry._modules, nodes.__name__])
    monkeypatch.setattr(Closes, "days", list(DAYS))
    make_assets("A", "B")
    make_calendar()
    made = Closes()
    made.run()
    delete_rows(made, ("A", DAYS[2]), ("A", DAYS[3]), ("B", DAYS[6]))
    return made


def told(*arguments):
    out = io.StringIO()
    call_command("backfill", "closes", *arguments, stdout=out, stderr=out)
    return out.getvalue().splitlines()


def test_a_dry_run_prints_what_would_be_done_and_does_nothing(node):
    before = stored(node)
    assert told(*RANGE, "--failed-only", "--dry-run") == [
        "closes: fill 2026-01-07T21:00:00Z to 2026-01-08T21:00:00Z, 1 asset, 2 rows expected",
        "closes: fill 2026-01-13T21:00:00Z to 2026-01-13T21:00:00Z, 1 asset, 1 row expected",
        "2 parts, 3 rows expected, 3 missing. Nothing was done.",
    ]
    body = json.loads(told(*RANGE, "--failed-only", "--dry-run", "--json")[0])
    assert (body["parts"], body["missing"], len(body["windows"])) == (2, 3, 2)
    assert stored(node) == before
    assert (Backfill.objects.count(), NodeRun.objects.count()) == (0, 1)


def test_it_prints_a_line_for_each_part_and_a_count(node):
    assert told(*RANGE, "--failed-only") == [
        "1 of 2: closes from 2026-01-07 21:00 to 2026-01-08 21:00 UTC: 2 rows written",
        "2 of 2: closes from 2026-01-13 21:00 to 2026-01-13 21:00 UTC: 1 row written",
        "2 of 2 parts done, 3 rows written.",
    ]
    assert told(*RANGE, "--failed-only") == ["Nothing to do: no session is missing and no part has failed."]
    assert len(stored(node)) == 20


def test_assets_are_given_apart_with_commas_or_in_a_file(node, tmp_path):
    path = tmp_path / "assets.txt"
    path.write_text("A\n\nB\n")
    for given, parts in ((["A"], 1), (["A", "B"], 2), (["A,B"], 2), ([f"@{path}"], 2)):
        body = json.loads(told(*RANGE, "--failed-only", "--dry-run", "--json", "--assets", *given)[0])
        assert body["parts"] == parts


def test_failures_are_listed_and_end_with_an_error(monkeypatch):
    monkeypatch.setattr(Closes, "breaks_on", {"A": "The vendor is closed."})
    out = io.StringIO()
    with pytest.raises(CommandError, match="Parts failed"):
        call_command("backfill", "closes", *RANGE, "--failed-only", stdout=out, stderr=out)
    assert out.getvalue().splitlines()[-2:] == [
        "closes from 2026-01-07 21:00 to 2026-01-08 21:00 UTC: The vendor is closed.",
        "1 of 2 parts done, 1 row written; 1 failed.",
    ]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        (["--start", "2026-02-01"], InvalidInput, "is after end"),
        (["--start", "2026-01-01T00:00:00"], InvalidInput, "has no time zone"),
        (["--end", "nan"], InvalidInput, "is not a time"),
        (["--assets", "NONE"], UnknownIdentifiers, "NONE"),
        (["--assets", "@/no/such/file"], InvalidInput, "cannot be read"),
        (["--assets", ","], InvalidInput, "assets is empty"),
        (["--calendar", "NONE"], NotFound, "no calendar"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, error, said):
    for dry in ([], ["--dry-run"]):
        with pytest.raises(error, match=said):
            told(*RANGE, "--failed-only", *changes, *dry)
    assert not Backfill.objects.exists()
