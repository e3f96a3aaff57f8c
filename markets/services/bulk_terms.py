"""Bulk upsert of assets with terms: the assets and their rows of terms, merged in one transaction.

The assets are locked first, in the order of their identifiers, so that what was checked is what is merged.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, models
from psycopg import sql

from markets.constants import AssetTypeDefinition
from markets.exceptions import Conflict, InvalidInput
from markets.models import Asset, AssetType
from markets.models.details import CURRENCY_TYPES, AssetDetails
from markets.services.asset_types import ensure_asset_type
from markets.services.bulk_stage import MEANWHILE, STAGE, Clean, Entity, Fault, StagedRows, by_name, column_of
from markets.services.details import Check, clean_reference, no_currency, no_such_row
from markets.services.merged_rows import staged_merged, staged_merged_references
from markets.services.type_changes import currency_refusal, staged_assets_of_type
from markets.services.values import clean_identifier

ASSETS = sql.Identifier(Asset._meta.db_table)
ROWS_AT_ONCE = 10_000
READ_ONLY = {
    "asset_uid": "asset__uid",
    **{name: name for name in ("uid", "asset_type", "created_at", "updated_at")},
}


@dataclass(frozen=True, kw_only=True)
class TermsEntity(Entity):
    """A kind of terms. `targets` says which rows its fields name by uid, `currencies` which of them are currencies.

    `check` is that of the single-row service; `taken` gives the faults of rows that another row is in the way of.
    """

    definition: AssetTypeDefinition
    targets: Mapping[str, type[models.Model]]
    currencies: tuple[str, ...]
    check: Check
    taken: Callable[["TermsStage"], Iterable[Fault]] | None

    def stage(self) -> "TermsStage":
        return TermsStage(self)


def terms_entity(
    model: type[AssetDetails],
    definition: AssetTypeDefinition,
    *,
    fields: Iterable[str],
    clean: Callable[[dict[str, Any]], dict[str, Any]],
    targets: Mapping[str, type[models.Model]],
    required: Iterable[str],
    check: Check,
    currencies: tuple[str, ...] = (),
    taken: Callable[["TermsStage"], Iterable[Fault]] | None = None,
) -> TermsEntity:
    """`clean` cleans the fields that name no row; `required` are the terms that a new row needs."""
    values = by_name(lambda **given: clean(given), (name for name in fields if name not in targets))
    cleaners: dict[str, Clean] = values | by_name(_clean_references, targets)
    needed = set(required)
    return TermsEntity(
        noun=str(model._meta.verbose_name),
        model=model,
        key="unique_identifier",
        clean_key=clean_identifier,
        clean={name: cleaners[name] for name in fields},
        defaults={},
        read_only=READ_ONLY,
        required=tuple(name for name in fields if term(name) in needed),
        definition=definition,
        targets=targets,
        currencies=currencies,
        check=check,
        taken=taken,
    )


def term(field: str) -> str:
    """The term that a field gives."""
    return field.removesuffix("_uid")


def _clean_references(**given: object) -> dict[str, Any]:
    return {field: clean_reference(value, field=field) for field, value in given.items()}


class TermsStage(StagedRows):
    """The staged rows `s`; a field that names a row holds its uid."""

    entity: TermsEntity

    def __init__(self, entity: TermsEntity) -> None:
        super().__init__(entity)
        self.table = sql.Identifier(entity.model._meta.db_table)
        self.columns = {name: column_of(entity.model, term(name)) for name in self.fields}
        self.new_assets: set[int] = set()

    def create(self) -> None:
        columns = [sql.Composed([sql.SQL("0 AS position, 0::bigint AS given, a.uid, a.unique_identifier")])]
        for name in self.fields:
            source = (
                sql.SQL("NULL::uuid") if name in self.entity.targets else sql.SQL("t.{}").format(self.columns[name])
            )
            columns.append(sql.SQL("{} AS {}").format(source, sql.Identifier(name)))
        self._create(columns, [sql.SQL("{} AS a").format(ASSETS), sql.SQL("{} AS t").format(self.table)])

    def settle(self) -> None:
        """Beside an index and statistics: locks on the assets, and on what the rows name."""
        super().settle()
        self.execute(
            sql.SQL(
                "SELECT count(*) FROM (SELECT 1 FROM {} AS a JOIN {} AS s ON s.unique_identifier = a.unique_identifier "
                "ORDER BY a.unique_identifier FOR NO KEY UPDATE OF a) AS locked"
            ).format(ASSETS, STAGE)
        )
        for model in dict.fromkeys(self.entity.targets.values()):
            names = [name for name, target in self.entity.targets.items() if target is model and self.has(name)]
            if names:
                self._keep(model, names)

    def remove(self, positions: Iterable[int]) -> None:
        rejected = set(positions)
        super().remove(rejected)
        self.new_assets -= rejected

    def missing(self, name: str) -> list[int]:
        found = self.rows(
            sql.SQL(
                "SELECT s.position FROM {} AS s LEFT JOIN {} AS a ON a.unique_identifier = s.unique_identifier "
                "LEFT JOIN {} AS t ON t.asset_id = a.id WHERE t.asset_id IS NULL AND NOT {}"
            ).format(STAGE, ASSETS, self.table, self.given(name))
        )
        return [position for (position,) in found]

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        yield from staged_merged(self)
        for name, target in self.entity.targets.items():
            if target is Asset:
                yield from staged_merged_references(self, name)
        yield from staged_assets_of_type(self, self.entity.definition.asset_type)
        yield from self._broken_rules()
        if self.entity.taken is not None:
            yield from self.entity.taken(self)

    def merge(self, now: dt.datetime) -> list[tuple[int, bool]]:
        definition = self.entity.definition
        if self.ever and not AssetType.objects.filter(asset_type=definition.asset_type).exists():
            ensure_asset_type(**definition.as_payload())
        stamp, asset_type = sql.Literal(now), sql.Literal(definition.asset_type)
        made = self.rows(
            sql.SQL(
                "INSERT INTO {assets} (uid, unique_identifier, asset_type, is_custom_by_organization, created_at, "
                "updated_at) SELECT s.uid, s.unique_identifier, {type}, TRUE, {now}, {now} FROM {stage} AS s "
                "LEFT JOIN {assets} AS a ON a.unique_identifier = s.unique_identifier WHERE a.id IS NULL "
                "ORDER BY s.unique_identifier ON CONFLICT (unique_identifier) DO NOTHING RETURNING id"
            ).format(assets=ASSETS, type=asset_type, now=stamp, stage=STAGE)
        )
        if len(made) != len(self.new_assets):  # one that was new when it was checked is another caller's now
            raise Conflict(MEANWHILE)
        retyped = self.rows(
            sql.SQL(
                "UPDATE {} AS a SET asset_type = {type}, updated_at = {} FROM {} AS s WHERE a.unique_identifier = "
                "s.unique_identifier AND a.asset_type IS DISTINCT FROM {type} RETURNING s.position"
            ).format(ASSETS, stamp, STAGE, type=asset_type)
        )
        columns = list(self.columns.values())
        written = self.rows(
            sql.SQL(
                "WITH m AS MATERIALIZED (SELECT * FROM ({merged}) AS m WHERE differs), w AS (INSERT INTO {table} "
                "(asset_id, {columns}, created_at, updated_at) SELECT asset_id, {columns}, {now}, {now} FROM m "
                "ORDER BY unique_identifier ON CONFLICT (asset_id) DO UPDATE SET {settings}, "
                "updated_at = EXCLUDED.updated_at RETURNING asset_id) "
                "SELECT m.position, m.is_new FROM m JOIN w USING (asset_id)"
            ).format(
                merged=self.merged(),
                table=self.table,
                columns=sql.SQL(", ").join(columns),
                now=stamp,
                settings=sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(column) for column in columns),
            )
        )
        return list(({position: False for (position,) in retyped} | dict(written)).items())

    def merged(self) -> sql.Composed:
        """A query of the rows as they will be stored, with a column for each of the terms.

        Beside them it has `position`, `asset_id`, `unique_identifier`, `stored_type` (the asset's), `is_new` and
        `differs` (of the terms), and `given_<field>`, the uid that a row gives, for each field that names a row.
        """
        values, differs, joins = [], [sql.Composed([sql.SQL("t.asset_id IS NULL")])], []
        for place, (name, column) in enumerate(self.columns.items()):
            staged = sql.Composed([sql.SQL("s."), sql.Identifier(name)])
            if name in self.entity.targets:
                target = sql.Identifier(f"r{place}")
                table = sql.Identifier(self.entity.targets[name]._meta.db_table)
                joins.append(sql.SQL("LEFT JOIN {} AS {} ON {}.uid = {}").format(table, target, target, staged))
                values.append(sql.SQL("{} AS {}").format(staged, sql.Identifier(f"given_{name}")))
                staged = sql.SQL("{}.id").format(target)
            given = self.given(name)
            values.append(sql.SQL("CASE WHEN {} THEN {} ELSE t.{} END AS {}").format(given, staged, column, column))
            differs.append(sql.SQL("({} AND t.{} IS DISTINCT FROM {})").format(given, column, staged))
        return sql.SQL(
            "SELECT s.position, a.id AS asset_id, s.unique_identifier, a.asset_type AS stored_type, "
            "t.asset_id IS NULL AS is_new, {differs} AS differs, {values} FROM {stage} AS s "
            "LEFT JOIN {assets} AS a ON a.unique_identifier = s.unique_identifier "
            "LEFT JOIN {table} AS t ON t.asset_id = a.id {joins}"
        ).format(
            differs=sql.SQL(" OR ").join(differs),
            values=sql.SQL(", ").join(values),
            stage=STAGE,
            assets=ASSETS,
            table=self.table,
            joins=sql.SQL(" ").join(joins),
        )

    def _keep(self, model: type[models.Model], names: Iterable[str]) -> None:
        """Nobody deletes the rows that these fields name before the call ends."""
        uids = sql.SQL(" UNION ").join(
            sql.SQL("SELECT {} FROM {}").format(sql.Identifier(name), STAGE) for name in names
        )
        self.execute(
            sql.SQL(
                "SELECT count(*) FROM (SELECT 1 FROM {} WHERE uid IN ({}) ORDER BY id FOR KEY SHARE) AS kept"
            ).format(sql.Identifier(model._meta.db_table), uids)
        )

    def _broken_rules(self) -> Iterator[Fault]:
        users: dict[int, str] = {}
        currencies: dict[int, tuple[int, str]] = {}
        noun = self.entity.noun
        for row in self._merged_rows():
            if row.asset.pk is None:
                self.new_assets.add(row.position)
            elif row.asset.asset_type in CURRENCY_TYPES:
                currencies[row.asset.pk] = (row.position, row.asset.unique_identifier)
            terms = dict(row.values)
            for name, reference in row.references.items():
                terms[term(name)] = reference.row
                if reference.row is None:
                    if reference.given is not None:
                        target = self.entity.targets[name]
                        yield row.position, name, no_such_row(name, reference.given, target)
                elif name in self.entity.currencies:
                    if reference.given is not None and reference.row.asset_type not in CURRENCY_TYPES:
                        yield row.position, name, no_currency(name, reference.row)
                    if reference.row != row.asset:
                        users.setdefault(reference.row.pk, row.asset.unique_identifier)
            if all(terms[term(name)] is not None for name in self.entity.required):
                try:
                    self.entity.check(row.asset, terms)
                except InvalidInput as error:
                    yield row.position, error.field or self.entity.key, str(error)
        for pk in users.keys() & currencies.keys():  # one row's currency is another's asset
            position, identifier = currencies[pk]
            yield position, self.entity.key, currency_refusal(identifier, noun, users[pk])

    def _merged_rows(self) -> Iterator["MergedRow"]:
        """In the order of the input, read piece by piece."""
        values = [name for name in self.fields if name not in self.entity.targets]
        columns = [sql.SQL("m.{}").format(self.columns[name]) for name in values]
        joins = []
        for place, (name, model) in enumerate(self.entity.targets.items()):
            table, target = sql.Identifier(model._meta.db_table), sql.Identifier(f"n{place}")
            joins.append(
                sql.SQL("LEFT JOIN {} AS {} ON {}.id = m.{}").format(table, target, target, self.columns[name])
            )
            asset_type = sql.SQL("{}.asset_type").format(target) if model is Asset else sql.NULL
            columns.append(
                sql.SQL("m.{given}, {target}.id, {target}.unique_identifier, {type}").format(
                    given=sql.Identifier(f"given_{name}"), target=target, type=asset_type
                )
            )
        statement = sql.SQL(
            "SELECT m.position, m.asset_id, m.unique_identifier, m.stored_type, {} FROM ({}) AS m {} "
            "ORDER BY m.position"
        ).format(sql.SQL(", ").join(columns), self.merged(), sql.SQL(" ").join(joins))
        with connection.chunked_cursor() as cursor:
            cursor.execute(statement)
            while found := cursor.fetchmany(ROWS_AT_ONCE):
                for position, pk, identifier, asset_type, *cells in found:
                    asset = Asset(pk=pk, unique_identifier=identifier, asset_type=asset_type)
                    references = {
                        name: Reference.read(model, *cells[first : first + 4])
                        for first, (name, model) in zip(
                            range(len(values), len(cells), 4), self.entity.targets.items(), strict=True
                        )
                    }
                    yield MergedRow(position, asset, dict(zip(values, cells, strict=False)), references)


@dataclass(frozen=True)
class Reference:
    """What a field names: the uid that this row gives, and the row with it, or the stored one."""

    given: Any
    row: Any

    @classmethod
    def read(cls, model: Any, given: object, pk: int | None, identifier: str, asset_type: str | None) -> "Reference":
        if pk is None:
            return cls(given, None)
        more = {"asset_type": asset_type} if model is Asset else {}
        return cls(given, model(pk=pk, unique_identifier=identifier, **more))


@dataclass(frozen=True)
class MergedRow:
    """A row as it will be stored; the asset has no id when it is new."""

    position: int
    asset: Asset
    values: Mapping[str, Any]
    references: Mapping[str, Reference]
