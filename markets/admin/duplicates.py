"""Duplicates: groups of assets that may be one, two of them side by side, the merge, and its undoing."""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget

from markets.admin.formatting import NOTHING, badge, count, link, utc
from markets.admin.selecting import CONFIRM, Question, ReasonField, ReasonForm, Selection, ask
from markets.admin.tables import Column, Table
from markets.exceptions import InvalidInput, MSMError
from markets.models import Asset, AssetMerge, OpenFigiDetails, RowsChoice
from markets.services import duplicates
from markets.services.merging import ImpactItem, MergeImpact, active_merge, merge_assets, merge_impact, undo_merge

TONES = {"certain": "bad", "likely": "wait", "possible": "plain", "normal": "good"}
PERMISSION = "markets.merge_asset"
LARGEST_KEY = 2**63 - 1


class MergeForm(forms.Form):
    rows = forms.ChoiceField(
        choices=RowsChoice.choices,
        initial=RowsChoice.REFUSE,
        label="Where both have data",
        widget=UnfoldAdminSelectWidget(),
        help_text="Data that only the other one has moves in any case.",
    )
    reason = ReasonField()


def urls(model_admin: Any) -> list[URLPattern]:
    def view(function: Any) -> Any:
        made = model_admin.admin_site.admin_view(partial(function, model_admin))
        made.model_admin = model_admin  # the menu shows it to whoever may see the list
        return made

    return [
        path("duplicates/", view(_groups), name="markets_asset_duplicates"),
        path("duplicates/distinct/", view(_distinct), name="markets_asset_distinct"),
        path("<int:pk>/merge/<int:into>/", view(_merge), name="markets_asset_merge"),
        path("merges/<int:pk>/undo/", view(_undo), name="markets_asset_undo_merge"),
    ]


def merged_notice(request: HttpRequest, asset: Asset) -> SafeString | str:
    """What the page of a merged asset says first: into which, since when, and the way back."""
    merge = active_merge(asset) if asset.merged_into_id is not None else None
    if merge is None:
        return ""
    undo = ""
    if request.user.has_perm(PERMISSION):
        undo = format_html(" {}", link(reverse("admin:markets_asset_undo_merge", args=(merge.pk,)), "Undo the merge"))
    return format_html(
        "Merged into {} on {}: {}. Nothing is written to it any more.{}",
        _page_of(merge.kept),
        utc(merge.created_at),
        merge.reason.rstrip("."),
        undo,
    )


def _groups(model_admin: Any, request: HttpRequest) -> HttpResponse:
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    reason = request.GET.get("reason", "")
    problem = ""
    try:
        page = duplicates.find_duplicates(
            reason=reason or None, after=duplicates.read_place(request.GET.get("after", ""))
        )
    except InvalidInput as error:
        problem, reason = f"{error} The first groups are shown.", ""
        page = duplicates.find_duplicates()
    may_merge = request.user.has_perm(PERMISSION)
    following = {"reason": reason, "after": duplicates.write_place(page.next)} if page.next else {}
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Duplicates",
        "opts": model_admin.opts,
        "media": model_admin.media,
        "problem": problem,
        "reasons": [("All", _url(), not reason)]
        + [(kind.title, _url(reason=kind.reason), kind.reason == reason) for kind in duplicates.KINDS],
        "groups": [
            {
                "title": group.kind.title,
                "strength": badge(group.kind.strength, TONES[group.kind.strength]),
                "explanation": group.kind.explanation,
                "common": " · ".join(text for text in group.key if text),
                "table": _members(group, may_merge=may_merge),
                "ids": ",".join(str(asset.pk) for asset in group.assets),
                "may_decide": may_merge and group.count <= duplicates.MOST_DECIDED,
            }
            for group in page.groups
        ],
        "next_url": _url(**following) if following else "",
        "first_url": _url(reason=reason) if request.GET.get("after") else "",
        "distinct_url": reverse("admin:markets_asset_distinct"),
    }
    return TemplateResponse(request, "admin/msm/duplicates.html", context)


def _members(group: duplicates.DuplicateGroup, *, may_merge: bool) -> Table:
    assets = list(group.assets)
    rows = []
    for asset in assets:
        details = getattr(asset, "openfigi_details", None)
        others = [other for other in assets if other.pk != asset.pk][:3]
        merges = format_html_join(
            ", ",
            "{}",
            (
                (link(reverse("admin:markets_asset_merge", args=(asset.pk, other.pk)), f"into {other}"),)
                for other in others
            ),
        )
        rows.append(
            (
                _page_of(asset),
                asset.asset_type or NOTHING,
                "custom" if asset.is_custom_by_organization else "public",
                *(getattr(details, name, None) or NOTHING for name in ("ticker", "name", "exchange_code")),
                *([merges] if may_merge else []),
            )
        )
    more = f"The first {len(assets)} of {count(group.count)}." if group.count > len(assets) else ""
    columns = [Column(name) for name in ("Asset", "Type", "Kept by", "Ticker", "Name", "Exchange")]
    return Table([*columns, *([Column("Merge")] if may_merge else [])], rows, label="Assets", footer=more)


def _distinct(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Asks why the assets of a group are no duplicates, and remembers it."""
    _only(request, PERMISSION)
    text = request.POST.get("assets") or request.GET.get("assets", "")
    ids = [int(part) for part in text.split(",") if part.isascii() and part.isdigit() and int(part) <= LARGEST_KEY]
    assets = list(Asset.objects.filter(pk__in=ids[: duplicates.MOST_DECIDED + 1]).order_by("unique_identifier"))
    if len(assets) < 2:
        raise Http404
    form, warning = ReasonForm(request.POST if request.method == "POST" else None), ""
    if request.method == "POST" and form.is_valid():
        try:
            duplicates.decide_distinct(assets, reason=form.cleaned_data["reason"], user=_user(request))
        except MSMError as error:
            warning = str(error)
        else:
            names = ", ".join(map(str, assets))
            messages.success(request, f"{names}: no duplicates of each other. They are not listed any more.")
            return HttpResponseRedirect(_url())
    question = Question(
        "No duplicates?",
        "Not duplicates",
        will=[f"{', '.join(map(str, assets))} are not listed as duplicates of each other any more."],
        form=form,
        warning=warning,
        more={"hidden": [("assets", ",".join(str(asset.pk) for asset in assets))]},
    )
    return _asked(model_admin, request, question, _url())


def _merge(model_admin: Any, request: HttpRequest, pk: int, into: int) -> HttpResponse:
    """Both side by side, what the merge would do, and the merge."""
    _only(request, PERMISSION)
    if max(pk, into) > LARGEST_KEY:
        raise Http404
    rows = Asset.objects.select_related("openfigi_details")
    dropped, kept = get_object_or_404(rows, pk=pk), get_object_or_404(rows, pk=into)
    form = MergeForm(request.POST if request.method == "POST" else None)
    chosen = request.POST.get("rows", RowsChoice.REFUSE)
    if chosen not in RowsChoice.values:
        chosen = RowsChoice.REFUSE
    warning = ""
    if request.method == "POST" and form.is_valid() and CONFIRM in request.POST:
        said = form.cleaned_data
        try:
            merge_assets(dropped, kept, reason=said["reason"], rows=said["rows"], user=_user(request))
        except MSMError as error:
            warning = str(error)
        else:
            messages.success(request, f"{dropped} was merged into {kept}.")
            return HttpResponseRedirect(reverse("admin:markets_asset_change", args=(kept.pk,)))
    impact = merge_impact(dropped, kept, rows=chosen)
    can_ask = impact.can_merge or impact.needs_choice
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"Merge {dropped} into {kept}",
        "opts": model_admin.opts,
        "media": model_admin.media + form.media,
        "warning": warning,
        "impact": impact,
        "comparison": _comparison(dropped, kept),
        "table": _impact_table(impact),
        "form": form if can_ask else None,
        "swap_url": reverse("admin:markets_asset_merge", args=(kept.pk, dropped.pk)),
        "back_url": _url(),
    }
    return TemplateResponse(request, "admin/msm/merge_assets.html", context)


def _comparison(dropped: Asset, kept: Asset) -> Table:
    """The values of both; those that differ are told apart."""
    fields = [("Identifier", "unique_identifier"), ("Type", "asset_type")]
    described = [
        (str(field.verbose_name), field.name)
        for field in OpenFigiDetails._meta.concrete_fields
        if field.name not in ("asset", "updated_at", "raw_payload", "metadata_text")
    ]
    rows = [(title, *(getattr(asset, name) or NOTHING for asset in (kept, dropped))) for title, name in fields]
    for title, name in described:
        values = [getattr(getattr(asset, "openfigi_details", None), name, None) or NOTHING for asset in (kept, dropped)]
        if values != [NOTHING, NOTHING]:
            rows.append((f"{title[0].upper()}{title[1:]}", *values))
    told = [(*row, badge("same", "good") if row[1] == row[2] else badge("differs", "plain")) for row in rows]
    return Table([Column(""), Column("Stays"), Column("Is merged"), Column("")], told, label="Side by side")


def _impact_table(impact: MergeImpact) -> Table:
    return Table(
        label="What the merge does",
        columns=[
            Column("What"),
            Column("Moved", numeric=True),
            Column("Joined", numeric=True),
            Column("Left", numeric=True),
            Column(""),
        ],
        rows=[
            (_title(item), count(item.moved), count(item.joined), count(item.left), item.note) for item in impact.items
        ],
        empty=f"Nothing refers to {impact.dropped}: it becomes a redirect.",
    )


def _title(item: ImpactItem) -> str:
    """A table of a DataNode keeps its name as it is."""
    return item.label if item.key.startswith("rows.") else f"{item.label[0].upper()}{item.label[1:]}"


def _undo(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    _only(request, PERMISSION)
    if pk > LARGEST_KEY:
        raise Http404
    merge = get_object_or_404(AssetMerge.objects.select_related("kept", "dropped"), pk=pk)
    form, warning = ReasonForm(request.POST if request.method == "POST" else None), ""
    back = reverse("admin:markets_asset_change", args=(merge.dropped_id,))
    if request.method == "POST" and form.is_valid():
        try:
            undo_merge(merge, reason=form.cleaned_data["reason"], user=_user(request))
        except MSMError as error:
            warning = str(error)
        else:
            messages.success(request, f"The merge of {merge} was undone.")
            return HttpResponseRedirect(back)
    question = Question(
        f"Undo the merge of {merge}?",
        "Undo the merge",
        will=[f"What was moved goes back to {merge.dropped}. What was written to {merge.kept} since stays there."],
        form=form,
        warning=warning,
    )
    return _asked(model_admin, request, question, back)


def _asked(model_admin: Any, request: HttpRequest, question: Question, back_url: str) -> HttpResponse:
    answer = ask(model_admin, request, "", Selection([], "asset", "assets", [], False), question)
    answer.context_data["back_url"] = back_url  # type: ignore[attr-defined]
    return answer


def _only(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perms([permission, "markets.view_asset"]):
        raise PermissionDenied


def _user(request: HttpRequest) -> Any:
    return request.user


def _url(**parameters: str) -> str:
    given = {name: value for name, value in parameters.items() if value}
    return reverse("admin:markets_asset_duplicates") + (f"?{urlencode(given)}" if given else "")


def _page_of(asset: Asset) -> SafeString:
    return link(reverse("admin:markets_asset_change", args=(asset.pk,)), asset)
