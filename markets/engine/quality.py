"""Quality checks of a frame: what each measures, row by row and against the last stored row of each identity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

Severity = Literal["warning", "critical"]
EXAMPLES = 5


@dataclass(frozen=True)
class QualityRows:
    """The rows to judge, sorted by identity and time.

    `codes` (n,) int64 into `identities`; `times` (n,) int64 nanoseconds since 1970 UTC; `values` column → (n,) float64,
    NaN where missing. `last_times` (identities,) int64, the time of each identity's last stored row, `NO_ROW` where it
    has none; `last_values` column → (identities,) float64, NaN where unknown.
    """

    identities: Sequence[str]
    codes: np.ndarray
    times: np.ndarray
    values: Mapping[str, np.ndarray]
    last_times: np.ndarray
    last_values: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.codes)


NO_ROW = np.iinfo(np.int64).min


@dataclass(frozen=True)
class QualityOutcome:
    """What a check found: `failed` of `checked` rows (or sessions), and a sentence that names the first ones."""

    check: str
    column: str
    severity: Severity
    passed: bool
    checked: int
    failed: int
    message: str


class QualityCheck(BaseModel):
    """What all checks share. A failed `critical` one stops the run: nothing is written or published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    severity: Severity = "critical"

    @property
    def name(self) -> str:
        raise NotImplementedError

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose values the check reads; they hold numbers."""
        return ()

    def judge(self, rows: QualityRows) -> QualityOutcome:
        raise NotImplementedError

    def _outcome(self, rows: QualityRows, wrong: np.ndarray, *, checked: int, what: str) -> QualityOutcome:
        """The outcome where each True of `wrong` (n,) is a fault."""
        places = np.flatnonzero(wrong)
        text = f"all {checked:,} {what}" if not len(places) else f"{_examples(rows, places)}"
        column = self.columns[0] if self.columns else ""
        return QualityOutcome(self.name, column, self.severity, not len(places), checked, len(places), text)


class NullShare(QualityCheck):
    """At most this share of a column's cells is missing."""

    kind: Literal["null_share"] = "null_share"
    column: str = Field(min_length=1)
    most: float = Field(ge=0, le=1, allow_inf_nan=False)

    @property
    def name(self) -> str:
        return f"{self.column}: at most {self.most:.2%} missing"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def judge(self, rows: QualityRows) -> QualityOutcome:
        missing = np.isnan(rows.values[self.column])
        count = int(missing.sum())
        share = count / len(rows) if len(rows) else 0.0
        passed = share <= self.most
        text = f"{count:,} of {len(rows):,} cells missing ({share:.2%})"
        if count:
            text += f": {_examples(rows, np.flatnonzero(missing))}"
        return QualityOutcome(self.name, self.column, self.severity, passed, len(rows), 0 if passed else count, text)


class ValueRange(QualityCheck):
    """Every value of a column lies between two bounds, both included; what is missing is not judged."""

    kind: Literal["value_range"] = "value_range"
    column: str = Field(min_length=1)
    least: float | None = Field(default=None, allow_inf_nan=False)
    most: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _bounded(self) -> "ValueRange":
        if self.least is None and self.most is None:
            raise ValueError("give least, most or both")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(f"least={self.least} is above most={self.most}")
        return self

    @property
    def name(self) -> str:
        bounds = []
        if self.least is not None:
            bounds.append(f"at least {self.least:g}")
        if self.most is not None:
            bounds.append(f"at most {self.most:g}")
        return f"{self.column}: {', '.join(bounds)}"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def judge(self, rows: QualityRows) -> QualityOutcome:
        values = rows.values[self.column]
        wrong = np.zeros(len(values), dtype=bool)
        if self.least is not None:
            wrong |= values < self.least
        if self.most is not None:
            wrong |= values > self.most
        return self._outcome(rows, wrong, checked=int((~np.isnan(values)).sum()), what="values in the range")


class Jump(QualityCheck):
    """From one value of an identity to the next, the change relative to the former is at most this much.

    |x[t] / x[t-1] - 1| <= most, over values that are not missing; the first is compared with the last stored row.
    """

    kind: Literal["jump"] = "jump"
    column: str = Field(min_length=1)
    most: float = Field(gt=0, allow_inf_nan=False)

    @property
    def name(self) -> str:
        return f"{self.column}: no jump above {self.most:.0%}"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def judge(self, rows: QualityRows) -> QualityOutcome:
        before, known = _before(rows, self.column)
        values = rows.values[self.column]
        with np.errstate(divide="ignore", invalid="ignore"):
            change = np.abs(values / before - 1.0)
        wrong = known & ~(change <= self.most) & ~((before == 0) & (values == 0))
        return self._outcome(rows, wrong, checked=int(known.sum()), what="changes within the limit")


class Monotonic(QualityCheck):
    """A column's values only rise (or fall) from row to row of an identity, the last stored row included."""

    kind: Literal["monotonic"] = "monotonic"
    column: str = Field(min_length=1)
    direction: Literal["increasing", "decreasing"] = "increasing"
    strict: bool = False

    @property
    def name(self) -> str:
        return f"{self.column}: {'strictly ' if self.strict else ''}{self.direction}"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def judge(self, rows: QualityRows) -> QualityOutcome:
        before, known = _before(rows, self.column)
        step = rows.values[self.column] - before
        step = step if self.direction == "increasing" else -step
        wrong = known & ((step <= 0) if self.strict else (step < 0))
        return self._outcome(rows, wrong, checked=int(known.sum()), what=f"steps {self.direction}")


class CalendarGaps(QualityCheck):
    """No identity skips more than `most` sessions of a calendar between its last stored row and its last row here.

    An identity without a stored row is judged from its first row on. The sessions are those of the node's calendar, by
    their closes.
    """

    kind: Literal["calendar_gaps"] = "calendar_gaps"
    calendar_identifier: str = Field(min_length=1)
    most: int = Field(default=0, ge=0)

    @property
    def name(self) -> str:
        return f"at most {self.most} missing sessions of {self.calendar_identifier}"

    def judge_sessions(self, rows: QualityRows, closes: np.ndarray) -> QualityOutcome:
        """`closes` (s,) int64 nanoseconds, sorted."""
        is_last = np.append(rows.codes[1:] != rows.codes[:-1], len(rows) > 0)
        checked = failed = 0
        faults: list[str] = []
        start = 0
        for end in np.flatnonzero(is_last[: len(rows)]):
            code = int(rows.codes[end])
            times = rows.times[start : end + 1]
            after = int(rows.last_times[code])
            first = int(times[0]) if after == NO_ROW else after + 1
            expected = closes[np.searchsorted(closes, first) : np.searchsorted(closes, times[-1], side="right")]
            missing = expected[~np.isin(expected, times)]
            checked += len(expected)
            if len(missing) > self.most:
                failed += len(missing)
                faults.append(f"{rows.identities[code]} {len(missing)} (first {_stamp(int(missing[0]))})")
            start = int(end) + 1
        more = f" and {len(faults) - EXAMPLES:,} more" if len(faults) > EXAMPLES else ""
        text = f"all {checked:,} sessions present" if not faults else f"missing: {'; '.join(faults[:EXAMPLES])}{more}"
        return QualityOutcome(self.name, "", self.severity, not faults, checked, failed, text)


AnyCheck = Annotated[NullShare | ValueRange | Jump | Monotonic | CalendarGaps, Field(discriminator="kind")]


def _before(rows: QualityRows, column: str) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the value before each row's, of its identity, and whether both are known."""
    values = rows.values[column]
    present = np.flatnonzero(~np.isnan(values))
    before = np.full(len(values), np.nan)
    if len(present):
        codes = rows.codes[present]
        is_first = np.concatenate([[True], codes[1:] != codes[:-1]])
        shifted = np.concatenate([[np.nan], values[present][:-1]])
        before[present] = np.where(is_first, rows.last_values[column][codes], shifted)
    return before, ~np.isnan(before)


def _examples(rows: QualityRows, places: np.ndarray) -> str:
    shown = [f"{rows.identities[rows.codes[place]]} at {_stamp(int(rows.times[place]))}" for place in places[:EXAMPLES]]
    more = f" and {len(places) - EXAMPLES:,} more" if len(places) > EXAMPLES else ""
    return "; ".join(shown) + more


def _stamp(nanoseconds: int) -> str:
    return f"{np.datetime64(nanoseconds, 'ns').astype('M8[s]')}Z"
