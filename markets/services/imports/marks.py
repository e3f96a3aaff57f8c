"""Writes what became of rows of an import, many in one statement."""

import json
from collections.abc import Mapping, Sequence

from django.db import connection

from markets.models import ImportRun


def refuse(run: ImportRun, reasons: Mapping[int, str]) -> None:
    """Turn rows into conflicts, each with its reason."""
    _update(
        run,
        "outcome = 'conflict', changes = NULL, "
        "faults = jsonb_build_array(jsonb_build_object('field', NULL, 'reason', u.text))",
        reasons,
    )


def keep(run: ImportRun, reasons: Mapping[int, str]) -> None:
    """Tell of rows why undoing left them."""
    _update(run, "kept = u.text", reasons)


def remember_cells(run: ImportRun, cells: Mapping[int, Sequence[str | None]]) -> None:
    _update(run, "cells = u.text::jsonb", {row: json.dumps(texts) for row, texts in cells.items()})


def _update(run: ImportRun, settings: str, texts: Mapping[int, str]) -> None:
    if not texts:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f'UPDATE markets_importrow AS i SET {settings} FROM unnest(%s::int[], %s::text[]) AS u("row", text) '
            'WHERE i.run_id = %s AND i."row" = u."row"',
            [list(texts), list(texts.values()), run.pk],
        )
