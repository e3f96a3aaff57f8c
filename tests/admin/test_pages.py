"""Every page opens: with rows, without any, and with names that try to break it."""

import pytest
from django.test import Client
from django.urls import reverse

from markets.models import Job, NodeRun
from markets.services import node_runs
from tests import factories
from tests.admin import rows

LISTS = [
    "markets_assettype",
    "markets_asset",
    "markets_assetcategory",
    "markets_assetidentifier",
    "markets_calendar",
    "markets_nodeupdate",
    "markets_storagenode",
    "markets_noderun",
    "markets_job",
    "markets_accesstoken",
    "portfolios_portfolio",
    "auth_user",
    "auth_group",
    "django_celery_beat_periodictask",
    "django_celery_beat_crontabschedule",
    "django_celery_beat_intervalschedule",
]


@pytest.fixture
def everything(boss: Client) -> dict[str, object]:
    members = rows.assets()
    hostile = rows.hostile_asset()
    calendar = rows.calendar()
    hostile_name = rows.HOSTILE + rows.LONG[:200]
    update = rows.priced_node([*members, hostile])
    failing = rows.failing_node()
    job = node_runs.request_run(update)
    with pytest.raises(ValueError, match="empty"):
        node_runs.run_in_process(failing)
    return {
        "markets_asset": members[0],
        "markets_asset hostile": hostile,
        "markets_assettype": rows.AssetType.objects.get(),
        "markets_assetcategory": rows.category([*members, hostile], hostile_name),
        "markets_assetidentifier": factories.asset_identifier(hostile, value=rows.HOSTILE),
        "markets_calendar": calendar,
        "markets_nodeupdate": update,
        "markets_nodeupdate failed": failing,
        "markets_nodeupdate report": rows.report_node([*members, hostile]),
        "markets_storagenode": update.storage,
        "markets_storagenode empty": failing.storage,
        "markets_noderun": NodeRun.objects.get(node_update=update),
        "markets_noderun failed": NodeRun.objects.get(node_update=failing),
        "markets_job": job,
        "portfolios_portfolio": rows.portfolio([*members, hostile], values_node=update),
        "portfolios_portfolio hostile": rows.portfolio(
            [], rows.HOSTILE, sessions=1, name=rows.HOSTILE + rows.LONG[:200]
        ),
        "portfolios_portfolio empty": rows.portfolio(members, "nothing-yet", sessions=0),
    }


def assert_page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, (url, response.status_code)
    text = response.content.decode()
    assert rows.HOSTILE not in text, url
    return text


def test_lists_and_dashboard_open_empty(boss: Client) -> None:
    text = assert_page(boss, reverse("admin:index"))
    assert "make demo" in text
    for name in LISTS:
        assert_page(boss, reverse(f"admin:{name}_changelist"))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("markets_asset", "make demo"),
        ("markets_calendar", "make demo"),
        ("markets_nodeupdate", "register_node(node)"),
        ("markets_noderun", "manage.py run_node"),
        ("markets_job", "Run now"),
        ("portfolios_portfolio", "build_portfolio"),
        ("markets_accesstoken", "Authorization: Token"),
    ],
)
def test_an_empty_list_says_what_to_do(boss: Client, name: str, advice: str) -> None:
    assert advice in assert_page(boss, reverse(f"admin:{name}_changelist"))


def test_a_search_without_result_does_not_claim_that_there_is_nothing(boss: Client) -> None:
    rows.assets()
    text = assert_page(boss, reverse("admin:markets_asset_changelist") + "?q=nosuchthing")
    assert "There are no assets yet" not in text


def test_lists_and_pages_open_with_rows(boss: Client, everything: dict[str, object]) -> None:
    assert_page(boss, reverse("admin:index"))
    for name in LISTS:
        assert_page(boss, reverse(f"admin:{name}_changelist"))
    for key, row in everything.items():
        name = key.split()[0]
        assert_page(boss, reverse(f"admin:{name}_change", args=(row.pk,)))  # type: ignore[attr-defined]


def test_add_pages_open(boss: Client) -> None:
    for name in (
        "markets_asset",
        "markets_assettype",
        "markets_assetcategory",
        "markets_calendar",
        "portfolios_portfolio",
    ):
        assert_page(boss, reverse(f"admin:{name}_add"))
    for name in ("markets_accesstoken", "auth_user", "auth_group", "django_celery_beat_periodictask"):
        assert_page(boss, reverse(f"admin:{name}_add"))


def test_the_viewer_sees_every_page(viewer: Client, everything: dict[str, object]) -> None:
    assert_page(viewer, reverse("admin:index"))
    for key, row in everything.items():
        name = key.split()[0]
        assert_page(viewer, reverse(f"admin:{name}_changelist"))
        assert_page(viewer, reverse(f"admin:{name}_change", args=(row.pk,)))  # type: ignore[attr-defined]


def test_strangers_are_sent_to_the_login(client: Client, everything: dict[str, object]) -> None:
    portfolio = everything["portfolios_portfolio"].pk  # type: ignore[attr-defined]
    job = Job.objects.get()
    urls = [
        reverse("admin:index"),
        reverse("admin:markets_asset_changelist"),
        reverse("admin:portfolio_values_chart", args=(portfolio,)),
        reverse("admin:job_progress", args=(job.uid,)),
    ]
    for url in urls:
        response = client.get(url)
        assert response.status_code == 302
        assert response["Location"].startswith("/admin/login/")


def test_pages_of_rows_that_are_not_there(boss: Client) -> None:
    for name in ("admin:asset_prices", "admin:portfolio_values_chart", "admin:markets_nodeupdate_run"):
        arguments = (1, 1, "close") if name == "admin:asset_prices" else (987654,)
        response = (
            boss.post(reverse(name, args=arguments)) if "run" in name else boss.get(reverse(name, args=arguments))
        )
        assert response.status_code == 404
