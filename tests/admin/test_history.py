"""The History tab, and the list of recent changes: what happened, to whom it is shown, and that it outlives the row."""

import datetime as dt

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from markets.models import AccessToken, Asset, Change, Issuer
from markets.services import audit
from markets.services.assets import update_asset
from tests import factories
from tests.admin import rows
from tests.markets.services.imports.steps import upload

pytestmark = pytest.mark.django_db

ISSUER = {"unique_identifier": "US_TREASURY", "display_name": "Treasury", "metadata_json": ""}


@pytest.fixture(autouse=True)
def nobody_speaks_for_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_of_process", audit.NOBODY)


def page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, (url, response.status_code)
    return response.content.decode()


def history_url(row: object) -> str:
    options = row._meta  # type: ignore[attr-defined]
    return reverse(f"admin:{options.app_label}_{options.model_name}_history", args=(row.pk,))  # type: ignore[attr-defined]


def with_permissions(*names: str) -> Client:
    user = User.objects.create_user("limited", password=rows.PASSWORD, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def test_the_life_of_a_row_made_in_the_back_office(boss: Client) -> None:
    assert boss.post(reverse("admin:markets_issuer_add"), ISSUER).status_code == 302
    issuer = Issuer.objects.get()
    change_url = reverse("admin:markets_issuer_change", args=(issuer.pk,))
    assert boss.post(change_url, {**ISSUER, "display_name": "U.S. Treasury"}).status_code == 302
    assert [
        (change.operation, change.source, change.actor) for change in Change.objects.filter(row_uid=issuer.uid)
    ] == [
        *(("U", "admin", "boss"), ("I", "admin", "boss")),
    ]
    shown = boss.get(history_url(issuer))
    update, insert = shown.context["table"].rows
    assert update[2] == (
        '<div class="msm-differences"><div><span class="msm-quiet">name:</span> <del class="msm-old">Treasury</del> → '
        '<ins class="msm-new">U.S. Treasury</ins></div></div>'
    )
    assert (update[3:], insert[3:]) == (("boss", "admin", ""), ("boss", "admin", ""))
    assert "identifier:" in insert[2]
    assert boss.post(change_url.replace("/change/", "/delete/"), {"reason": "Made by mistake"}).status_code == 302
    assert not Issuer.objects.exists()
    gone = page(boss, history_url(issuer))
    assert "This issuer was deleted" in gone
    assert "Its history is kept" in gone
    listed = page(boss, reverse("admin:markets_change_changelist"))
    assert "US_TREASURY" in listed
    assert history_url(issuer) in listed


def test_a_save_that_changes_nothing_is_no_history(boss: Client) -> None:
    boss.post(reverse("admin:markets_issuer_add"), ISSUER)
    issuer = Issuer.objects.get()
    boss.post(reverse("admin:markets_issuer_change", args=(issuer.pk,)), ISSUER)
    assert Change.objects.filter(row_uid=issuer.uid).count() == 1


def test_an_assets_history_shows_its_details_and_categories(boss: Client) -> None:
    asset = rows.assets(1)[0]
    rows.category([asset])
    with audit.acting(source="Python", actor="quant", reason="index review"):
        update_asset(asset, asset_type="bond")
    shown = boss.get(history_url(asset)).context["table"].rows
    text = [" ".join(map(str, row)) for row in shown]
    assert len(text) == 4
    assert ">equity</del>" in text[0]
    assert text[0].endswith("quant Python index review")
    assert "category membership" in text[1]
    assert f"{asset.unique_identifier} in technology" in text[1]
    assert "OpenFIGI details" in text[2]
    assert "Company number 0" in text[2]


def test_the_tab_is_on_every_page_of_a_recorded_row(boss: Client) -> None:
    bond, fund = factories.bond(), factories.virtual_fund()
    found = [
        *(factories.asset(), factories.asset_type(), factories.issuer(), factories.index(), factories.index_type()),
        *(bond, factories.currency_spot(), factories.future(), factories.category(), factories.calendar()),
        *(factories.calendar_date(), factories.calendar_event(), fund, fund.account, fund.target_portfolio),
        *(factories.account_group(), factories.allocation_model(), factories.target_allocation()),
        *(factories.position_set(), factories.holdings_set()),
    ]
    for row in found:
        url = history_url(row)
        text = page(boss, url.replace("/history/", "/change/"))
        assert f'href="{url}"' in text, row
        assert "Created" in page(boss, url), row


def test_tabs_of_inlines_stay_beside_the_history(boss: Client) -> None:
    asset = rows.assets(1)[0]
    text = page(boss, reverse("admin:markets_asset_change", args=(asset.pk,)))
    places = [
        text.index(part) for part in ('href="#general"', 'href="#openfigi_details"', f'href="{history_url(asset)}"')
    ]
    assert places == sorted(places)


def test_hostile_texts_are_shown_as_text(boss: Client) -> None:
    asset = rows.hostile_asset()
    with audit.acting(source="Python", actor=rows.HOSTILE, reason=rows.HOSTILE):
        update_asset(asset, asset_type=None)
    for url in (
        history_url(asset),
        reverse("admin:markets_change_changelist"),
        reverse("admin:markets_change_change", args=(Change.objects.latest("id").pk,)),
    ):
        text = page(boss, url)
        assert rows.HOSTILE not in text
        assert "&lt;script&gt;" in text


def test_who_may_not_view_the_row_sees_no_history() -> None:
    asset, account = factories.asset(), factories.account()
    rows.category([asset])
    client = with_permissions("view_asset")
    assert client.get(history_url(account)).status_code == 403
    account.delete()
    assert client.get(reverse("admin:portfolios_account_history", args=(1,))).status_code == 403
    shown = " ".join(map(str, client.get(history_url(asset)).context["table"].rows))
    assert "Created" in shown
    assert "category membership" not in shown
    assert client.get(reverse("admin:markets_change_changelist")).status_code == 403


def test_recent_changes_leave_out_what_the_user_may_not_view() -> None:
    asset, account = factories.asset(), factories.account()
    client = with_permissions("view_change", "view_asset")
    text = page(client, reverse("admin:markets_change_changelist"))
    assert asset.unique_identifier in text
    assert account.account_name not in text
    assert account.unique_identifier not in text
    hidden = Change.objects.get(row_uid=account.uid)
    assert client.get(reverse("admin:markets_change_change", args=(hidden.pk,))).status_code == 302


def test_recent_changes_are_only_looked_at(boss: Client) -> None:
    factories.asset()
    change = Change.objects.get()
    base = reverse("admin:markets_change_changelist")
    assert boss.get(f"{base}add/").status_code == 403
    assert boss.post(f"{base}{change.pk}/change/", {"actor": "x"}).status_code == 403
    assert boss.post(f"{base}{change.pk}/delete/", {"post": "yes"}).status_code == 403
    boss.post(base, {"action": "delete_selected", "_selected_action": [change.pk], "post": "yes"})
    assert list(Change.objects.values_list("pk", "actor")) == [(change.pk, change.actor)]


def test_recent_changes_can_be_narrowed(boss: Client) -> None:
    asset, issuer = factories.asset(asset_type="equity"), factories.issuer()
    with audit.acting(source="REST", actor="ann"):
        update_asset(asset, asset_type="bond")
    base = reverse("admin:markets_change_changelist")

    def listed(query: str) -> int:
        response = boss.get(f"{base}?{query}")
        assert response.status_code == 200, query
        return response.context["cl"].result_count

    today = dt.datetime.now(dt.UTC).date()
    assert listed("") == 4  # the type that the asset was given is new, too
    assert listed("entity=markets_issuer") == 1
    assert listed("operation__exact=U") == 1
    assert listed("source=REST") == 2
    assert (listed("actor=ann"), listed("actor=nobody")) == (2, 0)
    assert listed(f"at_from={today}&at_to={today}") == 4
    assert listed(f"at_to={today - dt.timedelta(days=2)}") == 0
    assert issuer.unique_identifier in page(boss, f"{base}?entity=markets_issuer")


@pytest.mark.parametrize("query", ["at_from=x", "at_to=2026-13-45", "actor=%00", "entity=%00", "source=nothing", "p=x"])
def test_filters_that_name_nothing(query: str, boss: Client) -> None:
    factories.asset()
    assert boss.get(f"{reverse('admin:markets_change_changelist')}?{query}").status_code in (200, 302)


@pytest.mark.parametrize("key", ["%00", "abc", "9" * 30, "-1", "1.5", "%3Cscript%3E"])
def test_histories_of_rows_that_never_were(key: str, boss: Client) -> None:
    for name in ("markets_asset", "markets_bond", "portfolios_account"):
        assert boss.get(f"{reverse(f'admin:{name}_changelist')}{key}/history/").status_code == 302


def test_a_revoked_token_is_in_the_list_without_its_key(boss: Client) -> None:
    factories.token(factories.user(), name="nightly")
    token = AccessToken.objects.get()
    boss.post(reverse("admin:revoke_token", args=(token.token_key,)))
    change = Change.objects.order_by("-id")[0]
    assert (change.operation, change.row_name, change.actor) == ("D", "nightly", "boss")
    text = page(boss, reverse("admin:markets_change_changelist"))
    assert "nightly" in text
    assert token.token_key not in text
    assert token.token_key not in str(change.old)


def test_what_was_done_with_tokens_only_a_superuser_sees(boss: Client) -> None:
    factories.token(factories.user(), name="nightly")
    change = Change.objects.get(table_name="markets_accesstoken")
    recent, own = (
        reverse("admin:markets_change_changelist"),
        reverse("admin:markets_change_change", args=(change.pk,)),
    )
    analyst = Client()
    analyst.force_login(factories.person("analyst"))
    assert "nightly" not in page(analyst, recent)
    assert analyst.get(own).status_code == 302
    assert "nightly" in page(boss, recent)
    assert "nightly" in page(boss, own)


def test_an_import_has_no_history_tab_for_it_keeps_a_record_of_its_own(boss: Client) -> None:
    run = upload("unique_identifier\nNEW\n")
    assert history_url(run) not in page(boss, reverse("admin:markets_importrun_change", args=(run.pk,)))
    assert not Change.objects.filter(table_name="markets_importrun").exists()


def test_pages_cost_as_many_queries_for_many_changes_as_for_few(boss: Client) -> None:
    account = factories.account()
    counts = []
    for size in (3, 24):
        for _ in range(size):
            account.account_group = factories.account_group()
            account.save()
        found = []
        for url in (history_url(account), reverse("admin:markets_change_changelist")):
            boss.get(url)
            with CaptureQueriesContext(connection) as captured:
                boss.get(url)
            found.append(len(captured))
        counts.append(found)
    assert counts[0] == counts[1]
    assert max(counts[0]) <= 8


def test_a_refused_save_and_a_reading_request_leave_nothing_said(boss: Client) -> None:
    rows.assets(1)
    before = Change.objects.count()
    boss.post(reverse("admin:markets_asset_add"), {"unique_identifier": ""})
    boss.get(reverse("admin:markets_asset_changelist"))
    assert Change.objects.count() == before
    assert audit.current() == audit.NOBODY
    Asset.objects.update(asset_type="x")
    assert Change.objects.order_by("-id")[0].source == "SQL"
