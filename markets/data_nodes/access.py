"""Reading what a DataNode has stored: with its code, and by published identifier without it."""

import datetime as dt
import difflib
import functools
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import pandas as pd
from django.db import connection

from markets.data_nodes import reads
from markets.data_nodes.coordinates import Coordinate, DimensionRange, chosen
from markets.data_nodes.hash_namespaces import ambient_namespace
from markets.data_nodes.plain_rows import plain_row
from markets.data_nodes.statistics import UpdateStatistics, identifiers_of, load_statistics
from markets.engine.namespaces import qualified
from markets.engine.text import storable_text
from markets.exceptions import InvalidInput, NotFound, clipped
from markets.models import StorageNode


class StoredData:
    """The reading half of a node: whoever knows its table has these methods."""

    is_api: ClassVar[bool] = False
    OFFSET_START: dt.datetime = dt.datetime(2018, 1, 1, tzinfo=dt.UTC)
    storage_hash: Any

    def statistics_scope(self) -> Mapping[str, str]:
        """The values of dimensions that all rows of this node share, where several nodes write one table."""
        return {}

    def get_storage(self) -> StorageNode:
        """The registered table of this node. Raises NotFound before the first run."""
        storage = plain_row(StorageNode, "storage_hash", self.storage_hash)
        if storage is None:
            raise NotFound(f"{type(self).__name__} ({self.storage_hash}) has no table yet. Run it first: node.run().")
        return storage

    @functools.cached_property
    def update_statistics(self) -> UpdateStatistics:
        """The statistics of the table: of a node that runs those of its run, else as they were when first asked for."""
        return self.get_update_statistics()

    def forget_statistics(self) -> None:
        """Let `update_statistics` be read anew when it is asked for next."""
        vars(self).pop("update_statistics", None)

    def get_update_statistics(self) -> UpdateStatistics:
        """The statistics of the table as they are now."""
        return load_statistics(self.get_storage(), self.statistics_scope())

    def get_df_between_dates(
        self,
        start_date: dt.datetime | None = None,
        end_date: dt.datetime | None = None,
        unique_identifier_list: Sequence[str] | None = None,
        great_or_equal: bool = True,
        less_or_equal: bool = True,
        unique_identifier_range_map: reads.RangeMap | None = None,
        columns: Sequence[str] | None = None,
        *,
        dimension_filters: Mapping[str, Sequence[str]] | None = None,
        index_coordinates: Iterable[Coordinate] | None = None,
        dimension_range_map: Iterable[DimensionRange] | None = None,
    ) -> pd.DataFrame:
        """Stored rows between two aware instants, inclusive unless told; see `markets.data_nodes.reads.read_frame`.

        `dimension_filters` maps a dimension to its wanted values. `index_coordinates` lists identities, each as a
        mapping of all dimensions to one value; `dimension_range_map` gives each such `coordinate` a window of its own,
        with the keys of a range map. Of these two and `unique_identifier_range_map` one can be given; whatever else is
        given narrows it. Dimensions that `statistics_scope()` fixes may be left out.

        An empty list or map gives an empty frame with the index names and columns of the table. Raises InvalidInput for
        an unknown dimension and for a coordinate that lacks one, WrongType (a TypeError) for what is no list of
        mappings, NotFound before the first run.
        """
        storage = self.get_storage()
        wanted = chosen(
            storage,
            self.statistics_scope(),
            unique_identifier_list=unique_identifier_list,
            unique_identifier_range_map=unique_identifier_range_map,
            dimension_filters=dimension_filters,
            index_coordinates=index_coordinates,
            dimension_range_map=dimension_range_map,
        )
        return reads.read_frame(
            storage,
            start_date=start_date,
            end_date=end_date,
            great_or_equal=great_or_equal,
            less_or_equal=less_or_equal,
            dimension_filters=wanted.filters,
            range_map=wanted.range_map,
            columns=columns,
        )

    def get_ranged_data_per_asset(
        self, range_descriptor: reads.RangeMap, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Stored rows, each asset in a window of its own, in one query."""
        return self.get_df_between_dates(unique_identifier_range_map=range_descriptor, columns=columns)

    def get_ranged_data_per_asset_great_or_equal(
        self, range_descriptor: reads.RangeMap, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """The same with every start included, whatever operand the map has."""
        windows: dict[Any, reads.IdentityRange] = {
            identity: {**window, "start_date_operand": ">="} for identity, window in range_descriptor.items()
        }
        return self.get_ranged_data_per_asset(windows, columns)

    def get_last_observation(self, asset_list: Sequence[Any] | None = None) -> pd.DataFrame:
        """The latest row of each identity."""
        dimensions = [name for name in self.get_storage().index_names[1:] if name not in self.statistics_scope()]
        statistics = self.get_update_statistics()
        if not dimensions:
            return self.get_df_between_dates(start_date=statistics.max_time_index_value)
        if asset_list is not None and len(dimensions) == 1:
            wanted = set(identifiers_of(asset_list))
            last = {name: time for name, time in statistics.index_progress.items() if name in wanted}
        elif asset_list is not None:
            scoped = statistics.update_assets(asset_list, init_fallback_date=self.OFFSET_START)
            last = scoped.index_progress
        else:
            last = statistics.index_progress
        windows: dict[Any, reads.IdentityRange] = {identity: {"start_date": time} for identity, time in last.items()}
        return self.get_ranged_data_per_asset(windows)


class APIDataNode(StoredData):
    """A stored table, read without the code that writes it: by its published identifier, or by its name.

    As a dependency it is read as it is: a run never updates it. An identifier that is asked for within a hash namespace
    is looked for there first; from outside the tables of a namespace are found under their full names only.
    """

    is_api = True

    def __init__(self, identifier: str | None = None, *, table_name: str | None = None) -> None:
        if (identifier is None) == (table_name is None):
            raise InvalidInput("Name the table by its identifier or by its table_name: one of the two.")
        self.identifier = identifier
        self.table_name = table_name
        self.hash_namespace = ambient_namespace()
        self.arguments: dict[str, Any] = {"identifier": identifier} if identifier else {"table_name": table_name}

    @classmethod
    def build_from_identifier(cls, identifier: str) -> "APIDataNode":
        """The table published under this identifier. Raises NotFound, with near ones, when there is none."""
        node = cls(identifier)
        node.get_storage()
        return node

    @classmethod
    def build_from_table_uid(cls, uid: uuid.UUID | str) -> "APIDataNode":
        """The table with this uid, published or not. Raises NotFound."""
        found = StorageNode.objects.filter(uid=_uid(uid)).first()
        if found is None:
            raise NotFound(f"No table has the uid {uid}. The back-office lists tables under Storage.")
        return cls(found.identifier) if found.identifier else cls(table_name=found.table_name)

    @classmethod
    def build_from_table(cls, schema: str, table_name: str) -> "APIDataNode":
        """The table of a DataNode that the database knows as `schema.table_name`.

        The schema is that of this process: public, or its namespace's. Raises NotFound for another schema or table.
        """
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_schema()")
            own = str(cursor.fetchone()[0])
        if schema != own:
            raise NotFound(
                f"This process reads the schema {own!r}, not {clipped(str(schema))!r}. Start it in that namespace: "
                "msm.start_engine(namespace=…)."
            )
        node = cls(table_name=table_name)
        node.get_storage()
        return node

    @functools.cached_property
    def storage_hash(self) -> str:
        return self.get_storage().storage_hash

    @functools.cached_property
    def update_hash(self) -> str:
        return f"API_{self.get_storage().table_name}"[:63]

    def get_storage(self) -> StorageNode:
        if self.identifier is None:
            return self._by_table_name()
        name = storable_text(self.identifier)
        names = dict.fromkeys([qualified(name, self.hash_namespace), name])
        stored = StorageNode.objects.in_bulk(names, field_name="identifier")
        found = next((stored[name] for name in names if name in stored), None)
        if found is None:
            known = sorted(filter(None, StorageNode.objects.values_list("identifier", flat=True)))
            near = difflib.get_close_matches(self.identifier, known, n=3, cutoff=0.5)
            listed = ", ".join(known[:10]) or "none yet"
            hint = f"Did you mean {' or '.join(near)}?" if near else f"Published: {listed}."
            raise NotFound(f"No table is published as {clipped(self.identifier)!r}. {hint}")
        return found

    def _by_table_name(self) -> StorageNode:
        name = storable_text(str(self.table_name))
        found = StorageNode.objects.filter(table_name=name).first()
        if found is None:
            raise NotFound(
                f"No DataNode has a table {clipped(name)!r}. The back-office lists the tables under Storage."
            )
        return found

    def update(self) -> None:
        """Nothing: who writes the table updates it."""

    def run(self, *args: Any, **options: Any) -> pd.DataFrame:
        """Refused: a table that is read by identifier is updated by the node that writes it."""
        name = self.identifier or self.table_name
        raise InvalidInput(
            f"{name} is read by its identifier and cannot be run here. Run the DataNode that writes it: "
            f"manage.py run_node {name}."
        )


def _uid(value: uuid.UUID | str) -> uuid.UUID:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(str(value))
    except ValueError:
        raise InvalidInput(f"{clipped(str(value))!r} is no uid.", field="uid") from None
