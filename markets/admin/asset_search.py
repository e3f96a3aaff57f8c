"""Finds assets by what a person types, at a million rows, by indexes alone where anything matches them."""

from django.db.models import Q, QuerySet

from markets.models import Asset, OpenFigiDetails

MOST_MATCHES = 1_000  # of each kind; who has more types another letter


def matching_assets(rows: QuerySet[Asset], text: str) -> QuerySet[Asset]:
    """The assets whose identifier, ticker or name begins with `text`, or whose FIGI or ISIN it is.

    Where there is none, those whose name holds each of the words. Letter case is ignored but in identifiers, where the
    text is tried as typed and in capitals.
    """
    text = text.replace("\x00", "").strip()
    if not text:
        return rows
    found = _beginning_with(text) or _with_words(text)
    return rows.filter(pk__in=found)


def _beginning_with(text: str) -> set[int]:
    upper = text.upper()
    details = OpenFigiDetails.objects.order_by()
    branches = [
        Asset.objects.filter(unique_identifier__startswith=spelling).order_by("unique_identifier").values_list("pk")
        for spelling in {text, upper}
    ]
    branches += [
        details.filter(ticker__startswith=upper).values_list("pk"),
        details.filter(name__istartswith=text).values_list("pk"),
    ]
    if len(upper) == 12:
        branches.append(details.filter(Q(figi=upper) | Q(isin=upper) | Q(composite=upper)).values_list("pk"))
    return {pk for branch in branches for (pk,) in branch[:MOST_MATCHES]}


def _with_words(text: str) -> set[int]:
    rows = OpenFigiDetails.objects.order_by()
    for word in text.split()[:8]:
        rows = rows.filter(name__icontains=word)
    return set(rows.values_list("pk", flat=True)[:MOST_MATCHES])
