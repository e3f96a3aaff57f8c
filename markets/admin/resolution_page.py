"""What the pages of resolutions show: the form that takes a list, and what became of each of its identifiers."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from markets.admin.formatting import NOTHING, badge, counted, link, status_badge, utc
from markets.admin.tables import Column, Fact, Pages, Table
from markets.engine.identifier_schemes import SCHEMES
from markets.models import ItemStatus, Resolution, ResolutionItem
from markets.services import resolutions

RESOLVE = "markets.resolve_identifiers"
MOST_LINES = 50_000  # of a list given by the page: a few seconds' work; longer ones are the command's
TONES = {
    ItemStatus.PENDING: "busy",
    ItemStatus.KNOWN: "good",
    ItemStatus.REGISTERED: "good",
    ItemStatus.REVIEW: "wait",
    ItemStatus.DECLINED: "plain",
    ItemStatus.NOT_FOUND: "plain",
    ItemStatus.REJECTED: "bad",
    ItemStatus.FAILED: "bad",
}
MEANINGS = {
    ItemStatus.PENDING: "not asked for yet",
    ItemStatus.KNOWN: "an asset has it already",
    ItemStatus.REGISTERED: "a new asset",
    ItemStatus.REVIEW: "several candidates: a person decides",
    ItemStatus.DECLINED: "a person said that none of the candidates is it",
    ItemStatus.NOT_FOUND: "OpenFIGI does not know it; it is asked again after a week",
    ItemStatus.REJECTED: "the identifier is wrong, or an index",
    ItemStatus.FAILED: "the answer could not be used",
}


class ResolveForm(forms.Form):
    identifiers = forms.CharField(
        label="Identifiers",
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 10, "spellcheck": "false", "autocomplete": "off", "placeholder": "US0378331005\nIBM@XNYS"}
        ),
        help_text="One a line: FIGI, ISIN, CUSIP, SEDOL, ticker, TICKER@MIC, or scheme:value. # begins a comment.",
    )
    file = forms.FileField(
        label="Or a file",
        required=False,
        allow_empty_file=True,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.tsv,.txt"}),
        help_text=f"Text or CSV in UTF-8: the first column of each line. A heading such as isin is left out. At most "
        f"{resolutions.LARGEST_FILE // 2**20} MiB and {MOST_LINES:,} lines.",
    )
    source = forms.CharField(
        label="Source",
        required=False,
        max_length=resolutions.LONGEST_SOURCE,
        widget=UnfoldAdminTextInputWidget(attrs={"list": "known-sources", "autocomplete": "off"}),
        help_text="Whose list it is: one of the known, or a new name. It names the home markets to prefer, and what "
        "was decided is remembered for it.",
    )
    title = forms.CharField(
        label="Title",
        required=False,
        max_length=255,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="By which you find it again.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        given = [name for name in ("identifiers", "file") if (self.cleaned_data.get(name) or "") != ""]
        if not self.errors and len(given) != 1:
            self.add_error(
                "identifiers",
                "Paste a list or choose a file, not both." if given else "Paste identifiers, or choose a file.",
            )
        return cleaned


def status_of(item: ResolutionItem) -> SafeString:
    return badge(item.get_status_display(), TONES[ItemStatus(item.status)])


def asset_link(item: ResolutionItem) -> SafeString | str:
    if item.asset is None:
        return NOTHING
    return link(reverse("admin:markets_asset_change", args=(item.asset_id,)), item.asset)


def scheme_of(item: ResolutionItem) -> str:
    scheme = SCHEMES.get(item.scheme)
    return scheme.label if scheme else item.scheme or NOTHING


def page_of(resolution: Resolution, request: HttpRequest) -> dict[str, Any]:
    """The context of a resolution's page."""
    counts = resolutions.outcome_counts(resolution)
    chosen = {
        "status": _among(request, "status", ItemStatus.values),
        "scheme": _among(request, "scheme", SCHEMES),
        "search": request.GET.get("q", "").replace("\x00", "").strip()[:200],
    }
    job = resolution.job
    busy = job is not None and not job.is_finished
    undone = counts.get(ItemStatus.PENDING, 0) + counts.get(ItemStatus.FAILED, 0)
    return {
        "resolution": resolution,
        "progress_url": reverse("admin:resolution_progress", args=(resolution.pk,)) if busy else "",
        "error": job.error if job is not None and not busy else "",
        "tiles": _tiles(counts, chosen),
        "chosen": chosen,
        "chosen_status": str(ItemStatus(chosen["status"]).label) if chosen["status"] else "",
        "schemes": [(name, SCHEMES[name].label) for name in SCHEMES],
        "may_resume": bool(undone) and not busy and request.user.has_perm(RESOLVE),
        "undone": counted(undone, "identifier"),
        "inbox_url": f"{reverse('admin:markets_resolutionitem_changelist')}?resolution={resolution.pk}",
        "waiting": counts.get(ItemStatus.REVIEW, 0) if request.user.has_perm("markets.view_resolutionitem") else 0,
        "file_query": _query(chosen),
        "items_table": _items_table(resolution, request, chosen),
        "facts": _facts(resolution),
    }


def _among(request: HttpRequest, name: str, known: Any) -> str:
    text = request.GET.get(name, "")
    return text if text in known else ""


def _query(chosen: dict[str, str]) -> str:
    return urlencode({("q" if name == "search" else name): text for name, text in chosen.items() if text})


def _tiles(counts: dict[str, int], chosen: dict[str, str]) -> list[dict[str, Any]]:
    tiles = []
    for status, meaning in MEANINGS.items():
        is_chosen = chosen["status"] == status
        if not counts.get(status) and not is_chosen:
            continue
        query = _query({**chosen, "status": "" if is_chosen else str(status)})
        tiles.append(
            {
                "name": status.label,
                "number": f"{counts.get(status, 0):,}",
                "meaning": meaning,
                "url": f"?{query}#items",
                "chosen": is_chosen,
            }
        )
    return tiles


def _items_table(resolution: Resolution, request: HttpRequest, chosen: dict[str, str]) -> Table:
    pages = Pages(
        request,
        resolutions.items_of(resolution, **chosen),
        prefix="items",
        sorts={"line": "line"},
        then="line",
        size=50,
    )
    titles = ("Identifier", "Scheme", "Outcome", "Asset", "FIGI chosen", "Message", "Evidence")
    return Table(
        label="Identifiers",
        columns=[Column("Line", numeric=True), *map(Column, titles)],
        rows=[_row(item, request) for item in pages.items],
        pages=pages,
        empty="No identifier of the list is like that. Choose another outcome, or clear the search."
        if any(chosen.values())
        else "The list has no identifier.",
    )


def _row(item: ResolutionItem, request: HttpRequest) -> tuple[Any, ...]:
    evidence: Any = NOTHING
    if item.answer_id and request.user.has_perm("markets.view_resolutionitem"):
        evidence = link(reverse("admin:markets_resolutionitem_change", args=(item.pk,)), "Look")
    message = format_html('<span class="msm-message">{}</span>', item.message or NOTHING)
    venue = f"{scheme_of(item)} at {item.venue}" if item.venue else scheme_of(item)
    return (
        f"{item.line:,}",
        item.text,
        venue,
        status_of(item),
        asset_link(item),
        item.figi or NOTHING,
        message,
        evidence,
    )


def _facts(resolution: Resolution) -> list[Fact]:
    job = resolution.job
    return [
        Fact("Job", status_badge(job.status, job.get_status_display()) if job is not None else NOTHING),
        Fact("Source", resolution.source or NOTHING),
        Fact("Home markets when it was given", ", ".join(resolution.exchange_codes) or "none"),
        Fact("Given", f"{utc(resolution.created_at)} by {resolution.requested_by or 'a command'}"),
        Fact("Lines", f"{resolution.lines:,}, of them {resolution.repeated:,} repeated"),
        Fact("Requests to OpenFIGI", f"{resolution.requests_sent:,}"),
    ]
