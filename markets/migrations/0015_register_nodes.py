"""Operators may register DataNodes: what nobody could give them before the back-office had a form for it."""

from typing import Any

from django.db import migrations

from markets.roles import DEPENDENCIES, OPERATOR, grant

ADD, RUN = "markets.add_nodeupdate", "markets.run_nodeupdate"


def grants(apps: Any, schema_editor: Any) -> None:
    grant(apps, schema_editor, OPERATOR, [ADD], beside=RUN)


class Migration(migrations.Migration):

    dependencies = [
        ("markets", "0014_tables_read_snapshots"),
        *DEPENDENCIES,
    ]

    operations = [
        migrations.RunPython(grants, migrations.RunPython.noop, elidable=False),
    ]
