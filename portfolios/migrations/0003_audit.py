from django.db import migrations

from markets.models.change_triggers import Audited, Parent, install, remove

ACCOUNT = Parent("account_id", "portfolios_account")
AUDITED = [
    Audited("portfolios_portfolio"),
    Audited("portfolios_accountgroup", "r.group_name"),
    Audited("portfolios_account"),
    Audited("portfolios_accountallocationmodel", "r.allocation_model_name"),
    Audited("portfolios_accounttargetallocation", owner=ACCOUNT),
    Audited(
        "portfolios_positionset",
        "concat_ws(' ', owner.name, to_char(r.position_set_time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'))",
        owner=Parent("account_target_allocation_id", "portfolios_accounttargetallocation"),
    ),
    Audited(
        "portfolios_accountholdingsset",
        "concat_ws(' ', owner.name, to_char(r.time_index AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'))",
        owner=ACCOUNT,
    ),
    Audited("portfolios_virtualfund", owner=ACCOUNT, group=Parent("target_portfolio_id", "portfolios_portfolio")),
]


class Migration(migrations.Migration):

    dependencies = [
        ('markets', '0004_audit'),
        ('portfolios', '0002_accounts'),
    ]

    operations = [migrations.RunSQL(install(audited), remove(audited)) for audited in AUDITED]
