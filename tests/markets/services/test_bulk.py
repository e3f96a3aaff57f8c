"""Bulk upsert: outcomes row by row, what is kept and cleared, refusals as a set."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from django.utils import timezone

from markets.exceptions import InvalidInput, RejectedRows
from markets.models import Asset, AssetType, OpenFigiDetails
from markets.services import asset_types, assets, bulk
from markets.services.assets import bulk_upsert_assets
from tests import factories

pytestmark = pytest.mark.django_db
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
