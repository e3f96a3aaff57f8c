"""Runs a node's quality checks on the rows that it is about to write."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from markets.data_nodes.reads import IdentityRange, read_frame
from markets.data_nodes.sessions import load_sessions
from markets.data_nodes.stored_statistics import microseconds
from markets.data_nodes.writes import Write, write_mode_of
from markets.engine.quality import NO_ROW, CalendarGaps, QualityCheck, QualityOutcome, QualityRows
from markets.exceptions import InvalidInput, QualityError

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode

logger = logging.getLogger("msm.nodes.quality")
NUMBERS = {"float64", "float32", "int64", "int32", "int16", "bool"}


def judge(node: "DataNode", write: Write) -> list[QualityOutcome]:
    """The outcome of each check that the node declares, in order; warnings are logged.

    Raises InvalidInput for a check of a column that the frame does not have or that holds no numbers.
    """
    checks = list(node.quality_checks())
    if not checks or write.valid is None:
        return []
    rows = _rows(node, write, checks)
    if not len(rows):
        return []
    outcomes = [
        check.judge_sessions(rows, load_sessions(check.calendar_identifier).closes)
        if isinstance(check, CalendarGaps)
        else check.judge(rows)
        for check in checks
    ]
    for outcome in outcomes:
        if not outcome.passed:
            logger.warning("quality check failed (%s): %s: %s", outcome.severity, outcome.check, outcome.message)
    return outcomes


def as_json(outcomes: Sequence[QualityOutcome]) -> list[dict[str, Any]]:
    return [asdict(outcome) for outcome in outcomes]


def refuse_critical(outcomes: Sequence[QualityOutcome]) -> None:
    """Raise QualityError naming every critical check that failed."""
    failed = [f"{item.check}: {item.message}" for item in outcomes if not item.passed and item.severity == "critical"]
    if failed:
        raise QualityError(
            f"{len(failed)} critical quality check{'' if len(failed) == 1 else 's'} failed; nothing was written. "
            f"{' | '.join(failed)}. Mend the source, or change the check where the data are right."
        )


def _rows(node: "DataNode", write: Write, checks: Sequence[QualityCheck]) -> QualityRows:
    valid = write.valid
    assert valid is not None
    by_name = {column.name: column for column in valid.columns}
    wanted = list(dict.fromkeys(name for check in checks for name in check.columns))
    for name in wanted:
        if name not in by_name or by_name[name].token not in NUMBERS:
            have = ", ".join(name for name, column in by_name.items() if column.token in NUMBERS) or "none"
            raise InvalidInput(
                f"A quality check of {type(node).__name__} reads {name!r}, which is no column of numbers here. "
                f"Such are: {have}."
            )
    codes, identities = valid.identity_codes()
    keys = [_key(node, write, identity) for identity in identities]
    statistics = node.update_statistics
    last = np.array(
        [microseconds(statistics.index_progress[key]) if key in statistics.index_min else NO_ROW for key in keys],
        dtype=np.int64,
    )
    order = np.lexsort((valid.times, codes))
    if write_mode_of(node) == "append":
        order = order[valid.times[order] > last[codes[order]]]
    codes, times = codes[order], valid.times[order]
    values = {}
    for name in wanted:
        column = by_name[name]
        numbers = column.values[order].astype(np.float64)
        if column.is_null is not None:
            numbers[column.is_null[order]] = np.nan
        values[name] = numbers
    first = np.full(len(identities), np.iinfo(np.int64).max)
    np.minimum.at(first, codes, times)
    follows = (last != NO_ROW) & (first > last) & (first != np.iinfo(np.int64).max)
    return QualityRows(
        identities=[" / ".join(identity) or "the table" for identity in identities],
        codes=codes,
        times=times * 1_000,
        values=values,
        last_times=np.where(follows, last * 1_000, NO_ROW),
        last_values=_last_values(write, identities, np.where(follows, last, NO_ROW), wanted),
    )


def _key(node: "DataNode", write: Write, identity: tuple[str, ...]) -> Any:
    scope = node.statistics_scope()
    parts = tuple(part for name, part in zip(write.storage.index_names[1:], identity, strict=True) if name not in scope)
    return parts[0] if len(parts) == 1 else parts


def _last_values(
    write: Write, identities: Sequence[tuple[str, ...]], last: np.ndarray, columns: Sequence[str]
) -> dict[str, np.ndarray]:
    """Column → (identities,) the stored value at each identity's last time, NaN where there is none."""
    found = {name: np.full(len(identities), np.nan) for name in columns}
    known = [place for place in range(len(identities)) if last[place] != NO_ROW]
    if not columns or not known or not write.storage.columns:
        return found
    instants = {place: pd.Timestamp(int(last[place]) * 1_000, unit="ns", tz="UTC").to_pydatetime() for place in known}
    if not identities[0]:
        frame = read_frame(write.storage, start_date=instants[0], end_date=instants[0], columns=columns)
    else:
        windows: dict[Any, IdentityRange] = {
            identities[place]: {"start_date": instant, "end_date": instant} for place, instant in instants.items()
        }
        frame = read_frame(write.storage, range_map=windows, columns=columns)
    places = {identity: place for place, identity in enumerate(identities)}
    for position, key in enumerate(frame.index):
        identity = tuple(key[1:]) if isinstance(key, tuple) else ()
        for name in columns:
            value = frame[name].iloc[position]
            found[name][places[identity]] = np.nan if pd.isna(value) else float(value)
    return found
