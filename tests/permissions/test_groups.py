"""The groups that the migrations make: every permission of our tables is granted or withheld on purpose."""

import importlib
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from markets.models import Asset
from markets.roles import ANALYST, OPERATOR, ROLES, VIEWER, edits, grant, views

OURS = ("markets", "portfolios")
# What no group may: the engine writes these tables, users and tokens are the administrator's.
WRITTEN_BY_THE_ENGINE = {
    f"{app}.{verb}_{model}"
    for app, models in {
        "markets": (
            *("calendarsession", "storagenode", "nodeupdate", "noderun", "updatestatistic", "job", "jobmessage"),
            *("importrun", "importrow", "importchunk", "pendingresolution"),
            *("figianswer", "resolution", "resolutionitem"),
            *("backfill", "backfillpart"),
        ),
        "portfolios": ("signalweight", "portfolioweight", "portfoliovalue"),
    }.items()
    for model in models
    for verb in ("add", "change", "delete")
} - {"markets.change_job", "markets.add_nodeupdate"}
WITHHELD = {
    *WRITTEN_BY_THE_ENGINE,
    *("markets.change_assetsnapshot", "markets.delete_assetsnapshot"),  # snapshots are added, never changed
    "markets.force_delete_public_asset",  # a superuser's, who confirms
    "markets.change_accesstoken",  # a token is made and revoked, never changed
}


def permissions(*apps_: str) -> set[str]:
    rows = Permission.objects.filter(content_type__app_label__in=apps_)
    return {f"{app}.{codename}" for app, codename in rows.values_list("content_type__app_label", "codename")}


def held_by(role: str) -> set[str]:
    rows = Group.objects.get(name=role).permissions
    return {f"{app}.{codename}" for app, codename in rows.values_list("content_type__app_label", "codename")}


@pytest.mark.django_db
def test_every_permission_of_ours_is_granted_or_withheld() -> None:
    undecided = permissions(*OURS) - WITHHELD - held_by(VIEWER) - held_by(ANALYST) - held_by(OPERATOR)
    assert not undecided, (
        f"No group has {sorted(undecided)}. In the migration that makes the table call markets.roles.grant for viewer, "
        "analyst and operator, or add it to WITHHELD here, and write the table of docs/reference/permissions.md."
    )
    assert not WITHHELD & (held_by(VIEWER) | held_by(ANALYST) | held_by(OPERATOR))


@pytest.mark.django_db
def test_everybody_sees_every_table_of_ours_but_viewers_not_who_changed_what() -> None:
    seen = {name for name in permissions(*OURS) if ".view_" in name}
    for role in ROLES:
        missing = seen - held_by(role)
        assert missing == ({"markets.view_change"} if role == VIEWER else set()), (
            f"{role} does not see {sorted(missing)}: call markets.roles.grant in a migration."
        )


@pytest.mark.django_db
def test_what_each_may_beyond_seeing() -> None:
    beyond = {role: {name for name in held_by(role) if ".view_" not in name} for role in ROLES}
    own_tokens = {"markets.add_accesstoken", "markets.delete_accesstoken"}
    assert beyond[VIEWER] == own_tokens
    shared = {"markets.resolve_identifiers"}  # operators load lists, analysts decide what they leave open
    assert beyond[OPERATOR] - own_tokens == shared | {
        *("markets.run_nodeupdate", "markets.change_job", "markets.refresh_calendar", "markets.add_nodeupdate"),
        *edits(
            "django_celery_beat",
            *("periodictask", "crontabschedule", "intervalschedule", "clockedschedule", "solarschedule"),
        ),
        *edits("markets", "freshnesspolicy", "nodeschedule"),
    }
    assert {name for name in beyond[ANALYST] - own_tokens if not name.startswith(OURS)} == set()
    assert beyond[ANALYST] & (beyond[OPERATOR] - own_tokens) == shared
    assert "markets.decide_resolutions" in beyond[ANALYST]
    assert {"markets.add_asset", "markets.delete_assetcategorymembership", "portfolios.change_portfolio"} <= beyond[
        ANALYST
    ]


@pytest.mark.django_db
def test_no_group_reaches_users_groups_sessions_or_logins() -> None:
    for role in ROLES:
        assert not [name for name in held_by(role) if name.startswith(("auth.", "axes.", "sessions.", "admin."))]


@pytest.mark.django_db
def test_permissions_are_named_as_django_names_them() -> None:
    """Those that the migration made on the empty database are those that Django would have made."""
    made = set(
        Permission.objects.filter(content_type__app_label__in=(*OURS, "django_celery_beat")).values_list(
            "content_type__app_label", "codename", "name"
        )
    )
    Permission.objects.filter(content_type__app_label__in=(*OURS, "django_celery_beat")).delete()
    for app in (*OURS, "django_celery_beat"):
        create_permissions(apps.get_app_config(app), verbosity=0)
    assert made == set(
        Permission.objects.filter(content_type__app_label__in=(*OURS, "django_celery_beat")).values_list(
            "content_type__app_label", "codename", "name"
        )
    )


EDITOR = SimpleNamespace(connection=connection)


def run_migrations() -> None:
    for name in ("markets.migrations.0007_groups", "portfolios.migrations.0004_groups"):
        importlib.import_module(name).grants(apps, EDITOR)


@pytest.mark.django_db
def test_an_administrators_edits_stay() -> None:
    viewer, analyst = Group.objects.get(name=VIEWER), Group.objects.get(name=ANALYST)
    extra = Permission.objects.get(codename="run_nodeupdate")
    viewer.permissions.add(extra)
    analyst.permissions.remove(*analyst.permissions.filter(codename__in=("delete_asset", "add_asset")))
    before = held_by(VIEWER), held_by(ANALYST)

    run_migrations()

    assert (held_by(VIEWER), held_by(ANALYST)) == before
    assert "markets.run_nodeupdate" in held_by(VIEWER)
    assert "markets.delete_asset" not in held_by(ANALYST)


@pytest.mark.django_db
def test_a_group_that_is_gone_or_renamed_is_not_made_again_by_later_grants() -> None:
    Group.objects.filter(name=OPERATOR).update(name="night shift")
    Group.objects.filter(name=VIEWER).delete()
    kept = held_by("night shift")
    for role in (OPERATOR, VIEWER):
        grant(apps, EDITOR, role, views("markets", "asset"))
    assert set(Group.objects.values_list("name", flat=True)) == {"night shift", ANALYST}
    assert held_by("night shift") == kept


@pytest.mark.django_db
def test_what_is_new_is_granted_beside_what_was_decided() -> None:
    """A later version adds a permission to a table on which the group has some already."""
    content_type = ContentType.objects.get_for_model(Asset)
    Permission.objects.filter(content_type=content_type, codename="force_delete_public_asset").delete()
    grant(apps, EDITOR, OPERATOR, ["markets.force_delete_public_asset", "markets.add_asset"])
    assert "markets.force_delete_public_asset" in held_by(OPERATOR)
    assert "markets.add_asset" not in held_by(OPERATOR)  # it was there, and decided


@pytest.mark.django_db
def test_operators_of_a_database_that_is_older_may_register_nodes_and_nobody_else() -> None:
    """Such a database has the permission already, which Django made and nobody granted."""
    for role in ROLES:
        Group.objects.get(name=role).permissions.remove(Permission.objects.get(codename="add_nodeupdate"))
    importlib.import_module("markets.migrations.0015_register_nodes").grants(apps, EDITOR)
    assert [role for role in ROLES if "markets.add_nodeupdate" in held_by(role)] == [OPERATOR]

    Group.objects.get(name=OPERATOR).permissions.remove(
        *Permission.objects.filter(codename__in=("add_nodeupdate", "run_nodeupdate"))
    )
    importlib.import_module("markets.migrations.0015_register_nodes").grants(apps, EDITOR)
    assert "markets.add_nodeupdate" not in held_by(OPERATOR)  # an administrator took the running from them
