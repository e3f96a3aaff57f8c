"""The drawing of a graph, by what must hold of every one."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from markets.engine.lineage import BOX_HEIGHT, COLUMN_GAP, MARGIN, ROW_GAP, Box, Drawing, layout, reach

graphs = st.integers(0, 25).flatmap(
    lambda size: st.tuples(
        st.just(list(range(size))),
        st.lists(st.tuples(st.integers(-1, size), st.integers(-1, size)), max_size=60),
    )
)


def apart(one: Box, other: Box) -> bool:
    return (
        one.x + one.width < other.x
        or other.x + other.width < one.x
        or one.y + one.height < other.y
        or other.y + other.height < one.y
    )


def check(drawing: Drawing) -> None:
    boxes = list(drawing.boxes.values())
    assert all(apart(one, other) for one, other in itertools.combinations(boxes, 2))
    for box in boxes:
        assert box.x >= MARGIN
        assert box.x + box.width + MARGIN <= drawing.width
        assert box.y + 1e-6 >= MARGIN
        assert box.y + box.height + MARGIN <= drawing.height + 1e-6
    for line in drawing.lines:
        assert drawing.boxes[line.source].level < drawing.boxes[line.target].level
        xs = [x for x, _ in line.points]
        assert xs == sorted(set(xs))  # always further right


@given(graphs)
@settings(max_examples=150)
def test_lines_go_right_boxes_are_apart_and_the_same_graph_is_drawn_the_same(graph) -> None:
    nodes, edges = graph
    drawing = layout(nodes, edges)
    check(drawing)
    assert set(drawing.boxes) == set(nodes)
    known = {(one, other) for one, other in edges if one in nodes and other in nodes and one != other}
    drawn = {(line.source, line.target) for line in drawing.lines}
    assert drawn | set(drawing.left_out) == known
    assert not drawn & set(drawing.left_out)
    assert layout(nodes, edges[::-1] + edges) == drawing


@given(graphs)
@settings(max_examples=100)
def test_without_circles_every_edge_is_drawn_and_the_column_is_the_longest_way(graph) -> None:
    nodes, pairs = graph
    edges = {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1] and set(pair) <= set(nodes)}
    drawing = layout(nodes, edges)
    assert drawing.left_out == []
    for key in nodes:
        before = [drawing.boxes[source].level for source, target in edges if target == key]
        assert drawing.boxes[key].level == max(before, default=-1) + 1


def test_nothing_and_one() -> None:
    assert layout([], []).boxes == {}
    only = layout(["a"], [("a", "a"), ("a", "nobody")])
    assert only.boxes["a"] == Box("a", 0, MARGIN, MARGIN)
    assert (only.lines, only.left_out) == ([], [])


def test_a_chain_is_a_straight_row() -> None:
    drawing = layout(["c", "b", "a"], [("a", "b"), ("b", "c")])
    assert [drawing.boxes[key].level for key in "abc"] == [0, 1, 2]
    assert {box.y for box in drawing.boxes.values()} == {MARGIN}
    assert drawing.boxes["b"].x - drawing.boxes["a"].x - drawing.boxes["a"].width == COLUMN_GAP


def test_two_crossed_pairs_are_uncrossed() -> None:
    drawing = layout(["a", "b", "x", "y"], [("a", "y"), ("b", "x")])
    heights = {key: box.y for key, box in drawing.boxes.items()}
    assert (heights["a"] < heights["b"]) == (heights["y"] < heights["x"])
    assert abs(heights["a"] - heights["b"]) == BOX_HEIGHT + ROW_GAP


def test_a_circle_loses_one_line_and_says_which() -> None:
    drawing = layout(["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "a")])
    check(drawing)
    assert drawing.left_out == [("c", "a")]
    assert len(drawing.lines) == 2


def test_a_long_line_passes_between_the_boxes() -> None:
    drawing = layout(["a", "b", "c"], [("a", "b"), ("b", "c"), ("a", "c")])
    line = next(line for line in drawing.lines if (line.source, line.target) == ("a", "c"))
    middle = drawing.boxes["b"]
    passing = [y for x, y in line.points if middle.x <= x <= middle.x + middle.width]
    assert len(passing) == 2
    assert all(y < middle.y or y > middle.y + middle.height for y in passing)
    assert line.path().startswith("M244,")


def test_reach() -> None:
    edges = [("a", "b"), ("b", "c"), ("c", "d"), ("x", "c")]
    assert reach("b", edges) == ({"a"}, {"c", "d"})
    assert reach("c", edges, steps=1) == ({"b", "x"}, {"d"})
    assert reach("alone", edges) == (set(), set())
    assert reach("a", [("a", "b"), ("b", "a")]) == ({"b"}, {"b"})


def test_a_deep_graph_needs_no_deep_stack() -> None:
    nodes = list(range(3_000))
    drawing = layout(nodes, itertools.pairwise(nodes))
    assert drawing.boxes[2_999].level == 2_999
