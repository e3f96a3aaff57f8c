"""The schemes of identifiers: how each is written and checked, and whether it names one asset at a time."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from markets.engine.identifiers import cusip_fault, figi_fault, isin_fault, sedol_fault
from markets.exceptions import InvalidInput, clipped

LONGEST_VALUE = 64
_KEY = re.compile(r"^[a-z][a-z0-9_]{1,31}$")
_MIC = re.compile(r"^[A-Z0-9]{4}$")


def _ticker_fault(text: str) -> str | None:
    return None if re.fullmatch(r"[!-~]+( [!-~]+)*", text) else "it takes printable ASCII characters"


@dataclass(frozen=True)
class Scheme:
    """`is_unique`: at any time a value, at its venue, names one asset at most."""

    key: str
    label: str
    is_unique: bool
    fault: Callable[[str], str | None] | None = None
    takes_venue: bool = False
    is_upper: bool = True


SCHEMES = {
    scheme.key: scheme
    for scheme in (
        Scheme("figi", "FIGI", True, figi_fault),
        Scheme("composite_figi", "Composite FIGI", False, figi_fault),
        Scheme("share_class_figi", "Share class FIGI", False, figi_fault),
        Scheme("isin", "ISIN", False, isin_fault),  # an ISIN has many listings
        Scheme("cusip", "CUSIP", False, cusip_fault),
        Scheme("sedol", "SEDOL", True, sedol_fault),
        Scheme("ticker", "Ticker", True, _ticker_fault, takes_venue=True),
        Scheme("algoseek_secid", "AlgoSeek SecId", False, None),  # several FIGIs may share a SecId
    )
}
UNIQUE_SCHEMES = tuple(key for key, scheme in SCHEMES.items() if scheme.is_unique)


@dataclass(frozen=True, order=True)
class IdentifierKey:
    """A scheme, a value and, for tickers, the venue by its MIC ("" where it is not known)."""

    scheme: str
    value: str
    venue: str = ""

    def __str__(self) -> str:
        return f"{self.scheme} {self.value}{f'@{self.venue}' if self.venue else ''}"


def scheme_of(key: object) -> Scheme:
    """The scheme; a vendor's own is any other key of lower-case letters, digits and _."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InvalidInput(
            f"scheme={clipped(repr(key))} is no scheme. Use {', '.join(SCHEMES)}, or a vendor's own in lower-case "
            "letters, digits and _.",
            field="scheme",
        )
    return SCHEMES.get(key) or Scheme(key, key.replace("_", " "), False, None, is_upper=False)


def identifier_key(scheme: object, value: object, venue: object = "") -> IdentifierKey:
    """A key as it is stored: trimmed, upper-case where the scheme is. Raises InvalidInput with what is wrong."""
    kind = scheme_of(scheme)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"value={clipped(repr(value))} is no {kind.label}, or blank.", field="value")
    text = value.strip().upper() if kind.is_upper else value.strip()
    if len(text) > LONGEST_VALUE or not text.isprintable():
        raise InvalidInput(
            f"value={clipped(text)!r} takes at most {LONGEST_VALUE} printable characters.", field="value"
        )
    fault = kind.fault(text) if kind.fault is not None else None
    if fault is not None:
        raise InvalidInput(f"{clipped(text)!r} is no {kind.label}: {fault}.", field="value")
    return IdentifierKey(kind.key, text, _venue(kind, venue))


def _venue(kind: Scheme, venue: object) -> str:
    if venue is None or venue == "":
        return ""
    if not kind.takes_venue:
        raise InvalidInput(f"{kind.label}s have no venue. Leave it out.", field="venue")
    if not isinstance(venue, str) or not _MIC.fullmatch(venue.strip().upper()):
        raise InvalidInput(
            f"venue={clipped(repr(venue))} is no market identifier code. It has four letters or digits: XNYS, XNAS.",
            field="venue",
        )
    return venue.strip().upper()
