"""Reads a list of identifiers as people paste it: one a line, of any scheme, each recognised by its check digit."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from markets.engine.identifier_schemes import SCHEMES, IdentifierKey, identifier_key
from markets.engine.identifiers import cusip_fault, figi_fault, isin_fault, sedol_fault
from markets.exceptions import InvalidInput, clipped

LONGEST_LINE = 200
_SHAPES = (  # an identifier that has the shape of a scheme but not its check digit is wrong, not a ticker
    ("figi", re.compile(r"^[B-DF-HJ-NP-TV-Z]{2}G[0-9B-DF-HJ-NP-TV-Z]{8}[0-9]$"), figi_fault),
    ("isin", re.compile(r"^[A-Z]{2}[A-Z0-9]{9}[0-9]$"), isin_fault),
    ("cusip", re.compile(r"^(?=.*[0-9])[A-Z0-9*@#]{8}[0-9]$"), cusip_fault),
    ("sedol", re.compile(r"^[0-9B-DF-HJ-NP-TV-Z]{6}[0-9]$"), sedol_fault),
)


@dataclass(frozen=True)
class IdentifierLine:
    """One line: its number from 1, its text, and its key, or what is wrong with it."""

    number: int
    text: str
    key: IdentifierKey | None
    fault: str = ""


def read_lines(lines: Iterable[str]) -> Iterator[IdentifierLine]:
    """Each line that is not blank and no comment (#).

    `isin:US0378331005` names the scheme; `IBM@XNYS` a ticker at its venue. Otherwise a text of the shape of a FIGI,
    ISIN, CUSIP or SEDOL is one, and its check digit has to be right; any other is a ticker.
    """
    for number, line in enumerate(lines, start=1):
        text = line.strip().lstrip("\ufeff").strip()
        if not text or text.startswith("#"):
            continue
        if len(text) > LONGEST_LINE or not text.isprintable():
            yield IdentifierLine(number, clipped(text), None, f"A line takes {LONGEST_LINE} printable characters.")
            continue
        try:
            yield IdentifierLine(number, text, recognise(text))
        except InvalidInput as error:
            yield IdentifierLine(number, text, None, str(error))


def recognise(text: str) -> IdentifierKey:
    """The key that a text names. Raises InvalidInput with what is wrong."""
    scheme, separator, rest = text.partition(":")
    if separator and scheme.strip().lower() in SCHEMES:
        value, _, venue = rest.strip().partition("@")
        return identifier_key(scheme.strip().lower(), value, venue)
    value, _, venue = text.partition("@")
    if venue:
        return identifier_key("ticker", value, venue)
    upper = text.upper()
    for name, shape, fault in _SHAPES:
        if shape.match(upper) and fault(upper) is None:
            return identifier_key(name, upper)
    for name, shape, fault in _SHAPES[:3]:  # seven characters may well be a ticker
        if shape.match(upper):
            raise InvalidInput(
                f"{clipped(text)!r} is no {SCHEMES[name].label}, though it looks like one: {fault(upper)}. Correct it, "
                f"or write ticker:{clipped(text)} if it is a ticker.",
                field="value",
            )
    return identifier_key("ticker", text)
