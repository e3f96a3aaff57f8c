"""The Snapshots tab in a browser: what holds is shown, and what holds from now on is added."""

import datetime as dt

import pytest
from django.urls import reverse

from markets.models import AssetSnapshot
from markets.services import snapshots
from tests import factories
from tests.admin import rows
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def test_a_snapshot_is_added_on_the_tab(visit: Visit) -> None:
    # given
    rows.administrator()
    asset = factories.asset(unique_identifier="BBG000B9XRY4")
    noon = dt.datetime(2025, 5, 25, 12, tzinfo=dt.UTC)
    for year in range(3):
        time = noon.replace(year=2023 + year)
        row = {"time_index": time, "asset_identifier": asset.unique_identifier, "ticker": f"T{year}", "name": "Apple"}
        snapshots.record_snapshots(row)
    visit.log_in()
    # when
    visit.open(reverse("admin:markets_asset_change", args=(asset.pk,)))
    visit.page.click("text=Snapshots")
    visit.page.wait_for_selector("text=2025-05-25 12:00")
    visit.page.fill("input[name=ticker]", "AAPL")
    visit.page.fill("input[name=reason]", "renamed by the exchange")
    visit.page.click("text=Add the snapshot")
    # then
    visit.page.wait_for_selector(f"text=The snapshot of {asset} is stored.")
    latest = AssetSnapshot.objects.order_by("-time_index").first()
    assert latest is not None
    assert (latest.ticker, latest.name) == ("AAPL", "Apple")
    assert visit.complaints == []
