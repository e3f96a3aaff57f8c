"""AlgoSeekDailyBars: AlgoSeek's daily bars, stamped at the close of the day, for each asset of a SecId."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from markets.data_nodes.algoseek.bars import ZONE, AlgoSeekBars, Times, edge_times
from markets.data_nodes.algoseek.master import DEMO, configured
from markets.data_nodes.algoseek.universe import FigiPolicy
from markets.data_nodes.metadata import TableMetaData
from markets.data_nodes.sessions import Sessions, load_sessions
from markets.engine.algoseek_bars import BarRows, bar_files, last_day
from markets.engine.algoseek_layouts import DAILY, BarLayout, PriceAdjustment
from markets.engine.price_files import unknown_dates
from markets.exceptions import InvalidInput

IDENTIFIERS: dict[PriceAdjustment, str] = {
    "raw": "algoseek_daily_ohlc_raw",
    "adjusted": "algoseek_daily_ohlc",
    "standard_adjusted": "algoseek_daily_ohlc_standard",
}
TELLS: dict[PriceAdjustment, str] = {
    "raw": "prices as traded, without factors",
    "adjusted": "prices as traded, with the factors that adjust them",
    "standard_adjusted": "prices of the standard product as traded, with the factors that adjust them",
}


class AlgoSeekDailyConfiguration(BaseModel):
    """Which files, of which product, for which FIGIs. Directories and files say nothing of what the rows mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    daily_dir: str = Field(
        min_length=1, json_schema_extra={"scope": "update"}, description="The directory with <SecId>.csv."
    )
    security_master_path: str = Field(
        min_length=1, json_schema_extra={"scope": "update"}, description="The security master, .csv or .csv.gz."
    )
    is_demo: bool = Field(default=False, description="A table apart, published with the ending _DEMO.")
    price_adjustment: PriceAdjustment = Field(
        default="adjusted",
        description="The product: raw (primary), adjusted (primary adjusted), standard_adjusted. Each has its table.",
    )
    figi_policy: FigiPolicy = Field(
        default="all", description="all: every FIGI of a SecId has its bars; latest: the last FIGI alone."
    )
    figi_lookup_path: str | None = Field(
        default=None,
        json_schema_extra={"scope": "update"},
        description="figi_to_secid_lookup.csv: needed where one FIGI stood for several SecIds.",
    )
    calendar_identifier: str = Field(
        default="XNYS",
        min_length=1,
        json_schema_extra={"scope": "update"},
        description="Whose session closes stand in where a day has no CloseTime.",
    )
    rows_per_run: int = Field(
        default=4_000_000,
        ge=1,
        json_schema_extra={"scope": "none"},
        description="When a run has read so many rows, what is left waits for the next: the bound of its memory.",
    )


class AlgoSeekDailyBars(AlgoSeekBars):
    """Bars of (time_index, asset_identifier): `time_index` is TradeDate and CloseTime in New York, as UTC.

    Runs the security master first. Takes a configuration, or its fields.
    """

    _ARGS_IGNORE_IN_STORAGE_HASH = ("daily_dir", *AlgoSeekBars._ARGS_IGNORE_IN_STORAGE_HASH)

    def __init__(
        self,
        daily_dir: str | Path | AlgoSeekDailyConfiguration | None = None,
        security_master_path: str | Path | None = None,
        is_demo: bool = False,
        *,
        configuration: AlgoSeekDailyConfiguration | None = None,
        price_adjustment: PriceAdjustment | None = None,
        figi_policy: FigiPolicy | None = None,
        figi_lookup_path: str | Path | None = None,
        calendar_identifier: str | None = None,
        rows_per_run: int | None = None,
        hash_namespace: str = "",
    ) -> None:
        fields: dict[str, Any] = {
            "daily_dir": daily_dir,
            "security_master_path": security_master_path,
            "is_demo": is_demo,
            "price_adjustment": price_adjustment,
            "figi_policy": figi_policy,
            "figi_lookup_path": figi_lookup_path,
            "calendar_identifier": calendar_identifier,
            "rows_per_run": rows_per_run,
        }
        self.configuration = configured(AlgoSeekDailyConfiguration, configuration, fields)
        if type(self).__init__ is AlgoSeekDailyBars.__init__:
            self.arguments = {"configuration": self.configuration, "hash_namespace": hash_namespace}
        self.security_master_node = self._master(hash_namespace)
        super().__init__(hash_namespace=hash_namespace)

    @property
    def daily_dir(self) -> str:
        return self.configuration.daily_dir

    @property
    def layout(self) -> BarLayout:
        return DAILY[self.configuration.price_adjustment]

    def get_table_metadata(self) -> TableMetaData:
        settings = self.configuration
        identifier = IDENTIFIERS[settings.price_adjustment]
        identifier += "_latest" if settings.figi_policy == "latest" else ""
        return TableMetaData(
            identifier=identifier + (DEMO if settings.is_demo else ""),
            description=f"AlgoSeek's daily bars; price_adjustment={settings.price_adjustment}: "
            f"{TELLS[settings.price_adjustment]}.",
            data_frequency_id="1d",
        )

    def _files(self) -> list[Path]:
        return bar_files(self.daily_dir, suffixes=(".csv", ".csv.gz"), field="daily_dir")

    def _is_read(self, path: Path, since: dt.date) -> bool:
        day = last_day(path, self.layout)
        return day is not None and day <= since

    def _later(self, rows: BarRows, times: Times, last: dt.datetime) -> np.ndarray:
        """By day: a close that the vendor has corrected by a second makes no second bar of the day."""
        return rows.dates > np.datetime64(last.astimezone(ZONE).date())

    def _edges(self, rows: BarRows, path: Path) -> tuple[Times, Times]:
        closes = edge_times(rows.dates, rows.closes, path)
        opens = edge_times(rows.dates, rows.opens, path)
        unknown = np.isnat(closes)
        if unknown.any():
            sessions, place = self._sessions(rows.dates[unknown], path)
            closes[unknown] = sessions.closes[place].astype("M8[ns]")
            if self.layout.opens is None:
                opens[unknown] = sessions.opens[place].astype("M8[ns]")
            else:
                self.logger.info("%s: %s days have no CloseTime and get their session's", path.name, int(unknown.sum()))
        return closes, opens

    def _sessions(self, dates: np.ndarray, path: Path) -> tuple[Sessions, np.ndarray]:
        """The calendar's sessions, and the place of each date among them."""
        calendar = self.configuration.calendar_identifier
        sessions = load_sessions(calendar)
        problem = unknown_dates(dates, sessions.dates, calendar)
        if problem is not None:
            raise InvalidInput(
                f"{path} tells no CloseTime, and {problem}. Its stored sessions run from {sessions.dates[0]} to "
                f"{sessions.dates[-1]}; extend them, or name another calendar: calendar_identifier.",
                field="calendar_identifier",
            )
        return sessions, np.searchsorted(sessions.dates, dates)
