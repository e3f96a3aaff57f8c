"""What the review inbox shows: the list of what waits, one item with its candidates, and the rule for many."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from markets.admin.candidates import tree_for
from markets.admin.formatting import NOTHING
from markets.admin.resolution_page import scheme_of
from markets.admin.tables import Column, Pages, Table
from markets.engine.identifier_schemes import SCHEMES
from markets.models import Resolution, ResolutionItem
from markets.services import resolutions
from markets.services.values import LARGEST_ID

DECIDE = "markets.decide_resolutions"
LIST = "admin:markets_resolutionitem_changelist"
NAMES = ("resolution", "source", "scheme", "q")
LISTED = 30


@dataclass(frozen=True)
class Filters:
    """Which waiting items are looked at, as the address names them."""

    resolution: Resolution | None
    source: str | None
    scheme: str
    search: str

    @classmethod
    def of(cls, values: Any) -> "Filters":
        """From the parameters of an address or a form; what names nothing filters nothing."""
        key = values.get("resolution", "")
        is_key = key.isascii() and key.isdigit() and len(key) < 19 and int(key) <= LARGEST_ID
        source = values.get("source", "").replace("\x00", "")[:64]
        return cls(
            resolution=Resolution.objects.filter(pk=int(key)).first() if is_key else None,
            source={"": None, "-": ""}.get(source, source),
            scheme=values.get("scheme", "") if values.get("scheme", "") in SCHEMES else "",
            search=values.get("q", "").replace("\x00", "").strip()[:200],
        )

    @property
    def values(self) -> dict[str, str]:
        """As parameters of an address; those that filter nothing are left out. "-" is the lists without a source."""
        given = {
            "resolution": str(self.resolution.pk) if self.resolution else "",
            "source": "-" if self.source == "" else self.source or "",
            "scheme": self.scheme,
            "q": self.search,
        }
        return {name: text for name, text in given.items() if text}

    def items(self) -> Any:
        return resolutions.inbox(resolution=self.resolution, source=self.source, scheme=self.scheme, search=self.search)

    def url(self, **more: Any) -> str:
        query = urlencode({**self.values, **{name: value for name, value in more.items() if value}})
        return f"{reverse(LIST)}?{query}" if query else reverse(LIST)


def following(filters: Filters, item: ResolutionItem) -> int | None:
    """The key of the item that comes after this one in the inbox; the first one where it is the last."""
    others = filters.items().exclude(pk=item.pk)
    later = others.filter(is_postponed=True)
    later = (
        later.filter(pk__gt=item.pk) if item.is_postponed else others.filter(pk__gt=item.pk, is_postponed=False) | later
    )
    key = later.values_list("pk", flat=True).first() or others.values_list("pk", flat=True).first()
    return None if key is None else int(key)


def page_of(request: HttpRequest, filters: Filters, chosen: ResolutionItem | None, **kept: str) -> dict[str, Any]:
    """The context of the inbox. `kept` is what was typed when the decision was refused: figi, reason, error."""
    rows = filters.items().defer("answer__rows", "answer__job")
    if chosen is not None and "inbox_page" not in request.GET:
        request.GET = _with_page_of(request, rows, chosen)  # type: ignore[assignment]
    pages = Pages(request, rows, prefix="inbox", sorts={"place": "is_postponed"}, then="id", size=LISTED)
    item = chosen or next(iter(pages.items), None)
    context: dict[str, Any] = {
        "item": item,
        "listed": [
            {"item": row, "url": filters.url(item=row.pk, inbox_page=request.GET.get("inbox_page", ""))}
            for row in pages.items
        ],
        "pages": pages,
        "filters": filters,
        "filter_values": filters.values,
        "sources": resolutions.known_sources(),
        "schemes": [(name, SCHEMES[name].label) for name in SCHEMES],
        "may_decide": request.user.has_perm(DECIDE),
        "number": resolutions.number_waiting(),
        "rule_url": f"{reverse('admin:review_rule')}?{urlencode(filters.values)}",
        "longest_reason": resolutions.LONGEST_REASON,
        **kept,
    }
    if item is not None:
        item = ResolutionItem.objects.select_related("resolution", "answer").get(pk=item.pk)
        codes = resolutions.home_markets(item.resolution.source)
        choice = resolutions.plain_choice(resolutions.candidates_of(item), codes)
        figi = kept.get("figi") or choice.figi or ""
        context |= {
            "item": item,
            "scheme": scheme_of(item),
            "trees": tree_for(item, chosen=figi),
            "suggested": choice.reason if choice.figi else "",
            "suggested_figi": choice.figi or "",
            "decide_url": f"{reverse('admin:review_decide', args=(item.pk,))}?{urlencode(filters.values)}",
            "skip_url": filters.url(item=following(filters, item)),
        }
    return context


def _with_page_of(request: HttpRequest, rows: Any, item: ResolutionItem) -> Any:
    """The parameters, with the page of the list on which the item stands."""
    same = rows.filter(is_postponed=item.is_postponed, pk__lt=item.pk)
    before = (rows.filter(is_postponed=False) | same if item.is_postponed else same).order_by().count()
    parameters = request.GET.copy()
    parameters["inbox_page"] = str(before // LISTED + 1)
    return parameters


def proposals_table(done: resolutions.DecidedByRule) -> Table:
    """The first of what a rule would do."""
    columns = [Column(title) for title in ("Identifier", "List", "It would take", "Name", "Why")]
    rows = []
    for proposal in done.examples:
        row = proposal.row
        taken = f"{row.figi} ({row.exchange_code or NOTHING})" if row is not None else "left"
        name = (row.name if row is not None else "") or NOTHING
        rows.append((proposal.item.text, str(proposal.item.resolution), taken, name, proposal.reason))
    number = done.accepted + done.left
    footer = f"The first {len(rows)} of {number:,}." if len(rows) < number else ""
    return Table(label="What it would do", columns=columns, rows=rows, footer=footer, empty="Nothing waits here.")
