"""Finds identifiers among a million: by how the value begins, and by scheme."""

from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from markets.models import AssetIdentifier

MOST_MATCHES = 500  # more is no answer to a person; two more letters are


def found_identifiers(rows: QuerySet[AssetIdentifier], text: str) -> tuple[QuerySet[AssetIdentifier], bool]:
    """Those of the rows whose value begins so, as typed or in capitals, at most 500; and whether there are no more.

    The keys are read apart, in the order of the index, so that a beginning that most values have costs as little as a
    rare one.
    """
    typed = text.strip()
    begins = Q(value__startswith=typed) | Q(value__startswith=typed.upper())
    keys = list(rows.filter(begins).order_by("value").values_list("pk", flat=True)[: MOST_MATCHES + 1])
    return rows.filter(pk__in=keys[:MOST_MATCHES]), len(keys) <= MOST_MATCHES


_SCHEMES = """
    WITH RECURSIVE found AS (
        (SELECT scheme FROM markets_assetidentifier ORDER BY scheme LIMIT 1)
        UNION ALL
        SELECT (
            SELECT i.scheme FROM markets_assetidentifier AS i WHERE i.scheme > found.scheme ORDER BY i.scheme LIMIT 1
        ) FROM found WHERE found.scheme IS NOT NULL
    )
    SELECT scheme FROM found WHERE scheme IS NOT NULL LIMIT %s
"""


def recorded_schemes(most: int = 200) -> list[str]:
    """The schemes of which there are identifiers: one probe of the index each, however many rows they have."""
    with connection.cursor() as cursor:
        cursor.execute(_SCHEMES, [most])
        found: list[Any] = cursor.fetchall()
    return [scheme for (scheme,) in found]
