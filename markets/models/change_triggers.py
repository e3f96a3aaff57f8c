"""The SQL of the triggers that record changes, for migrations: one function a table, so that its plans are kept.

Nothing names a schema. A function is made with the search path of its migration and keeps it, so that the tables of a
namespace are recorded in the namespace's own record, whatever path a writer has.
"""

from dataclasses import dataclass

RECORD = "markets_change"
UNTOLD = ("updated_at",)  # a row of which this alone differs did not change


@dataclass(frozen=True)
class Parent:
    """The row that `column` refers to by id; `name` is the column that it is called by."""

    column: str
    table: str
    name: str = "unique_identifier"


@dataclass(frozen=True)
class Audited:
    """A table whose changes are recorded.

    `name` is the SQL of what a row (`r`) is called; in it `owner.name` and `parent.name` are those of
    what it belongs to and of its group.
    Without `uid` the row goes by the owner's, and no owner is recorded. `secret` columns are never recorded, and a row
    of which they alone differ did not change.
    """

    table: str
    name: str = "r.unique_identifier"
    key: str | None = "r.id"
    uid: str | None = "r.uid"
    owner: Parent | None = None
    group: Parent | None = None
    secret: tuple[str, ...] = ()


def install(audited: Audited) -> str:
    """SQL that makes the function and the triggers of the table.

    Rows inserted or deleted are recorded as a set, about half the cost of one by one; updates row by row, for a set
    would have to be joined to itself.
    """
    table = audited.table
    made_without = _texts("id", "uid", "created_at", *UNTOLD, *audited.secret)
    return f"""
CREATE OR REPLACE FUNCTION {table}_record_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    was jsonb;
    became jsonb;
    xact bigint := pg_current_xact_id()::text::bigint;
    said_source text := nullif(left(current_setting('msm.source', true), 32), '');
    said_actor text := nullif(left(current_setting('msm.actor', true), 150), '');
    said_actor_id text := current_setting('msm.actor_id', true);
    said_reason text := nullif(left(current_setting('msm.reason', true), 500), '');
BEGIN
    IF said_source IS NULL AND said_actor IS NULL THEN
        said_actor := session_user;
    END IF;
    said_source := coalesce(said_source, 'SQL');
    IF said_actor_id !~ '^[0-9]{{1,18}}$' THEN
        said_actor_id := NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
{_record(audited, "touched", "I", "NULL", f"to_jsonb(r) - {made_without}")}
    ELSIF TG_OP = 'DELETE' THEN
{_record(audited, "touched", "D", f"to_jsonb(r) - {_texts(*audited.secret)}", "NULL")}
    ELSE
        was := to_jsonb(OLD) - {_texts(*UNTOLD, *audited.secret)};
        became := to_jsonb(NEW) - {_texts(*UNTOLD, *audited.secret)};
        IF was = became THEN
            RETURN NULL;
        END IF;
        SELECT jsonb_object_agg(f.key, f.value), jsonb_object_agg(f.key, became -> f.key) INTO was, became
        FROM jsonb_each(was) AS f WHERE f.value IS DISTINCT FROM became -> f.key;
{_record(audited, "(SELECT NEW.*)", "U", "was", "became")}
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER {table}_record_insert AFTER INSERT ON {table} REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION {table}_record_change();
CREATE TRIGGER {table}_record_delete AFTER DELETE ON {table} REFERENCING OLD TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION {table}_record_change();
CREATE TRIGGER {table}_record_update AFTER UPDATE ON {table}
    FOR EACH ROW EXECUTE FUNCTION {table}_record_change();
CREATE TRIGGER {table}_record_emptying AFTER TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION {RECORD}_record_emptying();
"""


def remove(audited: Audited) -> str:
    table = audited.table
    return f"""
DROP TRIGGER {table}_record_insert ON {table};
DROP TRIGGER {table}_record_delete ON {table};
DROP TRIGGER {table}_record_update ON {table};
DROP TRIGGER {table}_record_emptying ON {table};
DROP FUNCTION {table}_record_change();
"""


# TRUNCATE fires no trigger for each row. An empty record says that it was emptied by the same statement: the whole
# database is being emptied, and there is nothing left to add to.
INSTALL_RECORD = f"""
CREATE FUNCTION {RECORD}_record_emptying() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    said_source text := nullif(left(current_setting('msm.source', true), 32), '');
    said_actor text := nullif(left(current_setting('msm.actor', true), 150), '');
BEGIN
    IF EXISTS (SELECT FROM {RECORD}) THEN
        INSERT INTO {RECORD} (at, transaction_id, table_name, operation, row_name, source, actor, reason)
        VALUES (
            clock_timestamp(), pg_current_xact_id()::text::bigint, TG_TABLE_NAME, 'T', '',
            coalesce(said_source, 'SQL'),
            CASE WHEN said_source IS NULL AND said_actor IS NULL THEN session_user ELSE said_actor END,
            nullif(left(current_setting('msm.reason', true), 500), '')
        );
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION {RECORD}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The record of changes is only added to: % of {RECORD} is refused.', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER {RECORD}_refuse BEFORE UPDATE OR DELETE ON {RECORD}
    FOR EACH STATEMENT EXECUTE FUNCTION {RECORD}_refuse();
"""
REMOVE_RECORD = f"""
DROP TRIGGER {RECORD}_refuse ON {RECORD};
DROP FUNCTION {RECORD}_refuse();
DROP FUNCTION {RECORD}_record_emptying();
"""


def _texts(*values: str) -> str:
    return f"ARRAY[{', '.join(repr(value) for value in values)}]::text[]"


def _record(audited: Audited, rows: str, operation: str, was: str, became: str) -> str:
    """SQL that records one operation on rows."""
    uids = f"{audited.uid}, owner.uid" if audited.uid else "owner.uid, NULL"
    return f"""        INSERT INTO {RECORD} (
            at, transaction_id, table_name, operation, row_key, row_uid, owner_uid, group_uid, row_name, old, new,
            source, actor, actor_id, reason
        )
        SELECT
            clock_timestamp(), xact, '{audited.table}', '{operation}', {audited.key or "NULL"}, {uids}, parent.uid,
            coalesce({audited.name}, ''), {was}, {became}, said_source, said_actor, said_actor_id::bigint, said_reason
        FROM {rows} AS r
        LEFT JOIN LATERAL ({_lookup(audited.owner)}) AS owner ON true
        LEFT JOIN LATERAL ({_lookup(audited.group)}) AS parent ON true;"""


def _lookup(parent: Parent | None) -> str:
    """SQL that finds the parent, or what the record knows of it when it was deleted before its child."""
    if parent is None:
        return "SELECT NULL::uuid AS uid, NULL AS name"
    return f"""
            SELECT p.uid, p.{parent.name} AS name FROM {parent.table} AS p WHERE p.id = r.{parent.column}
            UNION ALL
            SELECT c.row_uid, c.row_name FROM {RECORD} AS c
            WHERE c.table_name = '{parent.table}' AND c.operation = 'D' AND c.row_key = r.{parent.column}
            LIMIT 1
        """
