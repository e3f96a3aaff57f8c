"""Rows written by a merge, each recorded as it was and as it became; and taken back from the record.

Images are made, compared and restored by the database, so that no digit of a number is lost on the way.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from psycopg import sql

from markets.exceptions import Conflict
from markets.models import AssetMerge, AssetMergeStep

STEPS = sql.Identifier(AssetMergeStep._meta.db_table)
UNTOLD = sql.SQL("ARRAY['updated_at']")  # a row of which this alone differs did not change


@dataclass(frozen=True)
class Steps:
    """Writes rows of the registry for one merge."""

    merge: AssetMerge

    def change(self, rows: "models.QuerySet[Any]", patch: Mapping[str, Any]) -> int:
        """Give the rows these values, by column; returns how many there were."""
        model, keys = rows.model, _keys(rows)
        if not keys:
            return 0
        table, key = sql.Identifier(model._meta.db_table), _key_column(model)
        text = json.dumps(dict(patch), default=str)
        touched = [sql.SQL("updated_at = clock_timestamp()")] if _has_updated_at(model) else []
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "INSERT INTO {steps} (merge_id, table_name, operation, before, after) "
                    "SELECT %s, %s, 'U', to_jsonb(t), to_jsonb(jsonb_populate_record(t, %s::jsonb)) FROM {table} AS t "
                    "WHERE t.{key} = ANY(%s) ORDER BY t.{key}"
                ).format(steps=STEPS, table=table, key=key),
                [self.merge.pk, model._meta.db_table, text, keys],
            )
            cursor.execute(
                sql.SQL(
                    "UPDATE {table} AS t SET {values} FROM jsonb_populate_record(NULL::{table}, %s::jsonb) AS p "
                    "WHERE t.{key} = ANY(%s)"
                ).format(
                    table=table,
                    key=key,
                    values=sql.SQL(", ").join(
                        [sql.SQL("{0} = p.{0}").format(sql.Identifier(name)) for name in patch] + touched
                    ),
                ),
                [text, keys],
            )
        return len(keys)

    def remove(self, rows: "models.QuerySet[Any]") -> int:
        model, keys = rows.model, _keys(rows)
        if not keys:
            return 0
        table, key = sql.Identifier(model._meta.db_table), _key_column(model)
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "INSERT INTO {} (merge_id, table_name, operation, before) "
                    "SELECT %s, %s, 'D', to_jsonb(t) FROM {} AS t WHERE t.{} = ANY(%s)"
                ).format(STEPS, table, key),
                [self.merge.pk, model._meta.db_table, keys],
            )
            cursor.execute(sql.SQL("DELETE FROM {} AS t WHERE t.{} = ANY(%s)").format(table, key), [keys])
        return len(keys)

    def add(self, row: models.Model) -> None:
        row.save(force_insert=True)
        model = type(row)
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "INSERT INTO {} (merge_id, table_name, operation, after) "
                    "SELECT %s, %s, 'I', to_jsonb(t) FROM {} AS t WHERE t.{} = %s"
                ).format(STEPS, sql.Identifier(model._meta.db_table), _key_column(model)),
                [self.merge.pk, model._meta.db_table, row.pk],
            )

    def take_back(self) -> None:
        """Restore every row as it was before the merge. Raises Conflict naming the table where one changed since."""
        for run in self._runs():
            self._take_back(*run)

    def _runs(self) -> list[tuple[str, str, list[str], list[int]]]:
        """Table, operation, changed columns and steps: neighbours of one kind together, the last first."""
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "SELECT s.table_name, s.operation, s.id, coalesce(("
                    "SELECT array_agg(b.key ORDER BY b.key) FROM jsonb_each(s.before) AS b "
                    "WHERE b.key <> 'updated_at' AND b.value IS DISTINCT FROM s.after -> b.key), '{{}}') "
                    "FROM {} AS s WHERE s.merge_id = %s ORDER BY s.id DESC"
                ).format(STEPS),
                [self.merge.pk],
            )
            found = cursor.fetchall()
        runs: list[tuple[str, str, list[str], list[int]]] = []
        for table, operation, step, columns in found:
            changed = columns if operation == "U" else []
            if runs and runs[-1][:3] == (table, operation, changed):
                runs[-1][3].append(step)
            else:
                runs.append((table, operation, changed, [step]))
        return [run for run in runs if run[1] != "U" or run[2]]

    def _take_back(self, table_name: str, operation: str, changed: list[str], steps: list[int]) -> None:
        model = _models()[table_name]
        table, key = sql.Identifier(table_name), _key_column(model)
        names = _stored_columns(table_name)
        columns = sql.SQL(", ").join(map(sql.Identifier, names))
        values = sql.SQL(", ").join(sql.Identifier("b", name) for name in names)
        same = sql.SQL("to_jsonb(t) - {0} = s.after - {0}").format(UNTOLD)
        if operation == "U":  # what others changed beside it stays
            same = sql.SQL(" AND ").join(
                sql.SQL("to_jsonb(t) -> {0} = s.after -> {0}").format(sql.Literal(name)) for name in changed
            )
            restored: list[sql.Composable] = [sql.SQL("{0} = b.{0}").format(sql.Identifier(name)) for name in changed]
            if _has_updated_at(model):
                restored.append(sql.SQL("updated_at = clock_timestamp()"))
            statement = sql.SQL(
                "UPDATE {table} AS t SET {restored} FROM {steps} AS s, "
                "jsonb_populate_record(NULL::{table}, s.before) AS b, "
                "jsonb_populate_record(NULL::{table}, s.after) AS a "
                "WHERE s.id = ANY(%s) AND t.{key} = a.{key} AND {same}"
            ).format(table=table, restored=sql.SQL(", ").join(restored), steps=STEPS, key=key, same=same)
        elif operation == "I":
            statement = sql.SQL(
                "DELETE FROM {table} AS t USING {steps} AS s, jsonb_populate_record(NULL::{table}, s.after) AS a "
                "WHERE s.id = ANY(%s) AND t.{key} = a.{key} AND {same}"
            ).format(table=table, steps=STEPS, key=key, same=same)
        else:
            statement = sql.SQL(
                "INSERT INTO {table} ({columns}) SELECT {values} FROM {steps} AS s, LATERAL "
                "(SELECT (jsonb_populate_record(NULL::{table}, s.before)).*) AS b WHERE s.id = ANY(%s)"
            ).format(table=table, columns=columns, values=values, steps=STEPS)
        noun = str(model._meta.verbose_name_plural)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement, [steps])
                restored_rows = cursor.rowcount
        except IntegrityError as error:
            raise Conflict(
                f"{self.merge} cannot be undone: {noun} that were written since are in the way: {_detail(error)} "
                "Nothing was changed."
            ) from error
        if restored_rows != len(steps):
            missing = len(steps) - restored_rows
            raise Conflict(
                f"{self.merge} cannot be undone: of the {noun} that it wrote, {missing:,} "
                f"{'was' if missing == 1 else 'were'} changed or deleted since. Nothing was changed."
            )


def _keys(rows: "models.QuerySet[Any]") -> list[Any]:
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _key_column(model: type[models.Model]) -> sql.Identifier:
    return sql.Identifier(str(model._meta.pk.column))


def _has_updated_at(model: type[models.Model]) -> bool:
    return any(field.column == "updated_at" for field in model._meta.concrete_fields)


@lru_cache(maxsize=1)
def _models() -> dict[str, type[models.Model]]:
    return {model._meta.db_table: model for model in apps.get_models()}


def _stored_columns(table: str) -> Sequence[str]:
    """The columns that are given, without those that the database makes of others."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
            "AND attgenerated = '' ORDER BY attnum",
            [f'"{table}"'],
        )
        return [name for (name,) in cursor.fetchall()]


def _detail(error: IntegrityError) -> str:
    diagnostics = getattr(error.__cause__, "diag", None)
    return str(getattr(diagnostics, "message_detail", None) or error).splitlines()[0]
