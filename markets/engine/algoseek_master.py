"""Reads AlgoSeek's Security Master: one row a SecId, whose cells hold the history of its names as `;`-lists.

A dated list has another list beside it, of as many ranges yyyymmdd:yyyymmdd. The columns are those that AlgoSeek
documents; see `docs/tutorial-algoseek.md`.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markets.engine.algoseek_csv import (
    Faults,
    checked_header,
    distinct_tokens,
    parse_date,
    parse_end,
    parse_secid,
    text_rows,
    tokens,
)
from markets.engine.algoseek_lookups import LAST_DAY, DatedLookup, Spell, dated_lookup
from markets.engine.figi_facts import FigiFacts
from markets.engine.identifiers import figi_fault
from markets.exceptions import InvalidInput, clipped

DATED = ("Tickers", "Name", "ISIN", "USIdentifier", "PrimaryExchange")
RANGES = {name: f"{name}StartToEndDate" for name in DATED}
COLUMNS = (
    "SecId",
    *(column for name in DATED[:3] for column in (name, RANGES[name])),
    *("ListStatus", "SecurityDescription"),
    *(column for name in DATED[3:] for column in (name, RANGES[name])),
    *("SEDOL", "Sic", "Sector", "Industry", "FIGI"),
)
REQUIRED = ("SecId", "Tickers", "TickersStartToEndDate", "FIGI")
OWN_COLUMNS = ("latest_figi", "time_index", "asset_identifier", "unique_identifier")
LONGEST_SHOWN = 60
# The market sector of these is Equity or Pfd; of the others (warrants, units …) the description alone does not say.
EQUITIES = ("equity shares", "exchange traded fund", "depository receipts", "preference share")


@dataclass(frozen=True)
class DatedValue:
    """One value of a dated list; `end` is None while it holds."""

    value: str
    start: dt.date
    end: dt.date | None


@dataclass(frozen=True)
class MasterRow:
    """One SecId. `cells` maps each column of the file, lower-case, to its text as it stands, None where blank."""

    line: int
    secid: int
    cells: Mapping[str, str | None]
    figis: tuple[str, ...]
    dated: Mapping[str, tuple[DatedValue, ...]]

    @property
    def latest_figi(self) -> str | None:
        """The last of its FIGIs, which AlgoSeek advises to use; None where it has none."""
        return self.figis[-1] if self.figis else None

    def on(self, name: str, day: dt.date) -> str | None:
        """The value that a dated column (`Tickers`, `Name`, …) had on that day."""
        found = (item.value for item in self.dated[name] if item.start <= day <= (item.end or LAST_DAY))
        return next(found, None)

    def current(self, name: str) -> str | None:
        """The value of a dated column that ends last."""
        last = max(self.dated[name], key=lambda item: (item.end or LAST_DAY, item.start), default=None)
        return last.value if last is not None else None

    def facts(self, figi: str) -> FigiFacts:
        """What the row tells of one of its FIGIs. The ISIN that holds now is the latest FIGI's alone."""
        isin = self.current("ISIN") if figi == self.latest_figi else None
        description = (self.cells.get("securitydescription") or "").lower()
        return FigiFacts(
            ticker=self.current("Tickers"),
            name=self.current("Name"),
            exchange=self.current("PrimaryExchange"),
            isin=isin if isin is not None and len(isin) == 12 else None,
            asset_type="equity" if description in EQUITIES else None,
        )


@dataclass(frozen=True)
class SecurityMaster:
    """A master's rows. `columns` are the file's own beside those of `COLUMNS`; `absent` those of COLUMNS it lacks."""

    path: Path
    rows: tuple[MasterRow, ...]
    columns: tuple[str, ...]
    absent: tuple[str, ...]

    def by_figi(self, lookup: DatedLookup | None = None) -> dict[str, MasterRow]:
        """FIGI → the row that it belongs to, in the order of the file.

        A FIGI in two rows belongs to the SecId whose spell in the lookup ends last. Raises InvalidInput naming the FIGI
        and both SecIds where the lookup does not tell.
        """
        found: dict[str, list[MasterRow]] = {}
        for row in self.rows:
            for figi in row.figis:
                found.setdefault(figi, []).append(row)
        faults = Faults(self.path)
        chosen: dict[str, MasterRow] = {}
        for figi, rows in found.items():
            latest = lookup.latest(figi) if lookup is not None and len(rows) > 1 else None
            fitting = rows if len(rows) == 1 else [row for row in rows if latest and row.secid == latest.secid]
            if fitting:
                chosen[figi] = fitting[0]
            else:
                named = " and ".join(f"SecId {row.secid} (line {row.line})" for row in rows)
                faults.add(
                    rows[-1].line,
                    f"{figi} belongs to {named}. Name the lookup whose dates tell which: figi_lookup_path",
                )
        faults.raise_any()
        return chosen

    def tickers(self) -> DatedLookup:
        """Ticker → which SecId it stood for, when. Raises InvalidInput for a ticker of two SecIds on one day."""
        faults = Faults(self.path)
        spells = [
            (item.value, row.line, Spell(item.start, item.end, row.secid))
            for row in self.rows
            for item in row.dated["Tickers"]
        ]
        lookup = dated_lookup(spells, faults)
        faults.raise_any()
        return lookup


def read_security_master(path: str | Path) -> SecurityMaster:
    """Read a master, .csv or .csv.gz. Raises InvalidInput telling every fault with its line, the first fifty in full.

    Columns are told by name, in any order; one that AlgoSeek does not document is kept as text.
    """
    faults = Faults(path)
    source = _Source(path, faults)
    rows = tuple(source)
    if not source.names:
        raise InvalidInput(f"{path} is empty. A security master has the columns {', '.join(COLUMNS)}.", field="path")
    faults.raise_any()
    if not rows:
        raise InvalidInput(f"{path} has a header and no rows. Check where it comes from.", field="path")
    own = tuple(name.lower() for name in source.names if name not in COLUMNS)
    return SecurityMaster(Path(path), rows, own, tuple(name for name in COLUMNS if name not in source.names))


class _Source:
    """The rows of a file, one by one; their faults are noted."""

    def __init__(self, path: str | Path, faults: Faults) -> None:
        self.path = path
        self.faults = faults
        self.names: tuple[str, ...] = ()
        self.lines: dict[int, int] = {}

    def __iter__(self) -> Iterator[MasterRow]:
        for line, cells in text_rows(self.path, self.faults):
            if not self.names:
                self.names = self._header(cells)
                continue
            row = self._row(line, dict(zip(self.names, cells, strict=True)))
            if row is not None:
                yield row

    def _header(self, cells: Sequence[str]) -> tuple[str, ...]:
        header = checked_header(cells, self.path, required=REQUIRED, known=COLUMNS, what="security master")
        taken = [name for name in header.names if name.lower() in OWN_COLUMNS]
        documented = {name.lower(): name for name in COLUMNS}
        spelt = [name for name in header.names if name not in COLUMNS and name.lower() in documented]
        if taken or spelt:
            wrong = [f"{name} (a name that MSM's own column has)" for name in taken]
            wrong += [f"{name} (write {documented[name.lower()]})" for name in spelt]
            raise InvalidInput(f"{self.path}: rename the column {', '.join(wrong)}.", field="path")
        return header.names

    def _row(self, line: int, texts: Mapping[str, str]) -> MasterRow | None:
        before = self.faults.count
        secid = 0
        try:
            secid = parse_secid(texts["SecId"].strip())
        except ValueError as error:
            self.faults.add(line, str(error))
        else:
            first = self.lines.setdefault(secid, line)
            if first != line:
                self.faults.add(line, f"SecId={secid} stands in line {first} already")
        figis = distinct_tokens(texts["FIGI"])
        for figi in figis:
            fault = figi_fault(figi)
            if fault is not None:
                self.faults.add(line, f"FIGI={clipped(figi)!r} is no FIGI: {fault}")
        dated = {name: self._dated(line, name, texts) for name in DATED}
        if not dated["Tickers"] and self.faults.count == before:
            self.faults.add(line, "Tickers is blank")
        if self.faults.count != before:
            return None
        cells = {name.lower(): texts[name].strip() or None for name in self.names}
        return MasterRow(line, secid, cells, figis, dated)

    def _dated(self, line: int, name: str, texts: Mapping[str, str]) -> tuple[DatedValue, ...]:
        """The values of a dated list that are not blank; its faults are noted."""
        values, ranges = tokens(texts.get(name, "")), tokens(texts.get(RANGES[name], ""))
        _without_outer_blanks(values, ranges)
        if len(values) != len(ranges):
            self.faults.add(
                line, f"{name} has {_values(len(values))} ({_shown(texts.get(name, ''))}) and {RANGES[name]} has "
                f"{_values(len(ranges))}; there is one range a value"
            )  # fmt: skip
            return ()
        found = []
        for value, text in zip(values, ranges, strict=True):
            if not value and not text:
                continue  # a list that begins or ends with a semicolon
            start, _, end = (part.strip() for part in text.partition(":"))
            try:
                first, last = parse_date(start), parse_end(end)
            except ValueError as error:
                self.faults.add(line, f"{RANGES[name]}={_shown(text)}: {error}")
                continue
            if last is not None and last < first:
                self.faults.add(line, f"{RANGES[name]}={_shown(text)} ends before it begins")
            elif value:
                found.append(DatedValue(value, first, last))
            elif name == "Tickers":
                self.faults.add(line, f"Tickers has no value for the range {text}")
        return tuple(found)


def _without_outer_blanks(*lists: list[str]) -> None:
    """Where one list is longer for a semicolon at its beginning or end, its blank ends go."""
    longer, shorter = max(lists, key=len), min(lists, key=len)
    while len(longer) > len(shorter) and not longer[-1]:
        longer.pop()
    while len(longer) > len(shorter) and not longer[0]:
        longer.pop(0)


def _values(number: int) -> str:
    return "1 value" if number == 1 else f"{number} values"


def _shown(text: str) -> str:
    return repr(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…")
