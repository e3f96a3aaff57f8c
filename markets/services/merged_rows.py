"""Rows of bulk calls that would write to merged assets, or name one: refused, each with the asset that stays."""

from collections.abc import Iterator

from psycopg import sql

from markets.models import Asset
from markets.services.bulk_stage import STAGE, Fault, StagedRows

_ASSETS = sql.Identifier(Asset._meta.db_table)


def staged_merged(stage: StagedRows) -> Iterator[Fault]:
    """Rows whose own asset was merged."""
    yield from _named(stage, "unique_identifier", by="unique_identifier")


def staged_merged_references(stage: StagedRows, field: str) -> Iterator[Fault]:
    """Rows whose `field` holds the uid of a merged asset."""
    if stage.has(field):
        yield from _named(stage, field, by="uid")


def _named(stage: StagedRows, field: str, *, by: str) -> Iterator[Fault]:
    rows = stage.rows(
        sql.SQL(
            "SELECT s.position, e.unique_identifier, k.unique_identifier FROM {stage} AS s "
            "JOIN {assets} AS e ON e.{by} = s.{field} JOIN {assets} AS k ON k.id = e.merged_into_id"
        ).format(stage=STAGE, assets=_ASSETS, by=sql.Identifier(by), field=sql.Identifier(field))
    )
    for position, dropped, kept in rows:
        yield position, field, f"{dropped} was merged into {kept}. Name that one, or undo the merge."
