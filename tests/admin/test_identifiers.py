"""Identifiers in the back-office: an asset's tab, the list, a rename, an end, and who it was on a day."""

import datetime as dt

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from markets.models import Asset, AssetIdentifier, Change
from markets.services.identifiers import add_identifier
from tests import factories
from tests.admin import rows

D = dt.date
FORM = {"scheme": "ticker", "value": "meta", "venue": "XNAS", "valid_from": "2022-06-09", "reason": "renamed"}


@pytest.fixture
def meta(db: None) -> Asset:
    return factories.asset(unique_identifier="META")


@pytest.fixture
def fb(meta: Asset) -> AssetIdentifier:
    evidence = {"row": rows.HOSTILE}
    return add_identifier(meta, "ticker", "FB", venue="XNAS", valid_from=D(2012, 5, 18), source="x", evidence=evidence)


def tab(asset: Asset) -> str:
    return reverse("admin:asset_identifiers", args=(asset.pk,))


def step(name: str, row: AssetIdentifier) -> str:
    return reverse(f"admin:markets_assetidentifier_{name}", args=(row.pk,))


def text(client: Client, address: str, **query: str) -> str:
    response = client.get(address, query)
    assert response.status_code == 200
    return response.content.decode()


def stored() -> list[tuple]:
    return list(
        AssetIdentifier.objects.order_by("valid_from").values_list("value", "venue", "valid_from", "valid_to", "source")
    )


def test_an_asset_without_identifiers_says_what_to_do(meta: Asset, boss: Client) -> None:
    page = text(boss, tab(meta))
    assert "No identifier is recorded" in page
    assert "/api/v1/asset-identifier/" in page
    assert f'href="{tab(meta)}"' in text(boss, reverse("admin:markets_asset_change", args=(meta.pk,)))


def test_an_identifier_is_added_with_its_reason_and_both_are_in_the_history(meta: Asset, boss: Client) -> None:
    response = boss.post(tab(meta), FORM)
    assert (response.status_code, response["Location"]) == (302, tab(meta))
    assert stored() == [("META", "XNAS", D(2022, 6, 9), None, "")]
    change = Change.objects.get(table_name="markets_assetidentifier")
    assert (change.actor, change.source, change.reason) == ("boss", "admin", "renamed")
    assert "META ticker META XNAS" in text(boss, reverse("admin:markets_asset_history", args=(meta.pk,)))


@pytest.mark.parametrize(
    ("changes", "field", "shown"),
    [
        ({"value": ""}, "value", "This field is required"),
        ({"reason": ""}, "reason", "Say why"),
        ({"scheme": "My Id"}, "scheme", "is no scheme"),
        ({"scheme": "isin", "venue": ""}, "value", "is no ISIN"),
        ({"venue": "NASDAQ"}, "venue", "is no market identifier code"),
        ({"valid_from": "x"}, "valid_from", "Enter a valid date"),
        ({"valid_from": "1512-01-01"}, "valid_from", "must lie between"),
        ({"valid_to": "2022-06-09"}, "valid_to", "is not after"),
        ({"source": "x" * 65}, "source", "at most 64"),
        ({"value": "a\x00b"}, "value", "Null characters"),
        ({"value": "fb", "valid_from": "2020-01-01"}, "__all__", "overlaps that of META"),
    ],
)
def test_what_is_refused_is_said_beside_the_field(
    fb: AssetIdentifier, boss: Client, changes: dict[str, str], field: str, shown: str
) -> None:
    before = stored()
    response = boss.post(tab(fb.asset), {**FORM, **changes})
    assert response.status_code == 200
    assert shown in " ".join(response.context["form"].errors[field])
    assert stored() == before


def test_evidence_is_shown_on_a_click_and_escaped(fb: AssetIdentifier, boss: Client) -> None:
    page = text(boss, tab(fb.asset))
    assert "<details><summary>Show</summary>" in page
    assert rows.HOSTILE not in page
    for name in ("change", "rename", "close", "delete"):
        assert f'href="{step(name, fb)}"' in page


def test_a_rename_ends_one_and_begins_the_other(fb: AssetIdentifier, boss: Client) -> None:
    assert "FB ends before it" in text(boss, step("rename", fb))
    said = {"value": "meta", "effective": "2022-06-09", "source": "exchange", "reason": "rebranded"}
    response = boss.post(step("rename", fb), said)
    assert (response.status_code, response["Location"]) == (302, tab(fb.asset))
    assert stored() == [
        ("FB", "XNAS", D(2012, 5, 18), D(2022, 6, 9), "x"),
        ("META", "XNAS", D(2022, 6, 9), None, "exchange"),
    ]
    assert Change.objects.filter(table_name="markets_assetidentifier", reason="rebranded").count() == 2


@pytest.mark.parametrize(
    ("changes", "field", "shown"),
    [
        ({"value": "fb"}, "value", "already on"),
        ({"effective": "2012-05-18"}, "__all__", "not before 2012-05-18"),
        ({"effective": "2011-01-01"}, "__all__", "not before 2011-01-01"),
        ({"value": "TAKEN"}, "__all__", "overlaps that of OTHER"),
        ({"reason": ""}, "reason", "Say why"),
    ],
)
def test_a_rename_that_cannot_be(
    fb: AssetIdentifier, boss: Client, changes: dict[str, str], field: str, shown: str
) -> None:
    add_identifier(factories.asset(unique_identifier="OTHER"), "ticker", "TAKEN", venue="XNAS")
    before = stored()
    said = {"value": "META", "effective": "2022-06-09", "source": "", "reason": "rebranded", **changes}
    response = boss.post(step("rename", fb), said)
    assert response.status_code == 200
    assert shown in " ".join(response.context["question"].form.errors[field])
    assert stored() == before


def test_a_delisting_closes_and_other_days_are_typed_on_the_row_s_page(fb: AssetIdentifier, boss: Client) -> None:
    response = boss.post(step("close", fb), {"valid_to": "2012-05-18", "reason": "delisted"})
    assert "is not after" in " ".join(response.context["question"].form.errors["valid_to"])
    assert boss.post(step("close", fb), {"valid_to": "2020-01-01", "reason": "delisted"}).status_code == 302
    assert stored() == [("FB", "XNAS", D(2012, 5, 18), D(2020, 1, 1), "x")]
    said = {"valid_from": "2012-05-19", "valid_to": "", "source": "y", "evidence": "", "reason": "a day late"}
    assert boss.post(step("change", fb), said)["Location"] == tab(fb.asset)
    assert stored() == [("FB", "XNAS", D(2012, 5, 19), None, "y")]
    response = boss.post(step("change", fb), {**said, "valid_from": "1812-05-19"})
    assert "must lie between" in response.context["adminform"].form.errors["valid_from"][0]
    assert stored() == [("FB", "XNAS", D(2012, 5, 19), None, "y")]


def test_the_page_to_add_one_says_what_overlaps(fb: AssetIdentifier, boss: Client) -> None:
    said = {"asset": str(fb.asset_id), **FORM, "value": "FB", "source": "", "evidence": ""}
    response = boss.post(reverse("admin:markets_assetidentifier_add"), said)
    assert "overlaps that of META (from 2012-05-18)" in str(response.context["adminform"].form.non_field_errors())
    assert len(stored()) == 1


def test_a_deletion_wants_a_reason_and_leads_back_to_the_asset(fb: AssetIdentifier, boss: Client) -> None:
    assert "Say why" in boss.post(step("delete", fb), {"post": "yes", "reason": ""}).content.decode()
    assert len(stored()) == 1
    response = boss.post(step("delete", fb), {"post": "yes", "reason": "mistyped"})
    assert response["Location"] == tab(fb.asset)
    assert stored() == []
    assert "mistyped" in text(boss, reverse("admin:markets_asset_history", args=(fb.asset.pk,)))


def test_the_list_finds_by_the_beginning_and_by_scheme(fb: AssetIdentifier, boss: Client) -> None:
    add_identifier(fb.asset, "my_id", "fbx-1")
    url = reverse("admin:markets_assetidentifier_changelist")
    assert "Who was it on this day?" in text(boss, url)
    for query, found in (
        ({"q": "fb"}, ["fbx-1", "FB"]),
        ({"q": "FBX"}, []),
        ({"q": "fbx"}, ["fbx-1"]),
        ({"scheme": "my_id"}, ["fbx-1"]),
        ({"scheme": "isin"}, []),
        ({"q": "%", "scheme": "ticker"}, []),
        ({"q": "\x00"}, ["fbx-1", "FB"]),
    ):
        response = boss.get(url, query)
        assert [row.value for row in response.context["cl"].result_list] == found, query


def test_who_it_was_on_a_day_with_gaps_and_doubts(fb: AssetIdentifier, boss: Client) -> None:
    url = reverse("admin:markets_assetidentifier_resolve")
    add_identifier(factories.asset(unique_identifier="OTHER"), "ticker", "FB", venue="XLON")
    ask = {"scheme": "ticker", "value": "fb", "venue": "XNAS", "day": "2012-05-18"}
    page = text(boss, url, **ask)
    assert f'href="{tab(fb.asset)}"' in page
    assert "OTHER" not in page
    assert "No asset had ticker FB@XNAS then" in text(boss, url, **{**ask, "day": "2012-05-17"})
    page = text(boss, url, **{**ask, "day": "2012-05-10", "until": "2012-06-01"})
    assert "It named no asset on 2012-05-10 to 2012-05-17." in page
    page = text(boss, url, **{**ask, "venue": ""})
    assert "several assets on one day" in page
    for changes, field in (
        ({"value": " "}, "value"),
        ({"venue": "NASDAQ"}, "venue"),
        ({"day": "x"}, "day"),
        ({"day": "", "until": "2012-05-18"}, "day"),
        ({"until": "2012-05-17"}, "day"),
        ({"scheme": "nope"}, "scheme"),
    ):
        response = boss.get(url, {**ask, **changes})
        assert response.status_code == 200
        assert field in response.context["form"].errors, changes
        assert response.context["found"] is None


def test_pages_cost_the_same_queries_for_one_identifier_as_for_many(fb: AssetIdentifier, boss: Client) -> None:
    urls = (tab(fb.asset), reverse("admin:markets_assetidentifier_changelist"))

    def queries() -> list[int]:
        found = []
        for url in urls:
            with CaptureQueriesContext(connection) as captured:
                text(boss, url)
            found.append(len(captured))
        return found

    queries()
    few = queries()
    for place in range(20):
        factories.asset_identifier(fb.asset)
        factories.asset_identifier(scheme="my_id", venue="", value=f"{place}")
    assert queries() == few


def test_who_may_only_look_sees_no_form_and_no_step(fb: AssetIdentifier) -> None:
    client = Client()
    client.force_login(rows.viewer())
    page = text(client, tab(fb.asset))
    assert "Add an identifier" not in page
    assert step("rename", fb) not in page
    assert client.post(tab(fb.asset), FORM).status_code == 403
    assert client.post(step("rename", fb), {"value": "X", "effective": "2022-06-09", "reason": "y"}).status_code == 403
    assert len(stored()) == 1
