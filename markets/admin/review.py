"""The review inbox: one identifier at a time, its candidates as a tree, decided by key, by form or by a rule."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminTextInputWidget

from markets.admin.base import ReadOnlyAdmin
from markets.admin.candidates import tree_for
from markets.admin.formatting import NOTHING, count, counted, link, pretty_json, utc
from markets.admin.resolution_page import asset_link, scheme_of, status_of
from markets.admin.review_page import DECIDE, Filters, following, page_of, proposals_table
from markets.admin.tables import Fact
from markets.engine.identifier_schemes import SCHEMES
from markets.exceptions import Conflict, InvalidInput, MSMError, NotFound
from markets.models import ItemStatus, Resolution, ResolutionItem
from markets.services import resolutions
from markets.services.values import LARGEST_ID

MOST_BY_PAGE = 2_000  # items of one rule: some seconds' work of a request


def number_waiting(request: HttpRequest) -> str:
    """For the menu: how many identifiers wait for a decision."""
    if not request.user.has_perm("markets.view_resolutionitem"):
        return "0"
    number = resolutions.number_waiting()
    return f"{number - 1:,}+" if number == 1_000 else count(number)


class RuleForm(forms.Form):
    exchange_codes = forms.CharField(
        label="Home markets",
        max_length=500,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "placeholder": "US, GR"}),
        help_text="OpenFIGI's exchange codes in the order in which they are preferred.",
    )
    reason = forms.CharField(
        label="Reason",
        max_length=resolutions.LONGEST_REASON,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="Remembered with each decision.",
    )


@admin.register(ResolutionItem)
class ReviewAdmin(ReadOnlyAdmin):
    """The list of the model's pages is the inbox; the page of an item is its evidence, whatever became of it."""

    change_form_template = "admin/msm/resolution_item.html"

    class Media:
        js = ("markets/review.js",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ResolutionItem]:
        rows = super().get_queryset(request)
        return rows.select_related("resolution", "answer", "asset", "decided_by")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("rule/", wrap(self.rule), name="review_rule"),
            path("<int:pk>/decide/", wrap(require_POST(self.decide)), name="review_decide"),
            path("<int:pk>/reopen/", wrap(require_POST(self.reopen)), name="review_reopen"),
            *super().get_urls(),
        ]

    # --- the inbox ---------------------------------------------------------------------------------------------------
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = request.GET.get("item", "")
        chosen = None
        if key.isascii() and key.isdigit() and len(key) < 19 and int(key) <= LARGEST_ID:
            chosen = ResolutionItem.objects.filter(pk=int(key), status=ItemStatus.REVIEW).first()
        return self._inbox(request, Filters.of(request.GET), chosen)

    def decide(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Accept the chosen candidate, decline them all, or put it off; then the next item."""
        self._need(request)
        item = self._item(pk)
        filters = Filters.of(request.GET)
        next_key = following(filters, item)
        try:
            told = self._decide(request, item)
        except (Conflict, NotFound) as error:
            self.message_user(request, str(error), messages.WARNING)
            return HttpResponseRedirect(filters.url(item=next_key))
        except MSMError as error:
            kept = {name: request.POST.get(name, "")[:2_000] for name in ("figi", "reason")}
            return self._inbox(request, filters, item, error=str(error), **kept)
        self.message_user(request, told, messages.SUCCESS)
        return HttpResponseRedirect(filters.url(item=next_key))

    def _decide(self, request: HttpRequest, item: ResolutionItem) -> str:
        user: Any = request.user
        decision, reason = request.POST.get("decision", ""), request.POST.get("reason", "")
        if decision == "accept":
            figi = request.POST.get("figi", "")
            if not figi:
                raise InvalidInput("Choose one of the candidates, or decline them all.", field="figi")
            done = resolutions.accept(item, figi, user=user, reason=reason)
            return f"{item}: {figi} is accepted, and remembered. {done.get_status_display()}."
        if decision == "decline":
            resolutions.decline(item, user=user, reason=reason)
            return f"{item} is declined, and that is remembered."
        if decision == "postpone":
            resolutions.postpone(item)
            return f"{item} is put off: it comes last."
        raise InvalidInput("Say what is decided: accept, decline or later.", field="decision")

    def reopen(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A declined item waits again."""
        self._need(request)
        item = self._item(pk)
        try:
            resolutions.reopen(item)
            self.message_user(request, f"{item} waits in the inbox again; the decision is forgotten.", messages.SUCCESS)
        except MSMError as error:
            self.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(reverse("admin:markets_resolutionitem_change", args=(pk,)))

    def _inbox(
        self, request: HttpRequest, filters: Filters, chosen: ResolutionItem | None, **kept: str
    ) -> HttpResponse:
        context = {"title": "Review inbox", **page_of(request, filters, chosen, **kept)}
        return self._answer(request, "admin/msm/review.html", context)

    # --- many at once ------------------------------------------------------------------------------------------------
    def rule(self, request: HttpRequest) -> HttpResponse:
        """Choose what waits by list, source and scheme; see what home markets would decide; then do it."""
        self._need(request)
        filters = Filters.of(request.POST if request.method == "POST" else request.GET)
        form = RuleForm(request.POST) if request.method == "POST" else RuleForm(initial=_usual(filters))
        context: dict[str, Any] = {"form": form}
        if request.method == "POST" and form.is_valid():
            try:
                done = self._rule(request, filters, form.cleaned_data, context)
            except MSMError as error:
                field = getattr(error, "field", None)
                form.add_error(field if field in form.fields else None, str(error))
            else:
                if done is not None:
                    return done
        context |= {
            "title": "Decide by rule",
            "filters": filters,
            "number": filters.items().order_by().values("pk")[: MOST_BY_PAGE + 1].count(),
            "most": MOST_BY_PAGE,
            "lists": _lists(filters),
            "sources": resolutions.known_sources(),
            "schemes": [(name, SCHEMES[name].label) for name in SCHEMES],
            "back_url": filters.url(),
        }
        return self._answer(request, "admin/msm/review_rule.html", context)

    def _rule(
        self, request: HttpRequest, filters: Filters, values: dict[str, Any], context: dict[str, Any]
    ) -> HttpResponse | None:
        """The answer when it is done; None, with the preview in the context, when it is still to be confirmed."""
        items = filters.items()
        if items.order_by().values("pk")[: MOST_BY_PAGE + 1].count() > MOST_BY_PAGE:
            raise InvalidInput(
                f"More than {MOST_BY_PAGE:,} identifiers wait here. Choose one list, source or scheme, or use REST."
            )
        preview = resolutions.preview_rule(items, values["exchange_codes"])
        if "confirm" in request.POST:
            if request.POST.get("shown") == str(preview.accepted):
                user: Any = request.user
                done = resolutions.decide_by_rule(items, values["exchange_codes"], user=user, reason=values["reason"])
                told = f"{counted(done.accepted, 'identifier')} accepted; {done.left:,} still waiting."
                self.message_user(request, told, messages.SUCCESS)
                return HttpResponseRedirect(filters.url())
            context["warning"] = "What waits changed meanwhile. Look again."
        context |= {"preview": preview, "proposals": proposals_table(preview)}
        return None

    # --- one item and its evidence -----------------------------------------------------------------------------------
    def page_context(self, request: HttpRequest, obj: ResolutionItem) -> dict[str, Any]:
        list_url = reverse("admin:markets_resolution_change", args=(obj.resolution_id,))
        may_decide = request.user.has_perm(DECIDE)
        waits = obj.status == ItemStatus.REVIEW
        facts = [
            Fact("Outcome", status_of(obj)),
            Fact("Scheme", f"{scheme_of(obj)} at {obj.venue}" if obj.venue else scheme_of(obj)),
            Fact("Identifier", obj.value or NOTHING),
            Fact("Asset", asset_link(obj)),
            Fact("FIGI chosen", obj.figi or NOTHING),
            Fact("List", link(list_url, obj.resolution)),
            Fact("Line", f"{obj.line:,}"),
            Fact("Message", obj.message or NOTHING, wide=True),
        ]
        if obj.decided_at is not None:
            by = obj.decided_by or "the home markets, or an only candidate"
            facts.append(Fact("Decided", f"{utc(obj.decided_at)} by {by}"))
        answer = obj.answer
        evidence = (
            []
            if answer is None
            else [
                Fact("Asked", utc(answer.asked_at)),
                Fact("Answer", answer.get_outcome_display()),
                Fact("Holds", f"until {utc(answer.expires_at)}" if answer.expires_at else "for good"),
                *([Fact("It said", answer.message, wide=True)] if answer.message else []),
            ]
        )
        return {
            "facts": facts,
            "evidence": evidence,
            "question": pretty_json(answer.job) if answer is not None else "",
            "trees": tree_for(obj, chosen=obj.figi),
            "inbox_url": Filters(None, None, "", "").url(item=obj.pk) if waits else "",
            "may_reopen": may_decide and obj.status == ItemStatus.DECLINED and bool(answer and answer.rows),
        }

    def _item(self, pk: int) -> ResolutionItem:
        if pk > LARGEST_ID:
            raise Http404("There is no such item.")
        return get_object_or_404(ResolutionItem.objects.select_related("resolution"), pk=pk)

    def _need(self, request: HttpRequest) -> None:
        if not (self.has_view_permission(request) and request.user.has_perm(DECIDE)):
            raise PermissionDenied

    def _answer(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}
        return TemplateResponse(request, template, {**shared, **context})


def _usual(filters: Filters) -> dict[str, str]:
    """The home markets that the chosen source has already."""
    source = filters.resolution.source if filters.resolution else filters.source
    return {"exchange_codes": ", ".join(resolutions.home_markets(source))} if source is not None else {}


def _lists(filters: Filters) -> list[tuple[int, str, bool]]:
    """(key, title, whether it is chosen) of the latest lists that have something waiting, and of the chosen one."""
    waiting = ResolutionItem.objects.filter(status=ItemStatus.REVIEW).order_by()
    keys = set(waiting.values_list("resolution_id", flat=True)[:10_000])
    chosen = filters.resolution.pk if filters.resolution else None
    found = (
        Resolution.objects.filter(pk__in={*keys, *([chosen] if chosen else [])})
        .order_by("-id")
        .values_list("pk", "title")[:100]
    )
    return [(key, title, key == chosen) for key, title in found]
