"""The candidates of an identifier as a tree: share classes, their composites by country, and the venues of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markets.admin.formatting import NOTHING, counted
from markets.engine.figi_choice import tree_of
from markets.models import ResolutionItem
from markets.openfigi.answers import FigiRow
from markets.services.resolutions import candidates_of, is_acceptable


@dataclass(frozen=True)
class Leaf:
    """One row of OpenFIGI; only an acceptable one can be chosen."""

    row: FigiRow
    is_acceptable: bool
    is_chosen: bool

    @property
    def kind(self) -> str:
        """Common Stock, Equity: its type and sector, as far as they are told."""
        told = [self.row.security_type_2 or self.row.security_type, self.row.security_market_sector]
        return ", ".join(part for part in told if part) or NOTHING


@dataclass(frozen=True)
class Branch:
    """The rows of one country: that of the composite itself, and its venues."""

    figi: str
    own: Leaf | None
    venues: Sequence[Leaf]
    number: str
    is_open: bool


@dataclass(frozen=True)
class Tree:
    """A share class; `figi` is empty for rows that have none."""

    figi: str
    name: str
    branches: Sequence[Branch]
    number: str


def tree_for(item: ResolutionItem, *, chosen: str = "") -> list[Tree]:
    """The candidates of an item. Venues are folded, unless the chosen one is among them or they have no composite."""
    trees = []
    for share_class in tree_of(candidates_of(item)):
        branches = []
        for composite in share_class.composites:
            own: Any = composite.own_row
            venues = [_leaf(row, chosen) for row in composite.rows if row is not own]
            branches.append(
                Branch(
                    figi=composite.figi or "",
                    own=None if own is None else _leaf(own, chosen),
                    venues=venues,
                    number=counted(len(venues), "venue"),
                    is_open=own is None or any(leaf.is_chosen for leaf in venues),
                )
            )
        first: Any = share_class.composites[0].rows[0]
        told = [counted(len(branches), "country", "countries"), counted(share_class.number_of_rows, "row")]
        trees.append(Tree(share_class.figi or "", first.name or NOTHING, branches, ", ".join(told)))
    return trees


def _leaf(row: Any, chosen: str) -> Leaf:
    return Leaf(row, is_acceptable(row), bool(chosen) and row.figi == chosen)
