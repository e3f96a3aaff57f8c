"""Bulk upsert: outcomes row by row, what is kept and cleared, refusals as a set, callers at the same time, the plan."""

import csv
import datetime as dt
import re
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from django.db import connection, transaction
from django.utils import timezone

from markets.engine.identifiers import figi_fault
from markets.exceptions import Conflict, InvalidInput, RejectedRows
from markets.models import Asset, AssetCategory, AssetType, Calendar, OpenFigiDetails
from markets.services import asset_types, assets, bulk, calendars, categories
from markets.services.assets import ASSETS, bulk_upsert_assets
from markets.services.bulk_stage import Stage
from tests import factories

pytestmark = pytest.mark.django_db
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
AAPL, IBM = "BBG000B9XRY4", "BBG000BLNNH6"


def told(outcome: bulk.BulkOutcome) -> list[tuple[Any, ...]]:
    return [(row.key, row.outcome, row.field) for row in outcome.rows()]


def identities() -> list[tuple[Any, ...]]:
    return list(Asset.objects.values_list("unique_identifier", "asset_type", "is_custom_by_organization"))


# --- outcomes --------------------------------------------------------------------------------------------------------
def test_created_updated_unchanged() -> None:
    rows = [
        {"unique_identifier": " B ", "asset_type": "Crypto"},
        {"unique_identifier": "A", "asset_type": None, "is_custom_by_organization": False},
    ]
    first = bulk_upsert_assets(rows)
    assert first.counts == {"created": 2, "updated": 0, "unchanged": 0, "rejected": 0}
    assert told(first) == [("B", "created", None), ("A", "created", None)]
    assert identities() == [("A", None, False), ("B", "crypto", True)]
    stored = list(Asset.objects.values_list("uid", "created_at", "updated_at"))
    assert bulk_upsert_assets(rows).counts == {"created": 0, "updated": 0, "unchanged": 2, "rejected": 0}
    assert list(Asset.objects.values_list("uid", "created_at", "updated_at")) == stored
    third = bulk_upsert_assets([rows[0] | {"asset_type": "bond"}, rows[1]])
    assert told(third) == [("B", "updated", None), ("A", "unchanged", None)]
    after = Asset.objects.get(unique_identifier="B")
    assert (after.uid, after.created_at, after.asset_type) == (stored[1][0], stored[1][1], "bond")
    assert after.updated_at > stored[1][2]


def test_omitted_keeps_and_none_clears_row_by_row() -> None:
    for name in ("A", "B", "C"):
        assets.create_asset(unique_identifier=name, asset_type="bond", is_custom_by_organization=False)
    outcome = bulk_upsert_assets(
        [
            {"unique_identifier": "A"},
            {"unique_identifier": "B", "asset_type": None},
            {"unique_identifier": "C", "is_custom_by_organization": True},
            {"unique_identifier": "D"},
        ]
    )
    assert [row.outcome for row in outcome.rows()] == ["unchanged", "updated", "updated", "created"]
    assert identities() == [("A", "bond", False), ("B", None, False), ("C", "bond", True), ("D", None, True)]


def test_unknown_types_are_registered_once_and_named_ones_stay() -> None:
    asset_types.upsert_asset_type(asset_type="crypto", display_name="Crypto assets")
    bulk_upsert_assets([{"unique_identifier": f"A{n}", "asset_type": ["Crypto", "New Kind"][n % 2]} for n in range(9)])
    assert list(AssetType.objects.values_list("asset_type", "display_name")) == [
        ("crypto", "Crypto assets"),
        ("new_kind", None),
    ]


def test_details_in_the_same_row() -> None:
    outcome = bulk_upsert_assets(
        [
            {"unique_identifier": "A", "figi": AAPL.lower(), "ticker": " AAPL ", "raw_payload": {"figi": AAPL}},
            {"unique_identifier": "B", "openfigi_details": {"figi": IBM, "metadata_text": " as it is "}},
            {"unique_identifier": "C", "ticker": None, "openfigi_details": {"name": " "}},
        ]
    )
    assert outcome.created == 3
    found = OpenFigiDetails.objects.order_by("asset__unique_identifier")
    assert list(found.values_list("asset__unique_identifier", "figi", "ticker", "metadata_text", "raw_payload")) == [
        ("A", AAPL, "AAPL", None, {"figi": AAPL}),
        ("B", IBM, None, " as it is ", None),
    ]
    before = dict(Asset.objects.values_list("unique_identifier", "updated_at"))
    outcome = bulk_upsert_assets(
        [
            {"unique_identifier": "A", "ticker": None},
            {"unique_identifier": "B", "figi": IBM},
            {"unique_identifier": "C", "openfigi_details": None},
        ]
    )
    assert [row.outcome for row in outcome.rows()] == ["updated", "unchanged", "unchanged"]
    assert OpenFigiDetails.objects.values_list("figi", "ticker").get(asset__unique_identifier="A") == (AAPL, None)
    after = dict(Asset.objects.values_list("unique_identifier", "updated_at"))
    assert after["A"] > before["A"]
    assert (after["B"], after["C"]) == (before["B"], before["C"])
    bulk_upsert_assets([{"unique_identifier": "B", "openfigi_details": None}])
    assert OpenFigiDetails.objects.values_list("figi", "metadata_text").get(asset__unique_identifier="B") == (
        None,
        None,
    )


def test_a_frame_with_missing_values() -> None:
    bulk_upsert_assets([{"unique_identifier": "B", "ticker": "OLD", "name": "Kept"}])
    frame = pd.DataFrame(
        {
            "asset_type": pd.Categorical(["equity", None, "equity"]),
            "is_custom_by_organization": np.array([True, False, True]),
            "ticker": pd.array(["AA", None, "CC"], dtype="string"),
        },
        index=pd.Index(["A", "B", "C"], name="unique_identifier"),
    )
    assert told(bulk_upsert_assets(frame)) == [
        ("A", "created", None),
        ("B", "updated", None),
        ("C", "created", None),
    ]
    assert identities() == [("A", "equity", True), ("B", None, False), ("C", "equity", True)]
    found = OpenFigiDetails.objects.order_by("asset__unique_identifier").values_list("ticker", "name")
    assert list(found) == [("AA", None), (None, "Kept"), ("CC", None)]
    assert bulk_upsert_assets(frame.reset_index()).unchanged == 3


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (pd.DataFrame({"unique_identifier": ["A"], "colour": ["red"]}), "Unknown field 'colour'. It takes unique_id"),
        (pd.DataFrame([["A", "B"]], columns=["unique_identifier"] * 2), "has the column unique_identifier twice"),
    ],
)
def test_a_frame_of_other_columns_is_refused_whole(frame: pd.DataFrame, text: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(text)):
        bulk_upsert_assets(frame, on_error="skip")


def test_no_rows_and_a_frame_without_key() -> None:
    assert len(bulk_upsert_assets([])) == 0
    assert len(bulk_upsert_assets(pd.DataFrame({"unique_identifier": []}))) == 0
    with pytest.raises(RejectedRows, match="unique_identifier is missing"):
        bulk_upsert_assets(pd.DataFrame({"asset_type": ["bond"]}))


def test_chunks_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "ROWS_IN_CHUNK", 3)
    rows = [{"unique_identifier": f"A{n}", **({"asset_type": "bond"} if n > 3 else {})} for n in range(8)]
    assert bulk_upsert_assets(iter(rows)).created == 8
    assert [kind for _, kind, _ in identities()] == [None] * 4 + ["bond"] * 4
    again = bulk_upsert_assets(iter([*rows, {"unique_identifier": "A0"}]), on_error="skip")
    assert again.counts == {"created": 0, "updated": 0, "unchanged": 8, "rejected": 1}
    assert bulk_upsert_assets(pd.DataFrame({"unique_identifier": [f"A{n}" for n in range(10)]})).created == 2


# --- refusals --------------------------------------------------------------------------------------------------------
BAD = [
    ({"unique_identifier": " "}, "unique_identifier", "must not be blank"),
    ({"unique_identifier": None}, "unique_identifier", "must be text, not None"),
    ({"unique_identifier": "x" * 256}, "unique_identifier", "at most 255"),
    ({"unique_identifier": "a\x00"}, "unique_identifier", "NUL"),
    ({"unique_identifier": "a\nb"}, "unique_identifier", "several lines"),
    ({"asset_type": "bond"}, "unique_identifier", "is missing"),
    ({"unique_identifier": "X", "asset_type": 5}, "asset_type", "must be text"),
    ({"unique_identifier": "X", "asset_type": "y" * 65}, "asset_type", "at most 64"),
    ({"unique_identifier": "X", "is_custom_by_organization": 1}, "is_custom_by_organization", "true or false"),
    ({"unique_identifier": "X", "is_custom_by_organization": None}, "is_custom_by_organization", "true or false"),
    ({"unique_identifier": "X", "figi": "BBG000B9XRY5"}, "figi", "check digit is 5 where 4 is due"),
    ({"unique_identifier": "X", "ticker": float("nan")}, "ticker", "must be text, not nan"),
    ({"unique_identifier": "X", "raw_payload": [1]}, "raw_payload", "must be a JSON object"),
    ({"unique_identifier": "X", "colour": "red"}, "colour", "Unknown field 'colour'"),
    ({"unique_identifier": "X", 5: "red"}, "5", "Unknown field '5'"),
    ({"unique_identifier": "X", "openfigi_details": []}, "openfigi_details", "must be an object or null"),
    ({"unique_identifier": "X", "openfigi_details": {"asset_type": "x"}}, "asset_type", "have no field asset_type"),
    ({"unique_identifier": "X", "figi": AAPL, "openfigi_details": {"figi": AAPL}}, "figi", "given twice"),
    ({"unique_identifier": "X", "uid": "01a1fa84-8267-75d4-8899-dfd616382964"}, "uid", "Leave it out."),
    ("X", None, "A row must be an object of fields, not a str"),
    (None, None, "not a NoneType"),
]


@pytest.mark.parametrize(("bad", "field", "text"), BAD)
def test_one_bad_row_refuses_all_or_is_skipped(bad: Any, field: str | None, text: str) -> None:
    rows = [{"unique_identifier": "A"}, bad, {"unique_identifier": "B", "asset_type": "new"}]
    with pytest.raises(
        RejectedRows, match=r"1 of 3 asset rows are refused, and nothing was written\. Row 1: "
    ) as caught:
        bulk_upsert_assets(rows)
    (fault,) = caught.value.rejections
    assert (fault.row, fault.field) == (1, field)
    assert text in fault.reason
    assert not Asset.objects.exists()
    assert not AssetType.objects.exists()
    outcome = bulk_upsert_assets(rows, on_error="skip")
    assert outcome.counts == {"created": 2, "updated": 0, "unchanged": 0, "rejected": 1}
    assert [row.outcome for row in outcome.rows()] == ["created", "rejected", "created"]
    assert [name for name, _, _ in identities()] == ["A", "B"]


def test_every_fault_is_told_in_the_order_of_the_rows() -> None:
    with pytest.raises(RejectedRows, match="3 of 4 asset rows") as caught:
        bulk_upsert_assets(
            [
                {"unique_identifier": "A", "figi": "x", "asset_type": 5},
                {"unique_identifier": "B"},
                {"unique_identifier": "A"},
                {"unique_identifier": "C", "uid": "junk"},
            ]
        )
    assert [(fault.row, fault.field) for fault in caught.value.rejections] == [
        *((0, "asset_type"), (0, "figi"), (2, "unique_identifier"), (3, "uid"))
    ]


def test_of_one_key_twice_the_first_counts() -> None:
    rows = [{"unique_identifier": "A", "asset_type": "one"}, {"unique_identifier": " A", "asset_type": "two"}]
    outcome = bulk_upsert_assets(rows, on_error="skip")
    assert told(outcome) == [("A", "created", None), ("A", "rejected", "unique_identifier")]
    assert outcome.rejections[0].reason == ("unique_identifier='A' stands in row 0 already. Name each asset once.")
    assert identities() == [("A", "one", True)]


def test_a_figi_of_another_asset_is_rejected() -> None:
    owner = factories.asset(unique_identifier="OWNER")
    factories.details(owner, figi=AAPL)
    outcome = bulk_upsert_assets(
        [
            {"unique_identifier": "A", "figi": AAPL},
            {"unique_identifier": "B", "figi": IBM},
            {"unique_identifier": "C", "figi": IBM},
            {"unique_identifier": "OWNER", "figi": AAPL},
        ],
        on_error="skip",
    )
    assert [row.outcome for row in outcome.rows()] == [
        "rejected",
        "created",
        "rejected",
        "unchanged",
    ]
    assert [fault.reason for fault in outcome.rejections] == [
        f"The FIGI {AAPL} belongs to the asset OWNER. One FIGI names one asset.",
        f"The FIGI {IBM} belongs to the asset B. One FIGI names one asset.",
    ]


def test_read_only_values_are_taken_as_they_are_stored() -> None:
    asset = factories.asset(unique_identifier="A")
    row = {name: getattr(asset, name) for name in ("unique_identifier", "uid", "id", "created_at", "updated_at")}
    assert bulk_upsert_assets([row]).unchanged == 1
    assert bulk_upsert_assets(pd.DataFrame([row])).unchanged == 1
    for name, value in (("uid", str(asset.uid)[:-1] + "x"), ("id", asset.id + 1), ("updated_at", timezone.now())):
        with pytest.raises(RejectedRows, match=f"{name} cannot be changed. Leave it out, or send it as it is"):
            bulk_upsert_assets([{**row, name: value}])


@pytest.mark.parametrize("rows", ["A", {"unique_identifier": "A"}, 5, None])
def test_what_is_no_list_of_rows_is_refused(rows: Any) -> None:
    with pytest.raises(InvalidInput, match="rows must be a list of rows or a DataFrame"):
        bulk_upsert_assets(rows)


def test_another_on_error_is_refused() -> None:
    with pytest.raises(InvalidInput, match="on_error='ignore' must be refuse or skip"):
        bulk_upsert_assets([], on_error="ignore")  # type: ignore[arg-type]


# --- the other entities ----------------------------------------------------------------------------------------------
def test_asset_types() -> None:
    asset_types.upsert_asset_type(asset_type="bond", display_name="Bond", description="Why", metadata_json={"a": 1})
    outcome = asset_types.bulk_upsert_asset_types(
        [
            {"asset_type": "Currency Spot", "metadata_json": {"b": [1, None]}},
            {"asset_type": " BOND ", "description": None},
            {"asset_type": "currency_spot"},
            {"asset_type": "future", "metadata_json": "x"},
        ],
        on_error="skip",
    )
    assert told(outcome) == [
        ("currency_spot", "created", None),
        ("bond", "updated", None),
        ("currency_spot", "rejected", "asset_type"),
        ("future", "rejected", "metadata_json"),
    ]
    found = AssetType.objects.values_list("asset_type", "display_name", "description", "metadata_json")
    assert list(found) == [("bond", "Bond", None, {"a": 1}), ("currency_spot", None, None, {"b": [1, None]})]
    assert asset_types.bulk_upsert_asset_types([{"asset_type": "bond", "metadata_json": {"a": 1.0}}]).unchanged == 1


def test_categories_are_named_as_their_identifier_and_keep_their_members() -> None:
    kept = factories.category(factories.asset(), unique_identifier="kept", display_name="Kept")
    rows = [{"unique_identifier": "kept", "description": "Why"}, {"unique_identifier": "new"}]
    assert categories.bulk_upsert_categories(rows).counts == {"created": 1, "updated": 1, "unchanged": 0, "rejected": 0}
    found = AssetCategory.objects.values_list("unique_identifier", "display_name", "description")
    assert list(found) == [("kept", "Kept", "Why"), ("new", "new", None)]
    assert kept.assets.count() == 1
    with pytest.raises(RejectedRows, match="display_name must be text"):
        categories.bulk_upsert_categories([{"unique_identifier": "kept", "display_name": None}])


def test_calendars_keep_their_sessions_inside_their_horizon() -> None:
    stored = factories.calendar(dt.date(2026, 1, 2), dt.date(2026, 3, 5), unique_identifier="STORED")
    rows: list[dict[str, Any]] = [
        {"unique_identifier": "STORED", "valid_to": "2026-02-01"},
        {"unique_identifier": "NEW", "display_name": "New", "valid_from": "2026-01-01", "valid_to": "2026-12-31"},
        {"unique_identifier": "SHORT", "display_name": "x", "valid_from": "2026-01-01"},
        {"unique_identifier": "REVERSED", "display_name": "x", "valid_from": "2026-01-02", "valid_to": "2026-01-01"},
        {"unique_identifier": "ZONE", "display_name": "x", "timezone": "Nowhere"},
    ]
    outcome = calendars.bulk_upsert_calendars(rows, on_error="skip")
    assert [(fault.row, fault.field) for fault in outcome.rejections] == [
        *((0, "valid_to"), (2, "valid_to"), (3, "valid_to"), (4, "timezone"))
    ]
    assert outcome.rejections[0].reason.startswith("STORED has a session on 2026-03-05, outside of 2026-01-01 to")
    assert Calendar.objects.values_list("calendar_type", "timezone", "source").get(unique_identifier="NEW") == (
        *("TRADING", "UTC", None),
    )
    outcome = calendars.bulk_upsert_calendars(
        [{"unique_identifier": "STORED", "valid_to": dt.date(2026, 4, 1), "calendar_type": "settle ment"}]
    )
    assert outcome.updated == 1
    stored.refresh_from_db()
    assert (stored.valid_from, stored.valid_to, stored.calendar_type) == (
        *(dt.date(2026, 1, 1), dt.date(2026, 4, 1), "SETTLE_MENT"),
    )


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
        with django_assert_max_num_queries(14):
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


# --- types that are bound --------------------------------------------------------------------------------------------
def test_a_type_that_terms_or_users_bind_is_not_changed_in_bulk() -> None:
    bond = factories.bond()
    currency, free = bond.currency_asset, factories.asset(asset_type="fund")
    rows = [{"unique_identifier": asset.unique_identifier, "asset_type": "equity"} for asset in (bond.asset, currency)]
    rows.append({"unique_identifier": free.unique_identifier, "asset_type": "equity"})
    with pytest.raises(RejectedRows) as caught:
        bulk_upsert_assets(rows)
    assert [(fault.row, fault.field) for fault in caught.value.rejections] == [(0, "asset_type"), (1, "asset_type")]
    assert "has the terms of a bond" in caught.value.rejections[0].reason
    assert f"is the currency of the bond {bond.asset}" in caught.value.rejections[1].reason
    outcome = bulk_upsert_assets(rows, on_error="skip")
    assert (outcome.updated, outcome.rejected) == (1, 2)
    assert Asset.objects.filter(asset_type="equity").count() == 1
    same = {"unique_identifier": bond.asset.unique_identifier, "asset_type": bond.asset.asset_type}
    assert bulk_upsert_assets([same]).unchanged == 1


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
