"""People and groups, with the theme's forms: what a person may do is chosen by ticking groups."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Count, Field, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from markets.admin.formatting import NOTHING, badge, count, utc
from markets.admin.strict_input import StrictInput
from markets.roles import ANALYST, OPERATOR, VIEWER

WHAT_ROLES_DO = {
    VIEWER: "sees everything",
    ANALYST: "sees everything; keeps assets, categories, calendars, accounts and portfolios",
    OPERATOR: "sees everything; runs DataNodes, schedules and jobs, renews calendars' sessions",
}

admin.site.unregister(User)
admin.site.unregister(Group)


class GroupChoice(forms.ModelMultipleChoiceField):
    def label_from_instance(self, group: Any) -> str:
        does = WHAT_ROLES_DO.get(group.name)
        return f"{group.name}: {does}" if does else group.name


@admin.register(User)
class UserAdmin(StrictInput, DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_fullwidth = True
    list_filter_submit = True
    list_display = ("username", "full_name", "in_groups", "state", "last_login_utc")
    fieldsets = (
        (None, {"fields": ("username", "password", ("first_name", "last_name"), "email")}),
        (
            "What this person may do",
            {
                "fields": ("groups", ("is_active", "is_staff")),
                "description": "Tick the groups; their rights add up. Without “staff status” the back-office refuses "
                "the person, and only the REST API is open.",
            },
        ),
        (
            "Beyond groups",
            {
                "classes": ("collapse",),
                "fields": ("is_superuser", "user_permissions"),
                "description": "A superuser may do everything, manage users and read every token's name.",
            },
        ),
        ("Dates", {"classes": ("collapse",), "fields": (("last_login", "date_joined"),)}),
    )
    readonly_fields = ("last_login", "date_joined")
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "usable_password", "password1", "password2")}),
        ("What this person may do", {"fields": ("groups", "is_staff")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **kwargs: Any) -> forms.Field | None:
        if db_field.name == "groups":
            return GroupChoice(
                Group.objects.order_by("name"), required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget()
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @display(description="name")
    def full_name(self, user: User) -> str:
        return user.get_full_name() or NOTHING

    @display(description="groups")
    def in_groups(self, user: User) -> str:
        names = sorted(group.name for group in user.groups.all())
        return ", ".join([*(["superuser"] if user.is_superuser else []), *names]) or NOTHING

    @display(description="state")
    def state(self, user: User) -> str:
        if not user.is_active:
            return badge("inactive", "bad")
        return badge("active", "good") if user.is_staff else badge("REST only", "plain")

    @display(description="last sign-in (UTC)", ordering="last_login")
    def last_login_utc(self, user: User) -> str:
        return utc(user.last_login, zone=False) if user.last_login else "never"


@admin.register(Group)
class GroupAdmin(StrictInput, DjangoGroupAdmin, ModelAdmin):
    list_display = ("name", "does", "people")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).annotate(number_of_people=Count("user"))

    @display(description="what it is for")
    def does(self, group: Group) -> str:
        return WHAT_ROLES_DO.get(group.name, NOTHING)

    @display(description="people", ordering="number_of_people")
    def people(self, group: Any) -> str:
        return count(group.number_of_people)
