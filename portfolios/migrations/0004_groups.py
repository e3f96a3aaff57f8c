"""What the groups viewer, analyst and operator may do with accounts and portfolios."""

from typing import Any

from django.db import migrations

from markets.roles import ANALYST, DEPENDENCIES, OPERATOR, VIEWER, edits, grant, views

CURATED = (
    *("account", "accountgroup", "accountallocationmodel", "accounttargetallocation", "positionset"),
    *("accountholdingsset", "portfolio", "virtualfund"),
)
COMPUTED = ("signalweight", "portfolioweight", "portfoliovalue")
EVERYTHING = views("portfolios", *CURATED, *COMPUTED)


def grants(apps: Any, schema_editor: Any) -> None:
    grant(apps, schema_editor, VIEWER, EVERYTHING)
    grant(apps, schema_editor, ANALYST, [*EVERYTHING, *edits("portfolios", *CURATED)])
    grant(apps, schema_editor, OPERATOR, EVERYTHING)


class Migration(migrations.Migration):

    dependencies = [
        ("portfolios", "0003_audit"),
        ("markets", "0007_groups"),
        *DEPENDENCIES,
    ]

    operations = [migrations.RunPython(grants, migrations.RunPython.noop, elidable=False)]
