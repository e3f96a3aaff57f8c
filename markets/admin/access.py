"""Access tokens of the REST API: made here, shown once, revoked here."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from unfold.decorators import display

from markets.admin.formatting import badge, utc
from markets.admin.service_saving import RefusingAdmin
from markets.models import AccessToken
from markets.services import access

SHOWN_OF_KEY = 8  # characters: enough to tell tokens apart, useless to guess one


@admin.register(AccessToken)
class AccessTokenAdmin(RefusingAdmin):
    """The digest is the primary key, so no page of a row has an address: rows are named by the token's beginning."""

    list_display = ("title", "user", "key", "kind", "state", "created_utc", "expires", "last_used", "revoke")
    list_display_links = None
    list_select_related = ("user",)
    sortable_by = ()
    search_fields = ("name__icontains", "user__username__istartswith")
    search_help_text = "Name, or beginning of the user's name"
    actions = None
    autocomplete_fields = ("user",)
    empty_help = mark_safe(
        "A token lets a program use the REST API: <code>Authorization: Token …</code>. It is shown once, when it is "
        "made."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccessToken]:
        """Everybody's own; a superuser sees all."""
        tokens = super().get_queryset(request)
        return tokens if request.user.is_superuser else tokens.filter(user=request.user.pk)

    def has_change_permission(self, request: HttpRequest, obj: AccessToken | None = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        if "user" in form.base_fields:
            form.base_fields["user"].initial = request.user.pk
        return form

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Only a superuser chooses whose rights a token lends; everybody else's is their own."""
        fields = ("name", "user", "is_read_only", "expiry")
        return fields if request.user.is_superuser else tuple(name for name in fields if name != "user")

    def save_model(self, request: HttpRequest, obj: AccessToken, form: forms.ModelForm, change: bool) -> None:
        made = access.create_token(
            owner=form.cleaned_data.get("user", request.user),
            made_by=request.user,
            name=form.cleaned_data["name"],
            is_read_only=form.cleaned_data["is_read_only"],
            lasts=access.lasts_until(form.cleaned_data["expiry"]),
        )
        vars(obj).update(vars(made.row))
        request.new_token = made.text  # type: ignore[attr-defined]

    def log_addition(self, request: HttpRequest, obj: AccessToken, message: Any) -> Any:
        """Not logged with its primary key, which is the digest."""

    def response_add(
        self, request: HttpRequest, obj: AccessToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "New access token",
            "opts": self.opts,
            "token": request.new_token,  # type: ignore[attr-defined]
            "row": obj,
            "list_url": reverse("admin:markets_accesstoken_changelist"),
        }
        response = TemplateResponse(request, "admin/msm/new_token.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.revoke_view)
        return [path("revoke/<str:token_key>/", view, name="revoke_token"), *super().get_urls()]

    def revoke_view(self, request: HttpRequest, token_key: str) -> HttpResponse:
        """Ask, then delete the token; whoever uses it is refused from then on."""
        if not self.has_delete_permission(request):
            raise PermissionDenied
        if "\x00" in token_key:
            raise Http404("No token's key holds a NUL character.")
        token = get_object_or_404(self.get_queryset(request).select_related("user"), token_key=token_key)
        list_url = reverse("admin:markets_accesstoken_changelist")
        if request.method == "POST":
            token.delete()
            self.message_user(request, f"The token {token} of {token.user} is revoked.", messages.SUCCESS)
            return HttpResponseRedirect(list_url)
        context = {
            **self.admin_site.each_context(request),
            "title": "Revoke access token",
            "opts": self.opts,
            "row": token,
            "list_url": list_url,
        }
        return TemplateResponse(request, "admin/msm/revoke_token.html", context)

    @display(description="name")
    def title(self, token: AccessToken) -> str:
        return token.name or "unnamed"

    @display(description="begins with")
    def key(self, token: AccessToken) -> str:
        return format_html("<code>{}…</code>", token.token_key[:SHOWN_OF_KEY])

    @display(description="access")
    def kind(self, token: AccessToken) -> str:
        return "read only" if token.is_read_only else "read and write"

    @display(description="state")
    def state(self, token: AccessToken) -> str:
        if token.expiry and token.expiry <= timezone.now():
            return badge("expired", "bad")
        if not token.user.is_active:
            return badge("user inactive", "bad")
        return badge("valid", "good")

    @display(description="created (UTC)")
    def created_utc(self, token: AccessToken) -> str:
        return utc(token.created, zone=False)

    @display(description="expires (UTC)")
    def expires(self, token: AccessToken) -> str:
        return utc(token.expiry, zone=False) if token.expiry else "never"

    @display(description="last used (UTC)")
    def last_used(self, token: AccessToken) -> str:
        return utc(token.last_used_at, zone=False) if token.last_used_at else "never"

    @display(description="")
    def revoke(self, token: AccessToken) -> str:
        return format_html(
            '<a class="msm-link msm-danger" href="{}">Revoke</a>',
            reverse("admin:revoke_token", args=(token.token_key,)),
        )
