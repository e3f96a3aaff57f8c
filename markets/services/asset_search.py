"""Finds assets by what a person types; each kind of match is read from an index of its own, to a bound."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import BooleanField, Field, Func, Q, QuerySet, Value
from django.db.models.functions import Upper

from markets.engine.text import storable_text
from markets.models import Asset, OpenFigiDetails

MOST_MATCHES = 500  # of each kind, as many as the largest page; who has more types another letter
MOST_WORDS = 8
SHORTEST_BEGINNING = 3  # letters; a shorter word has to stand whole, else it matches half of all names
LONGEST_WORD = 255  # characters, as a name
_CODE_LENGTH = 12  # of a FIGI and of an ISIN


@dataclass(frozen=True)
class AssetMatches:
    """The ids of what was found. `is_whole` is False when a kind of match had more than it may give."""

    ids: list[int]
    is_whole: bool

    def of(self, rows: QuerySet[Asset]) -> QuerySet[Asset]:
        """The rows that were found. The ids go as one array: as parameters they would cost more than they find."""
        return rows.filter(_Among("pk", Value(self.ids, output_field=Field())))


class _Among(Func):
    template = "(%(expressions)s))"
    arg_joiner = " = ANY("
    output_field = BooleanField()


def find_assets(rows: QuerySet[Asset], text: str) -> AssetMatches:
    """Those of the rows that match the text, in any letter case.

    Their identifier, ticker or name begins with it, its words (or beginnings of words, from three letters) are all in
    the name in any order, or it is their FIGI, composite or share-class FIGI or ISIN. At most 500 of each kind.
    `rows` may be filtered; the kinds are read among them. One query.
    """
    text = storable_text(text).strip()
    plain = rows.order_by()
    details = OpenFigiDetails.objects.order_by()
    if rows.query.where:
        details = details.filter(asset__in=plain.values("pk"))
    upper = text.upper()
    kinds: list[QuerySet[Any]] = [
        plain.alias(upper=Upper("unique_identifier")).filter(upper__startswith=_upper_ascii(text)),
        details.filter(ticker__istartswith=text),
        details.filter(name__istartswith=text),
    ]
    words = _words(text)
    if words:
        query = SearchQuery(words, config="simple", search_type="raw")
        kinds.append(details.alias(words=SearchVector("name", config="simple")).filter(words=query))
    if len(upper) == _CODE_LENGTH:
        codes = Q(figi=upper) | Q(composite=upper) | Q(share_class=upper) | Q(isin=upper)
        kinds.append(details.filter(codes))
    first, *others = [
        kind.annotate(kind=Value(place)).values_list("kind", "pk")[: MOST_MATCHES + 1]
        for place, kind in enumerate(kinds)
    ]
    found = list(first.union(*others, all=True))
    of_kind = Counter(place for place, _ in found)
    return AssetMatches(sorted({pk for _, pk in found}), is_whole=max(of_kind.values(), default=0) <= MOST_MATCHES)


def matching_assets(rows: QuerySet[Asset], text: str) -> QuerySet[Asset]:
    """Those of the rows that `find_assets` finds; all of them when there is no text."""
    return find_assets(rows, text).of(rows) if storable_text(text).strip() else rows


def _upper_ascii(text: str) -> str:
    """As the collation "C" of identifiers folds case."""
    return "".join(letter.upper() if letter.isascii() else letter for letter in text)


def _words(text: str) -> str:
    """The words as a tsquery; nothing when one is longer than any name."""
    if any(len(word) > LONGEST_WORD for word in text.split()):
        return ""
    quoted = ((word, word.replace("\\", "\\\\").replace("'", "''")) for word in text.split()[:MOST_WORDS])
    return " & ".join(f"'{safe}'" + (":*" if len(word) >= SHORTEST_BEGINNING else "") for word, safe in quoted)
