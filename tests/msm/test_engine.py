"""The engine: every spelling of a table, one runtime for a process, and tables that somebody else keeps."""

import math
from typing import Any

import pytest
from django.db import connection

import msm
from markets.exceptions import InvalidInput, NotFound
from markets.models import Asset as AssetModel
from markets.models import Bond as BondModel
from markets.models import NodeRun
from msm import runtime
from msm.api.assets import Asset, Bond, CurrencySpot
from msm.api.calendars import CalendarSession
from msm.selection import ALIASES, SELECTABLE
from tests.scripts import Scripts

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def unstarted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    monkeypatch.setattr(runtime, "_runtime", None)


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    ("selector", "name"),
    [
        (AssetModel, "Asset"),
        (Asset, "Asset"),
        ("Asset", "Asset"),
        (" Asset ", "Asset"),
        ("AssetTable", "Asset"),
        ("markets_asset", "Asset"),
        (BondModel, "BondAssetDetails"),
        (Bond, "BondAssetDetails"),
        ("Bond", "BondAssetDetails"),
        ("BondAssetDetailsTable", "BondAssetDetails"),
        ("OpenFigiDetails", "OpenFigiAssetDetails"),
        ("CurrencySpotAssetDetailsTable", "CurrencySpotAssetDetails"),
        (CurrencySpot, "CurrencySpotAssetDetails"),
        ("portfolios_account", "Account"),
    ],
)
def test_a_table_is_selected_in_many_ways(selector: Any, name: str) -> None:
    started = msm.start_engine(models=[selector])
    assert started is msm.start_engine(models=[name])
    assert started.table(selector) == started.meta_tables[name] == started.meta_table_models[name]._meta.db_table
    assert started.table(selector).identifier == name
    assert (started.table(selector).schema, started.namespace, started.context.namespace) == ("public", None, None)


@pytest.mark.parametrize("name", [*SELECTABLE, *ALIASES])
def test_every_name_starts_the_engine(name: str) -> None:
    assert msm.start_engine(models=[name]).table(name)


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("Aset", "There is no model 'Aset'. Did you mean Asset"),
        ("markets_aset", "There is no model 'markets_aset'. Did you mean markets_asset"),
        ("zzzz", "There is no model 'zzzz'. Known: AssetType, Asset, "),
        ("", "There is no model ''. Known: "),
        ("A\x00", "There is no model"),
        ("x" * 100_000, "There is no model 'xxx"),
        (5, "5 selects no table: give a model, a row class or a name such as 'Asset'."),
        (None, "None selects no table"),
        (int, "int is no model or row class of MSM. Known: "),
        (NodeRun, "NodeRun is no model or row class of MSM."),
        ("other.Asset", "'other.Asset' is a name in the namespace other; the engine works in the default namespace."),
    ],
)
def test_what_selects_no_table_is_refused_by_name(selector: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        msm.start_engine(models=[selector])
    assert message in str(refused.value)
    assert len(str(refused.value)) < 1_000
    assert isinstance(refused.value, ValueError)
    assert runtime._runtime is None
    started = msm.start_engine(models=["Asset"])
    with pytest.raises(InvalidInput):
        started.table(selector)


@pytest.mark.parametrize("models", ["Asset", b"Asset", Asset, 5])
def test_models_are_a_list(models: Any) -> None:
    with pytest.raises(InvalidInput, match=r'is no list\. Write models=\["Asset"\]'):
        msm.start_engine(models=models)


def test_references_come_first_and_types_are_not_pulled_in() -> None:
    started = msm.start_engine(models=["FutureAssetDetails"])
    assert list(started.meta_tables) == ["Asset", "Index", "FutureAssetDetails"]


def test_a_row_class_brings_all_that_its_calls_need() -> None:
    started = msm.start_engine(models=[Bond])
    assert list(started.meta_tables) == ["AssetType", "Asset", "Issuer", "BondAssetDetails"]
    assert CalendarSession.start_engine() is started
    assert list(started.meta_tables)[-2:] == ["Calendar", "CalendarSession"]
    with pytest.warns(DeprecationWarning, match=r"Use Asset\.start_engine"):
        assert Asset.create_schemas(models=["Issuer"]) is started


def test_the_same_arguments_in_any_order_or_spelling_give_the_same_runtime() -> None:
    started = msm.start_engine(models=["Asset", "Calendar"])
    assert msm.start_engine(models=["markets_calendar", AssetModel]) is started
    assert msm.start_engine(models=iter(["CalendarTable", Asset])) is started
    assert msm.start_engine(models=["Asset"]) is started, "a subset"
    assert list(started.meta_tables) == ["Asset", "Calendar"]
    assert msm.start_engine(models=["Issuer"]) is started, "more extends"
    assert list(started.meta_tables) == ["Asset", "Issuer", "Calendar"]
    assert msm.start_engine() is started
    assert list(started.meta_tables) == list(SELECTABLE)
    with pytest.raises(RuntimeError, match="already runs with management_mode='platform_managed'"):
        msm.start_engine(management_mode="external_registered")
    with pytest.raises(RuntimeError, match="not in the namespace other"):
        msm.start_engine(namespace="other")
    assert list(started.meta_tables) == list(SELECTABLE)


def test_what_the_runtime_tells_cannot_be_changed() -> None:
    started = msm.start_engine(models=["Asset"])
    with pytest.raises(TypeError):
        started.meta_tables["Issuer"] = started.meta_tables["Asset"]  # type: ignore[index]
    with pytest.raises(InvalidInput, match=r"Issuer is not attached\. Attached: Asset\. Add it: "):
        started.table("Issuer")


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf, True, "5", 1j])
def test_a_timeout_is_a_positive_number(timeout: Any) -> None:
    with pytest.raises(InvalidInput, match="must be a positive number of seconds"):
        msm.start_engine(timeout=timeout)


def test_a_timeout_is_for_this_attempt() -> None:
    msm.start_engine(models=["Asset"], timeout=5)
    assert "connect_timeout" not in connection.settings_dict["OPTIONS"]


@pytest.mark.parametrize("namespace", ["", "a b", 5, "public", 'x"'])
def test_a_namespace_that_there_cannot_be_is_refused(namespace: Any) -> None:
    with pytest.raises(InvalidInput, match="namespace"):
        msm.start_engine(namespace=namespace)


def test_every_missing_table_is_listed() -> None:
    execute("ALTER TABLE markets_issuer RENAME TO markets_issuer_gone")
    execute("ALTER TABLE markets_bond RENAME TO markets_bond_gone")
    with pytest.raises(LookupError) as missing:
        msm.start_engine(models=["Bond"])
    assert str(missing.value) == (
        "The database has no table markets_bond, markets_issuer. Create them: .venv/bin/python manage.py migrate"
    )
    with pytest.raises(LookupError) as missing:
        msm.start_engine(models=["Bond"], management_mode="external_registered")
    assert "Whoever administers the tables makes them; with external_registered MSM makes none." in str(missing.value)
    assert runtime._runtime is None


def test_tables_that_somebody_else_keeps_are_compared_and_left_alone() -> None:
    assert msm.start_engine(management_mode="external_registered").management_mode == "external_registered"


def test_every_difference_of_such_tables_is_listed() -> None:
    execute("ALTER TABLE markets_issuer DROP COLUMN metadata_json")
    execute("ALTER TABLE markets_issuer ALTER COLUMN created_at TYPE timestamp")
    execute("ALTER TABLE markets_issuer ALTER COLUMN display_name TYPE varchar(20)")
    execute("ALTER TABLE markets_issuer ALTER COLUMN unique_identifier TYPE text")
    execute("ALTER TABLE markets_issuer ADD COLUMN desk text NOT NULL")
    execute("ALTER TABLE markets_issuer ADD COLUMN note text")
    with pytest.raises(NotFound) as different:
        msm.start_engine(models=["Issuer"], management_mode="external_registered")
    assert str(different.value) == (
        "The tables are not those that MSM works with: "
        "markets_issuer.created_at is timestamp without time zone, not timestamp with time zone; "
        "markets_issuer.display_name is character varying(20), not character varying(255); "
        "markets_issuer has no column metadata_json (jsonb); "
        "markets_issuer.desk (text) must be filled, and MSM does not know it. "
        "Whoever administers them brings them up to date; MSM changed nothing."
    )
    assert runtime._runtime is None
    assert msm.start_engine(models=["Issuer"]), "managed by MSM: its migrations are trusted"


@pytest.mark.xdist_group("processes")
def test_a_notebook_whose_event_loop_runs_starts_and_calls(scripts: Scripts) -> None:
    assert (
        scripts.output(
            """
        import asyncio, os
        import msm
        from msm.api.assets import Asset

        assert "DJANGO_ALLOW_ASYNC_UNSAFE" not in os.environ

        async def cell(text):
            msm.start_engine(models=["Asset"])
            Asset.upsert(unique_identifier=text)
            await asyncio.sleep(0)
            return [row.unique_identifier for row in Asset.filter()]

        async def notebook():
            print(await cell("A"))
            print(await cell("B"))

        asyncio.run(notebook())
        """
        )
        == "['A']\n['A', 'B']\n"
    )


@pytest.mark.xdist_group("processes")
def test_a_server_that_does_not_answer_is_told_at_once(scripts: Scripts) -> None:
    nowhere = "postgres://msm@/msm?host=/nonexistent&port=1"
    error = scripts.last_error("import msm; msm.start_engine(timeout=2)", DATABASE_URL=nowhere)
    assert error.startswith("ConnectionError: The database cannot be reached (")
    assert error.endswith("Check DATABASE_URL.")
