"""The order of a tree's steps: what waits for what, what may begin, what never will. Pure: states in, decisions out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

WAITING, QUEUED, RUNNING, SKIPPED = "waiting", "queued", "running", "skipped"
DONE = frozenset({"succeeded", "up_to_date"})
UNFINISHED = frozenset({WAITING, QUEUED, RUNNING})


@dataclass(frozen=True)
class Place:
    """Where one step stands: `depends_on` has the positions of steps that must be done first."""

    node: str
    position: int
    level: int
    shard: int
    shard_count: int
    depends_on: tuple[int, ...]


@dataclass(frozen=True)
class State:
    position: int
    status: str
    depends_on: tuple[int, ...] = ()


@dataclass(frozen=True)
class Decisions:
    """`queue`: positions that may begin now. `skip`: position → the positions of the steps whose end it cannot use."""

    queue: list[int]
    skip: dict[int, list[int]]


def lay_out(order: Sequence[str], reads: Mapping[str, Iterable[str]], shards: Mapping[str, int]) -> list[Place]:
    """The steps of the nodes in `order` (dependencies first), each node once for every shard.

    `reads` names what each node reads; what is not in `order` is read as it is and waited for by nobody.
    """
    places: dict[str, list[Place]] = {}
    levels: dict[str, int] = {}
    position = 0
    for node in order:
        needed = [name for name in dict.fromkeys(reads.get(node, ())) if name in places]
        levels[node] = 1 + max((levels[name] for name in needed), default=-1)
        before = tuple(place.position for name in needed for place in places[name])
        count = max(shards.get(node, 1), 1)
        places[node] = [Place(node, position + shard, levels[node], shard, count, before) for shard in range(count)]
        position += count
    return [place for group in places.values() for place in group]


def decide(states: Iterable[State]) -> Decisions:
    """What becomes of the waiting steps. A step that is not known any more counts as one that did not end well."""
    states = sorted(states, key=lambda item: item.position)
    status = {state.position: state.status for state in states}
    causes: dict[int, list[int]] = {}
    queue: list[int] = []
    for state in states:
        if state.status != WAITING:
            continue
        roots: list[int] = []
        for position in state.depends_on:
            if position in causes:
                roots += causes[position]
            elif status.get(position) not in DONE | UNFINISHED:
                roots.append(position)
        if roots:
            causes[state.position] = sorted(set(roots))
        elif all(status[position] in DONE for position in state.depends_on):
            queue.append(state.position)
    return Decisions(queue, causes)
