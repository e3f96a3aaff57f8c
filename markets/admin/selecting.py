"""Actions on many rows: what was selected, and the page that asks before anything is done."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextInputWidget

from markets.admin.formatting import counted
from markets.exceptions import InvalidInput
from markets.services.audit import LONGEST_REASON, current

EXAMPLES = 5
CONFIRM = "confirm"


class ReasonField(forms.CharField):
    """Why: kept in the history of every row that changes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{
                "label": "Reason",
                "max_length": LONGEST_REASON,
                "widget": UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
                "help_text": "It is kept in the history.",
                "error_messages": {"required": "Say why. It is kept in the history."},
                **options,
            }
        )


class ReasonForm(forms.Form):
    reason = ReasonField()


def need_reason(what: str, *, again: str = "save again") -> None:
    """Raise InvalidInput, for the field "reason", when nobody said why `what` is done."""
    if current().reason is None:
        raise InvalidInput(f"{what} Say why, and {again}.", field="reason")


@dataclass(frozen=True)
class Selection:
    """The rows that an action is asked for; `ids` are at most one more than the action takes."""

    ids: Sequence[Any]
    noun: str
    plural: str
    examples: Sequence[str]
    is_all: bool

    @property
    def count(self) -> int:
        return len(self.ids)

    @property
    def counted(self) -> str:
        return counted(self.count, self.noun, self.plural)

    @property
    def unnamed(self) -> str:
        """How many rows the examples leave out."""
        left = self.count - len(self.examples)
        return f"{left:,}" if left > 0 else ""

    @classmethod
    def of(cls, request: HttpRequest, rows: QuerySet[Any], *, most: int) -> "Selection":
        options = rows.model._meta
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[: most + 1])
        some = rows.model._default_manager.filter(pk__in=ids[:EXAMPLES]).order_by("pk")
        return cls(
            ids=ids,
            noun=str(options.verbose_name),
            plural=str(options.verbose_name_plural),
            examples=[str(row) for row in some],
            is_all=request.POST.get("select_across") not in (None, "", "0"),
        )


@dataclass
class Question:
    """The page before an action: what it will do, what is still to be said, and the button."""

    title: str
    button: str
    will: Sequence[str] = ()
    refused: Sequence[str] = ()
    form: forms.Form | None = None
    is_last: bool = True
    is_destructive: bool = False
    warning: str = ""
    more: dict[str, Any] = field(default_factory=dict)


def said_no_row(admin: Any, request: HttpRequest, selection: Selection) -> bool:
    """Whether nothing is selected, which the person is then told."""
    if not selection.count:
        admin.message_user(request, "The selection names no row. Select the rows again.", messages.ERROR)
    return not selection.count


def too_many(selection: Selection, most: int, *, remedy: str) -> str:
    return (
        f"More than {most:,} {selection.plural} are selected, which is more than one action takes. Nothing was "
        f"changed. {remedy}"
    )


def changed_meanwhile(request: HttpRequest, count: int) -> str:
    """What to say when the rows that were confirmed are not as many as those that were shown; nothing when they are."""
    shown = request.POST.get("shown", "")
    if CONFIRM not in request.POST or shown == str(count):
        return ""
    return f"The selection changed meanwhile: it was {shown or 'not counted'}, now it is {count:,}. Look again."


def ask(admin: Any, request: HttpRequest, action: str, selection: Selection, question: Question) -> HttpResponse:
    """The page of the question, whose form comes back to the same action with the same selection."""
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": question.title,
        "question": question,
        "selection": selection,
        "action": action,
        "selected": [(ACTION_CHECKBOX_NAME, key) for key in request.POST.getlist(ACTION_CHECKBOX_NAME)],
        "select_across": request.POST.get("select_across", "0"),
        "media": admin.media + (question.form.media if question.form else forms.Media()),
        "back_url": request.get_full_path(),
    }
    return TemplateResponse(request, "admin/msm/question.html", context)


def tell(admin: Any, request: HttpRequest, done: str, refused: Sequence[str] = (), *, shown: int = 5) -> None:
    """Say what was done and, apart, what was refused and why."""
    admin.message_user(request, done, messages.SUCCESS)
    if refused:
        more = f" … and {len(refused) - shown:,} more." if len(refused) > shown else ""
        admin.message_user(
            request,
            f"{counted(len(refused), 'was', 'were')} refused. {' '.join(refused[:shown])}{more}",
            messages.WARNING,
        )
