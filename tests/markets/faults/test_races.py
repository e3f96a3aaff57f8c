"""Two processes make one table, one registration, one name or one view at the same instant, ten times each."""

import json
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from markets.models import NodeRun, NodeUpdate, StorageNode
from tests.markets.data_nodes.nodes import exists
from tests.markets.faults.nodes import Staged, rows_of
from tests.markets.faults.whole import SUCCEEDED, UP_TO_DATE, assert_table_is_whole

ROUNDS = 10
Race = Callable[[Staged, Staged], list[list[str]]]


@pytest.fixture
def race(world, tmp_path) -> Iterator[Race]:
    """Runs two nodes in two processes at once; tells for each the status of its run, or the error and its message."""
    command = ("-m", "tests.markets.faults.racer")
    racers = [world.start(*command, log=tmp_path / f"racer{number}.log", piped=True) for number in range(2)]
    assert [answer(racer) for racer in racers] == ["ready", "ready"]

    def run(*nodes: Staged) -> list[list[str]]:
        for racer, node in zip(racers, nodes, strict=True):
            names = ("table", "assets", "identifier", "part")
            arguments = {name: getattr(node, name) for name in names} | {"place": str(node.place)}
            ask(racer, json.dumps(arguments))
        assert [answer(racer) for racer in racers] == ["set", "set"]
        for racer in racers:
            ask(racer, "go")
        return [answer(racer) for racer in racers]

    return run


def ask(racer, line):
    racer.stdin.write(f"{line}\n")
    racer.stdin.flush()


def answer(racer):
    return json.loads(racer.stdout.readline())


def test_two_processes_at_the_same_instant(race, place):
    for number in range(ROUNDS):
        check_one_update(race, place, number)
        check_parts_of_one_table(race, place, number)
        check_the_same_rows_by_two_updates(race, place, number)
        check_one_identifier_for_two_tables(race, place, number)
        check_two_identifiers_for_one_table(race, place, number)


def check_one_update(race, place, number):
    """The table, its registration and the update's are made once; who comes second is told, or finds nothing to do."""
    node = Staged(str(place), table=f"one{number}")
    answers = sorted(race(node, Staged(str(place), table=f"one{number}")))
    told = ["NodeBusy", f"{node.update_hash} is being updated by another process. Wait for its run to end."]
    assert answers in ([told, ["succeeded", ""]], [["succeeded", ""], ["up_to_date", ""]])
    assert_table_is_whole(node, rows_of(200), [SUCCEEDED] if answers[0] == told else [SUCCEEDED, UP_TO_DATE])
    assert NodeUpdate.objects.filter(storage__storage_hash=node.storage_hash).count() == 1


def check_parts_of_one_table(race, place, number):
    """Each writes its own assets into the table that the faster one makes, and one view has the name of both."""
    parts = [
        Staged(str(place), table=f"parts{number}", assets=assets, identifier=f"p{number}") for assets in ("AB", "CD")
    ]
    assert race(*parts) == [["succeeded", ""], ["succeeded", ""]]
    assert_table_is_whole(parts[0], rows_of(200, "ABCD"), [SUCCEEDED, SUCCEEDED])
    assert StorageNode.objects.get(storage_hash=parts[0].storage_hash).updates.count() == 2
    assert views_of(parts[0]) == [f"p{number}"]
    assert view_rows(f"p{number}") == 800


def check_the_same_rows_by_two_updates(race, place, number):
    """The rows are there once, when the table is made and when it is added to; the slower one wrote none of them."""
    twins = [Staged(str(place), table=f"twins{number}", part=part) for part in (1, 2)]
    (place / "days").write_text("100")
    first = race(*twins)
    (place / "days").write_text("200")
    second = race(*twins)
    runs = []
    for answers in (first, second):
        assert ["succeeded", ""] in answers
        slower = next(name for name, _ in sorted(answers) if name != "succeeded")
        assert slower in {"up_to_date", "DuplicateKeys"}
        runs += sorted([SUCCEEDED, UP_TO_DATE if slower == "up_to_date" else ("failed", slower)])
    recorded = NodeRun.objects.filter(node_update__storage__storage_hash=twins[0].storage_hash).order_by("id")
    found = [(run.status, run.error_type) for run in recorded]
    assert sorted(found[:2]) + sorted(found[2:]) == runs
    assert_table_is_whole(twins[0], rows_of(200), found)


def check_one_identifier_for_two_tables(race, place, number):
    """One gets the name; the other is told whose it is, and leaves no table behind."""
    nodes = [Staged(str(place), table=f"{name}{number}", identifier=f"n{number}") for name in ("left", "right")]
    answers = race(*nodes)
    assert sorted(name for name, _ in answers) == ["Conflict", "succeeded"]
    winner, loser = nodes if answers[0][0] == "succeeded" else nodes[::-1]
    assert ["Conflict", conflict(f"n{number}", winner)] in answers
    assert_table_is_whole(winner, rows_of(200), [SUCCEEDED])
    assert_table_is_whole(loser, [], [("failed", "Conflict")])
    assert not exists(loser)
    assert (views_of(winner), views_of(loser)) == ([f"n{number}"], [])


def conflict(identifier, owner):
    return (
        f"The identifier {identifier!r} already names the table {owner.storage_hash} of "
        "tests.markets.faults.nodes.Staged. Give this node another identifier."
    )


def check_two_identifiers_for_one_table(race, place, number):
    """The name that was published last is the name, and no view stays under the other."""
    (place / "days").write_text("200")
    runs = []
    for names, run in (("xy", SUCCEEDED), ("vw", UP_TO_DATE)):  # as the table is made, and when it is there
        parts = [
            Staged(str(place), table=f"names{number}", assets=assets, identifier=f"{name}{number}")
            for assets, name in zip(("AB", "CD"), names, strict=True)
        ]
        assert race(*parts) == [list(run), list(run)]
        runs += [run, run]
        assert_table_is_whole(parts[0], rows_of(200, "ABCD"), runs)
        name = StorageNode.objects.get(storage_hash=parts[0].storage_hash).identifier
        assert name in {f"{letter}{number}" for letter in names}
        assert views_of(parts[0]) == [name]
        assert view_rows(name) == 800


def views_of(node):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname::text FROM pg_class WHERE relkind = 'v' AND obj_description(oid, 'pg_class') = %s",
            [f"msm {node.storage_hash}"],
        )
        return [name for (name,) in cursor.fetchall()]


def view_rows(name):
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{name}"')
        return cursor.fetchone()[0]
