"""REST of accounts and virtual funds: exact rows, references by uid, filters, refusals, and what a deletion takes."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from portfolios.models import Account, AccountTargetAllocation, PositionSet, VirtualFund
from tests import factories
from tests.rest.base import ROOT
from tests.rest.test_registry import first_error, send

NOWHERE = "00000000-0000-7000-8000-000000000000"
pytestmark = pytest.mark.django_db


def test_an_account_from_its_creation_to_its_end(analyst: APIClient) -> None:
    group = factories.account_group()
    made = send(analyst, "post", "account/", {"unique_identifier": " main ", "account_name": "Main"})
    assert made.status_code == 201
    body = made.json()
    row = Account.objects.get()
    assert body == {
        "uid": str(row.uid),
        "id": row.pk,
        "unique_identifier": "main",
        "account_name": "Main",
        "is_paper": True,
        "account_is_active": False,
        "account_group_uid": None,
        "metadata_json": None,
        "created_at": body["created_at"],
        "updated_at": body["updated_at"],
    }
    path = f"account/{row.uid}/"
    changed = send(analyst, "patch", path, {"account_group_uid": str(group.uid), "metadata_json": {"a": 1}}).json()
    assert (changed["account_group_uid"], changed["metadata_json"]) == (str(group.uid), {"a": 1})
    listed = analyst.get(f"{ROOT}account/").json()["results"]
    assert listed == [analyst.get(ROOT + path).json()]  # the list shows the group too
    assert send(analyst, "patch", path, {"account_group_uid": None}).json()["account_group_uid"] is None
    assert first_error(send(analyst, "patch", path, {"account_group_uid": NOWHERE})) == ("invalid", "account_group_uid")
    assert first_error(send(analyst, "patch", path, {"account_name": None}))[1] == "account_name"
    assert first_error(send(analyst, "patch", path, {"is_paper": "yes"}))[1] == "is_paper"
    again = send(analyst, "post", "account/", {"unique_identifier": "main", "account_name": "Other"})
    assert (again.status_code, first_error(again)) == (409, ("conflict", None))
    assert analyst.delete(ROOT + path).status_code == 204
    assert analyst.delete(ROOT + path).status_code == 404


def test_account_filters(viewer: APIClient) -> None:
    group = factories.account_group()
    one = factories.account(unique_identifier="acct-b", account_name="alpha", account_group=group, is_paper=False)
    factories.account(unique_identifier="acct-a", account_name="Beta", account_is_active=True)
    factories.account(unique_identifier="other", account_name="Alpha")

    def found(query: str) -> list[str]:
        response = viewer.get(f"{ROOT}account/?{query}")
        assert response.status_code == 200, response.content
        return [row["unique_identifier"] for row in response.json()["results"]]

    assert found("") == ["acct-b", "other", "acct-a"]  # by name in any case, then by identifier
    assert found("ordering=-unique_identifier") == ["other", "acct-b", "acct-a"]
    assert found("search=ALPHA") == ["acct-b", "other"]
    assert found(f"search={one.uid}") == ["acct-b"]
    assert found("search=acct") == ["acct-b", "acct-a"]
    assert found("unique_identifier__contains=ACCT-") == ["acct-b", "acct-a"]
    assert found("unique_identifier__in=acct-a,other") == ["other", "acct-a"]
    assert found("account_name=Alpha") == ["other"]
    assert found("is_paper=false") == ["acct-b"]
    assert found("account_is_active=true") == ["acct-a"]
    assert found(f"account_group_uid={group.uid}") == ["acct-b"]
    assert found(f"account_group_uid={NOWHERE}") == []
    assert first_error(viewer.get(f"{ROOT}account/?account_group_uid=x"))[1] == "account_group_uid"
    assert first_error(viewer.get(f"{ROOT}account/?is_paper=1"))[1] == "is_paper"


def test_a_target_allocation_never_moves(analyst: APIClient) -> None:
    account, model = factories.account(), factories.allocation_model()
    body = {
        "unique_identifier": "a",
        "account_uid": str(account.uid),
        "account_allocation_model_uid": str(model.uid),
    }
    made = send(analyst, "post", "account-target-allocation/", body).json()
    assert {name: made[name] for name in body} == body
    assert (made["is_active"], made["display_name"], made["source"]) == (True, None, None)
    path = f"account-target-allocation/{made['uid']}/"
    other = factories.account()
    moved = send(analyst, "patch", path, {"account_uid": str(other.uid)})
    assert (moved.status_code, first_error(moved)) == (400, ("read_only", "account_uid"))
    assert AccountTargetAllocation.objects.get().account == account
    for name in ("account_uid", "account_allocation_model_uid"):
        response = send(
            analyst, "post", "account-target-allocation/", {**body, "unique_identifier": "b", name: NOWHERE}
        )
        assert first_error(response) == ("invalid", name)
        missing = {key: value for key, value in body.items() if key != name}
        assert first_error(send(analyst, "post", "account-target-allocation/", missing)) == ("required", name)
    query = f"{ROOT}account-target-allocation/?account_uid={account.uid}&account_allocation_model_uid={model.uid}"
    assert analyst.get(f"{query}&is_active=true").json()["count"] == 1
    assert analyst.get(f"{query}&is_active=false").json()["count"] == 0
    protected = analyst.delete(f"{ROOT}account-allocation-model/{model.uid}/")
    assert (protected.status_code, first_error(protected)) == (409, ("protected", None))
    assert "1 of account target allocations" in protected.json()["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("path", "owner", "time"),
    [
        ("position-set/", "account_target_allocation_uid", "position_set_time"),
        ("account-holdings-set/", "account_uid", "time_index"),
    ],
)
def test_sets_are_one_an_instant(path: str, owner: str, time: str, analyst: APIClient) -> None:
    allocation = factories.target_allocation()
    uid = str(allocation.uid if "target" in owner else allocation.account.uid)
    made = send(analyst, "post", path, {owner: uid, time: "2026-05-25T02:00:00+02:00"})
    assert made.status_code == 201, made.content
    assert made.json()[time] == "2026-05-25T00:00:00Z"
    again = send(analyst, "post", path, {owner: uid, time: "2026-05-25T00:00:00Z"})
    assert (again.status_code, first_error(again)) == (409, ("conflict", None))
    later = send(analyst, "post", path, {owner: uid, time: "2026-05-26T00:00:00Z"}).json()
    for wrong in ("2026-05-25T00:00:00", "2026-05-25", "eod", 0, 1_779_667_200, None, True, "9999-12-31T00:00:00Z"):
        refused = send(analyst, "post", path, {owner: uid, time: wrong})
        assert (refused.status_code, first_error(refused)[1]) == (400, time), wrong
    assert first_error(send(analyst, "post", path, {owner: NOWHERE, time: "2026-05-25T00:00:00Z"})) == (
        "invalid",
        owner,
    )
    moved = send(analyst, "patch", f"{path}{later['uid']}/", {time: "2026-05-27T00:00:00Z"})
    assert first_error(moved) == ("read_only", time)

    def found(query: str) -> list[str]:
        response = analyst.get(f"{ROOT}{path}?{query}")
        assert response.status_code == 200, response.content
        return [row[time][:10] for row in response.json()["results"]]

    assert found("") == ["2026-05-26", "2026-05-25"]  # the latest first
    assert found(f"ordering={time}") == ["2026-05-25", "2026-05-26"]
    assert found(f"{owner}={uid}") == ["2026-05-26", "2026-05-25"]
    assert found(f"account_uid={allocation.account.uid}") == ["2026-05-26", "2026-05-25"]
    assert found(f"{time}=2026-05-25T02:00:00%2B02:00") == ["2026-05-25"]
    assert found(f"{time}=2026-05-25T02:00:00+02:00") == ["2026-05-25"]
    for wrong in ("2026-05-25T00:00:00", "junk", "%00", "0"):
        assert first_error(analyst.get(f"{ROOT}{path}?{time}={wrong}"))[1] == time, wrong


def test_virtual_funds(analyst: APIClient) -> None:
    allocation, portfolio = factories.target_allocation(), factories.portfolio()
    body: dict[str, Any] = {
        "unique_identifier": "core",
        "account_uid": str(allocation.account.uid),
        "target_portfolio_uid": str(portfolio.uid),
    }
    made = send(analyst, "post", "virtualfund/", body).json()
    assert {name: made[name] for name in body} == body
    assert made["account_target_allocation_uid"] is None
    path = f"virtualfund/{made['uid']}/"
    linked = send(analyst, "patch", path, {"account_target_allocation_uid": str(allocation.uid)})
    assert linked.json()["account_target_allocation_uid"] == str(allocation.uid)
    second = {**body, "unique_identifier": "second", "account_target_allocation_uid": str(allocation.uid)}
    refused = send(analyst, "post", "virtualfund/", second)
    assert (refused.status_code, first_error(refused)) == (409, ("conflict", None))
    foreign = send(analyst, "patch", path, {"account_uid": str(factories.account().uid)})
    assert first_error(foreign) == ("invalid", "account_target_allocation_uid")
    assert VirtualFund.objects.get().account == allocation.account
    for name in ("account_uid", "target_portfolio_uid"):
        wrong = {**body, "unique_identifier": "third", name: NOWHERE}
        assert first_error(send(analyst, "post", "virtualfund/", wrong)) == ("invalid", name)
    for query in (
        f"account_uid={allocation.account.uid}",
        f"portfolio_uid={portfolio.uid}",
        f"account_target_allocation_uid={allocation.uid}",
        f"search={portfolio.uid}",
        f"search={allocation.account.uid}",
        "search=COR",
    ):
        assert analyst.get(f"{ROOT}virtualfund/?{query}").json()["count"] == 1, query
    assert analyst.get(f"{ROOT}virtualfund/?portfolio_uid={NOWHERE}").json()["count"] == 0
    blocked = analyst.get(f"{ROOT}portfolio/{portfolio.uid}/delete-impact/").json()
    assert (blocked["can_delete"], blocked["blocking_count"]) == (False, 1)
    assert analyst.delete(f"{ROOT}portfolio/{portfolio.uid}/").status_code == 409


def test_the_impact_of_deleting_an_account_is_told_before(analyst: APIClient) -> None:
    allocation = factories.target_allocation()
    account = allocation.account
    factories.position_set(account_target_allocation=allocation)
    factories.holdings_set(account=account)
    factories.virtual_fund(account=account)
    path = f"{ROOT}account/{account.uid}/"
    impact = analyst.get(f"{path}delete-impact/").json()
    assert (impact["resource_type"], impact["identifier"], impact["display_name"]) == (
        "account",
        account.unique_identifier,
        account.account_name,
    )
    assert (impact["can_delete"], impact["blocking_count"], impact["affected_count"]) == (True, 0, 4)
    assert {item["key"]: item["effect"] for item in impact["relationships"] if item["count"]} == {
        "portfolios.accounttargetallocation.account": "cascade_delete",
        "portfolios.positionset.account_target_allocation": "cascade_delete",
        "portfolios.accountholdingsset.account": "cascade_delete",
        "portfolios.virtualfund.account": "cascade_delete",
    }
    assert Account.objects.exists()
    assert analyst.delete(path).status_code == 204
    assert not PositionSet.objects.exists()
