"""What may be asked of OpenFIGI: mapping jobs and the filters of a search, checked before anything is sent."""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markets.engine.identifiers import figi_fault
from markets.exceptions import InvalidInput, clipped

Range = tuple[float | None, float | None]
DateRange = tuple[dt.date | None, dt.date | None]

FIGI = "ID_BB_GLOBAL"
SHARE_CLASS_FIGI = "ID_BB_GLOBAL_SHARE_CLASS_LEVEL"
COMPOSITE_FIGI = "COMPOSITE_ID_BB_GLOBAL"
FIGI_KINDS = (FIGI, SHARE_CLASS_FIGI, COMPOSITE_FIGI)
NEED_A_TYPE = ("BASE_TICKER", "ID_EXCH_SYMBOL")  # too many instruments share such a symbol
LONGEST_VALUE = 255
LONGEST_SPAN = 366  # days; OpenFIGI refuses a wider window of expirations or maturities

_NAMES = {  # ours → OpenFIGI's
    "exchange_code": "exchCode",
    "mic_code": "micCode",
    "currency": "currency",
    "market_sector": "marketSecDes",
    "security_type": "securityType",
    "security_type_2": "securityType2",
    "state_code": "stateCode",
    "option_type": "optionType",
    "strike": "strike",
    "contract_size": "contractSize",
    "coupon": "coupon",
    "expiration": "expiration",
    "maturity": "maturity",
}
_TEXTS = tuple(_NAMES)[:8]
_NUMBERS = ("strike", "contract_size", "coupon")
_DATES = ("expiration", "maturity")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What narrows a mapping job or a search. Ranges are (from, to), either of them None where it is open."""

    exchange_code: str | None = None
    mic_code: str | None = None
    currency: str | None = None
    market_sector: str | None = None
    security_type: str | None = None
    security_type_2: str | None = None
    state_code: str | None = None
    option_type: str | None = None
    strike: Range | None = None
    contract_size: Range | None = None
    coupon: Range | None = None
    expiration: DateRange | None = None
    maturity: DateRange | None = None
    include_unlisted_equities: bool = False

    def body(self) -> dict[str, Any]:
        """The filters as OpenFIGI names them. Raises InvalidInput for what OpenFIGI would refuse."""
        found: dict[str, Any] = {}
        for name in _TEXTS:
            value = getattr(self, name)
            if value is not None:
                found[_NAMES[name]] = _text(value, name)
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None:
                found[_NAMES[name]] = _numbers(value, name)
        for name in _DATES:
            value = getattr(self, name)
            if value is not None:
                found[_NAMES[name]] = _dates(value, name)
        if self.include_unlisted_equities:
            found["includeUnlistedEquities"] = True
        self._check()
        return found

    def _check(self) -> None:
        if self.exchange_code is not None and self.mic_code is not None:
            raise InvalidInput("exchange_code and mic_code exclude each other. Give one of them.", field="mic_code")
        if self.option_type not in (None, "Put", "Call"):
            raise InvalidInput(f"option_type={self.option_type!r}; use Put or Call.", field="option_type")
        if self.security_type_2 in ("Option", "Warrant") and self.expiration is None:
            raise InvalidInput(f"A search for {self.security_type_2}s needs expiration=(from, to).", field="expiration")
        if self.security_type_2 == "Pool" and self.maturity is None:
            raise InvalidInput("A search for Pools needs maturity=(from, to).", field="maturity")


@dataclass(frozen=True, kw_only=True)
class MappingJob(Filters):
    """One identifier to be mapped: `id_type` in OpenFIGI's spelling (`ID_ISIN`, `TICKER`, …) and its value."""

    id_type: str
    id_value: str | int

    def body(self) -> dict[str, Any]:
        kind = _text(self.id_type, "id_type")
        value = self.id_value
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InvalidInput(f"id_value={clipped(repr(value))} is neither text nor a whole number.", field="id_value")
        if isinstance(value, str):
            value = _text(value, "id_value")
        if kind in FIGI_KINDS:
            fault = figi_fault(str(value))
            if fault is not None:
                raise InvalidInput(f"{clipped(str(value))!r} is no FIGI: {fault}.", field="id_value")
        if kind in NEED_A_TYPE and self.security_type_2 is None and self.market_sector is None:
            raise InvalidInput(f"{kind} needs security_type_2 or market_sector.", field="security_type_2")
        return {"idType": kind, "idValue": value, **super().body()}


def mapping_bodies(jobs: Sequence[MappingJob]) -> list[dict[str, Any]]:
    """The jobs as JSON. Raises InvalidInput naming the position of the first that OpenFIGI would refuse."""
    bodies = []
    for position, job in enumerate(jobs):
        try:
            bodies.append(job.body())
        except InvalidInput as error:
            raise InvalidInput(f"Job {position}: {error}", field=error.field) from error
    return bodies


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"{name}={clipped(repr(value))} is no text, or blank.", field=name)
    if len(value) > LONGEST_VALUE or not value.isprintable():
        raise InvalidInput(f"{name}={clipped(value)!r} takes at most {LONGEST_VALUE} printable characters.", field=name)
    return value


def _numbers(value: object, name: str) -> list[float | None]:
    low, high = _pair(value, name)
    for bound in (low, high):
        is_number = isinstance(bound, int | float) and not isinstance(bound, bool) and math.isfinite(bound)
        if bound is not None and not is_number:
            raise InvalidInput(f"{name} holds {clipped(repr(bound))}, which is no finite number.", field=name)
    if low is not None and high is not None and low > high:
        raise InvalidInput(f"{name}=({low}, {high}) ends before it begins.", field=name)
    return [low, high]


def _dates(value: object, name: str) -> list[str | None]:
    first, last = _pair(value, name)
    for bound in (first, last):
        if bound is not None and (not isinstance(bound, dt.date) or isinstance(bound, dt.datetime)):
            raise InvalidInput(f"{name} holds {clipped(repr(bound))}, which is no date.", field=name)
    if first is not None and last is not None:
        if last < first:
            raise InvalidInput(f"{name}=({first}, {last}) ends before it begins.", field=name)
        if (last - first).days > LONGEST_SPAN:
            raise InvalidInput(f"{name} spans {(last - first).days} days; OpenFIGI takes a year at most.", field=name)
    return [bound.isoformat() if bound is not None else None for bound in (first, last)]


def _pair(value: object, name: str) -> tuple[Any, Any]:
    if not isinstance(value, tuple | list) or len(value) != 2 or all(bound is None for bound in value):
        raise InvalidInput(f"{name}={clipped(repr(value))}; give (from, to), one of which may be None.", field=name)
    return value[0], value[1]
