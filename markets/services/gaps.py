"""Which sessions a DataNode's table is missing, asset by asset."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from markets.data_nodes.backfill_requests import clean_assets, clean_bound
from markets.data_nodes.configuration import build_node
from markets.data_nodes.gaps import GapReport, report_gaps, stored_identities
from markets.data_nodes.node import DataNode
from markets.data_nodes.node_calendars import calendar_for
from markets.exceptions import Conflict, InvalidInput, MSMError
from markets.models import NodeUpdate, StorageNode, UpdateStatistic

logger = logging.getLogger(__name__)
CSV_HEADER = ("asset_identifier", "from", "to", "missing_sessions")


@dataclass(frozen=True)
class GapTarget:
    """A table and, where it is known, the update and the node that tell its calendar and its part of the table."""

    storage: StorageNode
    update: NodeUpdate | None
    node: DataNode | None
    scope: Mapping[str, str]

    @classmethod
    def of(cls, target: NodeUpdate | StorageNode | DataNode) -> "GapTarget":
        """Raises Conflict for a table that nodes share when the node's class cannot be built, NotFound for a node that
        never ran."""
        if isinstance(target, DataNode):
            own = target.get_node_update()
            return cls(own.storage, own, target, dict(target.statistics_scope()))
        if isinstance(target, StorageNode):
            update = target.updates.select_related("storage").order_by("pk").first()
            if update is None or not target.is_engine_table:
                return cls(target, update, None, {})
            return cls(target, update, _node(update), {})
        node = _node(target)
        if node is None and not target.storage.is_engine_table:
            raise Conflict(f"{target.class_name} cannot be built here, so its part of {target.storage} is not known.")
        return cls(target.storage, target, node, dict(node.statistics_scope()) if node is not None else {})

    def assets(self) -> QuerySet[UpdateStatistic]:
        """The statistics of what has rows, in the order of the identifiers."""
        return stored_identities(self.storage, self.scope).order_by("identity")

    def only(self, names: Sequence[str]) -> QuerySet[UpdateStatistic]:
        """Those of `assets()` that have one of these names."""
        free = self._free()
        if free is None:
            raise InvalidInput(f"{self.storage} has no dimension that names assets.", field="asset_identifier")
        return self.assets().filter(**{f"identity__{free}__in": list(names)})

    def name_of(self, row: UpdateStatistic) -> str:
        """What the report calls the identity of a statistics row."""
        free = self._free()
        return row.identity[free] if free is not None else ""

    def _free(self) -> int | None:
        """The place, in an identity, of the dimension that the report tells apart."""
        names = self.storage.index_names[1:]
        return next((place for place, name in enumerate(names) if name not in self.scope), None)


def gap_report(
    target: NodeUpdate | StorageNode | DataNode | GapTarget,
    start: object = None,
    end: object = None,
    assets: Iterable[object] | None = None,
    calendar: str | None = None,
    asset_calendars: Mapping[str, str] | None = None,
) -> GapReport:
    """The sessions between two instants, both included, that a table should have by its calendar and has not.

    Dates stand for their whole UTC day. Without `start` the report begins with the first row, without `end`, or with
    one to come, it ends now. An asset is expected from its first row on. `calendar` counts instead of the node's;
    `asset_calendars` maps assets to calendars of their own. Nothing is written, and no value column is read.

    Raises InvalidInput for a naive time or where no calendar is known, NotFound for one that does not exist,
    UnknownIdentifiers for assets that there are not.
    """
    place = target if isinstance(target, GapTarget) else GapTarget.of(target)
    names = None if assets is None else clean_assets(assets)
    return _report(place, start, end, names, calendar, asset_calendars)


def gap_report_of_rows(
    target: GapTarget, rows: Sequence[UpdateStatistic], start: object, end: object, calendar: str | None
) -> GapReport:
    """The report on the assets of these statistics rows, of one page of them for instance."""
    names = [target.name_of(row) for row in rows]
    return _report(target, start, end, None if names == [""] else names, calendar, None)


def spell_lines(report: GapReport) -> Iterator[tuple[Any, ...]]:
    """The lines of a file under CSV_HEADER, one a spell."""
    for asset, spell in report.spells():
        yield asset, spell.start, spell.end, spell.count


def _report(
    place: GapTarget,
    start: object,
    end: object,
    names: Sequence[str] | None,
    calendar: str | None,
    asset_calendars: Mapping[str, str] | None,
) -> GapReport:
    now = timezone.now()
    first = None if start is None else clean_bound(start, "start")
    last = now if end is None else clean_bound(end, "end")
    if first is not None and first > last:
        raise InvalidInput(
            f"start={first.isoformat()} is after end={last.isoformat()}. Give the earlier one as start.", field="start"
        )
    return report_gaps(
        place.storage,
        start=first,
        end=min(last, now),
        calendar=calendar_for(place.update, place.storage, calendar, place.node),
        scope=place.scope,
        assets=names,
        asset_calendars=asset_calendars,
    )


def _node(update: NodeUpdate) -> DataNode | None:
    """The node, None where its class is not to be had here: most reports can do without."""
    try:
        return build_node(update.build_configuration)
    except MSMError:
        return None
    except Exception:  # a user's class may raise anything
        logger.warning("cannot build %s", update, exc_info=True)
        return None
