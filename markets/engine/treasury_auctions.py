"""Reads the US Treasury's auction files: many auctions, of which a reopening sells more of a security that exists."""

import csv
import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from markets.engine.identifiers import cusip_fault
from markets.exceptions import InvalidInput, clipped

COLUMNS = ("cusip", "issueDate", "maturityDate", "type", "securityTerm", "interestRate", "reopening")
KINDS = ("Bill", "Note", "Bond", "TIPS", "FRN", "CMB")
MOST_FAULTS = 20
MOST_ROWS = 1_000_000
PER_CENT = Decimal(100)


@dataclass(frozen=True)
class Auction:
    """One auction of a security."""

    auction_date: dt.date | None
    issue_date: dt.date
    is_reopening: bool


@dataclass(frozen=True)
class TreasuryIssue:
    """A security by its CUSIP, with all its auctions; `issue_date` is the original one.

    `coupon` is a share (0.04375), None for a bill or a floating rate; `term` is the original one ("30-Year").
    """

    cusip: str
    kind: str
    term: str
    issue_date: dt.date
    maturity_date: dt.date
    dated_date: dt.date | None
    coupon: Decimal | None
    frequency: str
    auctions: tuple[Auction, ...]

    @property
    def name(self) -> str:
        """As dealers write it: "T 3 11/15/45", bills by their date."""
        date = f"{self.maturity_date:%m/%d/%y}"
        if self.coupon is None:
            return f"{'TF' if self.kind == 'FRN' else 'B'} 0 {date}"
        return f"{'TII' if self.kind == 'TIPS' else 'T'} {_plain(self.coupon * PER_CENT)} {date}"

    def facts(self) -> dict[str, object]:
        """What a bond's terms have no place for, as JSON."""
        return {
            "auctions": [
                {
                    "auction_date": item.auction_date.isoformat() if item.auction_date else None,
                    "issue_date": item.issue_date.isoformat(),
                    "reopening": item.is_reopening,
                }
                for item in self.auctions
            ],
            "coupon": _plain(self.coupon) if self.coupon is not None else None,
            "dated_date": self.dated_date.isoformat() if self.dated_date else None,
            "interest_payment_frequency": self.frequency or None,
            "security_type": self.kind,
            "tenor": self.term,
        }

    def facts_text(self) -> str:
        return json.dumps(self.facts(), sort_keys=True)


@dataclass
class _Row:
    number: int
    cusip: str
    kind: str
    term: str
    auction: Auction
    original_issue: dt.date | None
    maturity: dt.date
    dated: dt.date | None
    coupon: Decimal | None
    frequency: str


def read_auctions(lines: Iterable[str]) -> list[TreasuryIssue]:
    """The securities of a CSV file with a header, by CUSIP; auctions of one CUSIP are one security.

    Raises InvalidInput listing the first faults with their rows; auctions that contradict each other are one.
    """
    reader = csv.DictReader(lines)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise InvalidInput(f"The file lacks the columns {', '.join(missing)}. Is it a file of Treasury auctions?")
    rows: dict[str, list[_Row]] = {}
    faults: list[str] = []
    for number, item in enumerate(reader, start=2):
        if number > MOST_ROWS:
            raise InvalidInput(f"The file has more than {MOST_ROWS:,} rows. Split it.")
        try:
            row = _read(number, item)
        except InvalidInput as error:
            faults.append(f"Row {number}: {error}")
        else:
            rows.setdefault(row.cusip, []).append(row)
    faults += [fault for items in rows.values() if (fault := _contradiction(items))]
    if faults:
        more = f" … and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
        raise InvalidInput(f"{' '.join(faults[:MOST_FAULTS])}{more} Nothing was written.")
    return [_issue(rows[cusip]) for cusip in sorted(rows)]


def _issue(rows: list[_Row]) -> TreasuryIssue:
    rows = sorted(rows, key=lambda row: row.auction.issue_date)
    originals = [row.original_issue for row in rows if row.original_issue is not None]
    first = min([*originals, *(row.auction.issue_date for row in rows)])
    own = next((row for row in rows if not row.auction.is_reopening), rows[0])
    return TreasuryIssue(
        cusip=own.cusip,
        kind=own.kind,
        term=own.term,
        issue_date=first,
        maturity_date=own.maturity,
        dated_date=own.dated,
        coupon=own.coupon,
        frequency=own.frequency,
        auctions=tuple(row.auction for row in rows),
    )


def _contradiction(rows: list[_Row]) -> str | None:
    first = rows[0]
    for other in rows[1:]:
        for name in ("kind", "maturity", "coupon"):
            if getattr(first, name) != getattr(other, name):
                return (
                    f"Rows {first.number} and {other.number}: {first.cusip} has {name} {getattr(first, name)} and "
                    f"{getattr(other, name)}."
                )
    return None


def _read(number: int, item: Mapping[str, str | None]) -> _Row:
    cusip = (item["cusip"] or "").strip()
    fault = cusip_fault(cusip)
    if fault is not None:
        raise InvalidInput(f"{clipped(cusip)!r} is no CUSIP: {fault}.")
    kind = (item["type"] or "").strip()
    if kind not in KINDS:
        raise InvalidInput(f"type={clipped(kind)!r} is none of {', '.join(KINDS)}.")
    issued, matures = _date(item, "issueDate"), _date(item, "maturityDate")
    if issued is None or matures is None:
        raise InvalidInput("issueDate and maturityDate must not be blank.")
    if matures <= issued:
        raise InvalidInput(f"maturityDate={matures} is not after issueDate={issued}.")
    return _Row(
        number=number,
        cusip=cusip,
        kind=kind,
        term=(item.get("originalSecurityTerm") or item["securityTerm"] or "").strip()[:64],
        auction=Auction(_date(item, "auctionDate"), issued, (item["reopening"] or "").strip() == "Yes"),
        original_issue=_date(item, "originalIssueDate"),
        maturity=matures,
        dated=_date(item, "originalDatedDate") or _date(item, "datedDate"),
        coupon=_coupon(item["interestRate"]),
        frequency=(item.get("interestPaymentFrequency") or "").strip()[:64],
    )


def _date(item: Mapping[str, str | None], name: str) -> dt.date | None:
    text = (item.get(name) or "").strip()
    if not text:
        return None
    try:
        return dt.date.fromisoformat(text.partition("T")[0])
    except ValueError as error:
        raise InvalidInput(f"{name}={clipped(text)!r} is no date such as 2015-11-16.") from error


def _coupon(text: str | None) -> Decimal | None:
    """Per cent → share."""
    if not (text or "").strip():
        return None
    try:
        rate = Decimal((text or "").strip())
    except InvalidOperation as error:
        raise InvalidInput(f"interestRate={clipped(text or '')!r} is no number.") from error
    if not rate.is_finite() or not 0 <= rate < PER_CENT:
        raise InvalidInput(f"interestRate={clipped(text or '')!r} is no rate in per cent.")
    return rate / PER_CENT


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
