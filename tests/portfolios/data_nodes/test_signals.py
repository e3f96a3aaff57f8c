"""EqualWeights on the real database: one stamp, and another at each change of the dated membership."""

import datetime as dt

import pytest
from pydantic import ValidationError

from markets.exceptions import InvalidInput, NotFound
from markets.models import Asset, AssetCategory, NodeRun, RunStatus
from markets.services import categories, universes
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
    """A, B and C belong since long before the signal starts."""
    category = AssetCategory.objects.create(unique_identifier="universe", display_name="Universe")
    make_assets("A", "B", "C", "D")
    universes.register_spells(category, [(name, "2019-06-01", None) for name in "ABC"])
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
    before = dt.datetime.now(UTC)
    categories.replace_members(universe, [Asset.objects.get(unique_identifier=name).uid for name in "ABD"])
    after = dt.datetime.now(UTC)
    equal_weights().run()
    # then the new stamp is a complete cross-section at the time of the change; the first one stands
    assert stamps()[:3] == [("A", 1 / 3), ("B", 1 / 3), ("C", 1 / 3)]
    assert stamps()[3:] == [("A", 1 / 3), ("B", 1 / 3), ("C", 0.0), ("D", 1 / 3)]
    assert before <= SignalWeight.objects.latest("time_index").time_index <= after
    # and a third run adds nothing
    assert equal_weights().run().empty


def test_nothing_is_stamped_before_its_time(universe):
    node = equal_weights(starts_at=dt.datetime.now(UTC) + dt.timedelta(days=30))
    assert node.run().empty
    assert node.last_run.status == RunStatus.UP_TO_DATE


HISTORY = [  # C leaves and comes back; D belonged before the start; everyone leaves for a month in 2021
    ("A", "2019-01-01", "2021-05-01"),
    ("A", "2021-06-01", None),
    ("B", "2020-03-01", "2021-05-01"),
    ("C", "2019-01-01", "2020-06-01"),
    ("C", "2020-07-01", "2021-05-01"),
    ("D", "2018-01-01", "2020-01-01"),
]
EXPECTED = [
    ("2020-01-01", {"A": 0.5, "C": 0.5}),
    ("2020-03-01", {"A": 1 / 3, "B": 1 / 3, "C": 1 / 3}),
    ("2020-06-01", {"A": 0.5, "B": 0.5, "C": 0.0}),
    ("2020-07-01", {"A": 1 / 3, "B": 1 / 3, "C": 1 / 3}),
    ("2021-05-01", {"A": 0.0, "B": 0.0, "C": 0.0}),
    ("2021-06-01", {"A": 1.0}),
]


def by_stamp() -> list[tuple[str, dict[str, float]]]:
    found: dict[str, dict[str, float]] = {}
    for row in SignalWeight.objects.order_by("time_index", "asset_identifier"):
        found.setdefault(f"{row.time_index:%Y-%m-%d}", {})[row.asset_identifier] = row.signal_weight
    return list(found.items())


@pytest.fixture
def history() -> AssetCategory:
    make_assets("A", "B", "C", "D")
    category = AssetCategory.objects.create(unique_identifier="universe", display_name="Universe")
    universes.register_spells(category, HISTORY)
    return category


def test_the_past_is_weighted_with_the_members_that_it_had(history):
    equal_weights().run()
    assert by_stamp() == EXPECTED
    assert equal_weights().run().empty


@pytest.mark.parametrize(
    "slices", [["2020-01-01", "2020-03-01", "2021-05-15"], ["2020-02-29", "2020-06-30", "2020-07-01", "2021-06-01"]]
)
def test_runs_in_slices_store_what_one_run_would(history, slices, monkeypatch):
    node = equal_weights()
    for day in [*slices, "2026-01-01"]:
        now = dt.datetime.fromisoformat(f"{day}T12:00:00+00:00")
        monkeypatch.setattr(node, "update", lambda now=now: node._follow("universe", now))
        node.run()
    assert by_stamp() == EXPECTED


def test_two_joining_at_one_time_are_one_stamp_and_a_swap_back_is_none(history):
    universes.register_spells(history, [("A", "2019-01-01", "2020-02-01"), ("A", "2020-02-01", None)])
    universes.register_spells(history, [(name, "2020-04-01", None) for name in "BCD"])
    equal_weights().run()
    assert by_stamp() == [("2020-01-01", {"A": 1.0}), ("2020-04-01", dict.fromkeys("ABCD", 0.25))]


def test_a_rewritten_past_leaves_what_is_stored_and_is_right_from_now_on(universe):
    equal_weights().run()
    # when C turns out never to have belonged
    universes.register_spells(universe, [("C", "2019-06-01", "2019-07-01")])
    before = dt.datetime.now(UTC)
    equal_weights().run()
    assert stamps() == [("A", 1 / 3), ("B", 1 / 3), ("C", 1 / 3), ("A", 0.5), ("B", 0.5), ("C", 0.0)]
    assert SignalWeight.objects.latest("time_index").time_index >= before
    assert equal_weights().run().empty


def test_no_member_at_the_start_fails_the_run_with_the_remedy(history):
    with pytest.raises(InvalidInput) as refused:
        equal_weights(starts_at=dt.datetime(2017, 1, 1, tzinfo=UTC)).run()
    assert str(refused.value) == (
        "The asset category universe has no member at 2017-01-01T00:00:00+00:00, where the signal starts; its first "
        "joined at 2018-01-01T00:00:00+00:00. Register who belonged then (AssetCategory.register_spells, or manage.py "
        "register_universe), or let the signal start later."
    )
    assert SignalWeight.objects.count() == 0


def test_a_list_is_stamped_once(universe):
    node = equal_weights(assets_category_unique_id=None, asset_list=["B", "A", "B"])
    node.run()
    assert stamps() == [("A", 0.5), ("B", 0.5)]
    assert node.run().empty


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
    universe.memberships.all().delete()
    with pytest.raises(InvalidInput, match=r"The asset category universe is empty\. Add assets to it\."):
        equal_weights().run()
    assert NodeRun.objects.get().status == RunStatus.FAILED


def test_an_unregistered_asset_is_named(universe):
    with pytest.raises(InvalidInput, match=r"1 identifier \(NOPE\) is not registered as assets"):
        equal_weights(assets_category_unique_id=None, asset_list=["A", "NOPE"]).run()
    assert SignalWeight.objects.count() == 0
