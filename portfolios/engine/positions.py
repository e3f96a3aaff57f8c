"""Frames of what an account holds and of what it is meant to hold, built from positions and validated.

Holdings name assets by identifier, targets name assets and portfolios by uid. Times are UTC; a naive one is refused.
"""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from markets.exceptions import InvalidInput
from portfolios.engine.inputs import finite_number, flag, instant, is_absent, shown, uid

HOLDINGS_INDEX = ("time_index", "account_uid", "asset_identifier")
HOLDINGS_COLUMNS = (
    "holdings_set_uid",
    "is_trade_snapshot",
    "quantity",
    "direction",
    "target_trade_time",
    "extra_details",
)
TARGETS_INDEX = ("time_index", "position_set_uid", "target_type", "target_uid")
EXPOSURES = ("weight_notional_exposure", "constant_notional_exposure", "single_asset_quantity")
TARGETS_COLUMNS = ("asset_uid", "portfolio_uid", *EXPOSURES, "metadata_json")
POSITION_KEYS = (
    *("asset_identifier", "quantity", "direction", "target_trade_time", "is_trade_snapshot", "extra_details"),
    *("target_type", "target_uid", "asset_uid", "portfolio_uid", *EXPOSURES, "metadata_json"),
)

Time = dt.datetime | str
Uid = uuid.UUID | str


def build_account_holdings_frame(
    *,
    holdings_date: Time,
    account_uid: Uid,
    positions: Iterable[Any],
    holdings_set_uid: Uid,
    is_trade_snapshot: bool = False,
    target_trade_time: Time | None = None,
) -> pd.DataFrame:
    """What an account holds at one instant, a row an asset, sorted by identifier.

    A position (a mapping, or an object with such attributes) has `asset_identifier` and `quantity` (> 0), and may have
    `direction` (1 long, the default, or -1 short), `is_trade_snapshot`, `target_trade_time` and `extra_details` (an
    object or a list); what it gives wins over the call's. Its other keys are ignored.

    Index: time_index datetime64[ns, UTC], account_uid str, asset_identifier str. Columns: holdings_set_uid str,
    is_trade_snapshot bool, quantity float64, direction int16, target_trade_time datetime64[ns, UTC], extra_details
    object. Raises InvalidInput naming the position.
    """
    time = instant(holdings_date, field="holdings_date")
    account = _required_uid(account_uid, field="account_uid")
    holdings_set = _required_uid(holdings_set_uid, field="holdings_set_uid")
    defaults = {
        "is_trade_snapshot": flag(is_trade_snapshot, field="is_trade_snapshot"),
        "target_trade_time": _optional_instant(target_trade_time, field="target_trade_time"),
    }
    given = _listed(positions)
    return _holdings_frame(
        [
            (time, account, *_holding({**defaults, **position}, holdings_set, f"positions[{place}]"))
            for place, position in enumerate(given)
        ]
    )


def validate_holdings_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as `build_account_holdings_frame` makes it, of one that is indexed by its key or has it as columns.

    Several instants and accounts may be in one frame. Raises InvalidInput listing missing columns, or naming the row.
    """
    rows = _records(frame, HOLDINGS_INDEX, HOLDINGS_COLUMNS)
    return _holdings_frame(
        [
            (
                instant(row["time_index"], field=f"row {place}: time_index"),
                _required_uid(row["account_uid"], field=f"row {place}: account_uid"),
                *_holding(
                    row, _required_uid(row["holdings_set_uid"], field=f"row {place}: holdings_set_uid"), f"row {place}"
                ),
            )
            for place, row in enumerate(rows)
        ]
    )


def build_target_positions_frame(
    *, target_positions_date: Time, position_set_uid: Uid, positions: Iterable[Any]
) -> pd.DataFrame:
    """What is meant to be held from one instant, a row a target, assets before portfolios, each by uid.

    A position (a mapping, or an object with such attributes) names one of `asset_uid` and `portfolio_uid`, and one
    exposure: `weight_notional_exposure` (a fraction of the net asset value), `constant_notional_exposure` (money) or,
    for an asset, `single_asset_quantity` (signed units). `target_type` and `target_uid` follow from the uid; given,
    they must agree with it. `metadata_json` is an object.

    Index: time_index datetime64[ns, UTC], position_set_uid, target_type and target_uid str. Columns: asset_uid and
    portfolio_uid str (null in the other kind's rows), the three exposures float64 (NaN when unused), metadata_json
    object. Weights need not add up to 1. Raises InvalidInput naming the position.
    """
    time = instant(target_positions_date, field="target_positions_date")
    position_set = _required_uid(position_set_uid, field="position_set_uid")
    return _targets_frame(
        [
            (time, position_set, *_target(position, f"positions[{place}]"))
            for place, position in enumerate(_listed(positions))
        ]
    )


def validate_target_positions_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as `build_target_positions_frame` makes it, of one that is indexed by its key or has it as columns."""
    rows = _records(frame, TARGETS_INDEX, TARGETS_COLUMNS)
    return _targets_frame(
        [
            (
                instant(row["time_index"], field=f"row {place}: time_index"),
                _required_uid(row["position_set_uid"], field=f"row {place}: position_set_uid"),
                *_target(row, f"row {place}"),
            )
            for place, row in enumerate(rows)
        ]
    )


# --- one position ----------------------------------------------------------------------------------------------------
def _holding(position: Mapping[str, Any], holdings_set: str, where: str) -> tuple[Any, ...]:
    identifier = position.get("asset_identifier")
    if not isinstance(identifier, str) or not identifier.strip():
        raise InvalidInput(
            f"{where}: asset_identifier is needed, and is {shown(identifier)}. Holdings name assets by identifier.",
            field="positions",
        )
    where = f"{where} ({identifier.strip()})"
    quantity = position.get("quantity")
    amount = 0.0 if is_absent(quantity) else _number(quantity, where, "quantity")
    if amount <= 0:
        raise InvalidInput(
            f"{where}: quantity must be positive, not {shown(quantity)}. A short position has direction -1.",
            field="positions",
        )
    details = position.get("extra_details")
    if not is_absent(details) and details and not isinstance(details, dict | list):
        raise InvalidInput(
            f"{where}: extra_details must be an object or a list, not {shown(details)}.", field="positions"
        )
    return (
        identifier.strip(),
        holdings_set,
        _in_position(flag, position.get("is_trade_snapshot", False), where, "is_trade_snapshot"),
        amount,
        _direction(position.get("direction", 1), where),
        _in_position(_optional_instant, position.get("target_trade_time"), where, "target_trade_time"),
        details if isinstance(details, dict | list) and details else {},
    )


def _direction(value: object, where: str) -> int:
    try:
        number = 0.0 if isinstance(value, bool | np.bool_) or is_absent(value) else finite_number(value, field="")
    except InvalidInput:
        number = 0.0
    if number not in (1.0, -1.0):
        raise InvalidInput(f"{where}: direction must be 1 (long) or -1 (short), not {shown(value)}.", field="positions")
    return int(number)


def _target(position: Mapping[str, Any], where: str) -> tuple[Any, ...]:
    if "asset_identifier" in position:
        raise InvalidInput(
            f"{where}: targets name assets by asset_uid, not by asset_identifier. Leave asset_identifier out.",
            field="positions",
        )
    uids = {
        kind: _in_position(uid, position[f"{kind}_uid"], where, f"{kind}_uid")
        for kind in ("asset", "portfolio")
        if not is_absent(position.get(f"{kind}_uid"))
    }
    if len(uids) != 1:
        raise InvalidInput(
            f"{where}: exactly one of asset_uid and portfolio_uid names the target; {len(uids)} are given.",
            field="positions",
        )
    ((kind, target),) = uids.items()
    stated = position.get("target_type")
    if not is_absent(stated) and stated != kind:
        raise InvalidInput(
            f"{where}: target_type={shown(stated)} contradicts {kind}_uid. Leave it out.", field="positions"
        )
    claimed = position.get("target_uid")
    if not is_absent(claimed) and _in_position(uid, claimed, where, "target_uid") != target:
        raise InvalidInput(
            f"{where}: target_uid={shown(claimed)} is not {kind}_uid={target}. Leave it out.", field="positions"
        )
    exposures = {name: _number(position[name], where, name) for name in EXPOSURES if not is_absent(position.get(name))}
    if len(exposures) != 1:
        raise InvalidInput(
            f"{where}: exactly one of {', '.join(EXPOSURES)} says how much; {len(exposures)} are given.",
            field="positions",
        )
    if kind == "portfolio" and "single_asset_quantity" in exposures:
        raise InvalidInput(
            f"{where}: single_asset_quantity is for assets. Give the portfolio a weight or an amount of money.",
            field="positions",
        )
    metadata = position.get("metadata_json")
    if not is_absent(metadata) and not isinstance(metadata, Mapping):
        raise InvalidInput(f"{where}: metadata_json must be an object, not {shown(metadata)}.", field="positions")
    return (
        kind,
        str(target),
        str(target) if kind == "asset" else None,
        str(target) if kind == "portfolio" else None,
        *(exposures.get(name, np.nan) for name in EXPOSURES),
        dict(metadata) if isinstance(metadata, Mapping) else {},
    )


def _number(value: object, where: str, name: str) -> float:
    return _in_position(finite_number, value, where, name)


def _in_position(clean: Any, value: object, where: str, name: str) -> Any:
    try:
        return clean(value, field=f"{where}: {name}")
    except InvalidInput as error:
        raise InvalidInput(str(error), field="positions") from None


def _required_uid(value: object, *, field: str) -> str:
    if is_absent(value) or (isinstance(value, str) and not value.strip()):
        raise InvalidInput(f"{field} is needed.", field=field)
    return str(uid(value, field=field))


def _optional_instant(value: object, *, field: str) -> dt.datetime | None:
    return None if is_absent(value) else instant(value, field=field)


# --- many positions --------------------------------------------------------------------------------------------------
def _listed(positions: Iterable[Any]) -> list[Mapping[str, Any]]:
    """The positions as mappings. Raises InvalidInput when there is none."""
    if isinstance(positions, str | bytes | Mapping | pd.DataFrame) or not isinstance(positions, Iterable):
        raise InvalidInput(
            f"positions must be a list of positions, not a {type(positions).__name__}.", field="positions"
        )
    found = [_as_mapping(position) for position in positions]
    if not found:
        raise InvalidInput("positions is empty. Give at least one position.", field="positions")
    return found


def _as_mapping(position: Any) -> Mapping[str, Any]:
    if isinstance(position, Mapping):
        return position
    if callable(getattr(position, "model_dump", None)):
        dumped = position.model_dump()
        if isinstance(dumped, Mapping):
            return dumped
    return {name: getattr(position, name) for name in POSITION_KEYS if hasattr(position, name)}


def _records(frame: pd.DataFrame, index: Sequence[str], columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows as mappings, of a frame in index form or in flat form."""
    if not isinstance(frame, pd.DataFrame):
        raise InvalidInput(f"A pandas DataFrame is needed, not a {type(frame).__name__}.", field="frame")
    if any(name is not None for name in frame.index.names):
        if tuple(frame.index.names) != tuple(index):
            raise InvalidInput(
                f"The index must be {', '.join(index)}, not {', '.join(map(str, frame.index.names))}.", field="frame"
            )
        frame = frame.reset_index()
    missing = [name for name in (*index, *columns) if name not in frame.columns]
    if missing:
        raise InvalidInput(f"The frame lacks {', '.join(missing)}.", field="frame")
    if frame.empty:
        raise InvalidInput("The frame is empty. Give at least one position.", field="frame")
    names = [*index, *columns]
    return [dict(zip(names, row, strict=True)) for row in frame[names].itertuples(index=False, name=None)]


def _holdings_frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    rows = _sorted_by_key(rows, len(HOLDINGS_INDEX), noun="asset")
    time, account, identifier, holdings_set, snapshot, quantity, direction, trade_time, details = zip(
        *rows, strict=True
    )
    return pd.DataFrame(
        {
            "holdings_set_uid": _texts(holdings_set),
            "is_trade_snapshot": np.array(snapshot, dtype=np.bool_),
            "quantity": np.array(quantity, dtype=np.float64),
            "direction": np.array(direction, dtype=np.int16),
            "target_trade_time": _instants(trade_time),
            "extra_details": _objects(details),
        },
        index=pd.MultiIndex.from_arrays(
            [_instants(time), _texts(account), _texts(identifier)], names=list(HOLDINGS_INDEX)
        ),
    )


def _targets_frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    rows = _sorted_by_key(rows, len(TARGETS_INDEX), noun="target")
    time, position_set, kind, target, asset, portfolio, weight, money, units, metadata = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "asset_uid": _texts(asset),
            "portfolio_uid": _texts(portfolio),
            "weight_notional_exposure": np.array(weight, dtype=np.float64),
            "constant_notional_exposure": np.array(money, dtype=np.float64),
            "single_asset_quantity": np.array(units, dtype=np.float64),
            "metadata_json": _objects(metadata),
        },
        index=pd.MultiIndex.from_arrays(
            [_instants(time), _texts(position_set), _texts(kind), _texts(target)], names=list(TARGETS_INDEX)
        ),
    )


def _sorted_by_key(rows: list[tuple[Any, ...]], width: int, *, noun: str) -> list[tuple[Any, ...]]:
    """The rows by key. Raises InvalidInput listing the last part of each key that comes twice."""
    counts = Counter(row[:width] for row in rows)
    repeated = sorted({key[-1] for key, count in counts.items() if count > 1})
    if repeated:
        raise InvalidInput(
            f"More than one position in the same {noun}: {', '.join(repeated)}. Add them up, or leave one out.",
            field="positions",
        )
    return sorted(rows, key=lambda row: row[:width])


def _instants(values: Sequence[dt.datetime | None]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(list(values), utc=True)).as_unit("ns")


def _texts(values: Sequence[str | None]) -> Any:
    return pd.array(list(values), dtype="str")


def _objects(values: Sequence[Any]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):  # assigned as a whole, lists of one length would become a matrix
        column[place] = value
    return column
