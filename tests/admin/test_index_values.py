"""Values on the page of an index."""

import pytest
from django.test import Client
from django.urls import reverse

from markets.models import Index
from tests import factories
from tests.admin import rows


def page(client: Client, index: Index) -> str:
    response = client.get(reverse("admin:markets_index_change", args=(index.pk,)))
    assert response.status_code == 200
    return response.content.decode()


def test_an_index_without_values_says_how_to_write_some(boss: Client) -> None:
    assert "index.write_values(frame, cadence=&#x27;1d&#x27;)" in page(boss, factories.index())


def test_values_and_their_chart(boss: Client) -> None:
    index = factories.index_values(factories.index(value_format="percent", value_suffix=rows.HOSTILE[:30]))
    text = page(boss, index)
    assert "2026-01-05 21:00" in text
    assert "550 %" in text
    assert rows.HOSTILE[:30] not in text
    chart = reverse("admin:index_values_chart", args=(index.pk, "1d"))
    assert chart in text
    assert boss.get(chart).json()["root_id"]


@pytest.mark.parametrize("cadence", ["1h", "daily", "\x00"])
def test_a_chart_of_nothing_says_so(boss: Client, cadence: str) -> None:
    index = factories.index_values()
    answer = boss.get(reverse("admin:index_values_chart", args=(index.pk, cadence)))
    assert "No value of" in answer.json()["empty"]


def test_the_page_with_values_cannot_delete_the_index(boss: Client) -> None:
    index = factories.index_values()
    boss.post(reverse("admin:markets_index_delete", args=(index.pk,)), {"post": "yes"})
    assert Index.objects.filter(pk=index.pk).exists()


def test_the_add_page_shows_no_values(boss: Client) -> None:
    text = boss.get(reverse("admin:markets_index_add")).content.decode()
    assert 'id="values"' not in text
