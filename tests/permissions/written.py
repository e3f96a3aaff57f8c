"""What a request wrote."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

_WRITES = (
    "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables "
    "WHERE n_tup_ins + n_tup_upd + n_tup_del > 0"
)


def writes() -> dict[str, int]:
    """By table, how many rows this transaction has written, those taken back since included."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITES)
        return dict(cursor.fetchall())


def state(table: str) -> tuple[int, str]:
    """The number of rows of a table, and a fingerprint of them."""
    return _states([table])[table]


def everything() -> dict[str, tuple[int, str]]:
    return _states(connection.introspection.table_names())


def _states(tables: list[str]) -> dict[str, tuple[int, str]]:
    each = (
        f"SELECT '{table}', count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM \"{table}\" t"
        for table in tables
    )
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(each))
        return {table: (count, fingerprint) for table, count, fingerprint in cursor.fetchall()}


@contextmanager
def taken_back() -> Iterator[None]:
    """What is written inside is undone."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def differs(before: tuple[int, str], after: tuple[int, str], more: int) -> bool:
    """Whether the table has `more` rows now; when 0, whether its rows changed."""
    return after[0] - before[0] == more and after[1] != before[1]
