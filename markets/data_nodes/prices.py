"""ExternalPrices: prices from a CSV or Parquet file, in the bar schema that every price table of MSM has."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from markets.data_nodes.asset_indexed import AssetIndexedDataNode
from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.sessions import load_sessions
from markets.engine.price_files import NUMBER_COLUMNS, PriceFile, check_duplicates, read_price_file, unknown_dates
from markets.engine.text import storable_text
from markets.exceptions import InvalidInput, UnknownIdentifiers, named
from markets.models import Asset, OpenFigiDetails

BAR_COLUMNS = (
    ColumnMetaData(
        column_name="open_time",
        dtype="timestamp with time zone",
        label="Open time",
        description="Left edge of the bar.",
    ),
    ColumnMetaData(column_name="open", dtype="float64", label="Open", description="First price of the bar."),
    ColumnMetaData(column_name="high", dtype="float64", label="High", description="Highest price of the bar."),
    ColumnMetaData(column_name="low", dtype="float64", label="Low", description="Lowest price of the bar."),
    ColumnMetaData(column_name="close", dtype="float64", label="Close", description="Last price of the bar."),
    ColumnMetaData(
        column_name="adjusted_close",
        dtype="float64",
        label="Adjusted close",
        description="Close adjusted by the source for splits and dividends.",
    ),
    ColumnMetaData(
        column_name="vwap", dtype="float64", label="VWAP", description="Volume-weighted average price of the bar."
    ),
    ColumnMetaData(column_name="volume", dtype="float64", label="Volume", description="Units traded in the bar."),
    ColumnMetaData(column_name="trade_count", dtype="float64", label="Trades", description="Trades in the bar."),
    ColumnMetaData(
        column_name="interpolated",
        dtype="bool",
        label="Filled",
        description="True where no price was observed and the last one is carried.",
    ),
)
BEFORE_ALL_PRICES = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)


class ExternalPricesConfiguration(BaseModel):
    """Which file becomes which table. `dataset` is the published identifier and, with the frequency, the table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")
    path: str = Field(min_length=1, json_schema_extra={"scope": "update"}, description="A CSV or Parquet file.")
    data_frequency_id: str = Field(default="1d", pattern=r"^[1-9][0-9]*(m|h|d)$")
    calendar_identifier: str | None = Field(
        default=None,
        json_schema_extra={"scope": "update"},
        description="Needed by a file with dates: each becomes the close of that session.",
    )
    asset_list: list[str] | None = Field(
        default=None, min_length=1, json_schema_extra={"scope": "update"}, description="Import these only."
    )
    description: str = Field(default="", json_schema_extra={"scope": "none"})


class ExternalPrices(AssetIndexedDataNode):
    """Bars indexed by (time_index, asset_identifier); `time_index` is the bar's right edge, UTC."""

    OFFSET_START: dt.datetime = BEFORE_ALL_PRICES

    def __init__(self, configuration: ExternalPricesConfiguration, *, hash_namespace: str = "") -> None:
        self.configuration = configuration
        super().__init__(asset_list=configuration.asset_list, hash_namespace=hash_namespace)

    def update(self) -> pd.DataFrame:
        path = self.configuration.path
        file = read_price_file(path)
        identifiers = _asset_identifiers(file, path, self.asset_list)
        rows = np.flatnonzero(pd.notna(identifiers))
        file, identifiers = file.take(rows), identifiers[rows]
        times, open_times = self._times(file)
        check_duplicates(identifiers, times.to_numpy(dtype="M8[ns]"), path)
        columns: dict[str, object] = {"open_time": open_times}
        columns |= {name: file.numbers[name] for name in NUMBER_COLUMNS}
        columns["interpolated"] = np.zeros(len(identifiers), dtype=bool)
        index = pd.MultiIndex.from_arrays([times, pd.Index(identifiers)], names=list(self.index_names))
        frame = pd.DataFrame(columns, index=index)[[column.column_name for column in BAR_COLUMNS]]
        self.logger.info("%s rows read from %s", f"{len(frame):,}", path)
        return frame

    def get_column_metadata(self) -> Sequence[ColumnMetaData]:
        return BAR_COLUMNS

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(
            identifier=self.configuration.dataset,
            description=self.configuration.description,
            data_frequency_id=self.configuration.data_frequency_id,
        )

    def _times(self, file: PriceFile) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
        """Right and left edges of the bars; a date becomes its session's."""
        if file.times is not None:
            nothing = pd.DatetimeIndex(np.full(len(file.times), "NaT", dtype="M8[ns]"), tz="UTC")
            return file.times, file.open_times if file.open_times is not None else nothing
        assert file.dates is not None
        calendar = self.configuration.calendar_identifier
        if calendar is None:
            raise InvalidInput(
                f"{self.configuration.path} has dates, not instants. Name the calendar whose session closes they mean: "
                "calendar_identifier='XNYS'.",
                field="calendar_identifier",
            )
        sessions = load_sessions(calendar)
        problem = unknown_dates(file.dates, sessions.dates, calendar)
        if problem is not None:
            raise InvalidInput(
                f"{self.configuration.path}: {problem}. Its stored sessions run from {sessions.dates[0]} to "
                f"{sessions.dates[-1]}. Use the calendar that the assets trade on, extend it, or correct the dates.",
                field="calendar_identifier",
            )
        place = np.searchsorted(sessions.dates, file.dates)
        closes = pd.DatetimeIndex(sessions.closes[place].astype("M8[ns]"), tz="UTC")
        opens = pd.DatetimeIndex(sessions.opens[place].astype("M8[ns]"), tz="UTC")
        return closes, file.open_times if file.open_times is not None else opens


def _asset_identifiers(file: PriceFile, path: str, only: Sequence[str] | None) -> np.ndarray:
    """The rows' assets, looked up as one set; None for a row of an asset that is not among `only`.

    Raises UnknownIdentifiers listing all that name no asset, InvalidInput listing those of `only` that have no row.
    """
    codes, names = pd.factorize(file.identifiers)
    wanted = [name for name in names if storable_text(name) == name]
    if file.identifier_column == "asset_identifier":
        found = Asset.objects.filter(unique_identifier__in=wanted).values_list("unique_identifier", flat=True)
        known = {name: name for name in found}
        remedy = f"{path} names them: register the assets first, or correct the column asset_identifier."
    else:
        details = OpenFigiDetails.objects.filter(figi__in=wanted)
        known = dict(details.values_list("figi", "asset__unique_identifier"))
        remedy = f"{path} names these FIGIs: register them first, each with its OpenFIGI details."
    if only is None:
        missing = [name for name in names if name not in known]
        if missing:
            raise UnknownIdentifiers(missing, remedy=remedy)
    else:
        absent = sorted(set(only) - set(known.values()))
        if absent:
            raise InvalidInput(
                f"asset_list: {named(absent, 'identifier')} not in {path}. Correct the list, or leave it out to import "
                "all.",
                field="asset_list",
            )
        known = {name: asset for name, asset in known.items() if asset in set(only)}
    return np.array([known.get(name) for name in names], dtype=object)[codes]
