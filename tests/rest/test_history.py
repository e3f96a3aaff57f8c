"""A row's history over REST: who changed what, when, from where and why, for whoever may view the row."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from markets.models import AccessToken, Asset, Change
from markets.services import audit
from markets.services.deletion import delete
from tests import factories
from tests.rest.base import ROOT, World, stored

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nobody_speaks_for_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_of_process", audit.NOBODY)


@pytest.fixture
def boss() -> Any:
    return factories.user(is_superuser=True)


@pytest.fixture
def client(boss: Any) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {factories.token(boss)}")
    return client


def history(client: APIClient, path: str, query: str = "") -> list[dict[str, Any]]:
    response = client.get(f"{ROOT}{path}/history/{query}")
    assert response.status_code == 200, response.content
    return response.json()["results"]


def test_the_life_of_an_asset(client: APIClient, boss: Any) -> None:
    made = client.post(f"{ROOT}asset/", {"unique_identifier": "AAA", "asset_type": "equity"}, format="json").json()
    path = f"asset/{made['uid']}"
    changed = client.put(
        f"{ROOT}asset/",
        [{"unique_identifier": "AAA", "asset_type": "bond", "openfigi_details": {"ticker": "T"}}],
        format="json",
        HTTP_X_CHANGE_REASON="reclassified: sé".encode().decode("latin-1"),
    )
    assert changed.status_code == 200, changed.content
    shown = history(client, path)
    assert [
        (entry["entity"], entry["operation"], entry["source"], entry["actor"], entry["reason"]) for entry in shown
    ] == [
        ("OpenFIGI details", "created", "REST", boss.username, "reclassified: sé"),
        ("asset", "changed", "REST", boss.username, "reclassified: sé"),
        ("asset", "created", "REST", boss.username, None),
    ]
    details, update, insert = shown
    assert details["changes"] == [{"field": "ticker", "old": None, "new": "T"}]
    assert update["changes"] == [{"field": "asset_type", "old": "equity", "new": "bond"}]
    assert {change["field"]: change["new"] for change in insert["changes"]} == {
        "unique_identifier": "AAA",
        "asset_type": "equity",
        "is_custom_by_organization": True,
    }
    assert (update["uid"], update["name"], update["transaction"]) == (made["uid"], "AAA", details["transaction"])
    assert dt.datetime.fromisoformat(update["at"]) <= timezone.now()
    assert client.delete(f"{ROOT}{path}/").status_code == 204
    assert client.get(f"{ROOT}{path}/").status_code == 404
    gone = history(client, path)
    assert [entry["operation"] for entry in gone[:2]] == ["deleted", "deleted"]
    assert gone[0]["changes"][0] == {"field": "unique_identifier", "old": "AAA", "new": None}


def test_a_bulk_put_and_a_session(boss: Any) -> None:
    client = APIClient()
    client.force_login(boss)
    answer = client.put(
        f"{ROOT}asset/",
        [{"unique_identifier": f"B{place}"} for place in range(3)],
        format="json",
        HTTP_X_CHANGE_REASON="monthly load",
    )
    assert answer.json()["created"] == 3
    for asset in Asset.objects.all():
        (entry,) = history(client, f"asset/{asset.uid}")
        assert (entry["source"], entry["actor"], entry["reason"]) == ("REST", boss.username, "monthly load")


def test_the_next_request_starts_with_nothing_said(client: APIClient) -> None:
    asset = factories.asset(asset_type="a")
    path = f"{ROOT}asset/{asset.uid}/"
    client.patch(path, {"asset_type": "b"}, format="json", HTTP_X_CHANGE_REASON="why")
    client.patch(path, {"asset_type": "c"}, format="json")
    Asset.objects.update(asset_type="d")
    assert [(change.source, change.reason) for change in Change.objects.filter(operation="U", row_uid=asset.uid)] == [
        *(("SQL", None), ("REST", None), ("REST", "why")),
    ]
    assert audit.current() == audit.NOBODY


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "a\x00b", "\xff\xfe"])
def test_a_reason_that_cannot_be_kept_is_400(reason: str, world: World, client: APIClient) -> None:
    before = stored()
    path = f"{ROOT}asset/{world.spare.uid}/"
    for method, data in (("patch", {"asset_type": "x"}), ("delete", None)):
        response = getattr(client, method)(path, data, format="json", HTTP_X_CHANGE_REASON=reason)
        assert response.status_code == 400, response.content
        assert response.json()["errors"][0]["attr"] == "X-Change-Reason"
        assert "X-Change-Reason" in response.json()["errors"][0]["detail"]
    assert stored() == before
    assert client.get(path, HTTP_X_CHANGE_REASON=reason).status_code == 200


def test_references_are_named_also_when_they_are_gone(client: APIClient) -> None:
    group, other = factories.account_group(group_name="Old"), factories.account_group(group_name="New")
    account = factories.account(account_group=group)
    client.patch(f"{ROOT}account/{account.uid}/", {"account_group_uid": str(other.uid)}, format="json")
    uid = group.uid
    group.delete()
    entry = history(client, f"account/{account.uid}")[0]
    assert entry["changes"] == [
        {
            "field": "account_group",
            "old": {"uid": str(uid), "name": "Old (deleted)"},
            "new": {"uid": str(other.uid), "name": "New"},
        }
    ]


def test_times_and_numbers_read_the_same_whoever_wrote_them(client: APIClient) -> None:
    from django.db import connection

    future = factories.future()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Asia/Tokyo'")
        cursor.execute(
            "UPDATE markets_future SET contract_size = 0.5, settles_at = '2027-01-01T00:00:00Z', "
            "metadata = '{\"rate\": 0.25}'"
        )
    changes = {change["field"]: change["new"] for change in history(client, f"future/{future.asset.uid}")[0]["changes"]}
    assert changes == {"contract_size": "0.5", "settles_at": "2027-01-01T00:00:00Z", "metadata": {"rate": 0.25}}


def test_what_belongs_to_the_row_is_shown_with_it(client: APIClient) -> None:
    asset = factories.asset()
    category = factories.category(asset)
    for path in (f"asset/{asset.uid}", f"asset-category/{category.uid}"):
        entry = history(client, path)[0]
        assert (entry["entity"], entry["name"]) == (
            *("category membership", f"{asset.unique_identifier} in {category.unique_identifier}"),
        )
        assert {change["field"] for change in entry["changes"]} == {"category", "asset", "valid_from"}


def test_days_of_a_deleted_calendar_keep_their_history(client: APIClient) -> None:
    calendar = factories.calendar()
    day = factories.calendar_date(calendar)
    path, other = f"calendar/{calendar.uid}/dates/{day.uid}", factories.calendar()
    assert [entry["operation"] for entry in history(client, path)] == ["created"]
    assert client.get(f"{ROOT}calendar/{other.uid}/dates/{day.uid}/history/").status_code == 404
    delete(calendar)
    assert [entry["operation"] for entry in history(client, path)] == ["deleted", "created"]
    assert client.get(f"{ROOT}calendar/{other.uid}/dates/{day.uid}/history/").status_code == 404
    assert history(client, f"calendar/{calendar.uid}")[0]["operation"] == "deleted"


def test_the_history_of_a_bond_is_its_assets(client: APIClient) -> None:
    bond = factories.bond()
    assert {entry["entity"] for entry in history(client, f"bond/{bond.asset.uid}")} == {"asset", "bond"}
    assert client.get(f"{ROOT}future/{bond.asset.uid}/history/").status_code == 404


def test_only_changes_of_what_the_user_may_view(world: World) -> None:
    factories.details(world.bond.asset)
    client = APIClient()
    token = factories.token(factories.user("markets.view_bond"), is_read_only=True)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    assert {entry["entity"] for entry in history(client, f"bond/{world.bond.asset.uid}")} == {"bond"}
    assert client.get(f"{ROOT}asset/{world.bond.asset.uid}/history/").status_code == 403
    world.spare.delete()
    assert client.get(f"{ROOT}asset/{world.spare.uid}/history/").status_code == 403
    assert not AccessToken.objects.filter(is_read_only=False).exists()


def test_pages_and_filters(client: APIClient) -> None:
    asset = factories.asset(asset_type="0")
    with audit.acting(source="admin", actor="ann"):
        for place in range(1, 6):
            Asset.objects.update(asset_type=str(place))
    path = f"asset/{asset.uid}"
    answer = client.get(f"{ROOT}{path}/history/?limit=2&offset=1").json()
    assert (answer["count"], [entry["changes"][0]["new"] for entry in answer["results"]]) == (6, ["4", "3"])
    assert "offset=3" in answer["next"]
    assert len(history(client, path, "?source=admin&actor=ann")) == 5
    assert history(client, path, "?source=admin&actor=bob") == []
    first = Change.objects.get(row_uid=asset.uid, operation="I").at.isoformat().replace("+00:00", "Z")
    assert len(history(client, path, f"?until={first}")) == 0
    assert len(history(client, path, f"?since={first}")) == 6


def test_a_walk_by_cursor_shows_every_change_once_whatever_is_added(client: APIClient) -> None:
    asset = factories.asset(asset_type="0")
    category = factories.category(asset)
    for place in range(1, 4):
        Asset.objects.update(asset_type=str(place))
    url, seen = f"{ROOT}asset/{asset.uid}/history/?limit=2&cursor=", []
    while url:
        body = client.get(url).json()
        seen += [entry["id"] for entry in body["results"]]
        assert (len(body["results"]) <= 2, body["previous"]) == (True, None)
        Asset.objects.update(asset_type=f"later {len(seen)}")
        url = body["next"]
    mine = Change.objects.filter(row_uid=asset.uid).exclude(new__asset_type__startswith="later")
    membership = Change.objects.get(table_name="markets_assetcategorymembership", group_uid=category.uid)
    assert seen == sorted([*mine.values_list("id", flat=True), membership.id], reverse=True)
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("query", "attr"),
    [
        ("cursor=junk", "cursor"),
        ("cursor=&offset=1", "offset"),
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("since=yesterday", "since"),
        ("since=2026-01-01T00:00:00", "since"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "until"),
        ("source=", "source"),
        ("actor=%00", "actor"),
        ("nonsense=1", "nonsense"),
        ("actor=a&actor=b", "actor"),
    ],
)
def test_bad_parameters_are_400(query: str, attr: str, client: APIClient) -> None:
    asset = factories.asset()
    response = client.get(f"{ROOT}asset/{asset.uid}/history/?{query}")
    assert (response.status_code, response.json()["errors"][0]["attr"]) == (400, attr)


def test_a_row_that_never_was_has_no_history(client: APIClient) -> None:
    issuer = factories.issuer()
    for uid in (uuid.uuid4(), issuer.uid, "junk"):
        assert client.get(f"{ROOT}asset/{uid}/history/").status_code == 404


def test_a_row_older_than_the_record_has_an_empty_history(client: APIClient) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE markets_asset DISABLE TRIGGER USER")
        asset = factories.asset()
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE markets_asset ENABLE TRIGGER USER")
    assert history(client, f"asset/{asset.uid}") == []


def test_the_number_of_queries_does_not_grow(boss: Any, django_assert_num_queries: Any) -> None:
    client = APIClient()
    client.force_login(boss)
    account = factories.account()
    for size in (3, 30):
        for _ in range(size):
            account.account_group = factories.account_group()
            account.save()
        factories.AccountGroup.objects.filter(accounts=None).delete()
        with django_assert_num_queries(7):  # session, user, row, count, page, groups, deleted groups
            assert len(history(client, f"account/{account.uid}")) > size
