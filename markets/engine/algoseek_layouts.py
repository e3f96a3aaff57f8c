"""The columns of AlgoSeek's files of bars, and under which name and dtype MSM keeps each."""

from dataclasses import dataclass
from typing import Literal

PriceAdjustment = Literal["raw", "adjusted", "standard_adjusted"]
Kind = Literal["secid", "date", "time", "price", "factor", "number", "count", "text"]
DTYPES: dict[str, str] = {
    "secid": "string",
    "date": "date",
    "time": "string",
    "price": "float64",
    "factor": "float64",
    "number": "float64",
    "count": "int64",
    "text": "string",
}


@dataclass(frozen=True)
class BarColumn:
    """A column of a file. `name` is MSM's, None where its value goes into the times of the bar.

    `price` and `factor` are above zero, a `count` is a whole number of at least zero; each may be blank.
    """

    source: str
    name: str | None
    kind: Kind
    description: str

    @property
    def dtype(self) -> str:
        return DTYPES[self.kind]


@dataclass(frozen=True)
class BarLayout:
    """One product of AlgoSeek. `opens` and `closes` name the columns with the times of a bar's edges."""

    what: str
    columns: tuple[BarColumn, ...]
    date: str
    opens: str | None
    closes: str | None
    ohlc: tuple[str, str, str, str]

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(column.source for column in self.columns)

    @property
    def stored(self) -> tuple[BarColumn, ...]:
        return tuple(column for column in self.columns if column.name is not None)


def _prices(sources: tuple[str, str, str, str]) -> tuple[BarColumn, ...]:
    says = (
        "First price, as traded.",
        "Highest price, as traded.",
        "Lowest price, as traded.",
        "Last price, as traded.",
    )
    names = ("open", "high", "low", "close")
    return tuple(
        BarColumn(source, name, "price", text) for source, name, text in zip(sources, names, says, strict=True)
    )


def _counts(*sources: str) -> tuple[BarColumn, ...]:
    return tuple(BarColumn(source, source.lower(), "count", f"{source} of the file.") for source in sources)


SECID = BarColumn("SecId", "secid", "secid", "AlgoSeek's number of the security.")
TICKER = BarColumn("Ticker", "ticker", "text", "The symbol on that day.")
FACTORS = (
    BarColumn(
        "CumulativePriceFactor",
        "cumulativepricefactor",
        "factor",
        "What a price is multiplied by for a total-return price; 1 at the first date.",
    ),
    BarColumn("CumulativeVolumeFactor", "cumulativevolumefactor", "factor", "The same for volumes."),
    BarColumn("AdjustmentFactor", "adjustmentfactor", "number", "The factor of the event of that day."),
    BarColumn("AdjustmentReason", "adjustmentreason", "text", "The event of that day: CashDiv, BonusSame …"),
)
TRADE_DATE = BarColumn("TradeDate", "tradedate", "date", "The day in New York.")
_PRIMARY_PRICES = ("OpenPrice", "HighPrice", "LowPrice", "ClosePrice")
_OPEN, _HIGH, _LOW, _CLOSE = _prices(_PRIMARY_PRICES)
_HEAD = (
    SECID,
    TRADE_DATE,
    TICKER,
    BarColumn("Name", "name", "text", "The name on that day."),
    BarColumn("PrimaryExchange", "primaryexchange", "text", "The primary exchange on that day."),
    BarColumn("ISIN", "isin", "text", "The ISIN on that day."),
    *(_OPEN, *_counts("OpenSize"), BarColumn("OpenTime", None, "time", "Time of the first trade.")),
    *(_HIGH, BarColumn("HighTime", "hightime", "time", "Time of the highest trade, New York.")),
    *(_LOW, BarColumn("LowTime", "lowtime", "time", "Time of the lowest trade, New York.")),
    *(_CLOSE, *_counts("CloseSize"), BarColumn("CloseTime", None, "time", "Time of the last trade.")),
    *_counts("ListedMarketHoursVolume", "ListedMarketHoursTrades"),
    BarColumn("ListedTotalVolume", "volume", "count", "Shares traded on the listed markets that day."),
    *_counts("ListedTotalTrades", "FinraMarketHoursVolume", "FinraMarketHoursTrades", "FinraTotalVolume"),
    *_counts("FinraTotalTrades"),
)
_TAIL = (
    BarColumn("MarketVWAP", "vwap", "price", "Volume-weighted average price of the market hours."),
    BarColumn("DailyVWAP", "dailyvwap", "price", "Volume-weighted average price of the whole day."),
)
RAW = BarLayout("file of primary daily bars", (*_HEAD, *_TAIL), "TradeDate", "OpenTime", "CloseTime", _PRIMARY_PRICES)
ADJUSTED = BarLayout(
    "file of primary adjusted daily bars",
    (*_HEAD, *FACTORS, *_TAIL),
    *("TradeDate", "OpenTime", "CloseTime"),
    _PRIMARY_PRICES,
)
STANDARD = BarLayout(
    "file of standard adjusted daily bars",
    (
        *(SECID, TRADE_DATE, TICKER, *_prices(("Open", "High", "Low", "Close"))),
        BarColumn("MarketHoursVolume", "volume", "count", "Shares traded in the market hours of that day."),
        *FACTORS,
    ),
    *("TradeDate", None, None),
    ("Open", "High", "Low", "Close"),
)
DAILY: dict[PriceAdjustment, BarLayout] = {"raw": RAW, "adjusted": ADJUSTED, "standard_adjusted": STANDARD}
_MINUTE_PRICES = ("FirstTradePrice", "HighTradePrice", "LowTradePrice", "LastTradePrice")
_MINUTE = (
    *(SECID, BarColumn("Date", "tradedate", "date", "The day in New York."), TICKER),
    BarColumn("TimeBarStart", None, "time", "Left edge of the bar, New York."),
    *_prices(_MINUTE_PRICES),
    BarColumn("VolumeWeightPrice", "vwap", "price", "Volume-weighted average price of the bar."),
    BarColumn("Volume", "volume", "count", "Shares traded in the bar."),
    BarColumn("TotalTrades", "trade_count", "count", "Trades in the bar."),
)
_MINUTE_ADJUSTED = (
    *(
        BarColumn(f"{source}Adjusted", f"{source.lower()}adjusted", "price", f"{source}, adjusted by AlgoSeek.")
        for source in (*_MINUTE_PRICES, "VolumeWeightPrice")
    ),
    BarColumn("VolumeAdjusted", "volumeadjusted", "number", "Volume, adjusted by AlgoSeek."),
)
MINUTE: dict[PriceAdjustment, BarLayout] = {
    "raw": BarLayout("file of minute bars", _MINUTE, "Date", "TimeBarStart", None, _MINUTE_PRICES),
    "adjusted": BarLayout(
        "file of adjusted minute bars", (*_MINUTE, *_MINUTE_ADJUSTED), "Date", "TimeBarStart", None, _MINUTE_PRICES
    ),
}
