"""What OpenFIGI says to a mapping job or a query: its rules, its filters and its words."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markets.openfigi.fake.universe import Row, country_of, rows_for

ID_TYPES = frozenset(
    [
        "BARCLAYS_TICKER",
        "BASE_TICKER",
        "COMPOSITE_ID_BB_GLOBAL",
        "ID_BB",
        "ID_BB_8_CHR",
        "ID_BB_GLOBAL",
        "ID_BB_GLOBAL_SHARE_CLASS_LEVEL",
        "ID_BB_SEC_NUM_DES",
        "ID_BB_UNIQUE",
        "ID_CINS",
        "ID_COMMON",
        "ID_CUSIP",
        "ID_CUSIP_8_CHR",
        "ID_EXCH_SYMBOL",
        "ID_FULL_EXCHANGE_SYMBOL",
        "ID_ISIN",
        "ID_ITALY",
        "ID_SEDOL",
        "ID_SHORT_CODE",
        "ID_TRACE",
        "ID_WERTPAPIER",
        "OCC_SYMBOL",
        "OPRA_SYMBOL",
        "TICKER",
        "TRADEBOOK_TICKER",
        "TRADING_SYSTEM_IDENTIFIER",
        "UNIQUE_ID_FUT_OPT",
        "VENDOR_INDEX_CODE",
    ]
)
MARKET_SECTORS = ("Comdty", "Corp", "Curncy", "Equity", "Govt", "Index", "M-Mkt", "Mtge", "Muni", "Pfd")
TEXT_FILTERS = {"exchCode": "exchCode", "marketSecDes": "marketSector"}
TYPE_FILTERS = {"securityType": "securityType", "securityType2": "securityType2"}
MOST_ROWS = 15_000
LONGEST_SPAN = 366  # days
NOT_FOUND = {"warning": "No identifier found."}
Lookup = Callable[[str, str], list[Row] | None]


def answer(job: Any, recorded: Lookup) -> dict[str, Any]:
    """The answer to one job, HTTP's 200 around it: data, a warning or an error."""
    if not isinstance(job, Mapping):
        return {"error": "Invalid mapping job."}
    fault = fault_of(job)
    if fault is not None:
        return {"error": fault}
    kind, value = job["idType"], str(job["idValue"])
    rows = recorded(kind, value)
    if rows is None:
        try:
            rows = rows_for(kind, value)
        except ValueError:
            return {"error": "Invalid idValue format."}
    found = [row for row in rows if matches(row, job)]
    if len(found) > MOST_ROWS:
        return {"error": f"The job exceeds {MOST_ROWS} results."}
    return {"data": found} if found else dict(NOT_FOUND)


def fault_of(job: Mapping[str, Any]) -> str | None:
    """The words with which OpenFIGI refuses a job."""
    kind, value = job.get("idType"), job.get("idValue")
    if kind not in ID_TYPES:
        return "Invalid value for idType."
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return "Invalid idValue format."
    fault = fault_of_filters(job)
    if fault is not None:
        return fault
    if kind in ("BASE_TICKER", "ID_EXCH_SYMBOL") and not (job.get("securityType2") or job.get("marketSecDes")):
        return "Missing securityType2."
    return None


def fault_of_filters(body: Mapping[str, Any]) -> str | None:
    if body.get("exchCode") and body.get("micCode"):
        return "exchCode and micCode cannot both be set."
    for name in ("exchCode", "micCode", "currency", "securityType", "securityType2", "stateCode"):
        if name in body and (not isinstance(body[name], str) or not body[name]):
            return f"Invalid value for {name}."
    if "marketSecDes" in body and body["marketSecDes"] not in MARKET_SECTORS:
        return "Invalid value for marketSecDes."
    if body.get("optionType") not in (None, "Put", "Call"):
        return "Invalid value for optionType."
    if not isinstance(body.get("includeUnlistedEquities", False), bool):
        return "Invalid value for includeUnlistedEquities."
    for name in ("strike", "contractSize", "coupon"):
        if name in body and not _is_range(body[name], lambda bound: isinstance(bound, int | float)):
            return f"Invalid value for {name}."
    for name, kinds in (("expiration", ("Option", "Warrant")), ("maturity", ("Pool",))):
        if name in body and not _is_range(body[name], lambda bound: _date(bound) is not None, span=LONGEST_SPAN):
            return f"Invalid value for {name}."
        if body.get("securityType2") in kinds and name not in body:
            return f"Missing {name}."
    return None


def matches(row: Row, filters: Mapping[str, Any]) -> bool:
    """Whether a row has what the filters ask; one they do not know of is no reason to leave it out."""
    for name, key in {**TEXT_FILTERS, **TYPE_FILTERS}.items():
        if name in filters and row.get(key) != filters[name]:
            return False
    country = country_of(row.get("exchCode") or "")
    if "currency" in filters and (country is None or country.currency != filters["currency"]):
        return False
    if "micCode" in filters:
        mics = dict(zip(country.mics, country.venues, strict=False)) if country is not None else {}
        return mics.get(filters["micCode"]) == row["exchCode"]
    return True


def words_match(row: Row, query: str) -> bool:
    """Whether every word of a query begins a word of the row's name or ticker."""
    words = f"{row.get('name') or ''} {row.get('ticker') or ''}".upper().split()
    return all(any(word.startswith(wanted) for word in words) for wanted in query.upper().split())


def _is_range(value: Any, is_bound: Callable[[Any], bool], span: int | None = None) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2 or value == [None, None]:
        return False
    if not all(bound is None or (is_bound(bound) and not isinstance(bound, bool)) for bound in value):
        return False
    low, high = value
    if low is None or high is None:
        return True
    if span is None:
        return bool(low <= high)
    days = (_date(high) - _date(low)).days  # type: ignore[operator]
    return 0 <= days <= span


def _date(value: Any) -> dt.date | None:
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        return None
