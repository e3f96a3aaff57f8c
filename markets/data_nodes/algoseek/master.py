"""AlgoSeekSecurityMaster: the security master as a table, one row a FIGI, rebuilt from its file on each run."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from markets.data_nodes import staleness
from markets.data_nodes.algoseek.registrar import BATCH_SIZE, register_figis
from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.node import DataNode
from markets.data_nodes.prices import BEFORE_ALL_PRICES
from markets.data_nodes.statistics import ASSET_DIMENSION, load_statistics
from markets.data_nodes.tails import delete_tail
from markets.data_nodes.writes import WriteMode
from markets.engine.algoseek_lookups import read_figi_lookup
from markets.engine.algoseek_master import COLUMNS, MasterRow, read_security_master
from markets.exceptions import InvalidInput, clipped, named
from markets.models import Asset, OpenFigiDetails

IDENTIFIER = "algoseek_security_master"
DEMO = "_DEMO"
LATEST_FIGI = "latest_figi"
DESCRIPTIONS = {
    "secid": "AlgoSeek's number of the security; it stays when names and tickers change.",
    "tickers": "Tickers, the oldest first, separated by semicolons.",
    "name": "Names, the oldest first.",
    "isin": "ISINs, the oldest first.",
    "liststatus": "A announced, D delisted, L listed.",
    "securitydescription": "What kind of security it is.",
    "usidentifier": "CUSIPs, the oldest first.",
    "primaryexchange": "Primary exchanges, the oldest first.",
    "sedol": "The SEDOL; AlgoSeek no longer keeps it.",
    "sic": "The SIC code.",
    "sector": "The sector of the SIC code.",
    "industry": "The industry of the SIC code.",
    "figi": "FIGIs of the security as the file lists them.",
    LATEST_FIGI: "The last of its FIGIs, which AlgoSeek advises to use.",
}


class AlgoSeekSecurityMasterConfiguration(BaseModel):
    """Which file. It is rebuilt from whatever stands there, so that the path says nothing of what the rows mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    csv_path: str = Field(min_length=1, json_schema_extra={"scope": "update"}, description="A .csv or .csv.gz file.")
    is_demo: bool = Field(default=False, description="A table apart, published with the ending _DEMO.")
    figi_lookup_path: str | None = Field(
        default=None,
        json_schema_extra={"scope": "update"},
        description="figi_to_secid_lookup.csv: tells to which SecId a FIGI belongs that stands in two rows.",
    )
    batch_size: int = Field(default=BATCH_SIZE, ge=1, le=10_000, json_schema_extra={"scope": "none"})


class AlgoSeekSecurityMaster(DataNode):
    """One row for each FIGI of each SecId, all at one instant before every bar; text, as the file has it.

    FIGIs without an asset are registered from the file, and wait for OpenFIGI. A row whose FIGI has left the file goes
    with the run that finds it gone. Takes a configuration, or its fields.
    """

    OFFSET_START: dt.datetime = BEFORE_ALL_PRICES
    write_mode: WriteMode = "overwrite"
    columns_of_consequence: ClassVar[Sequence[str] | None] = ("secid",)
    _ARGS_IGNORE_IN_STORAGE_HASH = ("csv_path", "figi_lookup_path")

    def __init__(
        self,
        csv_path: str | Path | AlgoSeekSecurityMasterConfiguration | None = None,
        is_demo: bool = False,
        *,
        configuration: AlgoSeekSecurityMasterConfiguration | None = None,
        figi_lookup_path: str | Path | None = None,
        hash_namespace: str = "",
    ) -> None:
        fields = {"csv_path": csv_path, "is_demo": is_demo, "figi_lookup_path": figi_lookup_path}
        self.configuration = configured(AlgoSeekSecurityMasterConfiguration, configuration, fields)
        if type(self).__init__ is AlgoSeekSecurityMaster.__init__:  # one form, whichever way the fields were given
            self.arguments = {"configuration": self.configuration, "hash_namespace": hash_namespace}
        self._identifiers: dict[str, str] | None = None
        self._rows: dict[str, MasterRow] | None = None
        self._own_columns: tuple[str, ...] = ()
        super().__init__(hash_namespace=hash_namespace)

    @property
    def csv_path(self) -> str:
        return self.configuration.csv_path

    @property
    def is_demo(self) -> bool:
        return self.configuration.is_demo

    @property
    def stamp(self) -> dt.datetime:
        """The instant that all rows have."""
        return self.OFFSET_START + dt.timedelta(minutes=1)

    def get_asset_list(self) -> Sequence[Any] | None:
        rows = self._read()
        facts = {figi: row.facts(figi) for figi, row in rows.items()}
        source = f"AlgoSeek security master {self.csv_path}"
        self._identifiers = register_figis(facts, source=source, batch_size=self.configuration.batch_size)
        _refuse_shared(self._identifiers, self.csv_path)
        return list(self._identifiers.values())

    def update(self) -> pd.DataFrame:
        rows = self._rows if self._rows is not None else self._read()
        if self._identifiers is None:  # a subclass has registered the FIGIs in its own way
            self._identifiers = identifiers_of_figis(list(rows))
        known = [(self._identifiers.get(figi, figi), row) for figi, row in rows.items()]
        index = pd.MultiIndex.from_product(
            [pd.DatetimeIndex([self.stamp]).as_unit("ns"), pd.Index([name for name, _ in known], dtype="str")],
            names=list(self.index_names),
        )
        columns = {
            name: pd.array([row.cells.get(name) for _, row in known], dtype="str") for name in self._column_names()
        }
        columns[LATEST_FIGI] = pd.array([row.latest_figi for _, row in known], dtype="str")
        return pd.DataFrame(columns, index=index)

    def run_post_update_routines(self, error_on_last_update: bool) -> None:
        """Delete the rows whose FIGI is not in the file any more, in the run's transaction."""
        identifiers, self._identifiers, self._rows = self._identifiers, None, None
        if error_on_last_update or identifiers is None:
            return
        storage = self.get_storage()
        gone = sorted(set(load_statistics(storage).index_progress) - set(identifiers.values()))
        if not gone:
            return
        deleted = delete_tail(storage, self.stamp, {ASSET_DIMENSION: gone})
        staleness.mark_dependents(
            storage, dict.fromkeys(deleted.identities, self.stamp), reason=f"{storage} has lost FIGIs."
        )
        self.logger.warning("%s no longer in %s; rows deleted", named(gone, "FIGI"), self.csv_path)

    def get_column_metadata(self) -> Sequence[ColumnMetaData]:
        return [
            ColumnMetaData(column_name=name, dtype="string", label=_label(name), description=DESCRIPTIONS.get(name, ""))
            for name in (*self._column_names(), LATEST_FIGI)
        ]

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(
            identifier=IDENTIFIER + (DEMO if self.configuration.is_demo else ""),
            description="AlgoSeek's security master: a row for each FIGI, rebuilt from its file on each run.",
        )

    def _read(self) -> dict[str, MasterRow]:
        """FIGI → its row. Raises InvalidInput telling every fault of the file."""
        master = read_security_master(self.csv_path)
        lookup_path = self.configuration.figi_lookup_path
        rows = master.by_figi(read_figi_lookup(lookup_path) if lookup_path is not None else None)
        if not rows:
            raise InvalidInput(f"{self.csv_path} has {len(master.rows):,} rows and no FIGI in any.", field="csv_path")
        without = sum(not row.figis for row in master.rows)
        self.logger.info("%s SecIds read, %s FIGIs", f"{len(master.rows):,}", f"{len(rows):,}")
        if without:
            self.logger.info("%s SecIds have no FIGI and no row", f"{without:,}")
        if master.absent:
            self.logger.warning("the file lacks %s; the columns stay empty", ", ".join(master.absent))
        if master.columns:
            self.logger.warning("kept as text, though AlgoSeek does not document it: %s", ", ".join(master.columns))
        self._own_columns = master.columns
        self._rows = rows
        return rows

    def _column_names(self) -> list[str]:
        return [*(name.lower() for name in COLUMNS), *self._own_columns]


class AlgoSeekSecMasDEM(AlgoSeekSecurityMaster):
    """The same node and table in the spelling of the tutorial: what is read by it is indexed by `unique_identifier`."""

    def _hash(self, purpose: Any) -> str:
        plain = AlgoSeekSecurityMaster(self.configuration, hash_namespace=self.hash_namespace)
        return plain._hash(purpose)

    def get_df_between_dates(self, *arguments: Any, **options: Any) -> pd.DataFrame:
        frame = super().get_df_between_dates(*arguments, **options)
        return frame.rename_axis(index={ASSET_DIMENSION: "unique_identifier"})


def load_security_master(csv_path: str | Path) -> pd.DataFrame:
    """A master's file as a frame, a row for each FIGI: `unique_identifier` (the FIGI), `latest_figi`, and every column.

    Nothing is registered and nothing stored. Raises InvalidInput telling every fault of the file.
    """
    rows = read_security_master(csv_path).by_figi()
    cells = [{"unique_identifier": figi, **row.cells, LATEST_FIGI: row.latest_figi} for figi, row in rows.items()]
    return pd.DataFrame(cells, dtype="str")


def identifiers_of_figis(figis: Sequence[str]) -> dict[str, str]:
    """FIGI → identifier of its asset, of those that are registered: by identifier, or by their OpenFIGI details."""
    details = OpenFigiDetails.objects.filter(figi__in=figis).values_list("figi", "asset__unique_identifier")
    assets = Asset.objects.filter(unique_identifier__in=figis).values_list("unique_identifier", flat=True)
    return dict(details) | {name: name for name in assets}


def configured(model: type[Any], configuration: Any, fields: Mapping[str, Any]) -> Any:
    """The configuration that was given, as the first field or by name, or one of the fields that are not None."""
    first = next(iter(fields))
    if isinstance(fields[first], model):
        configuration, fields = fields[first], {name: value for name, value in fields.items() if name != first}
    if configuration is None:
        given = {name: str(value) if isinstance(value, Path) else value for name, value in fields.items()}
        return model(**{name: value for name, value in given.items() if value is not None})
    given_too = [name for name, value in fields.items() if value not in (None, False)]
    if given_too:
        raise InvalidInput(f"Give the configuration or {', '.join(given_too)}, not both.", field="configuration")
    return configuration


def _refuse_shared(identifiers: Mapping[str, str], path: str) -> None:
    """Two FIGIs of one asset would be one row."""
    names, counts = np.unique(list(identifiers.values()), return_counts=True)
    for name in names[counts > 1].tolist():
        figis = [figi for figi, owner in identifiers.items() if owner == name]
        raise InvalidInput(
            f"{path}: the FIGIs {' and '.join(figis)} are both of the asset {clipped(name)}. Correct its OpenFIGI "
            "details: an asset has one FIGI.",
            field="csv_path",
        )


def _label(name: str) -> str:
    documented = {column.lower(): column for column in COLUMNS}
    return "Latest FIGI" if name == LATEST_FIGI else documented.get(name, name)
