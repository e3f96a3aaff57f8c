"""How many rows point at each row of a list: counted for the rows that are shown, not for all of them."""

from typing import Any

from django.db.models import Count, F, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce


def number_of(rows: QuerySet[Any], column: str) -> Coalesce:
    """An annotation: how many of `rows` have the listed row in `column`."""
    pointing = rows.filter(**{column: OuterRef("pk")}).order_by()
    grouped = pointing.values(pointed_at=F(column)).annotate(number_of_rows=Count("pk")).values("number_of_rows")
    return Coalesce(Subquery(grouped, output_field=IntegerField()), 0)
