"""Frames of holdings and target positions: exact keys, columns, dtypes and values, and every refusal."""

import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from markets.exceptions import InvalidInput
from portfolios.engine.positions import (
    build_account_holdings_frame,
    build_target_positions_frame,
    validate_holdings_frame,
    validate_target_positions_frame,
)

DATE = "2026-05-25T00:00:00Z"
INSTANT = pd.Timestamp(DATE)
ACCOUNT = uuid.UUID("0190d7e2-3f4a-7cde-8a11-0123456789ab")
HOLDINGS_SET = uuid.UUID("0190d7e2-3f4a-7cde-8a11-0123456789ac")
ASSET = uuid.UUID("0190d7e2-3f4a-7cde-8a11-000000000001")
PORTFOLIO = uuid.UUID("0190d7e2-3f4a-7cde-8a11-000000000002")
BTC = {"asset_identifier": "BTC", "quantity": 1.0, "direction": 1}
ETH = {"asset_identifier": "ETH", "quantity": 10.0, "direction": -1}
INFINITIES = [float("inf"), float("-inf"), "inf", "-Infinity", "NaN", Decimal("Infinity")]


def holdings(*positions: Any, **changes: Any) -> pd.DataFrame:
    arguments = {
        "holdings_date": DATE,
        "account_uid": ACCOUNT,
        "holdings_set_uid": HOLDINGS_SET,
        "positions": list(positions),
        **changes,
    }
    return build_account_holdings_frame(**arguments)


def targets(*positions: Any, **changes: Any) -> pd.DataFrame:
    arguments = {
        "target_positions_date": DATE,
        "position_set_uid": HOLDINGS_SET,
        "positions": list(positions),
        **changes,
    }
    return build_target_positions_frame(**arguments)


# --- holdings --------------------------------------------------------------------------------------------------------
def test_the_seed_s_holdings() -> None:
    frame = holdings(ETH, BTC)
    assert list(frame.index.names) == ["time_index", "account_uid", "asset_identifier"]
    assert frame.index.tolist() == [(INSTANT, str(ACCOUNT), "BTC"), (INSTANT, str(ACCOUNT), "ETH")]
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "holdings_set_uid": "str",
        "is_trade_snapshot": "bool",
        "quantity": "float64",
        "direction": "int16",
        "target_trade_time": "datetime64[ns, UTC]",
        "extra_details": "object",
    }
    assert [str(level.dtype) for level in frame.index.levels] == ["datetime64[ns, UTC]", "str", "str"]
    assert frame["holdings_set_uid"].tolist() == [str(HOLDINGS_SET)] * 2
    assert frame["is_trade_snapshot"].tolist() == [False, False]
    assert frame["quantity"].tolist() == [1.0, 10.0]
    assert frame["direction"].tolist() == [1, -1]
    assert frame["target_trade_time"].isna().all()
    assert frame["extra_details"].tolist() == [{}, {}]


def test_a_position_s_own_values_win_over_the_call_s() -> None:
    later = "2026-05-26T02:00:00+02:00"
    frame = holdings(
        {"asset_identifier": "A", "quantity": "1.5"},
        {"asset_identifier": "B", "quantity": Decimal("2"), "target_trade_time": None, "is_trade_snapshot": False},
        {"asset_identifier": "C", "quantity": np.int64(3), "target_trade_time": DATE, "extra_details": [1, 2]},
        {"asset_identifier": "D", "quantity": 4, "extra_details": {"ticker": "D"}, "asset_uid": "ignored"},
        {"asset_identifier": " E ", "quantity": 5, "direction": "-1", "extra_details": ""},
        is_trade_snapshot=True,
        target_trade_time=later,
    )
    day = pd.Timestamp("2026-05-26T00:00:00Z")
    assert frame.index.get_level_values("asset_identifier").tolist() == ["A", "B", "C", "D", "E"]
    assert frame["quantity"].tolist() == [1.5, 2.0, 3.0, 4.0, 5.0]
    assert frame["direction"].tolist() == [1, 1, 1, 1, -1]
    assert frame["is_trade_snapshot"].tolist() == [True, False, True, True, True]
    assert frame["target_trade_time"].tolist() == [day, pd.NaT, INSTANT, day, day]
    assert frame["extra_details"].tolist() == [{}, {}, [1, 2], {"ticker": "D"}, {}]


def test_positions_may_be_objects() -> None:
    @dataclass
    class Position:
        asset_identifier: str
        quantity: float

    class Model:
        def model_dump(self) -> dict[str, Any]:
            return ETH

    frame = holdings(Position("BTC", 2.0), Model())
    assert frame["quantity"].tolist() == [2.0, 10.0]
    assert frame["direction"].tolist() == [1, -1]


def test_lists_of_details_of_one_length_stay_lists() -> None:
    frame = holdings({**BTC, "extra_details": [1, 2]}, {**ETH, "extra_details": [3, 4]})
    assert frame["extra_details"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("date", ["2026-05-25T02:00:00+02:00", dt.datetime(2026, 5, 25, tzinfo=dt.UTC), INSTANT])
def test_the_instant_is_the_same_in_every_spelling(date: Any) -> None:
    pd.testing.assert_frame_equal(holdings(BTC, holdings_date=date), holdings(BTC))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *[({"quantity": value}, "quantity must be positive") for value in (None, float("nan"), 0, -1, "0", 1e-400)],
        *[({"quantity": value}, "finite number") for value in INFINITIES],
        *[({"quantity": value}, "quantity must be a number") for value in ("abc", "", "1_0", True, [1], 10**400, 1j)],
        *[({"direction": value}, "direction must be 1") for value in (None, 0, 2, 1.9, "x", True, float("nan"), [])],
        *[({"asset_identifier": value}, "asset_identifier is needed") for value in (None, "", "  ", 5)],
        *[({"is_trade_snapshot": value}, "must be True or False") for value in ("false", 1, None)],
        *[({"extra_details": value}, "extra_details must be an object or a list") for value in ("x", 5)],
        ({"target_trade_time": "2026-05-25T00:00:00"}, "no time zone"),
    ],
)
def test_refused_holdings(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        holdings(ETH, {**BTC, **change})
    assert "positions[1]" in str(refused.value)
    assert refused.value.field == "positions"


def test_a_quantity_left_out_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"positions\[0\] \(BTC\): quantity must be positive"):
        holdings({"asset_identifier": "BTC"})


def test_an_asset_twice_is_refused_whatever_the_directions() -> None:
    with pytest.raises(InvalidInput, match="More than one position in the same asset: BTC, ETH"):
        holdings(ETH, BTC, {**BTC, "direction": -1}, ETH)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        *[({"holdings_date": value}, "holdings_date") for value in ("2026-05-25", "2026-05-25T00:00:00", "eod", None)],
        *[
            ({"holdings_date": value}, "holdings_date")
            for value in (0, pd.NaT, dt.date(2026, 5, 25), "1677-01-01T00:00Z")
        ],
        ({"holdings_date": pd.Timestamp("2026-05-25T00:00:00.000000001Z")}, "holdings_date"),
        ({"holdings_date": "0001-01-01T00:00:00+23:59"}, "holdings_date"),
        *[({"holdings_set_uid": value}, "holdings_set_uid") for value in (None, "", "  ", "junk", 5)],
        *[({"account_uid": value}, "account_uid") for value in (None, "junk")],
        *[({"positions": value}, "positions") for value in ([], "BTC", BTC, None, pd.DataFrame([BTC]))],
        ({"is_trade_snapshot": "true"}, "is_trade_snapshot"),
        ({"target_trade_time": "2026-05-25T00:00:00"}, "target_trade_time"),
    ],
)
def test_refused_calls_name_the_argument(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        holdings(**{"positions": [BTC], **change})
    assert refused.value.field == field


def test_both_forms_of_a_holdings_frame_are_valid() -> None:
    frame = holdings(BTC, {**ETH, "extra_details": [1]}, target_trade_time=DATE)
    pd.testing.assert_frame_equal(validate_holdings_frame(frame), frame)
    pd.testing.assert_frame_equal(validate_holdings_frame(frame[::-1].reset_index()), frame)


def test_what_is_wrong_with_a_holdings_frame_is_said() -> None:
    frame = holdings(BTC, ETH)
    with pytest.raises(InvalidInput, match="The frame lacks quantity, direction"):
        validate_holdings_frame(frame.drop(columns=["quantity", "direction"]))
    with pytest.raises(InvalidInput, match=r"row 1 \(ETH\): quantity must be positive, not -1.0"):
        validate_holdings_frame(frame.assign(quantity=[1.0, -1.0]))
    with pytest.raises(InvalidInput, match="The index must be time_index, account_uid, asset_identifier"):
        validate_holdings_frame(frame.swaplevel(0, 1))
    with pytest.raises(InvalidInput, match="More than one position in the same asset: BTC"):
        validate_holdings_frame(pd.concat([frame, frame[:1]]))
    with pytest.raises(InvalidInput, match="The frame is empty"):
        validate_holdings_frame(frame[:0])
    with pytest.raises(InvalidInput, match="A pandas DataFrame is needed, not a tuple"):
        validate_holdings_frame((None, frame))  # type: ignore[arg-type]


# --- targets ---------------------------------------------------------------------------------------------------------
def test_the_seed_s_targets() -> None:
    frame = targets(
        {"portfolio_uid": PORTFOLIO, "weight_notional_exposure": 0.4},
        {"asset_uid": ASSET, "weight_notional_exposure": 0.6},
    )
    assert list(frame.index.names) == ["time_index", "position_set_uid", "target_type", "target_uid"]
    assert frame.index.tolist() == [
        (INSTANT, str(HOLDINGS_SET), "asset", str(ASSET)),
        (INSTANT, str(HOLDINGS_SET), "portfolio", str(PORTFOLIO)),
    ]
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "asset_uid": "str",
        "portfolio_uid": "str",
        "weight_notional_exposure": "float64",
        "constant_notional_exposure": "float64",
        "single_asset_quantity": "float64",
        "metadata_json": "object",
    }
    assert frame["weight_notional_exposure"].tolist() == [0.6, 0.4]
    assert frame[["constant_notional_exposure", "single_asset_quantity"]].isna().all(axis=None)
    assert frame["asset_uid"].isna().tolist() == [False, True]
    assert frame["portfolio_uid"].isna().tolist() == [True, False]
    assert (frame["asset_uid"].iloc[0], frame["portfolio_uid"].iloc[1]) == (str(ASSET), str(PORTFOLIO))
    assert frame["metadata_json"].tolist() == [{}, {}]


def test_every_exposure_and_the_full_spelling() -> None:
    frame = targets(
        {
            "target_type": "asset",
            "target_uid": str(ASSET).upper(),
            "asset_uid": str(ASSET),
            "portfolio_uid": None,
            "single_asset_quantity": "-3.5",
            "weight_notional_exposure": float("nan"),
            "metadata_json": {"why": "hedge"},
        },
        {"portfolio_uid": ASSET, "constant_notional_exposure": 0},
        {"asset_uid": PORTFOLIO, "weight_notional_exposure": 1.5},
    )
    assert frame.index.droplevel([0, 1]).tolist() == [
        ("asset", str(ASSET)),
        ("asset", str(PORTFOLIO)),
        ("portfolio", str(ASSET)),
    ]
    assert frame["single_asset_quantity"].tolist()[0] == -3.5
    assert frame["weight_notional_exposure"].tolist()[1] == 1.5
    assert frame["constant_notional_exposure"].tolist()[2] == 0.0
    assert frame["metadata_json"].tolist() == [{"why": "hedge"}, {}, {}]


@pytest.mark.parametrize(
    ("position", "message"),
    [
        ({"weight_notional_exposure": 1}, "exactly one of asset_uid and portfolio_uid .* 0 are given"),
        ({"asset_uid": ASSET, "portfolio_uid": PORTFOLIO, "weight_notional_exposure": 1}, "2 are given"),
        ({"target_type": "asset", "target_uid": ASSET, "weight_notional_exposure": 1}, "exactly one of asset_uid"),
        ({"asset_uid": ASSET, "asset_identifier": None, "weight_notional_exposure": 1}, "not by asset_identifier"),
        ({"asset_uid": ASSET, "target_type": "ASSET", "weight_notional_exposure": 1}, "'ASSET' contradicts asset_uid"),
        ({"asset_uid": ASSET, "target_type": "portfolio", "weight_notional_exposure": 1}, "contradicts asset_uid"),
        ({"asset_uid": ASSET, "target_uid": PORTFOLIO, "weight_notional_exposure": 1}, "is not asset_uid="),
        ({"asset_uid": ASSET}, "exactly one of weight_notional_exposure, .* 0 are given"),
        ({"asset_uid": ASSET, "weight_notional_exposure": 1, "single_asset_quantity": 1}, "2 are given"),
        ({"portfolio_uid": PORTFOLIO, "single_asset_quantity": 1}, "single_asset_quantity is for assets"),
        ({"asset_uid": "junk", "weight_notional_exposure": 1}, "asset_uid must be a uid"),
        *[
            ({"asset_uid": ASSET, "weight_notional_exposure": value}, "must be a (finite )?number")
            for value in ("", "abc", True, *INFINITIES[:4])
        ],
        *[
            ({"asset_uid": ASSET, "weight_notional_exposure": 1, "metadata_json": value}, "must be an object")
            for value in ("x", [], 5)
        ],
    ],
)
def test_refused_targets(position: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        targets({"asset_uid": HOLDINGS_SET, "weight_notional_exposure": 1}, position)
    assert "positions[1]" in str(refused.value)
    assert refused.value.field == "positions"


def test_a_target_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match=f"More than one position in the same target: {ASSET}"):
        targets(*({"asset_uid": ASSET, "weight_notional_exposure": weight} for weight in (0.1, 0.2)))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"target_positions_date": "2026-05-25T00:00:00"}, "target_positions_date"),
        ({"target_positions_date": "2026-05-25"}, "target_positions_date"),
        *[({"position_set_uid": value}, "position_set_uid") for value in (None, "", "junk")],
        ({"positions": []}, "positions"),
    ],
)
def test_refused_calls_for_targets_name_the_argument(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        targets(**{"positions": [{"asset_uid": ASSET, "weight_notional_exposure": 1}], **change})
    assert refused.value.field == field


def test_both_forms_of_a_targets_frame_are_valid() -> None:
    frame = targets(
        {"asset_uid": ASSET, "single_asset_quantity": -2},
        {"portfolio_uid": PORTFOLIO, "constant_notional_exposure": 5000},
    )
    pd.testing.assert_frame_equal(validate_target_positions_frame(frame), frame)
    pd.testing.assert_frame_equal(validate_target_positions_frame(frame[::-1].reset_index()), frame)
    with pytest.raises(InvalidInput, match="row 1: exactly one of weight_notional_exposure"):
        validate_target_positions_frame(frame.assign(single_asset_quantity=1.0))
    with pytest.raises(InvalidInput, match="The frame lacks metadata_json"):
        validate_target_positions_frame(frame.drop(columns="metadata_json"))
