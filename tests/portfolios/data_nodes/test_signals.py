"""EqualWeights on the real database: one stamp, and another when the membership changes."""

import datetime as dt

import pytest
from pydantic import ValidationError

from markets.exceptions import InvalidInput, NotFound
from markets.models import Asset, AssetCategory, NodeRun, RunStatus
from markets.services import categories
from portfolios.data_nodes.signals import EqualWeights, EqualWeightsConfiguration
from portfolios.models import SignalWeight
from tests.portfolios.data_nodes.market import UTC, make_assets

pytestmark = pytest.mark.django_db
STARTS = dt.datetime(2020, 1, 1, tzinfo=UTC)


def equal_weights(**changes) -> EqualWeights:
    return EqualWeights(
        EqualWeightsConfiguration(**{"starts_at": STARTS, "assets_category_unique_id": "universe", **changes})
    )


@pytest.fixture
def universe() -> AssetCategory:
    category = AssetCategory.objects.create(unique_identifier="universe", display_name="Universe")
    categories.replace_members(category, [asset.uid for asset in make_assets("A", "B", "C", "D")][:3])
    return category


def stamps() -> list[tuple[str, float]]:
    rows = SignalWeight.objects.order_by("time_index", "asset_identifier")
    return [(row.asset_identifier, row.signal_weight) for row in rows]


def test_the_first_stamp_gives_each_member_the_same_weight(universe):
    equal_weights().run()
    assert stamps() == [("A", 1 / 3), ("B", 1 / 3), ("C", 1 / 3)]
    assert set(SignalWeight.objects.values_list("time_index", flat=True)) == {STARTS}


def test_an_unchanged_membership_adds_no_stamp(universe):
    equal_weights().run()
    node = equal_weights()
    assert node.run().empty
    assert node.last_run.status == RunStatus.UP_TO_DATE
    assert SignalWeight.objects.count() == 3


def test_a_changed_membership_is_stamped_from_now_on_and_names_who_left(universe):
    # given a first stamp
    equal_weights().run()
    # when C leaves and D joins
    categories.replace_members(universe, [Asset.objects.get(unique_identifier=name).uid for name in "ABD"])
    before = dt.datetime.now(UTC)
    equal_weights().run()
    # then the new stamp is a complete cross-section; the first one stands
    assert stamps()[:3] == [("A", 1 / 3), ("B", 1 / 3), ("C", 1 / 3)]
    assert stamps()[3:] == [("A", 1 / 3), ("B", 1 / 3), ("C", 0.0), ("D", 1 / 3)]
    last = SignalWeight.objects.latest("time_index").time_index
    assert before <= last <= dt.datetime.now(UTC)
    # and a third run adds nothing
    assert equal_weights().run().empty


def test_a_change_before_a_start_in_the_future_is_not_lost(universe):
    starts = dt.datetime.now(UTC) + dt.timedelta(days=30)
    equal_weights(starts_at=starts).run()
    categories.remove_members(universe, [Asset.objects.get(unique_identifier="C").uid])
    equal_weights(starts_at=starts).run()
    assert stamps()[3:] == [("A", 0.5), ("B", 0.5), ("C", 0.0)]


def test_the_signal_is_the_same_in_every_namespace_and_differs_by_configuration(universe):
    assert equal_weights().signal_uid == equal_weights().signal_uid
    configuration = equal_weights().configuration
    assert EqualWeights(configuration, hash_namespace="test").signal_uid == equal_weights().signal_uid
    assert equal_weights(starts_at=STARTS + dt.timedelta(days=1)).signal_uid != equal_weights().signal_uid


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"assets_category_unique_id": "nobody"}, NotFound, "There is no asset category 'nobody'."),
        ({"asset_list": ["A"]}, InvalidInput, "EqualWeights takes one of asset_list and assets_category_unique_id."),
        ({"assets_category_unique_id": None}, InvalidInput, "EqualWeights takes one of asset_list and"),
        ({"starts_at": dt.datetime(2020, 1, 1)}, ValidationError, "should have timezone info"),  # noqa: DTZ001
    ],
)
def test_a_wrong_configuration_is_refused_and_nothing_is_written(universe, changes, error, message):
    with pytest.raises(error, match=message.replace(".", r"\.")):
        equal_weights(**changes).run()
    assert SignalWeight.objects.count() == 0


def test_an_empty_category_fails_the_run_with_the_remedy(universe):
    categories.replace_members(universe, [])
    with pytest.raises(InvalidInput, match=r"The asset category universe is empty\. Add assets to it\."):
        equal_weights().run()
    assert NodeRun.objects.get().status == RunStatus.FAILED


def test_an_unregistered_asset_is_named(universe):
    with pytest.raises(InvalidInput, match=r"1 identifier \(NOPE\) is not registered as assets"):
        equal_weights(assets_category_unique_id=None, asset_list=["A", "NOPE"]).run()
    assert SignalWeight.objects.count() == 0
