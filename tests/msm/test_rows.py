"""Rows in Python: filters say what is wrong with them, and a deletion touches the row that it changes."""

import datetime as dt
import uuid
from typing import Any

import pytest

import msm
from markets.exceptions import InvalidInput
from markets.models import Asset as AssetModel
from markets.models import AssetCategory as CategoryModel
from markets.models import Calendar as CalendarModel
from markets.models import CalendarSession as SessionModel
from markets.models import OpenFigiDetails as DetailsModel
from markets.services import categories
from msm import runtime
from msm.api.assets import Asset, AssetCategoryMembership, AssetType, OpenFigiDetails
from msm.api.calendars import CalendarSession
from msm.api.portfolios import Portfolio
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_runtime", None)
    msm.start_engine()


@pytest.mark.parametrize("value", ["BTC", None, b"BTC"])
def test_in_wants_a_list(value: Any) -> None:
    factories.asset(unique_identifier="B")
    with pytest.raises(InvalidInput, match="must be a list of values") as refused:
        Asset.filter(unique_identifier_in=value)
    assert refused.value.field == "unique_identifier_in"


def test_many_identifiers_are_a_list_too() -> None:
    with pytest.raises(InvalidInput, match="unique_identifiers='BTC' must be a list of values"):
        Asset.get_many_by_unique_identifier("BTC")


def test_a_class_without_identifier_says_so() -> None:
    with pytest.raises(InvalidInput, match="OpenFigiDetails has no unique_identifier"):
        OpenFigiDetails.get_by_unique_identifier("BTC")
    with pytest.raises(InvalidInput, match="AssetType has no unique_identifier"):
        AssetType.get_many_by_unique_identifier(["crypto"])


def test_the_fields_of_related_rows_are_conditions() -> None:
    one, two = factories.asset(), factories.asset()
    factories.details(two)
    first, second = factories.category(one, two), factories.category(two)
    assert [row.asset_uid for row in AssetCategoryMembership.filter(category_uid=second.uid)] == [two.uid]
    assert [row.category_uid for row in AssetCategoryMembership.filter(asset_uid_in=[one.uid])] == [first.uid]
    assert [row.uid for row in OpenFigiDetails.filter(asset_uid=two.uid)] == [two.uid]
    calendar = factories.calendar(dt.date(2026, 1, 5))
    factories.calendar(dt.date(2026, 1, 6))
    assert [row.local_date for row in CalendarSession.filter(calendar_uid=calendar.uid)] == [dt.date(2026, 1, 5)]
    with_calendar, without = factories.portfolio(calendar=calendar), factories.portfolio(calendar=None)
    assert [row.uid for row in Portfolio.filter(calendar_uid=str(calendar.uid))] == [with_calendar.uid]
    assert [row.uid for row in Portfolio.filter(calendar_uid=None)] == [without.uid]


def test_a_condition_that_is_no_uid_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"AssetCategoryMembership\.filter: .*x. is not a valid UUID"):
        AssetCategoryMembership.filter(category_uid="x")


@pytest.mark.parametrize("order_by", [None, "asset_uid", "-asset_uid"])
def test_rows_are_always_ordered(order_by: str | None) -> None:
    uids = [uuid.UUID(int=number) for number in (3, 1, 2)]
    for uid in uids:
        factories.details(factories.asset(uid=uid))
    found = [row.asset_uid for row in OpenFigiDetails.filter(order_by=order_by)]
    expected = {None: uids, "asset_uid": sorted(uids), "-asset_uid": sorted(uids, reverse=True)}
    assert found == expected[order_by]


def test_deleting_by_what_is_no_uid_is_refused() -> None:
    with pytest.raises(InvalidInput, match="uid='x' is not a UUID"):
        Asset.delete("x")
    assert Asset.delete(uuid.uuid4()) == 0


def test_deleting_details_touches_their_asset() -> None:
    asset = factories.asset()
    factories.details(asset)
    assert OpenFigiDetails.delete(asset.uid) == 1
    assert not DetailsModel.objects.exists()
    assert AssetModel.objects.get().updated_at > asset.updated_at


def test_deleting_a_membership_touches_its_category() -> None:
    one, two = factories.asset(), factories.asset()
    category = factories.category(one, two)
    assert AssetCategoryMembership.delete(category.memberships.get(asset=one).uid) == 1
    assert categories.members_of(category) == [two]
    assert CategoryModel.objects.get().updated_at > category.updated_at


def test_deleting_a_session_touches_its_calendar() -> None:
    calendar = factories.calendar(dt.date(2026, 1, 5), dt.date(2026, 1, 6))
    assert CalendarSession.delete(calendar.sessions.get(local_date="2026-01-05").uid) == 1
    assert SessionModel.objects.get().local_date == dt.date(2026, 1, 6)
    assert CalendarModel.objects.get().updated_at > calendar.updated_at


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800"])
def test_text_that_no_row_can_have_is_refused(text: str) -> None:
    for look in (
        lambda: Asset.get_by_unique_identifier(text),
        lambda: Asset.get_many_by_unique_identifier([text]),
        lambda: Asset.filter(unique_identifier=text),
        lambda: Asset.filter(unique_identifier_contains=text),
        lambda: Asset.filter(unique_identifier_in=[text]),
    ):
        with pytest.raises(InvalidInput):
            look()


@pytest.mark.parametrize("value", [None, 5, True, b"x", ["a"]])
def test_an_identifier_is_text(value: Any) -> None:
    with pytest.raises(InvalidInput, match="must be text"):
        Asset.get_by_unique_identifier(value)
