"""Draws a graph of what rests on what: boxes in columns from left to right, and lines that always go right."""

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

BOX_WIDTH, BOX_HEIGHT = 232.0, 62.0
COLUMN_GAP, ROW_GAP = 64.0, 18.0
MARGIN = 12.0
WAY_HEIGHT = 6.0  # what a line that passes a column takes of it
SWEEPS = 6  # the crossings of real graphs stop falling after three or four


@dataclass(frozen=True)
class Box(Generic[Key]):
    """Where a node is drawn: its upper left corner, in a column that is its `level`."""

    key: Key
    level: int
    x: float
    y: float
    width: float = BOX_WIDTH
    height: float = BOX_HEIGHT


@dataclass(frozen=True)
class Line(Generic[Key]):
    """From the right side of `source` to the left side of `target`, through `points` (x, y)."""

    source: Key
    target: Key
    points: Sequence[tuple[float, float]]

    def path(self) -> str:
        """The same as a smooth path of SVG."""
        (x, y), *rest = self.points
        parts = [f"M{x:.0f},{y:.0f}"]
        for next_x, next_y in rest:
            middle = (x + next_x) / 2
            parts.append(f"C{middle:.0f},{y:.0f} {middle:.0f},{next_y:.0f} {next_x:.0f},{next_y:.0f}")
            x, y = next_x, next_y
        return " ".join(parts)


@dataclass(frozen=True)
class Drawing(Generic[Key]):
    """The whole, `width` by `height`. `left_out` are lines that would have closed a circle."""

    boxes: Mapping[Key, Box[Key]]
    lines: Sequence[Line[Key]]
    width: float
    height: float
    left_out: Sequence[tuple[Key, Key]]


def reach(start: Key, edges: Iterable[tuple[Key, Key]], *, steps: int | None = None) -> tuple[set[Key], set[Key]]:
    """What feeds `start` and what rests on it, itself in neither; no further than `steps` edges where given."""
    feeds: dict[Key, list[Key]] = {}
    rests: dict[Key, list[Key]] = {}
    for source, target in edges:
        feeds.setdefault(target, []).append(source)
        rests.setdefault(source, []).append(target)
    return _reached(start, feeds, steps), _reached(start, rests, steps)


def _reached(start: Key, ways: Mapping[Key, Sequence[Key]], steps: int | None) -> set[Key]:
    found: set[Key] = set()
    waiting, taken = [start], 0
    while waiting and (steps is None or taken < steps):
        waiting = sorted({key for item in waiting for key in ways.get(item, ())} - found - {start}, key=str)
        found.update(waiting)
        taken += 1
    return found


def layout(nodes: Sequence[Key], edges: Iterable[tuple[Key, Key]]) -> Drawing[Key]:
    """Place the nodes so that each edge (source, target) goes right.

    A node's column is the length of the longest way to it. Within the columns nodes are ordered by the mean place of
    their neighbours, back and forth, and the order with the fewest crossings is kept. The same input gives the same
    drawing; the order of `nodes` decides ties. Edges of unknown nodes, of a node with itself and repeated ones are
    ignored.
    """
    places = {key: place for place, key in enumerate(nodes)}
    wanted = sorted(
        {(source, target) for source, target in edges if source in places and target in places and source != target},
        key=lambda edge: (places[edge[0]], places[edge[1]]),
    )
    kept, left_out = _without_circles(nodes, wanted)
    levels = _levels(nodes, kept)
    columns, ways, chains = _columns(nodes, kept, levels)
    _order(columns, ways)
    heights = _heights(columns, ways, set(nodes))
    boxes = {key: Box(key, levels[key], MARGIN + levels[key] * (BOX_WIDTH + COLUMN_GAP), heights[key]) for key in nodes}
    lines = [Line(source, target, _points(chain, boxes, heights)) for (source, target), chain in chains.items()]
    return Drawing(
        boxes=boxes,
        lines=lines,
        width=max((box.x + box.width for box in boxes.values()), default=0.0) + MARGIN,
        height=max((box.y + box.height for box in boxes.values()), default=0.0) + MARGIN,
        left_out=left_out,
    )


def _without_circles(
    nodes: Sequence[Key], edges: Sequence[tuple[Key, Key]]
) -> tuple[list[tuple[Key, Key]], list[tuple[Key, Key]]]:
    """The edges without those that lead back to where a walk along them came from."""
    following: dict[Key, list[Key]] = {key: [] for key in nodes}
    for source, target in edges:
        following[source].append(target)
    done: set[Key] = set()
    back: list[tuple[Key, Key]] = []
    for start in nodes:
        if start in done:
            continue
        under_way = {start}
        stack = [(start, iter(following[start]))]
        while stack:
            key, rest = stack[-1]
            for target in rest:
                if target in under_way:
                    back.append((key, target))
                elif target not in done:
                    under_way.add(target)
                    stack.append((target, iter(following[target])))
                    break
            else:
                stack.pop()
                under_way.discard(key)
                done.add(key)
    closing = set(back)
    return [edge for edge in edges if edge not in closing], back


def _levels(nodes: Sequence[Key], edges: Sequence[tuple[Key, Key]]) -> dict[Key, int]:
    following: dict[Key, list[Key]] = {key: [] for key in nodes}
    awaited = dict.fromkeys(nodes, 0)
    for source, target in edges:
        following[source].append(target)
        awaited[target] += 1
    levels = dict.fromkeys(nodes, 0)
    ready = [key for key in nodes if not awaited[key]]
    for key in ready:
        for target in following[key]:
            levels[target] = max(levels[target], levels[key] + 1)
            awaited[target] -= 1
            if not awaited[target]:
                ready.append(target)
    return levels


@dataclass(frozen=True, eq=False)
class _Way:
    """The place in one column of an edge that passes it; found again as the object that it is, which is quick."""

    source: object
    target: object
    level: int


def _columns(
    nodes: Sequence[Key], edges: Sequence[tuple[Key, Key]], levels: Mapping[Key, int]
) -> tuple[list[list], dict, dict[tuple[Key, Key], list]]:
    """The columns, nodes and passing edges; the neighbours of each to the left and right; each edge's whole chain."""
    columns: list[list] = [[] for _ in range(max(levels.values(), default=-1) + 1)]
    for key in nodes:
        columns[levels[key]].append(key)
    ways: dict = {}
    chains: dict[tuple[Key, Key], list] = {}
    for source, target in edges:
        passed = [_Way(source, target, level) for level in range(levels[source] + 1, levels[target])]
        for way in passed:
            columns[way.level].append(way)
        chains[source, target] = chain = [source, *passed, target]
        for left, right in itertools.pairwise(chain):
            ways.setdefault(left, ([], []))[1].append(right)
            ways.setdefault(right, ([], []))[0].append(left)
    return columns, ways, chains


def _order(columns: list[list], ways: dict) -> None:
    """Reorder the columns in place; the best order met on the way stays."""
    best, fewest = [list(column) for column in columns], _crossings(columns, ways)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        rightwards = sweep % 2 == 0
        side = 0 if rightwards else 1
        span = range(1, len(columns)) if rightwards else range(len(columns) - 2, -1, -1)
        for level in span:
            beside = {item: place for place, item in enumerate(columns[level - 1 if rightwards else level + 1])}
            columns[level].sort(key=_by_neighbours(columns[level], beside, ways, side))
        crossings = _crossings(columns, ways)
        if crossings < fewest:
            best, fewest = [list(column) for column in columns], crossings
    for column, ordered in zip(columns, best, strict=True):
        column[:] = ordered


def _by_neighbours(column: list, beside: Mapping, ways: dict, side: int):  # type: ignore[no-untyped-def]
    means = {}
    for place, item in enumerate(column):
        near = [beside[other] for other in ways.get(item, ((), ()))[side]]
        means[item] = (sum(near) / len(near) if near else float(place), place)
    return means.__getitem__


def _crossings(columns: list[list], ways: dict) -> int:
    """How many pairs of lines cross between neighbouring columns: inversions, counted by a Fenwick tree."""
    total = 0
    for left, right in itertools.pairwise(columns):
        places = {item: place for place, item in enumerate(right)}
        ends = [place for item in left for place in sorted(places[other] for other in ways.get(item, ((), ()))[1])]
        tree = [0] * (len(right) + 1)
        for seen, place in enumerate(ends):
            below, number = 0, place + 1
            while number:
                below += tree[number]
                number -= number & -number
            total += seen - below
            number = place + 1
            while number < len(tree):
                tree[number] += 1
                number += number & -number
    return total


def _heights(columns: list[list], ways: dict, nodes: set) -> dict:
    """The upper edge of each item: in the column's order, without overlap, near the middle of its neighbours."""
    size = {item: BOX_HEIGHT if item in nodes else WAY_HEIGHT for column in columns for item in column}
    top: dict = {}
    for column in columns:
        y = MARGIN
        for item in column:
            top[item] = y
            y += size[item] + ROW_GAP
    for side in (0, 1, 0):
        for column in columns if side == 0 else columns[::-1]:
            wished = []
            for item in column:
                near = [top[other] + size[other] / 2 for other in ways.get(item, ((), ()))[side]]
                wished.append(sum(near) / len(near) - size[item] / 2 if near else top[item])
            _settle(column, wished, size, top)
    highest = min(top.values(), default=MARGIN)
    return {item: y - highest + MARGIN for item, y in top.items()}


def _settle(column: list, wished: list[float], size: Mapping, top: dict) -> None:
    """As near to the wishes as the order and the gaps allow: blocks that would overlap share their mean wish."""
    blocks: list[list] = []  # [offset wish sum, items, height]
    for item, wish in zip(column, wished, strict=True):
        blocks.append([wish, [item], size[item] + ROW_GAP])
        while len(blocks) > 1 and blocks[-2][0] + blocks[-2][2] > blocks[-1][0]:
            start, items, height = blocks.pop()
            earlier = blocks[-1]
            count, more = len(earlier[1]), len(items)
            earlier[0] = (earlier[0] * count + (start - earlier[2]) * more) / (count + more)
            earlier[1] += items
            earlier[2] += height
    for start, items, _ in blocks:
        y = start
        for item in items:
            top[item] = y
            y += size[item] + ROW_GAP


def _points(chain: list, boxes: Mapping, heights: Mapping) -> list[tuple[float, float]]:
    source, *passed, target = chain
    first, last = boxes[source], boxes[target]
    points = [(first.x + first.width, first.y + first.height / 2)]
    for way in passed:
        x, y = MARGIN + way.level * (BOX_WIDTH + COLUMN_GAP), heights[way] + WAY_HEIGHT / 2
        points += [(x, y), (x + BOX_WIDTH, y)]
    return [*points, (last.x, last.y + last.height / 2)]
