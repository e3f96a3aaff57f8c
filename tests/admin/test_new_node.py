"""New DataNode: a class of a registered module, a form made of its configuration, a preview, and the row."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from markets.models import NodeUpdate, StorageNode
from markets.services.node_runs import register_node
from tests.admin import rows
from tests.admin.nodes import Closes
from tests.markets.data_nodes import asset_nodes
from tests.markets.services import form_nodes

MODULE = form_nodes.__name__
ADD = "/admin/markets/nodeupdate/add/"
TYPED = {
    "configuration.dataset": "averages",
    "configuration.side": '"sell"',
    "configuration.since": "2026-01-31T21:00:00Z",
    "configuration.is_live": "true",
    "configuration.window.length": "3",
    "configuration.window.weights": "0.5\n\n 1 \n",
    "configuration.asset_list": "A\nB",
    "configuration.extra": '{"x": 1.5}',
    "lag": "2",
}


@pytest.fixture(autouse=True)
def registered(settings) -> None:
    settings.NODE_MODULES = [MODULE, "no_such_module"]


@pytest.fixture
def prices(db) -> NodeUpdate:
    return register_node(Closes("closes", ["A"]))


def address(name: str = "Averages", **more: Any) -> str:
    return f"{ADD}?{urlencode({'node_class': f'{MODULE}.{name}', **more})}"


def typed(prices: NodeUpdate, **more: str) -> dict[str, str]:
    return {**TYPED, "prices": prices.update_hash, **more}


def faults(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return {name: list(errors) for name, errors in response.context["form"].errors.items()}


def test_the_classes_are_listed_searched_and_a_broken_module_is_told(boss: Client) -> None:
    page = boss.get(ADD).content.decode()
    assert "ExternalPrices" in page
    assert "Averages of another node&#x27;s closes." in page
    assert "MSM_NODE_MODULES names &#x27;no_such_module&#x27;, which cannot be imported" in page
    assert f'href="?node_class={MODULE}.Unreadable"' not in page

    found = boss.get(ADD, {"q": "AVERAGES weighted"}).content.decode()
    assert "Averages" in found
    assert "ExternalPrices" not in found
    assert "No class is described so." in boss.get(ADD, {"q": "no such words"}).content.decode()


@pytest.mark.parametrize("path", ["os.system", f"{MODULE}.Base", f"{MODULE}.Unreadable", "\x00", "x" * 5000])
def test_a_class_that_is_not_registered_is_refused(path: str, boss: Client) -> None:
    for response in (boss.get(ADD, {"node_class": path}), boss.post(f"{ADD}?{urlencode({'node_class': path})}", TYPED)):
        assert response.status_code == 400
        assert 'role="alert"' in response.content.decode()
    assert not NodeUpdate.objects.exists()


def test_the_form_shows_what_the_class_takes(boss: Client, prices: NodeUpdate) -> None:
    page = boss.get(address()).content.decode()
    for text in (
        "Weighted where weights are given.",
        "Sessions in the window. At least 1, at most 250.",
        "Default: fast",
        "Left empty: 0.001.",
        "<legend>Window</legend>",
        f'<option value="{prices.update_hash}"',
        '<option value="closes"',
    ):
        assert text in page, text


def test_a_preview_writes_nothing_and_says_what_would_be_made(boss: Client, prices: NodeUpdate) -> None:
    page = boss.post(address(), typed(prices, preview="1")).content.decode()
    assert "It makes a new table, published as <strong>averages</strong>." in page
    assert NodeUpdate.objects.count() == 1

    boss.post(address(), typed(prices, save="1"))
    assert NodeUpdate.objects.count() == 2
    page = boss.post(address(), typed(prices, preview="1")).content.decode()
    assert "This is registered already:" in page
    page = boss.get(f"{ADD}?{urlencode({'node_class': 'markets.data_nodes.prices.ExternalPrices'})}").content.decode()
    assert "A CSV or Parquet file." in page


def test_a_preview_tells_the_table_that_is_there_already(boss: Client, db: None) -> None:
    place = f"{ADD}?{urlencode({'node_class': 'markets.data_nodes.prices.ExternalPrices'})}"
    first = {"configuration.dataset": "my-prices", "configuration.path": "/data/one.csv"}
    boss.post(place, {**first, "save": "1"})
    page = boss.post(place, {**first, "configuration.path": "/data/two.csv"}).content.decode()
    storage = StorageNode.objects.get()
    assert (
        f'updates the existing table <a class="msm-link" href="/admin/markets/storagenode/{storage.pk}/change/">'
        in page
    )
    assert NodeUpdate.objects.count() == 1


def test_saving_registers_and_leads_to_the_page(boss: Client, prices: NodeUpdate) -> None:
    response = boss.post(address(), typed(prices, save="1"))

    made = NodeUpdate.objects.exclude(pk=prices.pk).get()
    assert response.status_code == 302
    assert response["Location"] == reverse("admin:markets_nodeupdate_change", args=(made.pk,))
    fields = made.build_configuration["arguments"]["configuration"]["fields"]
    assert (fields["side"], fields["window"], fields["extra"]) == (
        "sell",
        {"length": 3, "weights": [0.5, 1]},
        {"x": 1.5},
    )
    assert (fields["asset_list"], made.build_configuration["arguments"]["lag"]) == (["A", "B"], 2)
    assert "other" not in fields
    page = boss.get(response["Location"]).content.decode()
    assert "averages is registered." in page

    again = boss.post(address(), typed(prices, save="1"))
    assert again["Location"] == response["Location"]
    assert NodeUpdate.objects.count() == 2


def test_every_fault_stands_beside_its_field(boss: Client, prices: NodeUpdate) -> None:
    wrong = {
        "configuration.dataset": "",
        "configuration.side": '"hold"',
        "configuration.since": "yesterday",
        "configuration.window.length": "0",
        "configuration.window.weights": "1\nx",
        "configuration.day": "x",
        "prices": "nobody",
        "lag": "1.5",
    }
    assert faults(boss.post(address(), typed(prices, save="1") | wrong)) == {
        "configuration.dataset": ["This field is required."],
        "configuration.side": ["This has to be 'buy' or 'sell'."],
        "configuration.since": ["This is no time. Use ISO 8601: 2026-01-31T21:00:00Z."],
        "configuration.window.length": ["This has to be at least 1."],
        "configuration.window.weights": ["Number 2: This has to be a number."],
        "configuration.day": ["This is no date. Use ISO 8601: 2026-01-31."],
        "prices": ["No DataNode is named 'nobody'. Known identifiers: closes."],
        "lag": ["This has to be a whole number."],
    }
    assert NodeUpdate.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "value", "place"),
    [
        ("configuration.colour", "red", "__all__"),
        ("configuration.extra", "{", "configuration.extra"),
        ("configuration.extra", "[" * 100_000, "configuration.extra"),
        ("configuration.extra", '{"x": NaN}', "configuration.extra"),
        ("configuration.side", "sell", "configuration.side"),
        ("configuration.is_live", "perhaps", "configuration.is_live"),
        ("configuration.dataset", "a\x00b", "configuration.dataset"),
        ("configuration.dataset", "x" * 1_000_000, "configuration.dataset"),
        ("configuration.dataset", "no name!", "__all__"),
        ("configuration.dataset", "closes", "__all__"),
        ("configuration.fee", "nan", "configuration.fee"),
        ("configuration.window.weights", "inf", "__all__"),
        ("lag", "9" * 400, "lag"),
    ],
)
def test_hostile_input_is_refused_in_words(name: str, value: str, place: str, boss: Client, prices: NodeUpdate) -> None:
    found = faults(boss.post(address(), typed(prices, save="1") | {name: value}))
    assert list(found) == [place]
    assert NodeUpdate.objects.count() == 1
    assert StorageNode.objects.count() == 1


def test_a_constructor_that_raises_is_told_above_the_form(boss: Client, db: None) -> None:
    found = faults(boss.post(address("Plain"), {"text": "a", "trouble": "raise", "save": "1"}))
    assert found == {"__all__": ["Plain refuses this configuration. ZeroDivisionError: no such window"]}
    assert not NodeUpdate.objects.exists()


def test_copy_as_new_fills_the_form(boss: Client, prices: NodeUpdate) -> None:
    boss.post(address(), typed(prices, save="1"))
    made = NodeUpdate.objects.exclude(pk=prices.pk).get()
    page = boss.get(reverse("admin:markets_nodeupdate_change", args=(made.pk,))).content.decode()
    link = address(copy=made.pk)
    assert link.replace("&", "&amp;") in page

    form = boss.get(link).context["form"]
    sent = {bound.html_name: bound.value() for bound in form if bound.value() not in (None, "", [])}
    assert sent["configuration.window.weights"] == "0.5\n1.0"
    assert sent["prices"] == prices.update_hash
    response = boss.post(link, {**sent, "preview": "1"})
    assert "This is registered already:" in response.content.decode()

    boss.post(link, {**sent, "configuration.dataset": "second", "save": "1"})
    assert StorageNode.objects.filter(identifier="second").exists()


def test_a_node_by_asset_is_told_its_assets_and_its_start(boss: Client, db: None, settings) -> None:
    settings.NODE_MODULES = [asset_nodes.__name__]
    place = f"{ADD}?{urlencode({'node_class': f'{asset_nodes.__name__}.Daily'})}"
    page = boss.get(place).content.decode()
    assert "Update these assets only, by their identifiers." in page
    assert "Where an asset begins that has no row yet, with the time&#x27;s zone." in page

    naive = boss.post(place, {"asset_list": "B\nA", "offset_start": "2026-01-05T21:00:00", "save": "1"})
    assert "offset_start=2026-01-05T21:00:00 has no time zone." in faults(naive)["offset_start"][0]
    assert not NodeUpdate.objects.exists()

    boss.post(place, {"asset_list": "B\nA", "offset_start": "2026-01-05T16:00:00-05:00", "save": "1"})
    expected = asset_nodes.Daily(asset_list=["A", "B"], offset_start="2026-01-05T21:00:00Z")
    assert NodeUpdate.objects.get().update_hash == expected.update_hash


@pytest.mark.parametrize("key", ["x", "999999", "-1", "9" * 30, "\x00", "1 OR 1=1"])
def test_a_copy_of_nothing_is_an_empty_form(key: str, boss: Client, db: None) -> None:
    assert boss.get(address(copy=key)).context["copied"] is None


def test_the_right_to_add_is_needed_and_enough(viewer: Client, client: Client, prices: NodeUpdate) -> None:
    assert viewer.get(ADD).status_code == 403
    assert viewer.post(address(), typed(prices, save="1")).status_code == 403
    assert "Copy as new" not in viewer.get(f"/admin/markets/nodeupdate/{prices.pk}/change/").content.decode()
    assert NodeUpdate.objects.count() == 1

    user = rows.viewer("adder")
    user.user_permissions.add(Permission.objects.get(codename="add_nodeupdate"))
    client.force_login(User.objects.get(pk=user.pk))
    assert client.post(address(), typed(prices, save="1")).status_code == 302
    assert NodeUpdate.objects.count() == 2
    assert Group.objects.get(name="operator").permissions.filter(codename="add_nodeupdate").exists()


def test_without_a_csrf_token_nothing_is_registered(prices: NodeUpdate) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(rows.administrator())
    assert client.post(address(), typed(prices, save="1")).status_code == 403
    assert NodeUpdate.objects.count() == 1
