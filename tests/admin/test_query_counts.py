"""A page costs as many queries with many rows as with few."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from markets.services import node_runs, universes
from tests import factories
from tests.admin import rows


def queries(client: Client, url: str) -> int:
    client.get(url)  # fills what is cached for the process
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def few(number: int) -> dict[str, str]:
    """Addresses of pages about as many rows of each kind."""
    members = rows.assets(number, prefix=f"BBG{number:07d}")
    rows.category(members, f"Category {number}")
    past = rows.category([], f"Past {number}")
    universes.register_spells(past, [(asset, "2020-01-01", "2021-01-01") for asset in members])
    rows.calendar(number * 5, f"CAL{number}")
    update = rows.priced_node(members, f"closes-{number}", days=20)
    portfolio = rows.portfolio(members, f"portfolio-{number}", sessions=number * 10, values_node=update)
    issuer, group = factories.issuer(), factories.account_group()
    for place in range(number):
        factories.bond(issuer=issuer)
        factories.future()
        factories.account(account_group=group)
        other = rows.priced_node(members, f"other-{number}-{place}", days=5)
        node_runs.request_run(other)
    return {
        "deletion": reverse("admin:markets_issuer_delete", args=(issuer.pk,)),
        "bond": reverse("admin:markets_asset_change", args=(issuer.bonds.first().pk,)),
        "asset": reverse("admin:markets_asset_change", args=(members[0].pk,)),
        "category": reverse("admin:markets_assetcategory_change", args=(past.pk,)) + "?as_of=2020-06-01",
        "node": reverse("admin:markets_nodeupdate_change", args=(update.pk,)),
        "storage": reverse("admin:markets_storagenode_change", args=(update.storage_id,)),
        "portfolio": reverse("admin:portfolios_portfolio_change", args=(portfolio.pk,)),
        "value chart": reverse("admin:portfolio_values_chart", args=(portfolio.pk,)),
        "weights chart": reverse("admin:portfolio_weights_chart", args=(portfolio.pk,)),
        "dashboard": reverse("admin:index"),
        **{
            name: reverse(f"admin:{name}_changelist")
            for name in (
                "markets_asset",
                "markets_assetcategory",
                "markets_calendar",
                "markets_issuer",
                "markets_bond",
                "markets_future",
                "markets_calendardate",
                "portfolios_account",
                "portfolios_accountgroup",
                "markets_nodeupdate",
                "markets_storagenode",
                "markets_noderun",
                "markets_job",
                "portfolios_portfolio",
            )
        },
    }


@pytest.mark.django_db
def test_queries_do_not_grow_with_rows(boss: Client) -> None:
    before = {name: queries(boss, url) for name, url in few(2).items()}
    after = {name: queries(boss, url) for name, url in few(9).items()}
    assert after == before
    assert max(after.values()) <= 25


@pytest.mark.django_db
def test_a_list_never_counts_all_rows(boss: Client) -> None:
    rows.assets()
    with CaptureQueriesContext(connection) as captured:
        boss.get(reverse("admin:markets_asset_changelist"))
    counts = [query["sql"] for query in captured if "COUNT(" in query["sql"] and '"markets_asset"' in query["sql"]]
    assert counts
    assert all("LIMIT 10000" in sql for sql in counts)
