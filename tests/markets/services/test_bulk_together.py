"""Bulk upsert: callers at the same time, the plan of the merge, real listings."""

import csv
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from django.db import connection, transaction
from django.utils import timezone

from markets.engine.identifiers import figi_fault
from markets.exceptions import Conflict, RejectedRows
from markets.models import Asset, AssetType, OpenFigiDetails
from markets.services import assets, bulk
from markets.services.assets import ASSETS, bulk_upsert_assets
from markets.services.bulk_stage import Stage

pytestmark = pytest.mark.django_db
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
AAPL, IBM = "BBG000B9XRY4", "BBG000BLNNH6"


def identities() -> list[tuple[Any, ...]]:
    return list(Asset.objects.values_list("unique_identifier", "asset_type", "is_custom_by_organization"))


# --- one transaction -------------------------------------------------------------------------------------------------
def test_it_is_part_of_the_callers_transaction_and_can_be_repeated_in_it() -> None:
    with transaction.atomic():
        bulk_upsert_assets([{"unique_identifier": "A"}])
        with pytest.raises(RejectedRows):
            bulk_upsert_assets([{"unique_identifier": " "}])
        bulk_upsert_assets([{"unique_identifier": "B"}])
        assert Asset.objects.count() == 2
        transaction.set_rollback(True)
    assert not Asset.objects.exists()


def _run_together(*calls: Any) -> list[BaseException]:
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(calls))

    def run(call: Any) -> None:
        try:
            barrier.wait()
            call()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return errors


@pytest.mark.django_db(transaction=True)
def test_two_callers_in_opposite_order_do_not_deadlock() -> None:
    names = [f"ASSET-{number:04d}" for number in range(2_000)]
    bulk_upsert_assets([{"unique_identifier": name, "ticker": "OLD"} for name in names[::2]])

    def writer(order: list[str], kind: str) -> Any:
        def write() -> None:
            for turn in range(4):
                bulk_upsert_assets(
                    [
                        {"unique_identifier": name, "asset_type": f"{kind}{turn}", "ticker": f"{kind}{turn}"}
                        for name in order
                    ]
                )

        return write

    assert _run_together(writer(names, "up"), writer(names[::-1], "down"), writer(names[500:1500], "mid")) == []
    assert Asset.objects.count() == 2_000
    assert {kind for _, kind, _ in identities()} <= {"up3", "down3", "mid3"}
    apart = Asset.objects.exclude(asset_type=None).values_list("asset_type", "openfigi_details__ticker")
    assert all(kind == ticker for kind, ticker in apart)


@pytest.mark.django_db(transaction=True)
def test_a_bulk_call_and_single_rows_do_not_deadlock() -> None:
    names = [f"ASSET-{number:04d}" for number in range(300)]

    def bulk() -> None:
        for turn in range(3):
            bulk_upsert_assets([{"unique_identifier": name, "asset_type": f"kind{turn}"} for name in names])

    def single() -> None:
        for number, name in enumerate(reversed(names)):
            assets.upsert_asset(unique_identifier=name, asset_type=f"kind{number % 5}")

    assert _run_together(bulk, single) == []
    assert Asset.objects.count() == 300
    assert AssetType.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_what_a_row_omits_is_not_lost_when_another_caller_writes_it() -> None:
    """The other caller's row is uncommitted, so that the merge proposes a new one and meets it as a conflict."""
    inserted, merged = threading.Event(), threading.Event()

    def first() -> None:
        with transaction.atomic():
            assets.create_asset(unique_identifier="A", asset_type="bond", is_custom_by_organization=False)
            inserted.set()
            merged.wait(1)

    def second() -> None:
        inserted.wait(10)
        bulk_upsert_assets(
            [{"unique_identifier": "A", "asset_type": "fund"}, {"unique_identifier": "B"}, {"unique_identifier": "C"}]
        )
        merged.set()

    assert _run_together(first, second) == []
    assert identities() == [("A", "fund", False), ("B", None, True), ("C", None, True)]


@pytest.mark.django_db(transaction=True)
def test_one_figi_given_at_the_same_time_ends_with_one_asset() -> None:
    def write(name: str) -> Any:
        return lambda: bulk_upsert_assets([{"unique_identifier": name, "figi": AAPL}])

    errors = _run_together(*(write(name) for name in "ABC"))
    assert len(errors) == 2
    assert all(isinstance(error, Conflict | RejectedRows) for error in errors), errors
    assert Asset.objects.count() == OpenFigiDetails.objects.filter(figi=AAPL).count() == 1


# --- scale -----------------------------------------------------------------------------------------------------------
def test_the_number_of_queries_does_not_grow_with_the_rows(django_assert_max_num_queries: Any) -> None:
    for size in (10, 3_000):
        rows = [{"unique_identifier": f"{size}-{n}", "asset_type": f"{size}", "ticker": "T"} for n in range(size)]
        with django_assert_max_num_queries(16):
            assert bulk_upsert_assets(rows).created == size


def test_the_merge_sorts_once_and_looks_no_row_up_by_scanning() -> None:
    """The plan of the merge of 5,000 rows into 20,000: hash or merge joins by key, one sort, no nested loop."""
    rows = [{"unique_identifier": f"A{n:06d}", "asset_type": "bond", "ticker": "T"} for n in range(20_000)]
    bulk_upsert_assets(rows)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE markets_asset, markets_openfigidetails")
    call = bulk._Call(ASSETS)
    with transaction.atomic():
        call.stage.create()
        for chunk in bulk._row_chunks(ASSETS, rows[::4]):
            call.take(chunk)
        call.stage.settle()
        explained = Stage.rows(call.stage, _explained(call.stage.merge_statement(timezone.now())))
        call.stage.drop()
    plan = "\n".join(line for (line,) in explained)
    assert "Insert on markets_asset t" in plan, plan
    assert "Conflict Arbiter Indexes: markets_asset_unique_identifier" in plan
    assert "Nested Loop" not in plan, plan
    assert plan.count("Sort Key") == 1, plan


def _explained(statement: Any) -> Any:
    from psycopg import sql

    return sql.SQL("EXPLAIN (COSTS OFF) ") + statement


# --- real rows -------------------------------------------------------------------------------------------------------
def _listings() -> list[dict[str, str]]:
    files = sorted(DATA.glob("financedatabase_equities_*.csv"))
    if not files:
        pytest.skip(f"the listings of FinanceDatabase are not in {DATA}")
    rows = []
    for file in files:
        with file.open(newline="", encoding="utf-8") as stream:
            rows += list(csv.DictReader(stream))
    assert len(rows) == 2_344
    return rows


def _recount(rows: list[dict[str, Any]]) -> Counter[str]:
    """What should become of the rows on an empty registry, told from the files alone."""
    outcomes: Counter[str] = Counter()
    names: set[str] = set()
    figis: dict[str, str] = {}
    for row in rows:
        name = (row["unique_identifier"] or "").strip()
        texts = {field: (value or "").strip() for field, value in row.items()}
        seen = name in names
        names.add(name)
        sound = (
            name
            and not seen
            and all(
                not texts[field] or figi_fault(texts[field].upper()) is None
                for field in ("figi", "composite", "share_class")
            )
            and len(texts["isin"]) <= 12
            and len(texts["ticker"]) <= 50
            and len(texts["name"]) <= 255
        )
        if sound and texts["figi"] and figis.setdefault(texts["figi"].upper(), name) != name:
            sound = False
        outcomes["created" if sound else "rejected"] += 1
    return outcomes


@pytest.mark.parametrize(
    ("key", "created", "rejected"),
    [("symbol", 2_344, 0), ("figi", 726, 1_618), ("composite_figi", 715, 1_629), ("name", 2_044, 300)],
)
def test_real_listings_are_counted_as_an_independent_recount_says(key: str, created: int, rejected: int) -> None:
    """By a key that is sound, and by keys that are blank or stand twice in many rows."""
    rows = [
        {
            "unique_identifier": row[key],
            "asset_type": "equity",
            "figi": row["figi"],
            "composite": row["composite_figi"],
            "share_class": row["shareclass_figi"],
            "isin": row["isin"],
            "ticker": row["symbol"],
            "name": row["name"],
            "exchange_code": row["exchange"],
        }
        for row in _listings()
    ]
    expected = _recount(rows)
    assert (expected["created"], expected["rejected"]) == (created, rejected)
    if rejected:
        with pytest.raises(RejectedRows) as caught:
            bulk_upsert_assets(rows)
        assert len({fault.row for fault in caught.value.rejections}) == rejected
        assert not Asset.objects.exists()
    outcome = bulk_upsert_assets(pd.DataFrame(rows), on_error="skip")
    assert (outcome.created, outcome.rejected) == (created, rejected)
    assert Asset.objects.count() == created
    again = bulk_upsert_assets(rows, on_error="skip")
    assert (again.unchanged, again.rejected) == (created, rejected)
