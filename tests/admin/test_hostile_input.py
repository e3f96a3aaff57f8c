"""Addresses and forms that no browser made: a page that says what is wrong, never an error, and nothing is written."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from markets.models import AccessToken, Asset, AssetCategory, AssetType, Calendar
from portfolios.models import Portfolio
from tests import factories
from tests.admin import rows
from tests.admin.test_editing import NO_MEMBERS

LISTS = [
    *("markets_asset", "markets_assettype", "markets_assetcategory", "markets_calendar", "markets_nodeupdate"),
    *("markets_storagenode", "markets_noderun", "markets_job", "markets_accesstoken", "portfolios_portfolio"),
    *("portfolios_account", "portfolios_virtualfund", "auth_user", "auth_group", "markets_assetidentifier"),
    *(
        "markets_assetidentifier",
        "markets_issuer",
        "markets_index",
        "markets_indextype",
        "markets_bond",
        "markets_future",
    ),
    *("markets_currencyspot", "markets_calendardate", "markets_calendarevent", "portfolios_positionset"),
    *("django_celery_beat_periodictask", "django_celery_beat_crontabschedule", "django_celery_beat_intervalschedule"),
    *("django_celery_beat_clockedschedule", "django_celery_beat_solarschedule"),
]
FILTERS = [
    *("q=%00", "type=%00", "category=%00", "status__exact=%00", "kind=%00", "last_run=%00", "task=%00"),
    *("created_at__year=99999999", "unique_identifier__startswith=%00", "o=%00", "p=x"),
    *("id__exact=x", "id=%00", "is_custom_by_organization__exact=x"),
]
KEYS = ["abc", "\x00", "%00", "1e3", "9" * 30, "-1", ""]
DEEP = "[" * 5_000 + "]" * 5_000


@pytest.mark.parametrize("name", LISTS)
def test_filters_that_cannot_be_read(name: str, boss: Client) -> None:
    url = reverse(f"admin:{name}_changelist")
    for query in FILTERS:
        response = boss.get(f"{url}?{query}", follow=True)
        assert response.status_code in (200, 400), (query, response.status_code)


@pytest.mark.django_db(transaction=True)
def test_a_pattern_that_the_database_refuses() -> None:
    client = Client()
    client.force_login(rows.administrator())
    url = reverse("admin:markets_asset_changelist")
    assert client.get(f"{url}?unique_identifier__regex=(", follow=True).status_code == 200


def test_a_filter_that_cannot_be_read_is_said_to_be(boss: Client) -> None:
    response = boss.get(reverse("admin:markets_asset_changelist") + "?category=%00", follow=True)
    assert "names a filter that cannot be read" in response.content.decode()


@pytest.mark.parametrize("name", LISTS)
def test_rows_that_are_none_are_not_acted_on(name: str, boss: Client) -> None:
    User.objects.create_user("other")
    url = reverse(f"admin:{name}_changelist")
    for key in KEYS:
        for extra in ({}, {"post": "yes"}):
            response = boss.post(url, {"action": "delete_selected", "_selected_action": [key], **extra})
            assert response.status_code in (200, 302), (key, response.status_code)
    assert User.objects.count() == 2


def test_a_key_among_good_ones_stops_the_whole_action(boss: Client) -> None:
    asset = rows.assets(1)[0]
    Asset.objects.update(is_custom_by_organization=True)
    url = reverse("admin:markets_asset_changelist")
    response = boss.post(url, {"action": "delete_selected", "_selected_action": [asset.pk, "x"], "post": "yes"})
    assert [str(message) for message in get_messages(response.wsgi_request)] == [
        "The selection names no row. Select the rows again."
    ]
    assert Asset.objects.count() == 1


@pytest.mark.parametrize("name", LISTS)
def test_pages_of_rows_that_are_none(name: str, boss: Client) -> None:
    base = reverse(f"admin:{name}_changelist")
    for key in ("%00", "abc", "9" * 30, "_00", "%3Cscript%3E", "1.5"):
        for page in ("change", "delete", "history"):
            assert boss.get(f"{base}{key}/{page}/").status_code in (302, 403, 404), (key, page)


def test_a_token_that_is_none_is_not_revoked(boss: Client) -> None:
    assert boss.post("/admin/markets/accesstoken/revoke/%00/").status_code == 404


def test_a_search_for_a_nul_character_finds_nothing_wrong(boss: Client) -> None:
    query = "app_label=portfolios&model_name=portfolio&field_name=calendar&term=%00"
    assert boss.get(f"/admin/autocomplete/?{query}").status_code == 200


@pytest.mark.parametrize("typed", ['{"a": "\\ud800"}', DEEP, '{"a": NaN}', '{"a": 1e400}', "[1]", "{", "5"])
@pytest.mark.parametrize("name", ["markets_assettype", "markets_assetcategory", "markets_calendar"])
def test_metadata_that_cannot_be_stored_is_shown_as_typed(name: str, typed: str, boss: Client) -> None:
    values = {
        "asset_type": "mine",
        "unique_identifier": "mine",
        "display_name": "Mine",
        "timezone": "UTC",
        "calendar_type": "TRADING",
        "valid_from": "2026-01-01",
        "valid_to": "2026-12-31",
        "metadata_json": typed,
        **NO_MEMBERS,
    }
    response = boss.post(reverse(f"admin:{name}_add"), values)
    assert response.status_code == 200
    assert typed[:20].replace('"', "&quot;") in response.content.decode()
    for model in (AssetType, AssetCategory, Calendar):
        assert not model.objects.exists()


@pytest.mark.parametrize("key", ["abc", "\x00", "1e3", "[1]", " ", "9" * 30])
def test_a_chosen_row_that_is_none(key: str, boss: Client) -> None:
    portfolio = {
        "unique_identifier": "mine",
        "display_name": "Mine",
        "weights_between_rebalances": "constant",
        "turnover_basis": "target",
        "commission_fee": "0",
        "valuation_column": "close",
        "calendar": key,
    }
    token = {"name": "mine", "user": key}
    member = {"display_name": "Mine", **NO_MEMBERS, "memberships-TOTAL_FORMS": "1", "memberships-0-asset": key}
    for name, values in (
        ("portfolios_portfolio", portfolio),
        ("markets_accesstoken", token),
        ("markets_assetcategory", member),
    ):
        if name == "portfolios_portfolio" and not key.strip():
            continue  # no calendar, which is legal
        response = boss.post(reverse(f"admin:{name}_add"), values)
        assert response.status_code == 200, name
    for model in (Portfolio, AccessToken, AssetCategory):
        assert not model.objects.exists()


@pytest.mark.parametrize(
    "wrong", [{"task": "\x00"}, {"task": "x" * 300}, {"args": DEEP}, {"kwargs": DEEP}, {"args": "{"}], ids=str
)
def test_a_schedule_that_cannot_be_read_is_refused(wrong: dict[str, str], boss: Client) -> None:
    before = PeriodicTask.objects.count()
    values = {"name": "mine", "task": "markets.execute_job", "args": "[]", "kwargs": "{}", **wrong}
    assert boss.post(reverse("admin:django_celery_beat_periodictask_add"), values).status_code == 200
    assert PeriodicTask.objects.count() == before


def test_a_crontab_that_cannot_be_read_is_refused(boss: Client) -> None:
    before = CrontabSchedule.objects.count()
    inline = {"periodictask_set-TOTAL_FORMS": "0", "periodictask_set-INITIAL_FORMS": "0"}
    good = {
        "minute": "0",
        "hour": "1",
        "day_of_month": "*",
        "month_of_year": "*",
        "day_of_week": "*",
        "timezone": "UTC",
    }
    for wrong in ({"minute": "-1"}, {"day_of_week": "-1"}, {"initial-timezone": "x" * 5_000, "hour": "x"}):
        response = boss.post(reverse("admin:django_celery_beat_crontabschedule_add"), {**good, **inline, **wrong})
        assert response.status_code == 200, wrong
    assert CrontabSchedule.objects.count() == before


def test_ten_thousand_unknown_identifiers_save_nothing(boss: Client) -> None:
    pasted = "\n".join(f"BAD<b>{number:05}" for number in range(10_000))
    response = boss.post(
        reverse("admin:markets_assetcategory_add"), {"display_name": "Mine", "add_assets": pasted, **NO_MEMBERS}
    )
    text = response.content.decode()
    assert response.status_code == 200
    assert re.search(r"10000 identifiers \(BAD&lt;b&gt;00000, .* and 9990 more\)", text)
    assert not AssetCategory.objects.exists()


# --- the way in ------------------------------------------------------------------------------------------------------
def log_in(client: Client, name: str, password: str) -> Any:
    return client.post(reverse("admin:login"), {"username": name, "password": password, "next": "/admin/"})


@pytest.mark.parametrize("name", ["x" * 5_000, "\x00", "a\x00b", "<script>", "\u202e"])
def test_names_that_nobody_has_are_refused(name: str, db: None) -> None:
    assert log_in(Client(), name, "wrong").status_code == 200


def test_ten_wrong_passwords_lock_the_name_and_say_for_how_long(db: None) -> None:
    rows.viewer("careless")
    rows.viewer("careful")
    client = Client()
    answers = [log_in(client, "careless", "wrong") for _ in range(10)]
    assert [answer.status_code for answer in answers] == [200] * 9 + [429]
    locked = log_in(client, "careless", rows.PASSWORD)
    assert locked.status_code == 429
    assert locked["Retry-After"] == "900"
    text = locked.content.decode()
    assert "Try again in 15 minutes" in text
    assert "manage.py axes_reset_username" in text
    assert log_in(client, "careful", rows.PASSWORD).status_code == 302


def test_a_forged_number_of_inline_forms_builds_none_of_them(boss: Client) -> None:
    asset = factories.asset()
    url = reverse("admin:markets_asset_change", args=(asset.pk,))
    counts = {f"{prefix}-TOTAL_FORMS": "99999999999" for prefix in ("openfigi_details", "bond", "future")}
    page = boss.post(url, {"unique_identifier": asset.unique_identifier, "asset_type": "", **counts})
    assert page.status_code == 200
    assert page.content.count(b"-ticker") < 100
