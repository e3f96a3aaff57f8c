"""Searching and filtering assets."""

import pytest
from django.test import Client
from django.urls import reverse

from markets.models import Asset, OpenFigiDetails
from tests.admin import rows


@pytest.fixture
def known(boss: Client) -> Client:
    apple = Asset.objects.create(unique_identifier="BBG000B9XRY4", asset_type="equity")
    machines = Asset.objects.create(unique_identifier="custom-ibm", asset_type="fund")
    OpenFigiDetails.objects.create(
        asset=apple, figi="BBG000B9XRY4", isin="US0378331005", ticker="AAPL", name="APPLE INC"
    )
    OpenFigiDetails.objects.create(asset=machines, ticker="IBM", name="INTL BUSINESS MACHINES CORP")
    rows.category([apple], "Fruit")
    return boss


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=BBG000", {"BBG000B9XRY4"}),
        ("q=bbg000", {"BBG000B9XRY4"}),
        ("q=aap", {"BBG000B9XRY4"}),
        ("q=apple", {"BBG000B9XRY4"}),
        ("q=US0378331005", {"BBG000B9XRY4"}),
        ("q=custom", {"custom-ibm"}),
        ("q=machines+business", {"custom-ibm"}),
        ("q=zebra", set()),
        ("q=%25", set()),
        ("q=%00", {"BBG000B9XRY4", "custom-ibm"}),
        ("type=fund", {"custom-ibm"}),
        ("category=fruit", {"BBG000B9XRY4"}),
        ("category=fruit&type=fund", set()),
        ("category=nosuch", set()),
    ],
)
def test_what_is_found(known: Client, query: str, found: set[str]) -> None:
    response = known.get(f"{reverse('admin:markets_asset_changelist')}?{query}")
    assert {asset.unique_identifier for asset in response.context["cl"].result_list} == found


def test_autocomplete_finds_by_ticker(known: Client) -> None:
    response = known.get(
        reverse("admin:autocomplete"),
        {"app_label": "markets", "model_name": "assetcategorymembership", "field_name": "asset", "term": "ibm"},
    )
    assert [item["text"] for item in response.json()["results"]] == ["custom-ibm"]
