"""Walks: pages by key instead of by position, so that a page costs the same however far it is.

A walk goes in an order whose last term is unique. The cursor holds the order and the last row's values of its terms,
signed; the next page begins behind them, whatever was inserted meanwhile.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.db.models import BooleanField, F, Field, Func, Model, Q, QuerySet, Value
from django.db.models.expressions import BaseExpression, OrderBy
from rest_framework.exceptions import ValidationError

LONGEST_CURSOR = 4_000
_SALT = "msm.rest.cursor"
_BROKEN = "This is no cursor of this list. Follow `next` as it was answered, or begin anew with an empty one: ?cursor="


@dataclass(frozen=True)
class Term:
    """One term of an order. NULL is the greatest value, as in PostgreSQL's default."""

    expression: F | BaseExpression
    is_descending: bool
    is_nullable: bool

    @property
    def sort(self) -> OrderBy:
        return OrderBy(self.expression, descending=self.is_descending)

    def equals(self, alias: str, value: Any) -> Q:
        return Q(**{f"{alias}__isnull": True}) if value is None else Q(**{alias: value})

    def follows(self, alias: str, value: Any) -> Q | None:
        """The condition that a row stands behind the value; None when none does."""
        if value is None:
            return Q(**{f"{alias}__isnull": False}) if self.is_descending else None
        behind = Q(**{f"{alias}__{'lt' if self.is_descending else 'gt'}": value})
        if self.is_nullable and not self.is_descending:
            behind |= Q(**{f"{alias}__isnull": True})
        return behind


class _Behind(Func):
    """(a, b) > (x, y): the comparison of rows that one index scan answers."""

    output_field = BooleanField()

    def __init__(self, *expressions: Any, is_descending: bool = False) -> None:
        super().__init__(*expressions)
        self.is_descending = is_descending

    def as_sql(self, compiler: Any, connection: Any, **options: Any) -> tuple[str, list[Any]]:
        compiled = [compiler.compile(expression) for expression in self.source_expressions]
        half = len(compiled) // 2
        left, right = (", ".join(text for text, _ in part) for part in (compiled[:half], compiled[half:]))
        parameters = [value for _, values in compiled for value in values]
        return f"({left}) {'<' if self.is_descending else '>'} ({right})", parameters


class Walk:
    """The order of a list's rows, and the pages of it."""

    def __init__(self, rows: QuerySet[Any], name: str) -> None:
        self.name = name
        self.terms = _terms(rows)
        self.aliases = [f"walk_{place}" for place in range(len(self.terms))]
        expressions = (term.expression for term in self.terms)
        self.rows = rows.annotate(**dict(zip(self.aliases, expressions, strict=True)))

    @property
    def order(self) -> list[OrderBy]:
        return [term.sort for term in self.terms]

    def slice(self, offset: int, size: int) -> list[Any]:
        """Up to `size` rows behind the first `offset`."""
        return list(self._read(self.rows, slice(offset, offset + size)))

    def page(self, cursor: str, size: int) -> list[Any]:
        """Up to `size` rows behind the cursor, from the first when it is empty. A malformed cursor is 400."""
        values = self._values(cursor) if cursor else None
        found: list[Any] = []
        for part in self._parts(values):
            found += self._read(part, slice(size - len(found)))
            if len(found) == size:
                break
        return found

    def cursor_of(self, row: Any) -> str:
        """The cursor that stands on this row of a page."""
        return signing.dumps(
            [self._signature, [_as_json(getattr(row, alias)) for alias in self.aliases]],
            salt=f"{_SALT}.{self.name}",
            compress=True,
        )

    def _read(self, part: QuerySet[Any], span: slice) -> QuerySet[Any]:
        """The rows of the span. Only they are joined with what is shown of them: the inner query reads keys alone."""
        return self.rows.filter(pk__in=part.order_by(*self.order).values("pk")[span]).order_by(*self.order)

    def _parts(self, values: list[Any] | None) -> list[QuerySet[Any]]:
        """What follows the values, as queries to be read one behind the other, each of them one stretch of an index."""
        rows = self.rows
        first = self.terms[0]
        one_way = len({term.is_descending for term in self.terms}) == 1
        if not one_way or any(term.is_nullable for term in self.terms[1:]):
            return [rows if values is None else rows.filter(self._lexicographic(values))]
        if not first.is_nullable:
            return [rows if values is None else rows.filter(self._behind(values))]
        present, absent = (rows.filter(**{f"{self.aliases[0]}__isnull": is_null}) for is_null in (False, True))
        if values is None:
            return [absent, present] if first.is_descending else [present, absent]
        if values[0] is None:
            rest = absent.filter(self._behind(values[1:], skip=1))
            return [rest, present] if first.is_descending else [rest]
        rest = present.filter(self._behind(values))
        return [rest] if first.is_descending else [rest, absent]

    def _behind(self, values: Sequence[Any], skip: int = 0) -> Any:
        sides = [F(alias) for alias in self.aliases[skip:]]
        is_descending = self.terms[0].is_descending
        if len(sides) == 1:
            return Q(**{f"{sides[0].name}__{'lt' if is_descending else 'gt'}": values[0]})
        return _Behind(*sides, *(Value(value) for value in values), is_descending=is_descending)

    def _lexicographic(self, values: Sequence[Any]) -> Q:
        """Behind in the first term, or equal in it and behind in the second, and so on."""
        condition, equal = Q(pk__in=[]), Q()
        for term, alias, value in zip(self.terms, self.aliases, values, strict=True):
            follows = term.follows(alias, value)
            if follows is not None:
                condition |= equal & follows
            equal &= term.equals(alias, value)
        return condition

    @property
    def _signature(self) -> str:
        return ",".join(f"{'-' if term.is_descending else ''}{term.expression!r}" for term in self.terms)

    def _values(self, cursor: str) -> list[Any]:
        try:
            if len(cursor) > LONGEST_CURSOR:
                raise signing.BadSignature
            signature, values = signing.loads(cursor, salt=f"{_SALT}.{self.name}")
        except Exception:  # whatever an unsigned text does to base64, zlib and JSON
            raise ValidationError({"cursor": _BROKEN}) from None
        if signature != self._signature:
            raise ValidationError(
                {"cursor": "The cursor belongs to another ordering. Keep the ordering for the whole walk."}
            )
        return [_of_json(value) for value in values]


def is_served(rows: QuerySet[Any]) -> bool:
    """Whether an index begins with the order's first term, so that a page needs no sorting of all rows."""
    field = _field(rows, Walk(rows, "").terms[0].expression)
    return field is not None and _leads_an_index(field)


def _terms(rows: QuerySet[Any]) -> list[Term]:
    model = rows.model
    terms, is_total = [], False
    for given in rows.query.order_by or model._meta.ordering or ("pk",):
        expression, is_descending = _expression(given)
        field = _field(rows, expression)
        terms.append(Term(expression, is_descending, is_nullable=_is_nullable(rows, expression)))
        is_total = is_total or (field is not None and field.model is model and field.unique and not field.null)
        if is_total:
            return terms
    return [*terms, Term(F("pk"), terms[-1].is_descending, is_nullable=False)]


def _expression(given: Any) -> tuple[F | BaseExpression, bool]:
    if isinstance(given, str):
        return F(given.removeprefix("-")), given.startswith("-")
    if isinstance(given, OrderBy):
        return given.expression, given.descending
    return given, False


def _field(rows: QuerySet[Any], expression: Any) -> Field | None:
    """The field that the expression is, None for one that computes."""
    if not isinstance(expression, F):
        return None
    annotation = rows.query.annotations.get(expression.name)
    if annotation is not None:
        return getattr(annotation, "target", None)
    return _path(rows.model, expression.name)[-1]


def _path(model: type[Model], name: str) -> list[Any]:
    fields: list[Any] = []
    for part in name.split("__"):
        field = model._meta.pk if part == "pk" else model._meta.get_field(part)
        fields.append(field)
        model = field.related_model or model  # type: ignore[union-attr, assignment]
    return fields


def _is_nullable(rows: QuerySet[Any], expression: Any) -> bool:
    if not isinstance(expression, F):
        return any(_is_nullable(rows, part) for part in expression.get_source_expressions() if part is not None)
    annotation = rows.query.annotations.get(expression.name)
    if annotation is not None:
        return getattr(getattr(annotation, "target", None), "null", True)
    return any(field.null for field in _path(rows.model, expression.name))


def _leads_an_index(field: Field) -> bool:
    options = field.model._meta
    leading = [index.fields[0].removeprefix("-") for index in options.indexes if index.fields]
    leading += [rule.fields[0] for rule in options.constraints if getattr(rule, "fields", None)]
    return field.unique or field.db_index or field.name in leading


def _as_json(value: Any) -> Any:
    if isinstance(value, dt.date | uuid.UUID):
        return {type(value).__name__: str(value)}
    return value


_READERS = {
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "UUID": uuid.UUID,
}


def _of_json(value: Any) -> Any:
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        return _READERS[kind](text)
    return value
