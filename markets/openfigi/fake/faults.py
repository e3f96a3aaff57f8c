"""Faults by plan: which requests go wrong, and how.

A plan is a list of rules `{"match": …, "fault": …, "times": n}`. A rule matches by `nth` (the n-th request since the
plan was set, from 1), `path` (its end), `id_value` (a job's) or `probability` with `seed`; all that are given have to
hold. `fault` is one of FAULTS, with `seconds` for the slow one and `status` for the answer of a broken server.
"""

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FAULTS = (
    *("too_many_requests", "server_error", "slow", "reset", "truncated", "html", "short_array", "extra_null"),
    *("unknown_key", "missing_key", "changed"),
)
SERVER_ERRORS = (500, 502, 503, 504)


@dataclass
class _Rule:
    fault: str
    nth: int | None
    path: str
    id_value: str | None
    probability: float
    random: random.Random
    times: int
    seconds: float
    status: int


@dataclass(frozen=True)
class Fault:
    kind: str
    seconds: float = 0.0
    status: int = 500


class Plan:
    """The rules in force; the first that matches a request decides."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._asked = 0
        self._guard = threading.Lock()

    def replace(self, rules: Any) -> None:
        """Replace the plan. Raises ValueError for what is no rule."""
        if not isinstance(rules, list):
            raise ValueError("a plan is a list of rules")
        read = [_rule(item) for item in rules]
        with self._guard:
            self._rules, self._asked = read, 0

    def fault_of(self, path: str, id_values: set[str]) -> Fault | None:
        with self._guard:
            self._asked += 1
            for rule in self._rules:
                if rule.times and self._matches(rule, path, id_values):
                    rule.times -= 1
                    return Fault(rule.fault, rule.seconds, rule.status)
        return None

    def _matches(self, rule: _Rule, path: str, id_values: set[str]) -> bool:
        if rule.nth is not None and rule.nth != self._asked:
            return False
        if not path.endswith(rule.path):
            return False
        if rule.id_value is not None and rule.id_value not in id_values:
            return False
        return rule.probability >= 1 or rule.random.random() < rule.probability


def _rule(item: Any) -> _Rule:
    if not isinstance(item, Mapping) or item.get("fault") not in FAULTS:
        raise ValueError(f"a rule names a fault of {', '.join(FAULTS)}")
    match = item.get("match") or {}
    unknown = set(match) - {"nth", "path", "id_value", "probability", "seed"}
    if unknown or int(item.get("status", 500)) not in SERVER_ERRORS:
        raise ValueError(f"unknown in a rule: {', '.join(sorted(unknown)) or item['status']}")
    return _Rule(
        fault=item["fault"],
        nth=match.get("nth"),
        path=str(match.get("path", "")),
        id_value=match.get("id_value"),
        probability=float(match.get("probability", 1)),
        random=random.Random(match.get("seed", 0)),  # noqa: S311  (repeatable faults, no secrets)
        times=int(item.get("times", 1_000_000)),
        seconds=float(item.get("seconds", 1)),
        status=int(item.get("status", 500)),
    )
