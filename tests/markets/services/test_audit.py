"""Every change of a registry row is recorded by the database, with who made it, from where and why."""

import datetime as dt
import os
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from psycopg import sql

from markets.exceptions import InvalidInput
from markets.models import (
    AccessToken,
    Asset,
    AssetCategoryMembership,
    AssetType,
    Bond,
    Change,
    Future,
    Issuer,
    OpenFigiDetails,
)
from markets.models.change_triggers import INSTALL_RECORD, Audited, install
from markets.services import asset_types, audit, categories, jobs
from markets.services.assets import bulk_upsert_assets, update_asset
from markets.services.deletion import delete
from markets.services.history import recorded_models
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nobody_speaks_for_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_of_process", audit.NOBODY)


def run(statement: Any, parameters: Any = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def last() -> Change:
    return Change.objects.order_by("-id")[0]


def said(change: Change) -> tuple[str, str | None, str | None]:
    return change.source, change.actor, change.reason


# --- what is recorded ------------------------------------------------------------------------------------------------
def test_every_recorded_model_has_its_triggers_and_no_other_table_has() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE '%\\_record\\_update'")
        tables = {table for (table,) in cursor.fetchall()}
    assert tables == set(recorded_models())
    time_indexed = {"portfolios_portfoliovalue", "portfolios_portfolioweight", "portfolios_signalweight"}
    assert time_indexed <= {model._meta.db_table for model in apps.get_models()}
    assert not tables & time_indexed


def test_an_insert_keeps_the_new_row() -> None:
    asset = factories.asset(unique_identifier="AAA", asset_type="equity")
    change = last()
    assert (change.table_name, change.operation, change.row_key) == ("markets_asset", "I", asset.pk)
    assert (change.row_uid, change.owner_uid, change.group_uid, change.row_name) == (asset.uid, None, None, "AAA")
    assert change.old is None
    assert change.new == {
        "unique_identifier": "AAA",
        "asset_type": "equity",
        "is_custom_by_organization": True,
        "merged_into_id": None,
    }


def test_an_update_keeps_the_fields_that_differ() -> None:
    asset = factories.asset(asset_type="equity")
    update_asset(asset, asset_type="bond")
    change = last()
    assert (change.operation, change.old, change.new) == ("U", {"asset_type": "equity"}, {"asset_type": "bond"})


def test_a_deletion_keeps_the_whole_row_and_what_went_along() -> None:
    asset = factories.asset(unique_identifier="AAA")
    factories.details(asset, ticker="T")
    before = Change.objects.count()
    delete(asset)
    details, row = Change.objects.order_by("id")[before:]
    assert (details.table_name, details.operation, details.row_uid, details.old["ticker"]) == (
        *("markets_openfigidetails", "D", asset.uid, "T"),
    )
    assert (row.table_name, row.operation, row.row_name, row.new) == ("markets_asset", "D", "AAA", None)
    assert row.old["unique_identifier"] == "AAA"
    assert set(row.old) == {field.column for field in Asset._meta.concrete_fields}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE markets_asset SET asset_type = asset_type",
        "UPDATE markets_asset SET updated_at = now() + interval '1 hour'",
        "UPDATE markets_asset SET asset_type = 'x' WHERE false",
        "INSERT INTO markets_asset SELECT * FROM markets_asset ON CONFLICT DO NOTHING",
    ],
)
def test_what_changes_nothing_is_not_recorded(statement: str) -> None:
    asset = factories.asset()
    factories.details(asset)
    before = Change.objects.count()
    run(statement)
    update_asset(asset, asset_type=asset.asset_type)
    Asset.objects.get(pk=asset.pk).save()
    assert Change.objects.count() == before


def test_values_are_kept_exactly() -> None:
    future = factories.future()
    run("UPDATE markets_future SET contract_size = 12345678901234567890.123456789012345678")
    assert last().new == {"contract_size": Decimal("12345678901234567890.123456789012345678")}
    run("UPDATE markets_future SET metadata = %s", ['{"a": [1, null, {"b": "ä"}]}'])
    change = last()
    assert (change.new, change.row_uid) == ({"metadata": {"a": [1, None, {"b": "ä"}]}}, future.asset.uid)
    assert Future.objects.get().contract_size == Decimal("12345678901234567890.123456789012345678")


def test_rows_tell_whom_they_belong_to() -> None:
    asset, calendar = factories.asset(unique_identifier="AAA"), factories.calendar(dt.date(2026, 1, 2))
    session = last()
    category = factories.category(asset, unique_identifier="cat")
    membership = last()
    assert (session.table_name, session.owner_uid) == ("markets_calendarsession", calendar.uid)
    assert session.row_name == f"{calendar.unique_identifier} 2026-01-02 regular"
    assert (membership.owner_uid, membership.group_uid) == (asset.uid, category.uid)
    assert membership.row_name == "AAA in cat"
    fund = factories.virtual_fund()
    change = last()
    assert (change.row_uid, change.owner_uid, change.group_uid) == (
        *(fund.uid, fund.account.uid, fund.target_portfolio.uid),
    )


def test_a_child_deleted_after_its_parent_still_tells_whose_it_was() -> None:
    asset = factories.asset(unique_identifier="AAA")
    factories.details(asset)
    with transaction.atomic():
        run("DELETE FROM markets_asset")  # the foreign key is checked at the end of the transaction
        run("DELETE FROM markets_openfigidetails")
    change = last()
    assert (change.table_name, change.row_uid, change.row_name) == ("markets_openfigidetails", asset.uid, "AAA")


def test_a_token_is_recorded_without_its_secret() -> None:
    factories.token(factories.user(), name="script")
    change = last()
    assert (change.table_name, change.row_name, change.row_uid) == ("markets_accesstoken", "script", None)
    assert "digest" not in change.new
    before = Change.objects.count()
    AccessToken.objects.update(last_used_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    assert Change.objects.count() == before
    digest = AccessToken.objects.get().digest
    AccessToken.objects.get().delete()
    assert digest not in str(last().old)


def test_bulk_writes_are_recorded_row_by_row() -> None:
    rows = [{"unique_identifier": f"B{place}", "asset_type": "equity", "ticker": f"T{place}"} for place in range(50)]
    with audit.acting(source="Python", actor="quant", reason="load"):
        bulk_upsert_assets(rows)
    assert Change.objects.filter(table_name="markets_asset", operation="I").count() == 50
    assert Change.objects.filter(table_name="markets_openfigidetails", operation="I").count() == 50
    assert set(map(said, Change.objects.all())) == {("Python", "quant", "load")}
    assert Change.objects.values("transaction_id").distinct().count() == 1
    before = Change.objects.count()
    bulk_upsert_assets([{**row, "ticker": "NEW"} if place < 3 else row for place, row in enumerate(rows)])
    changes = Change.objects.order_by("id")[before:]
    assert [(change.table_name, change.new, said(change)[0]) for change in changes] == (
        [("markets_openfigidetails", {"ticker": "NEW"}, "SQL")] * 3
    )


def test_emptying_a_table_is_recorded() -> None:
    asset = factories.asset()
    run("SET CONSTRAINTS ALL IMMEDIATE")  # an asset may refer to another: that is checked when the transaction ends
    run("TRUNCATE markets_asset CASCADE")
    change = Change.objects.get(operation="T", table_name="markets_asset")
    assert (change.row_uid, change.source) == (None, "SQL")
    assert Change.objects.filter(row_uid=asset.uid, operation="I").exists()


@pytest.mark.parametrize("statement", ["DELETE FROM markets_change", "UPDATE markets_change SET actor = 'x'"])
def test_the_record_cannot_be_changed(statement: str) -> None:
    factories.asset()
    before = list(Change.objects.values_list())
    with pytest.raises(IntegrityError, match="only added to"), transaction.atomic():
        run(statement)
    assert list(Change.objects.values_list()) == before


def test_a_write_that_is_rolled_back_leaves_no_record() -> None:
    before = Change.objects.count()
    with transaction.atomic():
        factories.asset()
        assert Change.objects.count() == before + 1
        transaction.set_rollback(True)
    assert Change.objects.count() == before


# --- who, from where, why --------------------------------------------------------------------------------------------
def test_when_nobody_says_anything_it_was_sql() -> None:
    run(
        "INSERT INTO markets_issuer (uid, created_at, updated_at, unique_identifier, display_name) VALUES "
        "(gen_random_uuid(), now(), now(), 'raw', 'Raw')"
    )
    change = last()
    assert (change.row_name, said(change)) == ("raw", ("SQL", connection.settings_dict["USER"], None))


def test_a_script_in_sql_may_say_who_it_is() -> None:
    with transaction.atomic():
        run("SET LOCAL msm.reason = 'ticket 42'")
        run("SET LOCAL msm.actor_id = 'not a number'")
        factories.asset()
    assert said(last()) == ("SQL", connection.settings_dict["USER"], "ticket 42")
    assert last().actor_id is None


def test_inner_blocks_refine_the_outer() -> None:
    user = factories.user()
    with audit.acting(source="REST", actor=user):
        with audit.because("  why  "):
            factories.asset()
            assert said(last()) == ("REST", user.username, "why")
            with audit.acting(source="task", actor="robot"):
                factories.asset()
                assert (said(last()), last().actor_id) == (("task", "robot", "why"), None)
        factories.asset()
        assert (said(last()), last().actor_id) == (("REST", user.username, None), user.pk)
    factories.asset()
    assert said(last()) == ("SQL", connection.settings_dict["USER"], None)


def test_nothing_said_inside_a_transaction_outlives_its_block() -> None:
    asset = factories.asset(asset_type="a")
    with transaction.atomic():
        with audit.acting(source="admin", actor="boss", reason="why"):
            update_asset(asset, asset_type="b")
        with transaction.atomic():
            run("UPDATE markets_asset SET asset_type = 'c'")
            assert said(last())[0] == "SQL"
            transaction.set_rollback(True)
        run("UPDATE markets_asset SET asset_type = 'd'")
        assert (said(last()), last().new) == (("SQL", connection.settings_dict["USER"], None), {"asset_type": "d"})


STATEMENTS = [
    ("UPDATE markets_asset SET asset_type = 'x'", None),
    ("update markets_asset set asset_type = %s where asset_type like '%%quity'", ["x"]),
    ("UPDATE markets_asset SET asset_type = 'x' WHERE asset_type LIKE '%quity'", None),
    ("  -- why\n /* what\n */ UPDATE markets_asset SET asset_type = 'x'", None),
    ("WITH w AS (UPDATE markets_asset SET asset_type = 'x' RETURNING 1) SELECT count(*) FROM w", None),
    ("DO $$ BEGIN UPDATE markets_asset SET asset_type = 'x'; END $$", None),
    (
        "MERGE INTO markets_asset AS a USING (SELECT 1) AS s ON true WHEN MATCHED THEN UPDATE SET asset_type = 'x'",
        None,
    ),
    (sql.SQL("UPDATE {} SET asset_type = {}").format(sql.Identifier("markets_asset"), sql.Literal("x")), None),
    (sql.SQL("UPDATE {} SET asset_type = %s").format(sql.Identifier("markets_asset")), ["x"]),
    (b"UPDATE markets_asset SET asset_type = 'x'", None),
]


@pytest.mark.parametrize(("statement", "parameters"), STATEMENTS)
def test_every_kind_of_statement_tells(statement: Any, parameters: Any) -> None:
    factories.asset(asset_type="equity")
    reason = "100 % 'quoted' \\ ; DROP TABLE markets_asset; -- %s"
    with audit.acting(source="Python", actor="quant", reason=reason):
        run(statement, parameters)
    assert (said(last()), last().new) == (("Python", "quant", reason), {"asset_type": "x"})


def test_answers_of_statements_that_tell_are_their_own() -> None:
    factories.asset(unique_identifier="AAA", asset_type="equity")
    with audit.acting(source="Python"), connection.cursor() as cursor:
        cursor.execute("UPDATE markets_asset SET asset_type = 'x' RETURNING unique_identifier, asset_type")
        assert ([column.name for column in cursor.description], cursor.rowcount) == (
            *(["unique_identifier", "asset_type"], 1),
        )
        assert cursor.fetchall() == [("AAA", "x")]
        cursor.execute("UPDATE markets_asset SET asset_type = 'y' WHERE false")
        assert cursor.rowcount == 0
        cursor.executemany("UPDATE markets_asset SET asset_type = %s", [["y"], ["z"], ["z"]])
        assert cursor.rowcount == 3
        assert Asset.objects.update(asset_type="u") == 1
        assert Issuer.objects.bulk_create([Issuer(unique_identifier="I", display_name="I")])[0].pk is not None
    assert set(Change.objects.filter(operation="U").values_list("source", flat=True)) == {"Python"}
    assert Change.objects.filter(operation="U").count() == 4


@pytest.mark.parametrize("value", ["", " ", "x" * 501, "a\x00b", "\ud800", 5, ["x"]])
def test_a_reason_that_cannot_be_kept_is_refused(value: Any) -> None:
    before = Change.objects.count()
    for block in (lambda: audit.because(value), lambda: audit.acting(source="REST", reason=value)):
        with pytest.raises(InvalidInput, match="reason") as error, block():
            factories.asset()
        assert error.value.field == "reason"
    assert Change.objects.count() == before
    assert audit.current() == audit.NOBODY


def test_a_job_acts_for_whoever_asked_for_it() -> None:
    jobs._handlers["audit-test"] = lambda progress: factories.asset() and {}
    user = factories.user()
    try:
        for owner in (user, None):
            job = factories.job(kind="audit-test", title="Load it", requested_by=owner)
            jobs.execute(str(job.uid))
            job.refresh_from_db()
            assert job.status == "succeeded"
            assert said(last()) == ("task", owner and user.username, "job: Load it")
    finally:
        del jobs._handlers["audit-test"]
    factories.asset()
    assert last().source == "SQL"


def test_services_say_nothing_of_their_own() -> None:
    asset = factories.asset()
    with audit.acting(source="Python", actor="quant"), audit.because("index review"):
        category = categories.create_category(display_name="Cat", assets=[asset.uid])
        asset_types.create_asset_type(asset_type="new")
    changes = Change.objects.filter(source="Python")
    assert {change.table_name for change in changes} == {
        *("markets_assetcategory", "markets_assetcategorymembership", "markets_assettype"),
    }
    assert {said(change)[1:] for change in changes} == {("quant", "index review")}
    assert AssetCategoryMembership.objects.get().category == category
    assert AssetType.objects.filter(asset_type="new").exists()


# --- several connections and processes -------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_what_is_said_neither_reaches_other_threads_nor_stays_on_the_connection() -> None:
    asset = factories.asset(asset_type="a")
    seen: list[tuple] = []

    def elsewhere() -> None:
        try:
            Asset.objects.filter(pk=asset.pk).update(asset_type="b")
            seen.append(said(last()))
        finally:
            connection.close()

    with audit.acting(source="admin", actor="boss"):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        Asset.objects.filter(pk=asset.pk).update(asset_type="c")
        assert said(last())[:2] == ("admin", "boss")
    assert seen == [("SQL", connection.settings_dict["USER"], None)]
    connection.connection.execute("UPDATE markets_asset SET asset_type = 'd'")  # nobody's wrapper sees this one
    assert (last().new, said(last())[0]) == ({"asset_type": "d"}, "SQL")


@pytest.mark.django_db(transaction=True)
def test_a_reconnect_loses_nothing() -> None:
    asset = factories.asset(asset_type="a")
    with audit.acting(source="REST", actor="boss", reason="why"):
        connection.close()
        Asset.objects.filter(pk=asset.pk).update(asset_type="b")
    assert said(last()) == ("REST", "boss", "why")


KILLED = """
import django, os, signal
django.setup()
from django.db import transaction
from markets.models import Asset
from markets.services.assets import bulk_upsert_assets
with transaction.atomic():
    bulk_upsert_assets([{"unique_identifier": f"K{place}"} for place in range(100)])
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.django_db(transaction=True)
def test_a_process_killed_in_its_transaction_leaves_neither_rows_nor_records() -> None:
    checkout = Path(__file__).resolve().parents[3]
    name = connection.settings_dict["NAME"]
    code = f"from django.conf import settings; settings.DATABASES['default']['NAME'] = {name!r}"
    before = Change.objects.count()
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}\n{KILLED}"], cwd=checkout, env={**os.environ}, capture_output=True, timeout=60
    )
    assert ended.returncode == -9, ended.stderr
    assert Asset.objects.filter(unique_identifier__startswith="K").count() == 0
    assert Change.objects.count() == before


def test_tables_of_another_schema_are_recorded_there_whatever_path_the_writer_has() -> None:
    for table in ("markets_change", "markets_asset"):
        run("CREATE SCHEMA IF NOT EXISTS elsewhere")
        run(f"CREATE TABLE elsewhere.{table} (LIKE {table} INCLUDING ALL)")
    here = Change.objects.count()
    with transaction.atomic():
        run("SET LOCAL search_path = elsewhere")
        run(INSTALL_RECORD)
        run(install(Audited("markets_asset")))
        run("SET LOCAL search_path = DEFAULT")
    columns = "uid, created_at, updated_at, unique_identifier, is_custom_by_organization"
    run(f"INSERT INTO elsewhere.markets_asset ({columns}) VALUES (gen_random_uuid(), now(), now(), 'NS', true)")
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_name FROM elsewhere.markets_change")
        assert cursor.fetchall() == [("NS",)]
    assert Change.objects.count() == here


# --- cost ------------------------------------------------------------------------------------------------------------
def test_the_history_of_one_asset_is_read_from_indexes() -> None:
    from markets.services.history import history_of

    run(
        "INSERT INTO markets_change (at, transaction_id, table_name, operation, row_uid, owner_uid, row_name, source) "
        "SELECT now(), 1, 'markets_asset', 'U', gen_random_uuid(), gen_random_uuid(), '', 'SQL' "
        "FROM generate_series(1, 20000)"
    )
    run("ANALYZE markets_change")
    asset = factories.asset()
    plan = history_of(asset.uid, tables=recorded_models())[:50].explain()
    assert "Seq Scan" not in plan, plan
    for index in ("markets_change_row", "markets_change_owner", "markets_change_group"):
        assert index in plan, plan


def test_reading_and_telling_cost_no_query(django_assert_num_queries: Any) -> None:
    asset = factories.asset(asset_type="a")
    with audit.acting(source="REST", actor="boss"), django_assert_num_queries(2):
        Asset.objects.filter(pk=asset.pk).update(asset_type="b")
        assert Asset.objects.get(pk=asset.pk).asset_type == "b"


def test_the_models_named_here_are_recorded() -> None:
    assert {Asset, Bond, OpenFigiDetails, AccessToken} <= set(recorded_models().values())
