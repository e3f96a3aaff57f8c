"""Categories: members change as a set, all or nothing."""

import threading
import uuid
from typing import Any

import pytest
from django.db import connection

from markets.exceptions import Conflict, InvalidInput, UnknownIdentifiers
from markets.models import AssetCategory, AssetCategoryMembership
from markets.services import categories
from tests import factories

pytestmark = pytest.mark.django_db


def counts(change: categories.MembershipChange) -> tuple[int, int, int]:
    return change.added, change.kept, change.removed


def test_members_by_every_kind_of_name() -> None:
    one, two, three, four = (factories.asset() for _ in range(4))
    category = factories.category()
    change = categories.append_members(category, [one, two.pk, three.uid, str(four.uid), one.unique_identifier, one])
    assert counts(change) == (4, 0, 0)
    assert categories.members_of(category) == [one, two, three, four]


def test_append_remove_replace() -> None:
    one, two, three = (factories.asset() for _ in range(3))
    category = factories.category(one)
    assert counts(categories.append_members(category, [one, two])) == (1, 1, 0)
    assert counts(categories.remove_members(category, [two, three])) == (0, 1, 1)
    assert counts(categories.replace_members(category, [three, one, three])) == (1, 1, 0)
    assert counts(categories.replace_members(category, [two])) == (1, 0, 2)
    assert counts(categories.replace_members(category, [])) == (0, 0, 1)
    assert categories.members_of(category) == []


@pytest.mark.parametrize("change", [categories.append_members, categories.remove_members, categories.replace_members])
def test_one_unknown_asset_changes_nothing(change: Any) -> None:
    one, two = factories.asset(), factories.asset()
    category = factories.category(one)
    before = list(AssetCategoryMembership.objects.values_list("uid", flat=True))
    unknown = uuid.uuid4()
    with pytest.raises(UnknownIdentifiers) as refused:
        change(category, [two, unknown, "NOBODY", 10**15])
    assert refused.value.identifiers == sorted([str(unknown), "NOBODY", str(10**15)])
    assert refused.value.field == "assets"
    assert list(AssetCategoryMembership.objects.values_list("uid", flat=True)) == before


@pytest.mark.parametrize("bad", [[True], [1.5], [None], [""], [[]], [10**30], [-1], ["a\x00"], "AAPL", b"x"])
def test_bad_members_are_refused(bad: Any) -> None:
    category = factories.category()
    with pytest.raises(InvalidInput) as refused:
        categories.append_members(category, bad)
    assert refused.value.field == "assets"


def test_get_or_create_keeps_what_is_stored() -> None:
    first = categories.get_or_create_category(unique_identifier=" tech ", display_name=" Tech  stocks ")
    again = categories.get_or_create_category(unique_identifier="tech", display_name="Other", description="d")
    assert (first.created, again.created, again.row.pk) == (True, False, first.row.pk)
    assert (again.row.display_name, again.row.description) == ("Tech stocks", None)


def test_upsert() -> None:
    row = categories.upsert_category(unique_identifier="tech").row
    assert row.display_name == "tech"
    row = categories.upsert_category(unique_identifier="tech", display_name="Tech", description="d").row
    row = categories.upsert_category(unique_identifier="tech", description=None).row
    assert (row.display_name, row.description) == ("Tech", None)
    assert AssetCategory.objects.count() == 1


def test_an_update_returns_what_is_stored_now() -> None:
    stale = factories.category(display_name="Tech")
    AssetCategory.objects.update(description="Written meanwhile")
    assert categories.update_category(stale, display_name="Technology").description == "Written meanwhile"
    assert AssetCategory.objects.values_list("display_name", "description").get() == ("Technology", "Written meanwhile")


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("Crypto Core", "crypto_core"),
        ("S&P 500", "s_p_500"),
        ("500 largest", "t_500_largest"),
        ("日本", "asset_category"),
        ("--", "asset_category"),
        ("x" * 255, "x" * 240),
    ],
)
def test_slugs(name: str, identifier: str) -> None:
    assert categories.slug(name) == identifier
    assert categories.create_category(display_name=name).unique_identifier == identifier
    assert categories.create_category(display_name=name).unique_identifier == f"{identifier}_2"
    assert categories.create_category(display_name=name).unique_identifier == f"{identifier}_3"


def test_create_is_all_or_nothing() -> None:
    with pytest.raises(UnknownIdentifiers):
        categories.create_category(display_name="New", assets=[factories.asset(), "NOBODY"])
    assert not AssetCategory.objects.exists()
    categories.create_category(display_name="New", unique_identifier="new")
    with pytest.raises(Conflict, match="'new' exists already"):
        categories.create_category(display_name="New", unique_identifier="new")


def test_a_universe_beyond_one_page() -> None:
    members = [factories.asset() for _ in range(503)]
    category = factories.category()
    assert categories.replace_members(category, members).added == 503
    assert len(categories.members_of(category)) == 503


@pytest.mark.django_db(transaction=True)
def test_concurrent_replacements_leave_one_of_the_two_sets() -> None:
    sets = [[factories.asset() for _ in range(5)] for _ in range(2)]
    category = factories.category()
    barrier = threading.Barrier(2)
    failures: list[BaseException] = []

    def work(members: list) -> None:
        try:
            barrier.wait()
            categories.replace_members(category, members)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(members,)) for members in sets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert categories.members_of(category) in sets
