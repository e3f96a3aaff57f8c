"""People and groups, with the theme's forms."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from markets.admin.strict_input import StrictInput

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(StrictInput, DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_fullwidth = True
    list_filter_submit = True


@admin.register(Group)
class GroupAdmin(StrictInput, DjangoGroupAdmin, ModelAdmin):
    pass
