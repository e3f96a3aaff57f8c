"""A stable partition of assets: which part of a node's work an asset belongs to. Pure."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

MOST_SHARDS = 64  # a lock's number leaves six bits for the shard; more workers than that no table has kept busy


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`. An asset's part depends on its identifier alone, so it is the same on every run."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_SHARDS or not 0 <= self.index < self.count:
            raise ValueError(f"There is no shard {self.index} of {self.count}; at most {MOST_SHARDS} are possible.")

    @property
    def is_whole(self) -> bool:
        return self.count == 1

    def holds(self, identifier: str) -> bool:
        return zlib.crc32(identifier.encode("utf-8", "surrogatepass")) % self.count == self.index

    def cut(self, identifiers: Iterable[str]) -> list[str]:
        """Those of the identifiers that are this part's, in their order."""
        return [identifier for identifier in identifiers if self.holds(identifier)]

    def __str__(self) -> str:
        return f"shard {self.index + 1} of {self.count}"


WHOLE = Shard()
