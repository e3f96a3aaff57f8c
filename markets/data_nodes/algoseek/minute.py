"""AlgoSeekMinuteBars: AlgoSeek's minute bars of trades, stamped at their right edge, for each asset of a SecId."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from markets.data_nodes.algoseek.bars import AlgoSeekBars, Times, edge_times
from markets.data_nodes.algoseek.master import DEMO, configured
from markets.data_nodes.algoseek.universe import FigiPolicy
from markets.data_nodes.metadata import TableMetaData
from markets.engine.algoseek_bars import BarRows, bar_files
from markets.engine.algoseek_layouts import MINUTE, BarLayout

IDENTIFIER = "algoseek_minute_bars"
MINUTE_LENGTH = np.timedelta64(1, "m")


class AlgoSeekMinuteConfiguration(BaseModel):
    """Which files, of which product, for which FIGIs. Directories and files say nothing of what the rows mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minute_dir: str = Field(
        min_length=1, json_schema_extra={"scope": "update"}, description="The directory with <SecId>.csv.gz."
    )
    security_master_path: str = Field(
        min_length=1, json_schema_extra={"scope": "update"}, description="The security master, .csv or .csv.gz."
    )
    is_demo: bool = Field(default=False, description="A table apart, published with the ending _DEMO.")
    price_adjustment: Literal["raw", "adjusted"] = Field(
        default="raw",
        description="raw: as traded; adjusted: with AlgoSeek's adjusted columns beside. Each has its table.",
    )
    figi_policy: FigiPolicy = Field(
        default="all", description="all: every FIGI of a SecId has its bars; latest: the last FIGI alone."
    )
    figi_lookup_path: str | None = Field(
        default=None,
        json_schema_extra={"scope": "update"},
        description="figi_to_secid_lookup.csv: needed where one FIGI stood for several SecIds.",
    )
    rows_per_run: int = Field(
        default=2_000_000,
        ge=1,
        json_schema_extra={"scope": "none"},
        description="When a run has read so many rows, what is left waits for the next: the bound of its memory.",
    )


class AlgoSeekMinuteBars(AlgoSeekBars):
    """Bars of (time_index, asset_identifier): `time_index` is the end of the minute, `open_time` its beginning.

    Runs the security master first. Takes a configuration, or its fields.
    """

    _ARGS_IGNORE_IN_STORAGE_HASH = ("minute_dir", *AlgoSeekBars._ARGS_IGNORE_IN_STORAGE_HASH)

    def __init__(
        self,
        minute_dir: str | Path | AlgoSeekMinuteConfiguration | None = None,
        security_master_path: str | Path | None = None,
        is_demo: bool = False,
        *,
        configuration: AlgoSeekMinuteConfiguration | None = None,
        price_adjustment: Literal["raw", "adjusted"] | None = None,
        figi_policy: FigiPolicy | None = None,
        figi_lookup_path: str | Path | None = None,
        rows_per_run: int | None = None,
        hash_namespace: str = "",
    ) -> None:
        fields: dict[str, Any] = {
            "minute_dir": minute_dir,
            "security_master_path": security_master_path,
            "is_demo": is_demo,
            "price_adjustment": price_adjustment,
            "figi_policy": figi_policy,
            "figi_lookup_path": figi_lookup_path,
            "rows_per_run": rows_per_run,
        }
        self.configuration = configured(AlgoSeekMinuteConfiguration, configuration, fields)
        if type(self).__init__ is AlgoSeekMinuteBars.__init__:
            self.arguments = {"configuration": self.configuration, "hash_namespace": hash_namespace}
        self.security_master_node = self._master(hash_namespace)
        super().__init__(hash_namespace=hash_namespace)

    @property
    def minute_dir(self) -> str:
        return self.configuration.minute_dir

    @property
    def layout(self) -> BarLayout:
        return MINUTE[self.configuration.price_adjustment]

    def get_table_metadata(self) -> TableMetaData:
        settings = self.configuration
        identifier = IDENTIFIER + ("_adjusted" if settings.price_adjustment == "adjusted" else "")
        identifier += "_latest" if settings.figi_policy == "latest" else ""
        return TableMetaData(
            identifier=identifier + (DEMO if settings.is_demo else ""),
            description=f"AlgoSeek's minute bars of trades; price_adjustment={settings.price_adjustment}.",
            data_frequency_id="1m",
        )

    def _files(self) -> list[Path]:
        return bar_files(self.minute_dir, suffixes=(".csv.gz",), field="minute_dir")

    def _edges(self, rows: BarRows, path: Path) -> tuple[Times, Times]:
        opens = edge_times(rows.dates, rows.opens, path)
        return opens + MINUTE_LENGTH, opens
