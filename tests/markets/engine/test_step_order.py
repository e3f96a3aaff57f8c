"""The order of a tree's steps, and the partition of assets: worked by hand."""

import pytest

from markets.engine.shards import MOST_SHARDS, Shard
from markets.engine.step_order import Decisions, Place, State, decide, lay_out


def test_a_diamond_with_shards_is_laid_out_in_levels():
    places = lay_out(["a", "b", "c", "d"], {"b": ["a"], "c": ["a", "elsewhere"], "d": ["b", "c"]}, {"b": 2})
    assert places == [
        Place("a", 0, 0, 0, 1, ()),
        Place("b", 1, 1, 0, 2, (0,)),
        Place("b", 2, 1, 1, 2, (0,)),
        Place("c", 3, 1, 0, 1, (0,)),
        Place("d", 4, 2, 0, 1, (1, 2, 3)),
    ]


def test_what_may_begin_and_what_never_will():
    states = [
        State(0, "succeeded"),
        State(1, "failed"),
        State(2, "waiting", (0,)),
        State(3, "waiting", (0, 1)),
        State(4, "waiting", (2, 3)),
        State(5, "running"),
        State(6, "waiting", (0, 5)),
        State(7, "up_to_date"),
        State(8, "waiting", (0, 7)),
    ]
    assert decide(iter(states)) == Decisions(queue=[2, 8], skip={3: [1], 4: [1]})


def test_a_step_whose_input_was_deleted_is_skipped():
    assert decide([State(1, "waiting", (0,))]) == Decisions(queue=[], skip={1: [0]})


def test_shards_are_a_partition_that_stays():
    names = [f"BBG{number:09d}" for number in range(1000)]
    parts = [Shard(index, 7).cut(names) for index in range(7)]
    assert sorted(name for part in parts for name in part) == names
    assert all(80 < len(part) < 220 for part in parts)
    assert Shard(2, 7).cut(names) == parts[2]
    assert (Shard(0, 4).holds("A"), Shard(3, 4).holds("A")) == (False, True)  # crc32("A") = 0xD3D99E8B
    assert str(Shard(3, 4)) == "shard 4 of 4"


@pytest.mark.parametrize(("index", "count"), [(-1, 2), (2, 2), (0, 0), (0, MOST_SHARDS + 1)])
def test_there_is_no_such_shard(index, count):
    with pytest.raises(ValueError, match=r"^There is no shard "):
        Shard(index, count)
