"""The identifiers that AlgoSeek's master tells of each FIGI, with their days: SecId, tickers, ISINs, CUSIPs.

A row of the master is a SecId, which may have had several FIGIs. Their days stand in the lookup; without it, what a
row dates cannot be told apart between its FIGIs, and is left out rather than guessed.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from markets.engine.algoseek_lookups import DatedLookup
from markets.engine.algoseek_master import DatedValue, MasterRow, SecurityMaster
from markets.engine.identifiers import cusip_fault, isin_fault

DAY = dt.timedelta(days=1)
VENUES = {  # AlgoSeek's names of primary exchanges → MIC
    "nasdaq": "XNAS",
    "nyse": "XNYS",
    "nyse arca": "ARCX",
    "nyse american": "XASE",
    "nyse mkt": "XASE",
    "amex": "XASE",
    "bats": "BATS",
    "cboe bzx": "BATS",
    "iex": "IEXG",
}
FAULTS: dict[str, tuple[str, Callable[[str], str | None]]] = {
    "ISIN": ("isin", isin_fault),
    "USIdentifier": ("cusip", cusip_fault),
}


@dataclass(frozen=True)
class DatedIdentifier:
    """The security of `figi` had the value from `valid_from`, included, to `valid_to`, excluded."""

    figi: str
    scheme: str
    value: str
    venue: str
    valid_from: dt.date | None
    valid_to: dt.date | None
    line: int


@dataclass(frozen=True)
class MasterIdentifiers:
    """`faults`: values that are none; `undated`: SecIds with several FIGIs whose days are not known."""

    rows: tuple[DatedIdentifier, ...]
    faults: tuple[str, ...]
    undated: tuple[int, ...]
    exchanges: tuple[str, ...]
    """Primary exchanges whose market identifier code is not known; tickers there have no venue."""


def identifiers_of(master: SecurityMaster, lookup: DatedLookup | None = None) -> MasterIdentifiers:
    """What the master tells of its FIGIs, by their days in the lookup where a row has several."""
    found: list[DatedIdentifier] = []
    faults: dict[str, None] = {}
    undated: dict[int, None] = {}
    unmapped: set[str] = set()
    for figi, row in master.by_figi(lookup).items():
        spells = _spells(figi, row, lookup)
        told = [
            DatedIdentifier(figi, "algoseek_secid", str(row.secid), "", first, last, row.line) for first, last in spells
        ]
        if (None, None) in spells and len(row.figis) > 1:
            undated[row.secid] = None
            found += told
            continue
        for item, exchange in _tickers(row):
            venue = VENUES.get(exchange.lower(), "")
            if exchange and not venue:
                unmapped.add(exchange)
            told += _clipped(figi, "ticker", item, venue, spells, row.line)
        for name, (scheme, fault_of) in FAULTS.items():
            for item in row.dated[name]:
                fault = fault_of(item.value)
                if fault is None:
                    told += _clipped(figi, scheme, item, "", spells, row.line)
                else:
                    faults[f"line {row.line}: {name}={item.value[:40]!r} of SecId {row.secid}: {fault}"] = None
        found += _joined(told)
    return MasterIdentifiers(tuple(found), tuple(faults), tuple(undated), tuple(sorted(unmapped)))


def _spells(figi: str, row: MasterRow, lookup: DatedLookup | None) -> list[tuple[dt.date | None, dt.date | None]]:
    """The days on which the FIGI was the SecId's; one open spell where they are not known."""
    known = lookup.spells.get(figi, []) if lookup is not None else []
    found: list[tuple[dt.date | None, dt.date | None]] = [
        (spell.start, _after(spell.end)) for spell in known if spell.secid == row.secid
    ]
    return found or [(None, None)]


def _tickers(row: MasterRow) -> Iterator[tuple[DatedValue, str]]:
    """Each ticker with the primary exchange that it had, cut where that changed."""
    exchanges = sorted(row.dated["PrimaryExchange"], key=lambda item: item.start)
    for ticker in row.dated["Tickers"]:
        start: dt.date | None = ticker.start
        for exchange in exchanges:
            if start is None or (ticker.end is not None and start > ticker.end):
                break
            if exchange.end is not None and exchange.end < start:
                continue
            if ticker.end is not None and exchange.start > ticker.end:
                break
            if exchange.start > start:
                yield DatedValue(ticker.value, start, exchange.start - DAY), ""
                start = exchange.start
            ends = [end for end in (ticker.end, exchange.end) if end is not None]
            last = min(ends) if ends else None
            yield DatedValue(ticker.value, start, last), exchange.value
            start = None if last is None else last + DAY
        if start is not None and (ticker.end is None or start <= ticker.end):
            yield DatedValue(ticker.value, start, ticker.end), ""


def _clipped(
    figi: str,
    scheme: str,
    item: DatedValue,
    venue: str,
    spells: Sequence[tuple[dt.date | None, dt.date | None]],
    line: int,
) -> Iterator[DatedIdentifier]:
    """The value on those of its days on which the row was the FIGI's."""
    until = _after(item.end)
    for first, last in spells:
        begins = item.start if first is None else max(item.start, first)
        ends = min((day for day in (until, last) if day is not None), default=None)
        if ends is None or begins < ends:
            yield DatedIdentifier(figi, scheme, item.value.upper(), venue, begins, ends, line)


def _joined(rows: Sequence[DatedIdentifier]) -> list[DatedIdentifier]:
    """Spells of one value that touch or overlap, as one."""
    joined: list[DatedIdentifier] = []
    ordered = sorted(rows, key=lambda row: (row.scheme, row.value, row.venue, row.valid_from or dt.date.min))
    for row in ordered:
        before = joined[-1] if joined else None
        if (
            before is not None
            and (before.scheme, before.value, before.venue) == (row.scheme, row.value, row.venue)
            and (before.valid_to is None or (row.valid_from is not None and row.valid_from <= before.valid_to))
        ):
            ends = None if None in (before.valid_to, row.valid_to) else max(before.valid_to, row.valid_to)  # type: ignore[type-var]
            joined[-1] = replace(before, valid_to=ends)
        else:
            joined.append(row)
    return joined


def _after(day: dt.date | None) -> dt.date | None:
    return None if day is None else day + DAY
