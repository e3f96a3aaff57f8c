"""The temporary table of a bulk upsert: rows are copied into it, checked there as a set, and merged in key order.

Two callers cannot deadlock on the rows of one entity: each takes its locks in one statement, in the order of the key.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import connection, models
from django.db.models.expressions import Combinable
from psycopg import sql

Clean = Callable[[object], Any]
Fault = tuple[int, str, str]  # position of the row, field, reason
NAME = "bulk_stage"
STAGE = sql.Identifier(NAME)
STAGED = sql.SQL("s")
NEITHER = sql.SQL("FALSE")
MEANWHILE = "Another caller wrote one of these rows meanwhile. Nothing was written; repeat the call."
_OWN = ("id", "uid", "created_at", "updated_at")


@dataclass(frozen=True)
class Extension:
    """A one-to-one table of the entity, whose fields are given in the same row; `link` is its primary key."""

    model: type[models.Model]
    link: str
    clean: Mapping[str, Clean]


@dataclass(frozen=True)
class Entity:
    """What a bulk upsert must know of a kind of rows. The cleaning functions are those of the single-row services.

    `defaults` gives, from the key, what a new row holds where a field is omitted; `required` fields have none.
    `unpack` brings a row to flat fields. `read_only` names what may be given as it is stored, and how it is read.
    `checks` run on the staged rows and give (row, field, reason) of those to reject; `after` runs when they are merged.
    """

    noun: str
    model: type[models.Model]
    key: str
    clean_key: Clean
    clean: Mapping[str, Clean]
    defaults: Mapping[str, Callable[[str], Any]]
    read_only: Mapping[str, str | Combinable]
    required: tuple[str, ...] = ()
    extension: Extension | None = None
    unpack: Callable[[Mapping[Any, Any]], Mapping[Any, Any]] | None = None
    checks: tuple[Callable[["StagedRows"], Iterable[Fault]], ...] = ()
    after: Callable[["StagedRows"], None] | None = None

    @property
    def cleaners(self) -> dict[str, Clean]:
        """Every field that a row may change."""
        return {**self.clean, **(self.extension.clean if self.extension else {})}

    def stage(self) -> "StagedRows":
        """Where the rows of one call are staged."""
        return Stage(self)


def by_name(clean: Callable[..., Mapping[str, Any]], names: Iterable[str]) -> dict[str, Clean]:
    """A cleaning function for each name, from one that cleans several fields by name."""

    def cleaned(value: object, *, name: str) -> Any:
        return clean(**{name: value})[name]

    return {name: partial(cleaned, name=name) for name in names}


def column_of(model: type[models.Model], name: str) -> sql.Identifier:
    column = getattr(model._meta.get_field(name), "column", None)
    assert column is not None, name
    return sql.Identifier(column)


class StagedRows:
    """The staged rows `s`: position in the input, key, values, and which fields were given (a bit each)."""

    def __init__(self, entity: Entity) -> None:
        self.entity = entity
        self.fields = list(entity.cleaners)
        self.bits = {name: 1 << place for place, name in enumerate(self.fields)}
        self.ever = 0
        self.always = -1

    def create(self) -> None:
        """Make the table, empty; types and collations are those of the tables that it will be merged into."""
        raise NotImplementedError

    def missing(self, name: str) -> list[int]:
        """Positions of the rows that are new and lack this field."""
        raise NotImplementedError

    def merge(self, now: dt.datetime) -> list[tuple[int, bool]]:
        """Write what is new or differs; (position, whether it was made) of each row written."""
        raise NotImplementedError

    def faults(self) -> Iterator[Fault]:
        """Of the rows that cannot be merged, as only the stored rows can tell."""
        for check in self.entity.checks:
            yield from check(self)

    def copy(self, rows: Iterable[Sequence[Any]], *, ever: int, always: int) -> None:
        """COPY rows (position, given, uid, key, values …); `ever` and `always` are the bits given by some, by all."""
        self.ever |= ever
        self.always &= always
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(STAGE))
            types = [column.type_code for column in cursor.description]
            with cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(STAGE)) as copy:
                copy.set_types(types)
                for row in rows:
                    copy.write_row(row)

    def settle(self) -> None:
        """After the last copy: an index by which the merge finds rows again, and statistics for the planner.

        Without the index a wrong estimate of how many rows differ makes the merge quadratic.
        """
        self.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(STAGE, self._key))
        self.execute(sql.SQL("ANALYZE {}").format(STAGE))

    def remove(self, positions: Iterable[int]) -> None:
        self.execute(sql.SQL("DELETE FROM {} WHERE position = ANY(%s)").format(STAGE), [list(positions)])

    def drop(self) -> None:
        self.execute(sql.SQL("DROP TABLE {}").format(STAGE))

    def has(self, *names: str) -> bool:
        """Whether some row gives one of these fields."""
        return any(self.ever & self.bits[name] for name in names)

    def given(self, name: str, row: sql.Composable = STAGED) -> sql.Composable:
        """The condition that the row gives this field."""
        bit = self.bits[name]
        if self.always & bit or not self.ever & bit:
            return sql.SQL("TRUE" if self.ever & bit else "FALSE")
        return sql.SQL("({}.given & {}) <> 0").format(row, sql.Literal(bit))

    def rows(self, statement: sql.Composable, parameters: Sequence[Any] = ()) -> list[tuple]:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall()

    def execute(self, statement: sql.Composable, parameters: Sequence[Any] = ()) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)

    def _create(self, columns: Iterable[sql.Composable], tables: Iterable[sql.Composable]) -> None:
        self.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                STAGE, sql.SQL(", ").join(columns), sql.SQL(", ").join(tables)
            )
        )

    @property
    def _key(self) -> sql.Identifier:
        return sql.Identifier(self.entity.key)

    @property
    def _is_mixed(self) -> bool:
        """Whether some rows give a field that others omit."""
        return any(self.ever & self.bits[name] and not self.always & self.bits[name] for name in self.entity.clean)


class Stage(StagedRows):
    """Rows of one table, and of its extension."""

    def __init__(self, entity: Entity) -> None:
        super().__init__(entity)
        self.base = sql.Identifier(entity.model._meta.db_table)
        self.key = column_of(entity.model, entity.key)

    def create(self) -> None:
        columns = [sql.SQL("0 AS position, 0::bigint AS given, t.uid, t.{0} AS {1}").format(self.key, self._key)]
        for name in self.fields:
            alias = sql.SQL("t" if name in self.entity.clean else "x")
            column = column_of(self._model_of(name), name)
            columns.append(sql.SQL("{}.{} AS {}").format(alias, column, sql.Identifier(name)))
        tables = [sql.SQL("{} AS t").format(self.base)]
        if self.entity.extension is not None:
            tables.append(sql.SQL("{} AS x").format(self._extension_table))
        self._create(columns, tables)

    def settle(self) -> None:
        super().settle()
        if self.entity.checks:  # what they look at must hold until the rows are merged
            self.execute(
                sql.SQL(
                    "SELECT count(*) FROM (SELECT 1 FROM {base} AS e JOIN {stage} AS s ON e.{key} = s.{staged} "
                    "ORDER BY e.{key} FOR UPDATE OF e) AS locked"
                ).format(base=self.base, stage=STAGE, key=self.key, staged=self._key)
            )

    def missing(self, name: str) -> list[int]:
        found = self.rows(
            sql.SQL(
                "SELECT s.position FROM {} AS s LEFT JOIN {} AS e ON e.{} = s.{} WHERE e.id IS NULL AND NOT {}"
            ).format(STAGE, self.base, self.key, self._key, self.given(name))
        )
        return [position for (position,) in found]

    def merge(self, now: dt.datetime) -> list[tuple[int, bool]]:
        written = self.rows(self.merge_statement(now))
        if self._extends:
            self.execute(self._extension_statement(now))
        return [(position, created) for position, created in written]

    def merge_statement(self, now: dt.datetime) -> sql.Composed:
        """One statement, in key order. A field that a row omits is never touched, whoever writes at the same time."""
        entity = self.entity
        names = list(entity.clean)
        other = [
            field
            for field in entity.model._meta.concrete_fields
            if field.name not in (*_OWN, entity.key, *names) and not field.generated
        ]
        columns = [
            *(sql.Identifier("uid"), self.key, *(column_of(entity.model, name) for name in names)),
            *(column_of(entity.model, field.name) for field in other),
            *(sql.Identifier("created_at"), sql.Identifier("updated_at")),
        ]
        values = [
            *(sql.SQL("s.uid"), sql.SQL("s.{}").format(self._key), *(self._new_value(name) for name in names)),
            *(sql.Literal(field.get_db_prep_save(field.get_default(), connection)) for field in other),
            *(sql.Literal(now), sql.Literal(now)),
        ]
        return sql.SQL(
            "WITH merged AS (INSERT INTO {base} AS t ({columns}) SELECT {values} FROM {stage} AS s {joins} "
            "WHERE e.id IS NULL OR {changed} ORDER BY s.{staged_key} ON CONFLICT ({key}) {action} "
            "RETURNING t.{key} AS key, t.uid) "
            "SELECT s.position, merged.uid = s.uid FROM merged JOIN {stage} AS s ON s.{staged_key} = merged.key"
        ).format(
            base=self.base,
            columns=sql.SQL(", ").join(columns),
            values=sql.SQL(", ").join(values),
            stage=STAGE,
            joins=self._joins(),
            changed=sql.SQL(" OR ").join([self._changed(names, "e"), self._extension_changed()]),
            staged_key=self._key,
            key=self.key,
            action=self._action(names),
        )

    # --- the parts of the statements ---------------------------------------------------------------------------------
    @property
    def _extension_table(self) -> sql.Identifier:
        assert self.entity.extension is not None
        return sql.Identifier(self.entity.extension.model._meta.db_table)

    @property
    def _extends(self) -> bool:
        return self.entity.extension is not None and self.has(*self.entity.extension.clean)

    def _model_of(self, name: str) -> type[models.Model]:
        if name in self.entity.clean:
            return self.entity.model
        assert self.entity.extension is not None
        return self.entity.extension.model

    def _new_value(self, name: str) -> sql.Composable:
        staged = sql.SQL("s.{}").format(sql.Identifier(name))
        if name in self.entity.required:  # PostgreSQL wants the row that it proposes to be whole
            return sql.SQL("coalesce({}, e.{})").format(staged, column_of(self.entity.model, name))
        return staged

    def _joins(self) -> sql.Composable:
        base = sql.SQL("LEFT JOIN {} AS e ON e.{} = s.{}").format(self.base, self.key, self._key)
        if not self._extends:
            return base
        assert self.entity.extension is not None
        link = column_of(self.entity.extension.model, self.entity.extension.link)
        return sql.SQL("{} LEFT JOIN {} AS x ON x.{} = e.id").format(base, self._extension_table, link)

    def _changed(self, names: Iterable[str], stored: str) -> sql.Composable:
        conditions = [
            sql.SQL("({} AND {}.{} IS DISTINCT FROM s.{})").format(
                self.given(name),
                sql.Identifier(stored),
                column_of(self._model_of(name), name),
                sql.Identifier(name),
            )
            for name in names
            if self.has(name)
        ]
        return sql.SQL(" OR ").join(conditions) if conditions else NEITHER

    def _extension_changed(self) -> sql.Composable:
        """An extension's row is made when one of its fields has a value, and changed when one differs."""
        if not self._extends:
            return NEITHER
        assert self.entity.extension is not None
        extension = self.entity.extension
        given = [name for name in extension.clean if self.has(name)]
        values = sql.SQL(" OR ").join(sql.SQL("s.{} IS NOT NULL").format(sql.Identifier(name)) for name in given)
        return sql.SQL("CASE WHEN x.{} IS NULL THEN {} ELSE {} END").format(
            column_of(extension.model, extension.link), values, self._changed(given, "x")
        )

    def _action(self, names: Iterable[str]) -> sql.Composable:
        written = [name for name in names if self.has(name)]
        if not written and not self._extends:
            return sql.SQL("DO NOTHING")
        settings, differs = [], []
        for name in written:
            column = column_of(self.entity.model, name)
            if self.always & self.bits[name]:
                settings.append(sql.SQL("{0} = EXCLUDED.{0}").format(column))
                differs.append(sql.SQL("t.{0} IS DISTINCT FROM EXCLUDED.{0}").format(column))
                continue
            given = sql.SQL("(SELECT {} FROM {} AS g WHERE g.{} = EXCLUDED.{})").format(
                self.given(name, sql.SQL("g")), STAGE, self._key, self.key
            )
            settings.append(sql.SQL("{0} = CASE WHEN {1} THEN EXCLUDED.{0} ELSE t.{0} END").format(column, given))
            differs.append(sql.SQL("({1} AND t.{0} IS DISTINCT FROM EXCLUDED.{0})").format(column, given))
        settings.append(sql.Composed([sql.SQL("updated_at = EXCLUDED.updated_at")]))
        action = sql.SQL("DO UPDATE SET {}").format(sql.SQL(", ").join(settings))
        # A row whose extension alone changed is touched, too: its ETag covers both.
        return action if self._extends else sql.SQL("{} WHERE {}").format(action, sql.SQL(" OR ").join(differs))

    def _extension_statement(self, now: dt.datetime) -> sql.Composed:
        """Its owners are locked by now: the merge before touched every one whose extension differs."""
        assert self.entity.extension is not None
        extension = self.entity.extension
        names = [name for name in extension.clean if self.has(name)]
        link = column_of(extension.model, extension.link)
        columns = [column_of(extension.model, name) for name in names]
        values = [
            sql.SQL("CASE WHEN {} THEN s.{} ELSE x.{} END").format(self.given(name), sql.Identifier(name), column)
            for name, column in zip(names, columns, strict=True)
        ]
        return sql.SQL(
            "INSERT INTO {table} ({link}, {columns}, updated_at) SELECT e.id, {values}, {now} FROM {stage} AS s "
            "{joins} WHERE {changed} ORDER BY s.{key} ON CONFLICT ({link}) DO UPDATE SET {settings}, "
            "updated_at = EXCLUDED.updated_at"
        ).format(
            table=self._extension_table,
            link=link,
            columns=sql.SQL(", ").join(columns),
            values=sql.SQL(", ").join(values),
            now=sql.Literal(now),
            stage=STAGE,
            joins=self._joins(),
            changed=self._extension_changed(),
            key=self._key,
            settings=sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(column) for column in columns),
        )
