"""A namespace is a schema: made by one command, seen alone by whoever starts in it, invisible to everyone else."""

import json

import pytest

from markets import locks, namespaces
from markets.exceptions import InvalidInput, NamespaceInUse
from markets.services.namespaces import migrate_namespace
from tests.scripts import CHECKOUT, Scripts

pytestmark = pytest.mark.xdist_group("processes")

EXAMPLES = "mainsequence.examples"
VARIABLE = "MSM_AUTO_REGISTER_NAMESPACE"
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|public)' ORDER BY 1"
FLOWS = """
import datetime as dt
import pandas as pd
import msm
from msm.api.assets import Asset
from msm.data_nodes import DataNode, TableMetaData

class Flows(DataNode):
    def __init__(self, *, hash_namespace: str = ""):
        super().__init__(hash_namespace=hash_namespace)

    def update(self):
        index = pd.MultiIndex.from_product(
            [pd.date_range("2026-01-01", periods=3, tz="UTC"), ["BTC"]], names=["time_index", "asset_identifier"]
        )
        return pd.DataFrame({"flow": [1.0, 2.0, 3.0]}, index=index)

    def get_table_metadata(self):
        return TableMetaData(identifier="flows", data_frequency_id="1d")
"""


def test_the_command_makes_a_schema_once_and_tells_what_it_did(scripts: Scripts) -> None:
    made = scripts.manage("migrate_namespace", EXAMPLES)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1].startswith(f"{EXAMPLES}: schema made, ")
    assert "Applying markets.0001_initial... OK" in made.stdout
    again = scripts.manage("migrate_namespace", EXAMPLES, "--json")
    found = json.loads(again.stdout)
    assert (found["namespace"], found["created"], found["applied"]) == (EXAMPLES, False, 0)
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = %s"
    assert scripts.rows(tables, EXAMPLES) == scripts.rows(tables, "public") == [(found["tables"],)]


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "public", "Information_Schema", "pg_mine", 'a"; DROP SCHEMA public; --', "a b", "a..b", ".a", "1a"),
        *("é", "a" * 64, "a\x00b", "a\nb", "../x"),
    ],
)
def test_a_name_that_there_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"namespace=") as refused:
        migrate_namespace(name)
    assert refused.value.field == "namespace"
    assert namespaces.current() == ""


def test_hostile_names_make_no_schema(scripts: Scripts) -> None:
    for name in ('x"; DROP SCHEMA public CASCADE; --', "pg_x"):
        refused = scripts.manage("migrate_namespace", name)
        assert (refused.returncode, len(refused.stderr.strip().splitlines())) == (1, 1), refused.stderr
    assert scripts.rows(SCHEMAS) == []
    set_wrongly = scripts.manage("check", **{VARIABLE: "a b"})
    assert set_wrongly.returncode == 1
    assert set_wrongly.stderr.startswith("Configuration: MSM_AUTO_REGISTER_NAMESPACE='a b' is no name of a namespace.")


def test_a_schema_of_something_else_is_left_alone(scripts: Scripts) -> None:
    scripts.rows("CREATE SCHEMA theirs")
    scripts.rows("CREATE TABLE theirs.orders (id int)")
    refused = scripts.manage("migrate_namespace", "theirs")
    assert refused.returncode == 1
    assert refused.stderr.strip() == ("The schema theirs holds tables of something else (orders). Choose another name.")
    assert scripts.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'theirs'") == [("orders",)]


def test_two_who_make_the_same_namespace_at_once_both_succeed(scripts: Scripts) -> None:
    both = scripts.output(
        f"""
        import subprocess, sys
        command = [sys.executable, {str(CHECKOUT / "manage.py")!r}, "migrate_namespace", "twice", "--json"]
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        print([process.communicate()[0].strip() for process in started], [process.returncode for process in started])
        """
    )
    assert both.count('"created": true') == both.count('"created": false') == 1
    assert both.strip().endswith("[0, 0]")


def test_nothing_of_one_namespace_is_seen_in_another(scripts: Scripts) -> None:
    assert scripts.manage("migrate_namespace", EXAMPLES, "--json").returncode == 0
    inside = scripts.output(
        FLOWS
        + """
import threading
from django.db import connection
from markets.models import StorageNode
runtime = msm.start_engine(models=["Asset"])
assert runtime.namespace == "mainsequence.examples", runtime
assert runtime.meta_tables["Asset"].identifier == "mainsequence.examples.Asset"
assert runtime.meta_tables["Asset"].schema == "mainsequence.examples"
assert runtime.table("mainsequence.examples.Asset") == "markets_asset"
Asset.upsert(unique_identifier="BTC")
node = Flows()
assert node.hash_namespace == "mainsequence.examples"
assert Flows(hash_namespace="mine").hash_namespace == "mine"
assert len(node.run()) == 3
assert len(node.get_df_between_dates()) == 3
assert node.get_storage().identifier == "mainsequence.examples.flows"
connection.close()  # whoever connects anew, or from another thread, sees the same
seen = []
thread = threading.Thread(target=lambda: seen.append([row.unique_identifier for row in Asset.filter()]))
thread.start(); thread.join()
print(seen, [row.unique_identifier for row in Asset.filter()], node.get_storage().table_name)
""",
        **{VARIABLE: EXAMPLES},
    )
    assert inside.startswith("[['BTC']] ['BTC'] dn_flows_")
    table = inside.split()[-1]
    assert scripts.rows("SELECT schemaname FROM pg_tables WHERE tablename = %s", table) == [(EXAMPLES,)]
    outside = scripts.output(
        FLOWS
        + """
runtime = msm.start_engine(models=["Asset"])
assert runtime.namespace is None
assert runtime.meta_tables["Asset"].identifier == "Asset"
assert Asset.filter() == []
try:
    Flows().run()
except ValueError as error:
    print(error)
try:
    Flows().get_df_between_dates()
except LookupError as error:
    print(error)
"""
    )
    assert "1 identifier (BTC) is not registered as assets" in outside
    assert scripts.rows("SELECT count(*) FROM markets_asset") == [(0,)]
    assert scripts.rows(f'SELECT count(*) FROM "{EXAMPLES}"."{table}"') == [(3,)]


def test_the_argument_wins_over_the_variable_and_neither_changes_later(scripts: Scripts) -> None:
    assert scripts.manage("migrate_namespace", "two", "--json").returncode == 0
    shown = scripts.output(
        """
        import msm
        from msm.api.assets import Asset
        runtime = msm.start_engine(models=["Asset"], namespace="two")
        Asset.upsert(unique_identifier="IN TWO")
        assert msm.start_engine(models=["markets_asset"]) is runtime, "no namespace: the one that it has"
        assert msm.start_engine(models=["two.Asset"], namespace="two") is runtime
        for other in ("one", "three"):
            try:
                msm.start_engine(models=["Asset"], namespace=other)
            except RuntimeError as error:
                print(error)
        print([row.unique_identifier for row in Asset.filter()])
        """,
        **{VARIABLE: "one"},
    )
    assert shown.splitlines() == [
        *(
            f"The engine already works in the namespace two, not in the namespace {other}. One process has one: "
            "start another."
            for other in ("one", "three")
        ),
        "['IN TWO']",
    ]
    assert scripts.rows("SELECT count(*) FROM markets_asset") == [(0,)]
    assert scripts.rows("SELECT unique_identifier FROM two.markets_asset") == [("IN TWO",)]


def test_a_missing_namespace_is_told_with_the_remedy_and_not_made(scripts: Scripts) -> None:
    start = 'import msm; msm.start_engine(models=["AssetCategory"], namespace="new.one")'
    assert scripts.last_error(start) == (
        "markets.exceptions.NotFound: The namespace new.one does not exist, and so no table markets_asset, "
        "markets_assetcategory, markets_assetcategorymembership. Create them: .venv/bin/python manage.py "
        "migrate_namespace new.one"
    )
    assert scripts.rows(SCHEMAS) == []
    # the tables of the default schema do not stand in for those that are missing
    scripts.rows('CREATE SCHEMA "new.one"')
    assert "The namespace new.one has no table markets_asset, " in scripts.last_error(start)
    survived = scripts.output(
        """
        import msm
        from msm.api.assets import Asset
        try:
            msm.start_engine(models=["Asset"], namespace="new.one")
        except LookupError:
            pass
        print(msm.start_engine(models=["Asset"]).namespace, Asset.filter())
        """
    )
    assert survived == "None []\n", "a start that failed leaves the process where it was"


def test_django_processes_follow_the_variable(scripts: Scripts) -> None:
    count = "from markets.models import Asset; Asset.objects.count()"
    unmade = scripts.manage("shell", "-c", count, **{VARIABLE: "web"})
    assert unmade.returncode == 1
    migrated = scripts.manage("migrate", "--verbosity", "0", **{VARIABLE: "web"})
    assert migrated.returncode == 0, migrated.stderr
    made = scripts.manage(
        "shell",
        "-c",
        "import msm; from msm.api.assets import Asset; print(msm.start_engine(['Asset']).namespace); "
        "print(Asset.upsert(unique_identifier='X').unique_identifier); from django.test import Client; "
        "print(Client().get('/ready').status_code)",
        **{VARIABLE: "web"},
    )
    assert made.stdout.splitlines()[-3:-1] == ["web", "X"], made.stderr
    assert scripts.rows("SELECT unique_identifier FROM web.markets_asset") == [("X",)]
    assert scripts.rows("SELECT count(*) FROM markets_asset") == [(0,)]


def test_a_process_in_the_middle_of_work_stays_where_it_is(scripts: Scripts) -> None:
    assert scripts.manage("migrate_namespace", "other", "--json").returncode == 0
    shown = scripts.output(
        """
        import threading
        import msm
        from django.db import connection, transaction
        from markets.models import Asset

        def start():
            try:
                msm.start_engine(models=["Asset"], namespace="other")
            except RuntimeError as error:
                print(error)

        with transaction.atomic():
            start()
        release, ready = threading.Event(), threading.Event()
        def hold():
            Asset.objects.count(); ready.set(); release.wait(); connection.close()
        thread = threading.Thread(target=hold)
        thread.start(); ready.wait(); start(); release.set(); thread.join()
        print(msm.start_engine(models=["Asset"], namespace="other").namespace)
        """
    )
    refusal = "This process works in the default namespace and cannot change to the namespace other while {}. "
    remedy = "Start it with MSM_AUTO_REGISTER_NAMESPACE=other."
    assert shown.splitlines() == [
        refusal.format("a transaction is open") + remedy,
        refusal.format("another thread of it has a connection") + remedy,
        "other",
    ]


@pytest.mark.django_db
def test_inside_a_transaction_no_namespace_is_entered() -> None:
    with pytest.raises(NamespaceInUse, match="a transaction is open"), namespaces.within("other"):
        raise AssertionError("not reached")
    assert namespaces.current() == ""


def test_the_same_lock_of_two_namespaces_is_two_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for namespace in ("", "one", "two"):
        monkeypatch.setattr(namespaces, "_current", namespace)
        seen |= {locks.lock_class(space) for space in locks.LockSpace}
    assert len(seen) == 3 * len(locks.LockSpace)
    assert all(0 <= number < 2**31 for number in seen)


def test_queues_and_published_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (namespaces.queue(), namespaces.published("Asset")) == ("msm", "Asset")
    monkeypatch.setattr(namespaces, "_current", EXAMPLES)
    assert namespaces.queue() == "msm.mainsequence.examples"
    assert namespaces.published("Asset") == "mainsequence.examples.Asset"
    assert namespaces.published("mainsequence.examples.Asset") == "mainsequence.examples.Asset"


def test_a_notebook_enters_a_namespace_with_all_its_connections(scripts: Scripts) -> None:
    assert scripts.manage("migrate_namespace", EXAMPLES, "--json").returncode == 0
    shown = scripts.output(
        f"""
        import asyncio
        import msm
        from markets.models import Asset as Model
        from msm.api.assets import Asset

        print(Model.objects.count())  # outside of the loop, in the default namespace

        async def notebook():
            print(Model.objects.count())  # a connection of its own
            msm.start_engine(models=["Asset"], namespace="{EXAMPLES}")
            Asset.upsert(unique_identifier="A")

        asyncio.run(notebook())
        print([row.unique_identifier for row in Asset.filter()])
        """.replace("import msm\n", "import os; os.environ['DJANGO_ALLOW_ASYNC_UNSAFE'] = '1'; import msm\n")
    )
    assert shown == "0\n0\n['A']\n"
    assert scripts.rows("SELECT count(*) FROM markets_asset") == [(0,)]
