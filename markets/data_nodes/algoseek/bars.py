"""What AlgoSeek's daily and minute bars have in common: a file a SecId, replicated for the assets of the SecId."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from markets.data_nodes.algoseek.master import AlgoSeekSecurityMaster
from markets.data_nodes.algoseek.universe import Listing, SourceReport, listings_of, unknown_secids
from markets.data_nodes.metadata import ColumnMetaData
from markets.data_nodes.node import DataNode
from markets.data_nodes.prices import BEFORE_ALL_PRICES
from markets.engine.algoseek_bars import BarRows, read_bars, secid_of
from markets.engine.algoseek_csv import NEW_YORK, new_york_to_utc
from markets.engine.algoseek_layouts import BarColumn, BarLayout
from markets.engine.algoseek_lookups import read_figi_lookup
from markets.exceptions import InvalidInput, named
from markets.models import UpdateStatistic

OPEN_TIME = ColumnMetaData(
    column_name="open_time", dtype="timestamp with time zone", label="Open time", description="Left edge of the bar."
)
Times = np.ndarray
ZONE = ZoneInfo(NEW_YORK)


@dataclass
class _Collected:
    """The rows that a run is to return, asset by asset, in parts of one block each."""

    tables: list[pa.Table] = field(default_factory=list)
    times: list[Times] = field(default_factory=list)
    open_times: list[Times] = field(default_factory=list)
    codes: list[np.ndarray] = field(default_factory=list)
    rows: int = 0
    stray: int = 0


class AlgoSeekBars(DataNode):
    """The base of the nodes of bars. A subclass gives the files, their layout, and the edges of a bar."""

    OFFSET_START: dt.datetime = BEFORE_ALL_PRICES
    _ARGS_IGNORE_IN_STORAGE_HASH: ClassVar[Sequence[str]] = (
        "security_master_path",
        "figi_lookup_path",
        "calendar_identifier",
    )
    _ARGS_IGNORE_IN_HASHES: ClassVar[Sequence[str]] = ("rows_per_run",)

    configuration: Any
    security_master_node: AlgoSeekSecurityMaster
    _listings: Mapping[str, list[Listing]]
    _reports: list[SourceReport]

    # --- what a subclass gives ---------------------------------------------------------------------------------------
    @property
    def layout(self) -> BarLayout:
        raise NotImplementedError

    def _files(self) -> list[Path]:
        """The files, by SecId."""
        raise NotImplementedError

    def _is_read(self, path: Path, since: dt.date) -> bool:
        """Whether the file is known, without reading it, to hold nothing later than this day."""
        return False

    def _edges(self, rows: BarRows, path: Path) -> tuple[Times, Times]:
        """Right and left edges (n,) datetime64[ns] UTC; a left one may be NaT."""
        raise NotImplementedError

    def _later(self, rows: BarRows, times: Times, last: dt.datetime) -> np.ndarray:
        """(n,) bool: which rows are later than the asset's last one."""
        return times > np.datetime64(last.replace(tzinfo=None), "ns")

    # --- the node ----------------------------------------------------------------------------------------------------
    @property
    def is_demo(self) -> bool:
        return bool(self.configuration.is_demo)

    def _master(self, hash_namespace: str) -> AlgoSeekSecurityMaster:
        """The security master that the configuration names."""
        return AlgoSeekSecurityMaster(
            self.configuration.security_master_path,
            self.configuration.is_demo,
            figi_lookup_path=self.configuration.figi_lookup_path,
            hash_namespace=hash_namespace,
        )

    def dependencies(self) -> dict[str, DataNode]:
        return {"security_master_node": self.security_master_node}

    def get_asset_list(self) -> Sequence[Any] | None:
        """The assets of the SecIds that have a file; SecIds that the master does not know are told with the run."""
        lookup = self.configuration.figi_lookup_path
        self._listings = listings_of(
            self.security_master_node,
            self.configuration.figi_policy,
            read_figi_lookup(lookup) if lookup is not None else None,
        )
        secids = [secid_of(path) for path in self._files()]
        report = unknown_secids(secids, self._listings)
        self._reports = [] if report is None else [report]
        if report is not None:
            self.logger.warning(report.message)
        assets = {listing.identifier for secid in secids for listing in self._listings.get(secid, [])}
        self._tell_orphans(assets)
        return sorted(assets)

    def update(self) -> pd.DataFrame:
        files = [path for path in self._files() if secid_of(path) in self._listings]
        identifiers = sorted({item.identifier for path in files for item in self._listings[secid_of(path)]})
        places = {name: place for place, name in enumerate(identifiers)}
        found = _Collected()
        for number, path in enumerate(files):
            self.report_progress(number, len(files), f"SecId {secid_of(path)}")
            self._collect(path, places, found)
            if found.rows >= self.configuration.rows_per_run:
                self.logger.warning(
                    "%s rows are enough for one run (rows_per_run); what SecId %s and %s more files still have waits "
                    "for the next one",
                    f"{found.rows:,}",
                    secid_of(path),
                    f"{len(files) - number - 1:,}",
                )
                break
        self._tell_stray(found)
        return self._frame(found, identifiers)

    def quality_checks(self) -> Sequence[SourceReport]:
        return self._reports

    def get_column_metadata(self) -> Sequence[ColumnMetaData]:
        return [OPEN_TIME, *(_described(column) for column in _in_order(self.layout))]

    # --- the tutorial's names ----------------------------------------------------------------------------------------
    def _iter_minute_gz_files(self) -> Iterator[Path]:
        yield from self._files()

    @staticmethod
    def _secid_from_path(path: Path) -> str:
        return secid_of(Path(path))

    # --- rows --------------------------------------------------------------------------------------------------------
    def _collect(self, path: Path, places: Mapping[str, int], found: _Collected) -> None:
        """Add the file's new rows, for each asset of its SecId, until there are enough for one run."""
        listings = self._listings[secid_of(path)]
        last = {
            item.identifier: self.update_statistics.get_last_update(item.identifier) or self.OFFSET_START
            for item in listings
        }
        since = min(last.values()).astimezone(ZONE).date()
        if self._is_read(path, since):
            return
        after = since if since > self.OFFSET_START.date() else None
        for rows in read_bars(path, self.layout, after=after):
            times, open_times = self._edges(rows, path)
            found.stray += rows.stray
            taken, codes = [], []
            for listing in listings:
                is_new = self._later(rows, times, last[listing.identifier])
                if listing.start is not None:
                    is_new &= rows.dates >= np.datetime64(listing.start)
                if listing.end is not None:
                    is_new &= rows.dates <= np.datetime64(listing.end)
                taken.append(np.flatnonzero(is_new))
                codes.append(np.full(len(taken[-1]), places[listing.identifier], dtype=np.int32))
            chosen = np.concatenate(taken)
            if not len(chosen):
                continue
            found.tables.append(_encoded(rows.table, self.layout).take(pa.array(chosen)))
            found.times.append(times[chosen])
            found.open_times.append(open_times[chosen])
            found.codes.append(np.concatenate(codes))
            found.rows += len(chosen)
            if found.rows >= self.configuration.rows_per_run:
                return

    def _frame(self, found: _Collected, identifiers: list[str]) -> pd.DataFrame:
        columns = _in_order(self.layout)
        if not found.rows:
            return pd.DataFrame(columns=["open_time", *(str(column.name) for column in columns)])
        stamps, codes = np.unique(np.concatenate(found.times), return_inverse=True)
        index = pd.MultiIndex(
            levels=[pd.DatetimeIndex(stamps, tz="UTC"), pd.Index(identifiers, dtype="str")],
            codes=[codes, np.concatenate(found.codes)],
            names=list(self.index_names),
            verify_integrity=False,
        )
        values: dict[str, Any] = {"open_time": pd.DatetimeIndex(np.concatenate(found.open_times), tz="UTC")}
        table = pa.concat_tables(found.tables).unify_dictionaries()
        found.tables.clear()
        for column in columns:
            values[str(column.name)] = _values(table[column.source], column)
            table = table.drop_columns([column.source])
        return pd.DataFrame(values, index=index)

    # --- what is told ------------------------------------------------------------------------------------------------
    def _tell_stray(self, found: _Collected) -> None:
        if found.stray:
            message = f"{found.stray:,} rows have a first or last price outside of lowest to highest; kept as they are"
            self.logger.warning(message)
            self._reports.append(
                SourceReport(what="prices within the bar", failed=found.stray, checked=found.rows, message=message)
            )

    def _tell_orphans(self, assets: set[str]) -> None:
        """Assets that have bars of this node and get none any more: the master gives their SecId to others."""
        mapped = {item.identifier for items in self._listings.values() for item in items}
        stored = UpdateStatistic.objects.filter(storage__storage_hash=self.storage_hash)
        orphans = sorted({name for name, *_ in stored.values_list("identity", flat=True)} - mapped)
        if orphans:
            self.logger.warning(
                "%s in the table and no longer in the security master. Their bars stay; to remove them: "
                "node.delete_after_date(instant, dimension_filters={'asset_identifier': […]})",
                named(orphans, "asset"),
            )


def _in_order(layout: BarLayout) -> list[BarColumn]:
    """The stored columns, those of every bar first."""
    first = ("open", "high", "low", "close", "vwap", "volume", "trade_count")
    by_name = {column.name: column for column in layout.stored}
    return [
        *(by_name[name] for name in first if name in by_name),
        *(column for column in layout.stored if column.name not in first),
    ]


def _described(column: BarColumn) -> ColumnMetaData:
    return ColumnMetaData(
        column_name=str(column.name), dtype=column.dtype, label=column.source, description=column.description
    )


def _encoded(table: pa.Table, layout: BarLayout) -> pa.Table:
    """The stored columns, their texts as codes: a text that repeats takes four bytes a row."""
    return pa.table(
        {
            column.source: pc.dictionary_encode(values) if pa.types.is_string(values.type) else values
            for column in layout.stored
            for values in [table[column.source]]
        }
    )


def _values(column: pa.ChunkedArray, kind: BarColumn) -> Any:
    """A column as pandas holds it: float64 with NaN, int64 or Int64 with nulls, categories of text or of dates."""
    if not pa.types.is_dictionary(column.type):
        if kind.dtype == "float64":
            return pc.fill_null(column, float("nan")).to_numpy()
        if not column.null_count:
            return column.to_numpy()
        missing = column.is_null().to_numpy()
        return pd.arrays.IntegerArray(pc.fill_null(column, 0).to_numpy(), missing)
    array = column.combine_chunks()
    texts = array.dictionary.to_pylist()
    codes = pc.fill_null(array.indices, -1).to_numpy(zero_copy_only=False)
    if kind.kind == "secid":
        texts = [str(int(text)) for text in texts]
    if kind.kind != "date":
        return pd.Categorical.from_codes(codes, pd.Index(texts, dtype="str"))
    days = np.array([f"{text[:4]}-{text[4:6]}-{text[6:]}" for text in texts], dtype="M8[D]")
    return pd.Categorical.from_codes(codes, pd.Index(days.astype(object), dtype=object))


def edge_times(dates: np.ndarray, seconds: np.ndarray, path: Path) -> Times:
    """New York's wall clock as UTC, NaT where unknown. Raises InvalidInput for what the clock skips or repeats."""
    times = new_york_to_utc(dates, seconds)
    strange = np.isnat(times) & ~np.isnan(seconds)
    if strange.any():
        day = dates[int(strange.argmax())]
        raise InvalidInput(
            f"{path}: on {day} a bar has a time in the hour that New York's clock skipped or repeated; which instant "
            "is meant cannot be told. Ask the vendor.",
            field="path",
        )
    return times
