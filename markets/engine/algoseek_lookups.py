"""Which SecId a FIGI or a ticker stood for on a day: AlgoSeek's two lookup files, and the same from a master."""

import bisect
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from markets.engine.algoseek_csv import Faults, checked_header, parse_date, parse_end, parse_secid, text_rows
from markets.engine.identifiers import figi_fault
from markets.exceptions import InvalidInput, clipped

FIGI_LOOKUP = ("FIGI", "SecId", "StartDate", "EndDate")
TICKER_LOOKUP = ("Ticker", "SecId", "StartDate", "EndDate")
LAST_DAY = dt.date.max


@dataclass(frozen=True)
class Spell:
    """From `start` to `end`, both included (None: it still holds), a key stood for `secid`."""

    start: dt.date
    end: dt.date | None
    secid: int

    @property
    def order(self) -> tuple[dt.date, int]:
        return self.start, self.secid

    @property
    def last(self) -> dt.date:
        return self.end or LAST_DAY

    def __str__(self) -> str:
        return f"SecId {self.secid} from {self.start} to {self.end or 'now'}"


class DatedLookup:
    """Key → its spells, by start. No two spells of a key share a day, unless they are of one SecId."""

    def __init__(self, spells: dict[str, list[Spell]]) -> None:
        self.spells = {key: sorted(items, key=lambda item: item.order) for key, items in spells.items()}

    def __contains__(self, key: str) -> bool:
        return key in self.spells

    def __len__(self) -> int:
        return len(self.spells)

    def secid_on(self, key: str, day: dt.date) -> int | None:
        """The SecId that the key stood for on that day, None when for none."""
        items = self.spells.get(key, [])
        place = bisect.bisect_right([item.start for item in items], day)
        return next((item.secid for item in reversed(items[:place]) if day <= item.last), None)

    def latest(self, key: str) -> Spell | None:
        """The spell of the key that ends last."""
        return max(self.spells.get(key, []), key=lambda item: (item.last, item.start), default=None)

    def secids(self, key: str) -> tuple[int, ...]:
        """The SecIds that the key ever stood for, the earliest first."""
        return tuple(dict.fromkeys(item.secid for item in self.spells.get(key, [])))


def read_figi_lookup(path: str | Path) -> DatedLookup:
    """`figi_to_secid_lookup.csv`. Raises InvalidInput telling every fault with its line; also for a wrong FIGI."""
    return _read(path, FIGI_LOOKUP, "figi-to-SecId lookup")


def read_ticker_lookup(path: str | Path) -> DatedLookup:
    """`ticker_to_secid_lookup.csv`. Raises InvalidInput telling every fault with its line."""
    return _read(path, TICKER_LOOKUP, "ticker-to-SecId lookup")


def _read(path: str | Path, columns: tuple[str, ...], what: str) -> DatedLookup:
    faults = Faults(path)
    places: list[int] = []
    found: list[tuple[str, int, Spell]] = []
    for line, cells in text_rows(path, faults):
        if not places:
            header = checked_header(cells, path, required=columns, known=columns, what=what).places
            places = [header[name] for name in columns]
            continue
        key, secid, start, end = (cells[place].strip() for place in places)
        problem = _key_problem(columns[0], key)
        if problem is not None:
            faults.add(line, problem)
            continue
        try:
            spell = Spell(parse_date(start), parse_end(end), parse_secid(secid))
        except ValueError as error:
            faults.add(line, str(error))
            continue
        if spell.last < spell.start:
            faults.add(line, f"{columns[0]}={key} ends on {end}, before it begins on {start}")
            continue
        found.append((key, line, spell))
    if not places:
        raise InvalidInput(f"{path} is empty. It needs the columns {', '.join(columns)}.", field="path")
    lookup = dated_lookup(found, faults)
    faults.raise_any()
    return lookup


def dated_lookup(found: Iterable[tuple[str, int, Spell]], faults: Faults) -> DatedLookup:
    """The lookup of (key, line, spell); two SecIds of one key that share a day are a fault of the later line."""
    by_key: dict[str, list[tuple[int, Spell]]] = {}
    for key, line, spell in found:
        by_key.setdefault(key, []).append((line, spell))
    for key, items in by_key.items():
        ordered = sorted(items, key=lambda item: item[1].order)
        longest = ordered[0]
        for item in ordered[1:]:
            if item[1].start <= longest[1].last and item[1].secid != longest[1].secid:
                line = max(item[0], longest[0])
                faults.add(line, f"{key} stands for two SecIds on one day: {longest[1]}, and {item[1]}")
            if item[1].last > longest[1].last:
                longest = item
    return DatedLookup({key: [spell for _, spell in items] for key, items in by_key.items()})


def _key_problem(column: str, key: str) -> str | None:
    if not key:
        return f"{column} is blank"
    if column == "FIGI":
        fault = figi_fault(key)
        return None if fault is None else f"FIGI={clipped(key)!r} is no FIGI: {fault}"
    return None
