"""Reads ticker histories in the map-file format of LEAN: which symbol a security traded under, until which day."""

import csv
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from markets.exceptions import InvalidInput

COLUMNS = ("symbol_file", "date", "mapped_symbol", "exchange")
FOREVER = dt.date(2050, 1, 1)  # the format ends what goes on at the end of 2050
VENUES = {  # the consolidated tape's letters → MIC
    "A": "XASE",
    "B": "XBOS",
    "C": "XCIS",
    "K": "EDGX",
    "N": "XNYS",
    "P": "ARCX",
    "Q": "XNAS",
    "V": "IEXG",
    "Z": "BATS",
}


@dataclass(frozen=True)
class TickerSpell:
    """`security` traded as `ticker` from `valid_from`, included, to `valid_to`, excluded (None: still)."""

    security: str
    ticker: str
    venue: str
    valid_from: dt.date
    valid_to: dt.date | None


def read_ticker_map(lines: Iterable[str]) -> list[TickerSpell]:
    """The spells of every security of a file with a header, in the order of the file.

    A security's first row gives the day on which it was listed; each further row the last day of a symbol. Raises
    InvalidInput naming the row.
    """
    reader = csv.DictReader(lines)
    if not reader.fieldnames or not set(COLUMNS) <= set(reader.fieldnames):
        raise InvalidInput(f"The file's columns are {reader.fieldnames}; it needs {', '.join(COLUMNS)}.")
    rows: dict[str, list[tuple[int, dt.date, str, str]]] = {}
    for number, row in enumerate(reader, start=2):
        security = (row["symbol_file"] or "").strip().upper()
        ticker = (row["mapped_symbol"] or "").strip().upper()
        letter = (row["exchange"] or "").strip().upper()
        if not security or not ticker:
            raise InvalidInput(f"Row {number}: symbol_file and mapped_symbol must not be blank.")
        if letter and letter not in VENUES:
            raise InvalidInput(f"Row {number}: exchange={letter!r} is none of {', '.join(VENUES)}.")
        rows.setdefault(security, []).append((number, _date(row["date"], number), ticker, VENUES.get(letter, "")))
    return [spell for security, items in rows.items() for spell in _spells(security, items)]


def _spells(security: str, items: list[tuple[int, dt.date, str, str]]) -> Iterable[TickerSpell]:
    begins = items[0][1]
    merged: TickerSpell | None = None
    for number, last, ticker, venue in items[1:]:
        if last < begins:
            raise InvalidInput(f"Row {number}: {last} is before {begins}, when {ticker} of {security} begins.")
        ends = None if last >= FOREVER else last + dt.timedelta(days=1)
        if merged is not None and (merged.ticker, merged.venue) == (ticker, venue):
            merged = TickerSpell(security, ticker, venue, merged.valid_from, ends)
        else:
            if merged is not None:
                yield merged
            merged = TickerSpell(security, ticker, venue, begins, ends)
        if ends is None:
            break
        begins = ends
    if merged is not None:
        yield merged


def _date(text: str | None, number: int) -> dt.date:
    try:
        return dt.datetime.strptime((text or "").strip(), "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError as error:
        raise InvalidInput(f"Row {number}: date={text!r} is no date of eight digits, such as 20140402.") from error
