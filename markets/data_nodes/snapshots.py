"""AssetSnapshot: names and listings of assets, each from an instant of its own on; written once, never changed."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import pandas as pd

from markets.data_nodes.asset_indexed import AssetIndexedDataNode
from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.reads import aware
from markets.data_nodes.writes import WriteMode
from markets.engine.text import storable_text
from markets.exceptions import InvalidInput, clipped
from markets.models import AssetSnapshot as AssetSnapshotRow

INDEX_NAMES = ("time_index", "asset_identifier")
COLUMNS = ("name", "ticker", "exchange_code", "asset_ticker_group_id")
LABELS = {
    "name": ("Name", "Name of the instrument."),
    "ticker": ("Ticker", "Symbol at its exchange."),
    "exchange_code": ("Exchange", "Code of the exchange."),
    "asset_ticker_group_id": ("Ticker group", "Share-class FIGI, which listings of one share class have in common."),
}
LONGEST = 255
EARLIEST, LATEST = dt.datetime(1678, 1, 1, tzinfo=dt.UTC), dt.datetime(2261, 1, 1, tzinfo=dt.UTC)


class AssetSnapshot(AssetIndexedDataNode):
    """Bind rows with `set_snapshots`, then `run()`.

    A key (time_index, asset_identifier) that is stored already refuses the whole batch, listing the keys: publish a
    correction as a row with a later time. Each asset must be registered before.
    """

    model = AssetSnapshotRow
    index_names = INDEX_NAMES
    key_columns = ("asset_identifier", "time_index")
    write_mode: WriteMode = "insert_only"
    takes_configuration: ClassVar[bool] = False
    OFFSET_START: dt.datetime = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
    note = ""  # kept in the log of the next run

    def __init__(self, *, hash_namespace: str = "") -> None:
        self._frame: pd.DataFrame | None = None
        super().__init__(hash_namespace=hash_namespace)

    @staticmethod
    def build_frame(rows: Any) -> pd.DataFrame:
        """Rows as a frame indexed by (time_index, asset_identifier), sorted, with the four text columns.

        `rows` is a mapping or an object with those attributes, or an iterable of them; each carries its own aware
        `time_index`. What is omitted is an empty text; other keys are dropped. Raises InvalidInput for no rows, a
        missing or naive time, a missing identifier, a value that is no text, or two rows of one key.
        """
        items = [rows] if isinstance(rows, Mapping) or not isinstance(rows, Iterable) else list(rows)
        if not items:
            raise InvalidInput("There are no snapshots. Give at least one row.", field="rows")
        records: dict[tuple[dt.datetime, str], list[str]] = {}
        for position, item in enumerate(items):
            key = (_time(item, position), _identifier(item, position))
            if key in records:
                raise InvalidInput(
                    f"Row {position} repeats {key[1]} at {key[0].isoformat()}. Give each asset one row a time.",
                    field="time_index",
                )
            records[key] = [_text(item, name, position) for name in COLUMNS]
        return AssetSnapshot._frame_of(records)

    @staticmethod
    def empty_frame() -> pd.DataFrame:
        """No rows, in the shape of `build_frame`."""
        return AssetSnapshot._frame_of({})

    @staticmethod
    def _frame_of(records: dict[tuple[dt.datetime, str], list[str]]) -> pd.DataFrame:
        ordered = sorted(records)
        index = pd.MultiIndex.from_arrays(
            [
                pd.to_datetime([time for time, _ in ordered], utc=True).as_unit("ns"),
                pd.Index([name for _, name in ordered], dtype="str"),
            ],
            names=list(INDEX_NAMES),
        )
        columns = {
            name: pd.array([records[key][place] for key in ordered], dtype="str") for place, name in enumerate(COLUMNS)
        }
        return pd.DataFrame(columns, index=index)

    def set_snapshots(self, rows: Any, verify_existing: bool = True) -> Self:
        """Bind the rows that the next run writes; see `build_frame`. Returns the node.

        Stored keys are looked up in the transaction that writes, and the database refuses them besides;
        `verify_existing` is accepted for the sake of existing scripts.
        """
        self._frame = self.build_frame(rows)
        return self

    def update(self) -> pd.DataFrame:
        if self._frame is None:
            raise InvalidInput("No snapshots are bound. Call set_snapshots(rows) before run().", field="rows")
        if self.note:
            self.logger.info("%s", self.note)
        return self._frame

    def get_column_metadata(self) -> Sequence[ColumnMetaData]:
        return [
            ColumnMetaData(column_name=name, dtype="string", label=label, description=description)
            for name, (label, description) in LABELS.items()
        ]

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(
            identifier="AssetSnapshotsTS", description="How assets were named and listed, from an instant on."
        )


def _value(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)


def _time(item: Any, position: int) -> dt.datetime:
    value = _value(item, "time_index")
    if value is None or value is pd.NaT:
        raise InvalidInput(
            f"Row {position} has no time_index. Each row needs its own: since when it holds.", field="time_index"
        )
    try:
        instant = aware(value, f"time_index of row {position}")
        if instant is None:
            raise InvalidInput(f"Row {position} has no time_index.", field="time_index")
        instant = instant.astimezone(dt.UTC)
    except (OverflowError, ValueError) as error:
        raise InvalidInput(str(error), field="time_index") from error
    if not EARLIEST <= instant < LATEST:
        raise InvalidInput(
            f"Row {position} has time_index={instant.isoformat()}, outside the years 1678 to 2260. Correct it.",
            field="time_index",
        )
    return instant


def _identifier(item: Any, position: int) -> str:
    value = _value(item, "asset_identifier")
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(
            f"Row {position} has asset_identifier={clipped(repr(value))}. Name the asset by its unique_identifier.",
            field="asset_identifier",
        )
    return value


def _text(item: Any, name: str, position: int) -> str:
    value = _value(item, name)
    if value is None:
        return ""
    if not isinstance(value, str) or storable_text(value) != value or len(value) > LONGEST:
        raise InvalidInput(
            f"Row {position} has {name}={clipped(repr(value))}; it takes text of at most {LONGEST} characters.",
            field=name,
        )
    return value
