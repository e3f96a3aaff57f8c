"""The groups viewer, analyst and operator, and what they may do with the market's tables and with schedules."""

from typing import Any

from django.db import migrations

from markets.roles import ANALYST, DEPENDENCIES, OPERATOR, VIEWER, edits, grant, make_groups, views

REGISTRY = (
    *("asset", "assettype", "openfigidetails", "currencyspot", "bond", "future", "issuer", "index", "indextype"),
    *("assetcategory", "assetcategorymembership", "calendar", "calendardate", "calendarevent"),
)
ENGINE = (
    *("calendarsession", "storagenode", "nodeupdate", "noderun", "updatestatistic", "job", "jobmessage"),
    *("importrun", "importrow", "importchunk"),
)
SCHEDULES = ("periodictask", "crontabschedule", "intervalschedule", "clockedschedule", "solarschedule")
CHANGES = views("markets", "change")
OWN_TOKENS = ["markets.view_accesstoken", "markets.add_accesstoken", "markets.delete_accesstoken"]
EVERYTHING = [*views("markets", *REGISTRY, *ENGINE), *views("django_celery_beat", *SCHEDULES), *OWN_TOKENS]


def grants(apps: Any, schema_editor: Any) -> None:
    make_groups(apps, schema_editor)
    grant(apps, schema_editor, VIEWER, EVERYTHING)
    grant(apps, schema_editor, ANALYST, [*EVERYTHING, *CHANGES, *edits("markets", *REGISTRY)])
    operates = [
        *("markets.run_nodeupdate", "markets.change_job", "markets.refresh_calendar"),
        *edits("django_celery_beat", *SCHEDULES),
    ]
    grant(apps, schema_editor, OPERATOR, [*EVERYTHING, *CHANGES, *operates])


class Migration(migrations.Migration):

    dependencies = [
        ("markets", "0006_search"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        *DEPENDENCIES,
    ]

    operations = [
        migrations.AlterModelOptions(
            name="calendar",
            options={
                "ordering": ["unique_identifier"],
                "permissions": [("refresh_calendar", "Can renew a calendar's sessions")],
            },
        ),
        migrations.RunPython(grants, migrations.RunPython.noop, elidable=False),
    ]
