"""What a person may not do, the back-office does not offer; and an administrator chooses groups by ticking them."""

import datetime as dt
import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from markets.models import AccessToken, Asset, Change
from tests import factories
from tests.admin import rows

LISTS = ("markets_asset", "markets_assetcategory", "markets_calendar", "markets_index", "portfolios_portfolio")


def browser(role: str | None) -> Client:
    client = Client()
    client.force_login(factories.person(role))
    return client


def page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, (url, response.status_code)
    return response.content.decode()


def actions(text: str) -> set[str]:
    """What the list offers to do with the selected rows."""
    (choice,) = re.findall(r'<select name="action".*?</select>', text, re.S)
    return set(re.findall(r'value="([a-z_]+)"', choice))


def menu(text: str) -> set[str]:
    """Where the side menu leads."""
    return set(re.findall(r'href="(/admin/[a-z_]+/[a-z]+/)"', text))


@pytest.mark.django_db
def test_a_viewer_is_offered_nothing_to_change() -> None:
    row = rows.assets(2)[0]
    calendar = rows.calendar()
    viewer, analyst = browser("viewer"), browser("analyst")
    for name in LISTS:
        url = reverse(f"admin:{name}_changelist")
        assert reverse(f"admin:{name}_add") not in page(viewer, url), name
        assert reverse(f"admin:{name}_add") in page(analyst, url), name
    listed = reverse("admin:markets_asset_changelist")
    assert actions(page(viewer, listed)) == {"export_rows"}
    assert {"add_to_category", "change_type", "delete_selected", "export_rows"} <= actions(page(analyst, listed))
    for url in (
        reverse("admin:markets_asset_change", args=(row.pk,)),
        reverse("admin:markets_calendar_change", args=(calendar.pk,)),
    ):
        assert 'name="_save"' not in page(viewer, url)
        assert "/delete/" not in page(viewer, url)
        assert "/add/" not in page(viewer, url)
        assert 'name="_save"' in page(analyst, url)
        assert "/delete/" in page(analyst, url)


@pytest.mark.django_db
def test_only_an_operator_is_offered_to_renew_sessions() -> None:
    calendar = factories.market_calendar()
    url = reverse("admin:markets_calendar_change", args=(calendar.pk,))
    assert "Renew sessions" in page(browser("operator"), url)
    assert "Renew sessions" not in page(browser("viewer"), url)


@pytest.mark.django_db
def test_a_calendar_without_a_market_offers_no_renewal_and_refuses_it() -> None:
    calendar, operator = rows.calendar(), browser("operator")
    assert "Renew sessions" not in page(operator, reverse("admin:markets_calendar_change", args=(calendar.pk,)))
    before = list(calendar.sessions.values())
    response = operator.post(reverse("admin:calendar_refresh", args=(calendar.pk,)), follow=True)
    assert "was not made from a market" in response.content.decode()
    assert list(calendar.sessions.values()) == before


@pytest.mark.django_db
@pytest.mark.parametrize("horizon", [{"valid_to": "no date"}, {"valid_to": "2026-05-01"}, {"valid_to": "2026-05-\x00"}])
def test_a_wrong_horizon_changes_nothing(horizon: dict[str, str]) -> None:
    calendar = factories.market_calendar()
    before = list(calendar.sessions.values())
    response = browser("operator").post(reverse("admin:calendar_refresh", args=(calendar.pk,)), horizon, follow=True)
    assert response.status_code == 200
    assert "valid_to" in response.content.decode()
    calendar.refresh_from_db()
    assert calendar.valid_to.isoformat() == "2026-05-25"
    assert list(calendar.sessions.values()) == before


@pytest.mark.django_db
def test_sessions_are_not_removed_without_a_reason() -> None:
    calendar = factories.market_calendar(valid_to=dt.date(2026, 5, 27))
    url, shorter = reverse("admin:calendar_refresh", args=(calendar.pk,)), {"valid_to": "2026-05-26"}
    operator, before = browser("operator"), list(calendar.sessions.values())
    for reason, remedy in (
        ({}, "Renewing removes 1 session and changes 0"),
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 501}, "500"),
        ({"reason": "a\x00b"}, "reason"),
    ):
        answer = operator.post(url, {**shorter, **reason}, follow=True)
        assert remedy in " ".join(str(message) for message in answer.context["messages"]), reason
        assert list(calendar.sessions.values()) == before
        calendar.refresh_from_db()
        assert calendar.valid_to.isoformat() == "2026-05-27"
    operator.post(url, {**shorter, "reason": "It closes early."})
    assert calendar.sessions.count() == 2
    removed = Change.objects.get(table_name="markets_calendarsession", operation="D")
    assert removed.reason == "It closes early."


@pytest.mark.django_db
def test_the_menu_leads_where_one_may_go() -> None:
    assets, users, groups = "/admin/markets/asset/", "/admin/auth/user/", "/admin/auth/group/"
    shown = {role: menu(page(browser(role), reverse("admin:index"))) for role in ("viewer", "analyst", "operator")}
    for role, links in shown.items():
        assert assets in links, role
        assert not {users, groups} & links, role
    assert menu(page(browser(None), reverse("admin:index"))) == set()
    boss = Client()
    boss.force_login(rows.administrator())
    assert {assets, users, groups} <= menu(page(boss, reverse("admin:index")))


@pytest.mark.django_db
def test_tokens_of_others_are_not_seen_and_not_revoked() -> None:
    viewer = factories.person("viewer")
    mine, theirs = (
        AccessToken.objects.create(user, name=name)[0]
        for user, name in ((viewer, "my notebook"), (factories.user(), "their robot"))
    )
    AccessToken.objects.filter(pk=mine.pk).update(last_used_at=timezone.now().replace(2026, 5, 4, 3, 2))
    client = Client()
    client.force_login(viewer)
    text = page(client, reverse("admin:markets_accesstoken_changelist"))
    assert "my notebook" in text
    assert "2026-05-04 03:02" in text
    assert "their robot" not in text
    assert client.post(reverse("admin:revoke_token", args=(theirs.token_key,))).status_code == 404
    assert AccessToken.objects.count() == 2
    assert client.post(reverse("admin:revoke_token", args=(mine.token_key,))).status_code == 302
    assert list(AccessToken.objects.values_list("name", flat=True)) == ["their robot"]


@pytest.mark.django_db
def test_a_token_that_is_made_here_is_ones_own_whatever_is_sent() -> None:
    viewer, boss = factories.person("viewer"), rows.administrator()
    client = Client()
    client.force_login(viewer)
    client.post(
        reverse("admin:markets_accesstoken_add"), {"name": "x", "user": boss.pk, "expiry_0": "", "expiry_1": ""}
    )
    assert AccessToken.objects.get().user == viewer


@pytest.mark.django_db
def test_an_administrator_ticks_groups(boss: Client) -> None:
    text = page(boss, reverse("admin:auth_user_add"))
    assert "viewer: sees everything" in text
    chosen = Group.objects.get(name="operator")
    boss.post(
        reverse("admin:auth_user_add"),
        {
            "username": "grace",
            "usable_password": "true",
            "password1": rows.PASSWORD,
            "password2": rows.PASSWORD,
            "is_staff": "on",
            "groups": [chosen.pk],
        },
    )
    grace = User.objects.get(username="grace")
    assert list(grace.groups.all()) == [chosen]
    assert grace.is_staff
    assert not grace.is_superuser
    assert "operator" in page(boss, reverse("admin:auth_user_changelist"))
    assert "viewer: sees everything" in page(boss, reverse("admin:auth_user_change", args=(grace.pk,)))


@pytest.mark.django_db
def test_the_list_of_people_asks_as_much_for_many_as_for_one(boss: Client, django_assert_max_num_queries) -> None:
    for _ in range(12):
        factories.person("viewer")
    with django_assert_max_num_queries(12):
        page(boss, reverse("admin:auth_user_changelist"))


@pytest.mark.django_db
def test_nobody_outside_the_staff_enters(client: Client) -> None:
    client.force_login(factories.user("markets.view_asset"))
    assert client.get(reverse("admin:index")).status_code == 302
    assert not Asset.objects.exists()
