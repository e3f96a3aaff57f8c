"""Gives permissions to the groups viewer, analyst and operator, in the migrations that make the tables.

A migration states what it grants, in a RunPython operation behind those that make the models, and gives all that a
group gets in one call:

    def grants(apps, schema_editor):
        grant(apps, schema_editor, VIEWER, views("markets", "indexvalue"))
        grant(apps, schema_editor, ANALYST, [*views("markets", "indexvalue"), *edits("markets", "indexvalue")])
"""

from collections.abc import Iterable
from typing import Any

VIEWER, ANALYST, OPERATOR = "viewer", "analyst", "operator"
ROLES = (VIEWER, ANALYST, OPERATOR)
# What a migration needs that makes groups or grants permissions.
DEPENDENCIES = [
    ("auth", "0012_alter_user_first_name_max_length"),
    ("contenttypes", "0002_remove_content_type_name"),
]


def views(app: str, *models: str) -> list[str]:
    """`markets.view_asset` …"""
    return [f"{app}.view_{model}" for model in models]


def edits(app: str, *models: str) -> list[str]:
    """`markets.add_asset`, `markets.change_asset`, `markets.delete_asset` …"""
    return [f"{app}.{verb}_{model}" for model in models for verb in ("add", "change", "delete")]


def make_groups(apps: Any, schema_editor: Any) -> None:
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    for name in ROLES:
        groups.get_or_create(name=name)


def grant(apps: Any, schema_editor: Any, role: str, permissions: Iterable[str], *, beside: str | None = None) -> None:
    """Give a group permissions, each written `app.codename`; what an administrator has decided since stays.

    A permission is given when it is new to the database, or when the group has none yet on that model. A group that was
    deleted or renamed is not made again. A permission that is missing is made: on a fresh database Django makes them
    after all migrations. `beside` names a permission: a group that has it is given these too, whatever was decided, for
    they meant nothing until now.
    """
    alias = schema_editor.connection.alias
    group = apps.get_model("auth", "Group").objects.using(alias).filter(name=role).first()
    if group is None:
        return
    decided = set(group.permissions.values_list("content_type_id", flat=True))
    trusted = beside is not None and _permission(apps, alias, beside)[0] in group.permissions.all()
    for name in permissions:
        permission, is_new = _permission(apps, alias, name)
        if trusted or is_new or permission.content_type_id not in decided:
            group.permissions.add(permission)


def _permission(apps: Any, alias: str, name: str) -> tuple[Any, bool]:
    """The permission, named as Django would name it, and whether it was missing."""
    app, _, codename = name.partition(".")
    options = _model_with(apps, app, codename)._meta
    content_type, _ = (
        apps.get_model("contenttypes", "ContentType")
        .objects.using(alias)
        .get_or_create(app_label=app, model=options.model_name)
    )
    verb = codename.partition("_")[0]
    title = dict(options.permissions).get(codename, f"Can {verb} {options.verbose_name_raw}")
    return (
        apps.get_model("auth", "Permission")
        .objects.using(alias)
        .get_or_create(content_type=content_type, codename=codename, defaults={"name": title})
    )


def _model_with(apps: Any, app: str, codename: str) -> Any:
    for model in apps.get_app_config(app).get_models():
        if codename in dict(model._meta.permissions):
            return model
    return apps.get_model(app, codename.partition("_")[2])
