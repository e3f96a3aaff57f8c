"""What a merge would do, table by table: counted before it is done, and done from the same plan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markets.models import Asset
from markets.services.merging.steps import Steps


@dataclass(frozen=True)
class ImpactItem:
    """Rows of one column of a table: `moved` to the asset that stays, `joined` with its own, `left` as they are."""

    key: str
    label: str
    moved: int = 0
    joined: int = 0
    left: int = 0
    note: str = ""


@dataclass
class Part:
    """One rule's share of a plan. `apply` does it, once the plan as a whole has no refusal."""

    items: list[ImpactItem] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    apply: Callable[[Steps], object] = lambda steps: None


@dataclass(frozen=True)
class MergeImpact:
    """What merging `dropped` into `kept` does, or why it cannot be."""

    kept: Asset
    dropped: Asset
    rows: str
    items: Sequence[ImpactItem]
    warnings: Sequence[str]
    refusals: Sequence[str]

    @property
    def can_merge(self) -> bool:
        return not self.refusals

    @property
    def needs_choice(self) -> bool:
        """Whether both have time-indexed rows, so that somebody has to say what becomes of them."""
        return any(item.key.startswith("rows.") and item.note for item in self.items)
