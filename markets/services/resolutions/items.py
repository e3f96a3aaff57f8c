"""Items of resolutions, written back as a set: one statement a batch, ten times as fast as a case for each row."""

from collections.abc import Sequence

from django.db import connection

from markets.engine.identifier_schemes import IdentifierKey
from markets.models import ResolutionItem

_TABLE = ResolutionItem._meta.db_table


def key_of(item: ResolutionItem) -> IdentifierKey:
    return IdentifierKey(item.scheme, item.value, item.venue)


def save_outcomes(items: Sequence[ResolutionItem]) -> None:
    """Write what became of the items: status, message, tries, answer, asset, FIGI, and who decided when."""
    if not items:
        return
    ordered = sorted(items, key=lambda item: item.pk)  # two writers lock in one order
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE "{_TABLE}" AS i SET status = w.status, message = w.message, tries = w.tries,
                answer_id = w.answer_id, asset_id = w.asset_id, figi = w.figi, decided_at = w.decided_at,
                decided_by_id = w.decided_by_id
            FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::text[],
                %s::timestamptz[], %s::int[])
                AS w(id, status, message, tries, answer_id, asset_id, figi, decided_at, decided_by_id)
            WHERE i.id = w.id
            """,
            [
                [item.pk for item in ordered],
                [str(item.status) for item in ordered],
                [item.message for item in ordered],
                [item.tries for item in ordered],
                [item.answer_id for item in ordered],
                [item.asset_id for item in ordered],
                [item.figi for item in ordered],
                [item.decided_at for item in ordered],
                [item.decided_by_id for item in ordered],
            ],
        )
