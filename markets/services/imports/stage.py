"""The stage of a bulk call, and what an import asks of it: duplicates, differences, rows that a preview kept."""

from collections.abc import Iterable, Iterator
from typing import Literal

from django.db import models
from psycopg import sql

from markets.models import ImportRow, ImportRun
from markets.services.bulk_stage import STAGE, Stage, column_of

ROWS = sql.Identifier(ImportRow._meta.db_table)
Side = Literal[0, 1]  # of an entry of `changes`: what was stored, what the file says
STORED: Side = 0
IN_FILE: Side = 1


class ImportStage(Stage):
    """`position` is the row's number in the file."""

    def join_as_sets(self) -> None:
        """Until the transaction ends no join goes row by row.

        What the planner knows of the tables is from before this transaction, which may fill them a hundredfold: it
        would take thousands of rows for one, and read a table once for each of them.
        """
        self.execute(sql.SQL("SET LOCAL enable_nestloop = off"))

    # --- the preview -------------------------------------------------------------------------------------------------
    def duplicates(self) -> Iterator[tuple[str, list[int], list[str]]]:
        """(key, rows in order, fields in which they differ) of each key that several rows have."""
        fields = sql.SQL(", ").join(
            sql.SQL("CASE WHEN count(DISTINCT (CASE WHEN {} THEN to_jsonb(s.{}) END, {})) > 1 THEN {} END").format(
                self.given(name), sql.Identifier(name), self.given(name), sql.Literal(name)
            )
            for name in self.fields
            if self.has(name)
        )
        found = self.rows(
            sql.SQL(
                "SELECT s.{key}, array_agg(s.position ORDER BY s.position), "
                "array_remove(ARRAY[{fields}]::text[], NULL) FROM {stage} AS s WHERE s.{key} IN "
                "(SELECT {key} FROM {stage} GROUP BY {key} HAVING count(*) > 1) "
                "GROUP BY s.{key} ORDER BY min(s.position)"
            ).format(key=self._key, stage=STAGE, fields=fields)
        )
        yield from found

    def classify(self, run: ImportRun) -> None:
        """Write a row of the import for each staged one: create, update with the differences, or same."""
        self.execute(
            sql.SQL(
                'INSERT INTO {rows} (run_id, "row", key, outcome, changes, target, seen_at, had_details) '
                "SELECT {run}, s.position, s.{key}, CASE WHEN e.id IS NULL THEN 'create' "
                "WHEN c.changes = '{{}}' THEN 'same' ELSE 'update' END, "
                "CASE WHEN e.id IS NULL OR c.changes <> '{{}}' THEN c.changes END, "
                "coalesce(e.uid, s.uid), e.updated_at, {had_details} FROM {stage} AS s {joins} "
                "CROSS JOIN LATERAL (SELECT {changes} AS changes) AS c"
            ).format(
                rows=ROWS,
                run=sql.Literal(run.pk),
                key=self._key,
                stage=STAGE,
                joins=self._all_joins(),
                had_details=self._has_extension_row(),
                changes=self._changes(),
            )
        )

    def _changes(self) -> sql.Composable:
        """Field → [stored, in the file] of what differs; of a new row, of what has a value."""
        parts: list[sql.Composable] = []
        for name in self.fields:
            if not self.has(name) and name not in self.entity.clean:
                continue
            staged = sql.SQL("s.{}").format(sql.Identifier(name))
            stored = self._stored(name)
            parts.append(
                sql.SQL(
                    "CASE WHEN CASE WHEN e.id IS NULL THEN {staged} IS NOT NULL ELSE {given} AND {stored} IS DISTINCT "
                    "FROM {staged} END THEN jsonb_build_object({name}, jsonb_build_array({stored}, {staged})) "
                    "ELSE '{{}}' END"
                ).format(staged=staged, given=self.given(name), stored=stored, name=sql.Literal(name))
            )
        return sql.SQL(" || ").join(parts)

    # --- applying and undoing ----------------------------------------------------------------------------------------
    def fill(self, rows: sql.Composable, side: Side) -> None:
        """Stage rows of the import, `rows` being a query of (row, key, target, changes): one side of their changes."""
        bits = sql.SQL(" ").join(
            sql.SQL("WHEN {} THEN {}").format(sql.Literal(name), sql.Literal(bit)) for name, bit in self.bits.items()
        )
        kept = sql.SQL(", ").join(
            sql.SQL("{}, e.{}").format(sql.Literal(name), column_of(self.entity.model, name))
            for name in self.entity.clean
        )
        self.execute(
            sql.SQL(
                "INSERT INTO {stage} SELECT r.* FROM ({rows}) AS i LEFT JOIN {base} AS e ON e.{key} = i.key "
                "CROSS JOIN LATERAL (SELECT coalesce(jsonb_object_agg(c.name, c.pair -> {side}), '{{}}') AS given, "
                "coalesce(sum(CASE c.name {bits} END), 0) AS mask FROM jsonb_each(i.changes) AS c(name, pair)) AS n "
                "CROSS JOIN LATERAL (SELECT CASE WHEN e.id IS NULL THEN '{{}}'::jsonb ELSE jsonb_build_object({kept}) "
                "END AS kept, jsonb_build_object('position', i.\"row\", 'given', n.mask, {name}, i.key, 'uid', "
                "CASE WHEN e.id IS NULL THEN i.target ELSE gen_random_uuid() END) AS own) AS o "
                "CROSS JOIN LATERAL jsonb_populate_record(NULL::{stage}, o.kept || n.given || o.own) AS r"
            ).format(
                stage=STAGE,
                rows=rows,
                base=self.base,
                key=self.key,
                side=sql.Literal(side),
                bits=bits,
                kept=kept,
                name=sql.Literal(self.entity.key),
            )
        )
        ((ever, always),) = self.rows(sql.SQL("SELECT bit_or(given), bit_and(given) FROM {}").format(STAGE))
        self.ever, self.always = ever or 0, always or 0

    def differing(self, run: ImportRun, side: Side, *, whole: bool = False) -> list[tuple[int, list[str]]]:
        """(row, fields) of the staged rows whose stored values are not those of this side of the changes.

        `whole` looks at every field: one that the changes do not name must be empty.
        """
        names = [name for name in self.fields if whole or self.has(name)]
        if not names:
            return []
        fields = sql.SQL(", ").join(
            sql.SQL(
                "CASE WHEN {} AND to_jsonb({}) IS DISTINCT FROM nullif(i.changes -> {} -> {}, 'null') THEN {} END"
            ).format(
                sql.SQL("TRUE") if whole else self.given(name),
                self._stored(name),
                sql.Literal(name),
                sql.Literal(side),
                sql.Literal(name),
            )
            for name in names
        )
        return self.rows(
            sql.SQL(
                "SELECT position, differing FROM (SELECT s.position, array_remove(ARRAY[{fields}]::text[], NULL) AS "
                'differing FROM {stage} AS s JOIN {rows} AS i ON i.run_id = {run} AND i."row" = s.position {joins} '
                "WHERE e.id IS NOT NULL) AS d WHERE differing <> '{{}}'"
            ).format(fields=fields, stage=STAGE, rows=ROWS, run=sql.Literal(run.pk), joins=self._all_joins())
        )

    def delete(self) -> int:
        """Delete the stored rows that the stage names, with their extension; returns how many."""
        ids = sql.SQL("SELECT e.id FROM {} AS s JOIN {} AS e ON e.{} = s.{}").format(
            STAGE, self.base, self.key, self._key
        )
        if self.entity.extension is not None:
            link = column_of(self.entity.extension.model, self.entity.extension.link)
            self.execute(sql.SQL("DELETE FROM {} WHERE {} IN ({})").format(self._extension_table, link, ids))
        deleted = self.rows(sql.SQL("DELETE FROM {} WHERE id IN ({}) RETURNING id").format(self.base, ids))
        return len(deleted)

    def drop_empty_extensions(self, run: ImportRun) -> None:
        """Delete the extension rows that this import made and that hold nothing any more."""
        if self.entity.extension is None:
            return
        extension = self.entity.extension
        columns = [
            column_of(extension.model, field.name)
            for field in extension.model._meta.concrete_fields
            if field.name not in (extension.link, "updated_at")
        ]
        empty = sql.SQL(" AND ").join([sql.SQL("x.{} IS NULL").format(column) for column in columns])
        self.execute(
            sql.SQL(
                "DELETE FROM {table} AS x USING {stage} AS s, {rows} AS i, {base} AS e WHERE i.run_id = {run} AND "
                'i."row" = s.position AND NOT i.had_details AND e.{key} = s.{staged} AND x.{link} = e.id AND {empty}'
            ).format(
                table=self._extension_table,
                stage=STAGE,
                rows=ROWS,
                base=self.base,
                run=sql.Literal(run.pk),
                key=self.key,
                staged=self._key,
                link=column_of(extension.model, extension.link),
                empty=empty,
            )
        )

    def owners_in(self, model: type[models.Model], column: str) -> list[int]:
        """The staged rows whose stored row a table's column points at."""
        table = sql.Identifier(model._meta.db_table)
        found = self.rows(
            sql.SQL(
                "SELECT s.position FROM {} AS s JOIN {} AS e ON e.{} = s.{} "
                "WHERE EXISTS (SELECT FROM {} AS p WHERE p.{} = e.id)"
            ).format(STAGE, self.base, self.key, self._key, table, sql.Identifier(column))
        )
        return [position for (position,) in found]

    def positions(self, run: ImportRun, condition: sql.Composable) -> list[int]:
        """Staged rows for which a condition holds on `i` (the import's row) and `e` (the stored one, if any)."""
        found = self.rows(
            sql.SQL(
                'SELECT s.position FROM {stage} AS s JOIN {rows} AS i ON i.run_id = {run} AND i."row" = s.position '
                "LEFT JOIN {base} AS e ON e.{key} = s.{staged} WHERE {condition}"
            ).format(
                stage=STAGE,
                rows=ROWS,
                run=sql.Literal(run.pk),
                base=self.base,
                key=self.key,
                staged=self._key,
                condition=condition,
            )
        )
        return [position for (position,) in found]

    def keys_of(self, positions: list[int]) -> dict[int, str]:
        return dict(
            self.rows(
                sql.SQL("SELECT position, {} FROM {} WHERE position = ANY(%s)").format(self._key, STAGE), [positions]
            )
        )

    # --- parts -------------------------------------------------------------------------------------------------------
    def _stored(self, name: str) -> sql.Composable:
        alias = "e" if name in self.entity.clean else "x"
        return sql.SQL("{}.{}").format(sql.Identifier(alias), column_of(self._model_of(name), name))

    def _all_joins(self) -> sql.Composable:
        base = sql.SQL("LEFT JOIN {} AS e ON e.{} = s.{}").format(self.base, self.key, self._key)
        if self.entity.extension is None:
            return base
        link = column_of(self.entity.extension.model, self.entity.extension.link)
        return sql.SQL("{} LEFT JOIN {} AS x ON x.{} = e.id").format(base, self._extension_table, link)

    def _has_extension_row(self) -> sql.Composable:
        if self.entity.extension is None:
            return sql.SQL("FALSE")
        link = column_of(self.entity.extension.model, self.entity.extension.link)
        return sql.SQL("x.{} IS NOT NULL").format(link)


def numbered(rows: Iterable[int], shown: int = 10) -> str:
    """'row 3' or 'rows 3, 8 and 12'."""
    numbers = [f"{row:,}" for row in rows]
    if len(numbers) == 1:
        return f"row {numbers[0]}"
    if len(numbers) > shown:
        return f"rows {', '.join(numbers[:shown])} and {len(numbers) - shown} more"
    return f"rows {', '.join(numbers[:-1])} and {numbers[-1]}"
