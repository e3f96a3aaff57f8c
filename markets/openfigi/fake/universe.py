"""Instruments that do not exist, made up so that they agree with each other: share class > composites > venues.

Everything is a function of a security's number, and a made-up FIGI carries that number: whichever identifier one asks
by, and after any restart, the same rows come back.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stdnum import cusip, isin
from stdnum.gb import sedol

from markets.engine.identifiers import figi_check_digit, figi_fault

Row = dict[str, Any]

ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZ"
PREFIX = "ZZG"  # no issuer of FIGIs uses it
ROLES = 64
SECURITIES = 10**10
SHARE_CLASS = 0
MARK = "SYNTHETIC"
NOT_FOUND_EVERY = 17  # one well-formed identifier in so many is unknown, as some real ones are


@dataclass(frozen=True)
class Country:
    """A composite and its venues, by OpenFIGI's exchange codes."""

    composite: str
    venues: tuple[str, ...]
    currency: str
    mics: tuple[str, ...] = ()  # of the venues that a MIC finds


COUNTRIES = (
    Country("US", ("UN", "UW", "UA", "UF", "UP", "VK"), "USD"),  # a MIC finds no US share, as with the provider
    Country("GR", ("GY", "GF", "GS", "GM"), "EUR", ("XETR", "XFRA", "XSTU", "XMUN")),
    Country("LN", ("LN",), "GBP", ("XLON",)),
    Country("CN", ("CT", "CV"), "CAD", ("XTSE", "XTSX")),
    Country("MM", ("MM",), "MXN", ("XMEX",)),
    Country("FP", ("FP",), "EUR", ("XPAR",)),
    Country("SW", ("SE",), "CHF", ("XSWX",)),
)
BUSINESS = ("AURORA", "BEACON", "CEDAR", "DELTA", "EVEREST", "FALCON", "GRANITE", "HARBOR", "IRIS", "JUNIPER")
TRADE = ("FOODS", "ENERGY", "METALS", "SOFTWARE", "BANK", "RAIL", "PAPER", "OPTICS", "SHIPPING", "SEEDS")


DOCUMENTED = {  # FIGIs that documents use and no recording has: what they name, and made-up rows for them
    "BBG000KKFC45": ("S&P 500 INDEX", "SPX", "Index", "Equity Index", "Index"),
    "BBG01SWCTHK4": ("S&P500 EMINI FUT", "ESZ6", "Index", "Physical index future.", "Future"),
    "BBG0013HGRV5": ("EUR-USD X-RATE", "EURUSD", "Curncy", "CROSS", "CROSS"),
}


def rows_for(id_type: str, value: str) -> list[Row]:
    """Every made-up row of an identifier, the home market first; none for an unknown one.

    Raises ValueError where the identifier's shape or check digit is wrong.
    """
    if id_type in ("ID_BB_GLOBAL", "COMPOSITE_ID_BB_GLOBAL", "ID_BB_GLOBAL_SHARE_CLASS_LEVEL"):
        return _rows_of_figi(id_type, value)
    number = _number_of(id_type, value)
    if number is None:
        return []
    if id_type in ("ID_CUSIP", "ID_CUSIP_8_CHR") and value.startswith("912"):
        return [treasury(number, value)]
    return list(security(number)) if number % NOT_FOUND_EVERY else []


def security(number: int) -> Iterator[Row]:
    """The rows of one share class: some composites, each with some venues."""
    digest = hashlib.sha256(f"security {number}".encode()).digest()
    name = f"{MARK} {BUSINESS[digest[0] % 10]} {TRADE[digest[1] % 10]} {number}"
    share_class = made_figi(number, SHARE_CLASS)
    role = SHARE_CLASS
    home = 0 if digest[2] % 5 else 1  # most live in the United States, some in Germany
    for place, country in enumerate(COUNTRIES):
        if place != home and digest[3 + place] % 3:
            role += 1 + len(country.venues)
            continue
        ticker = ticker_of(number if place == home else number + place)
        role += 1
        composite = made_figi(number, role)
        for offset, exchange in enumerate((country.composite, *country.venues)):
            figi = composite if offset == 0 else made_figi(number, role + offset)
            yield {
                "figi": figi,
                "name": name,
                "ticker": ticker,
                "exchCode": exchange,
                "compositeFIGI": composite,
                "securityType": "Common Stock",
                "marketSector": "Equity",
                "shareClassFIGI": share_class,
                "securityType2": "Common Stock",
                "securityDescription": ticker,
            }
        role += len(country.venues)


def treasury(number: int, value: str) -> Row:
    """A US government bond: one row, without composite or share class."""
    ticker = f"T {number % 9}.{number % 8 * 125:03d} {1 + number % 12:02d}/15/{30 + number % 20}"
    return {
        "figi": made_figi(number, ROLES - 1),
        "name": f"{MARK} US TREASURY N/B {value}",
        "ticker": ticker,
        "exchCode": "TRACE",
        "compositeFIGI": None,
        "securityType": "US GOVERNMENT",
        "marketSector": "Govt",
        "shareClassFIGI": None,
        "securityType2": "Note",
        "securityDescription": ticker,
    }


def made_figi(number: int, role: int) -> str:
    """The FIGI that carries a security's number and the row's role in it."""
    rest = number * ROLES + role
    digits = ""
    for _ in range(8):
        rest, digit = divmod(rest, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return f"{PREFIX}{digits}{figi_check_digit(PREFIX + digits)}"


def ticker_of(number: int) -> str:
    """One to five letters."""
    letters = ""
    number %= 26**5
    while True:
        letters = chr(65 + number % 26) + letters
        number //= 26
        if not number:
            return letters


def country_of(exchange: str) -> Country | None:
    return next((item for item in COUNTRIES if exchange in (item.composite, *item.venues)), None)


def _rows_of_figi(id_type: str, value: str) -> list[Row]:
    fault = figi_fault(value)
    if fault is not None:
        raise ValueError(fault)
    if not value.startswith(PREFIX):  # a real FIGI that was not recorded: it stands for itself
        return [_documented(value) or _alone(value)] if id_type == "ID_BB_GLOBAL" else []
    rest = 0
    for character in value[3:11]:
        rest = rest * len(ALPHABET) + ALPHABET.index(character)
    number, role = divmod(rest, ROLES)
    if role == ROLES - 1:
        return [treasury(number, str(number))]
    key = {"ID_BB_GLOBAL": "figi", "COMPOSITE_ID_BB_GLOBAL": "compositeFIGI"}.get(id_type, "shareClassFIGI")
    return [row for row in security(number) if row[key] == value]


def _documented(figi: str) -> Row | None:
    if figi not in DOCUMENTED:
        return None
    name, ticker, sector, kind, group = DOCUMENTED[figi]
    return {
        "figi": figi,
        "name": f"{MARK} {name}",
        "ticker": ticker,
        "exchCode": None,
        "compositeFIGI": None,
        "securityType": kind,
        "marketSector": sector,
        "shareClassFIGI": None,
        "securityType2": group,
        "securityDescription": ticker,
    }


def _alone(figi: str) -> Row:
    digest = int.from_bytes(hashlib.sha256(figi.encode()).digest()[:4], "big")
    ticker = ticker_of(digest)
    return {
        "figi": figi,
        "name": f"{MARK} {figi}",
        "ticker": ticker,
        "exchCode": "US",
        "compositeFIGI": figi,
        "securityType": "Common Stock",
        "marketSector": "Equity",
        "shareClassFIGI": made_figi(digest, SHARE_CLASS),
        "securityType2": "Common Stock",
        "securityDescription": ticker,
    }


def _number_of(id_type: str, value: str) -> int | None:
    """The security that an identifier names; a US ISIN and its CUSIP name the same one."""
    if id_type in ("ID_CUSIP", "ID_CINS"):
        if not cusip.is_valid(value) or value[0].isalpha() != (id_type == "ID_CINS"):
            raise ValueError("check digit or shape")
        return _hashed(value)
    if id_type == "ID_ISIN":
        if not isin.is_valid(value):
            raise ValueError("check digit or shape")
        return _hashed(value[2:11])
    if id_type == "ID_SEDOL":
        if not sedol.is_valid(value):
            raise ValueError("check digit or shape")
        return _hashed(value)
    if id_type in ("TICKER", "BASE_TICKER"):
        if not value.isascii() or not value.isalpha() or not value.isupper() or len(value) > 5:
            return None
        number = 0
        for letter in value:
            number = number * 26 + ord(letter) - 65
        return number
    return None


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % SECURITIES
