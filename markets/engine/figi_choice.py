"""Chooses one instrument among those that OpenFIGI gives for an identifier: share class, then composite, then venue.

An identifier of one share names up to hundreds of rows: each of its listings, and each country's composite of them.
The choice is made only where it is plain; otherwise a person is asked, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Candidate(Protocol):
    """What a choice looks at; a FIGI row of `markets.openfigi` is one."""

    @property
    def figi(self) -> str: ...
    @property
    def composite(self) -> str | None: ...
    @property
    def share_class(self) -> str | None: ...
    @property
    def exchange_code(self) -> str | None: ...


@dataclass(frozen=True)
class HomeMarkets:
    """OpenFIGI's exchange codes of composites in the order in which they are preferred: ("US", "GR")."""

    exchange_codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """`figi` is None where a person has to choose; `reason` says why it was chosen, or why not."""

    figi: str | None
    reason: str


@dataclass(frozen=True)
class Composite:
    """The rows of one country; `figi` is None for rows that have no composite."""

    figi: str | None
    rows: tuple[Candidate, ...]

    @property
    def own_row(self) -> Candidate | None:
        """The composite's row itself."""
        return next((row for row in self.rows if row.figi == self.figi), None)


@dataclass(frozen=True)
class ShareClass:
    """The composites of one share class; `figi` is None for rows that have none."""

    figi: str | None
    composites: tuple[Composite, ...]

    @property
    def number_of_rows(self) -> int:
        return sum(len(composite.rows) for composite in self.composites)


def tree_of(rows: Sequence[Candidate]) -> list[ShareClass]:
    """The candidates as share classes, composites and venues, in the order of their first rows."""
    grouped: dict[str | None, dict[str | None, list[Candidate]]] = {}
    for row in rows:
        grouped.setdefault(row.share_class, {}).setdefault(row.composite, []).append(row)
    return [
        ShareClass(share_class, tuple(Composite(figi, tuple(members)) for figi, members in composites.items()))
        for share_class, composites in grouped.items()
    ]


def choose(rows: Sequence[Candidate], home: HomeMarkets, *, asked_figi: str | None = None) -> Choice:
    """The plain choice among rows, if there is one.

    `asked_figi` is the FIGI that was asked for: its own row is chosen. Rows without a share class are left aside where
    the others agree on one. Of several composites the first of the home markets is chosen, and none without them.
    """
    distinct = list({row.figi: row for row in rows}.values())
    if asked_figi is not None:
        own = next((row for row in distinct if row.figi == asked_figi), None)
        if own is not None:
            return Choice(own.figi, "it is the FIGI that was asked for")
    if not distinct:
        return Choice(None, "there is no candidate")
    if len(distinct) == 1:
        return Choice(distinct[0].figi, "it is the only candidate")
    classes = [item for item in tree_of(distinct) if item.figi is not None]
    if len(classes) > 1:
        return Choice(None, f"{len(classes)} share classes")
    chosen = classes[0] if classes else tree_of(distinct)[0]
    return _among_composites(chosen, home)


def _among_composites(share_class: ShareClass, home: HomeMarkets) -> Choice:
    composites = [item for item in share_class.composites if item.figi is not None]
    if not composites:
        return Choice(None, f"{share_class.number_of_rows} rows without a composite")
    if len(composites) == 1 and len(share_class.composites) == 1:
        return _within(composites[0], "it is the only composite")
    for code in home.exchange_codes:
        found = [item for item in composites if item.own_row is not None and item.own_row.exchange_code == code]
        if len(found) == 1:
            return _within(found[0], f"{code} is the home market")
        if len(found) > 1:
            return Choice(None, f"{len(found)} composites in the home market {code}")
    wanted = f", none of them in {' or '.join(home.exchange_codes)}" if home.exchange_codes else ""
    return Choice(None, f"{len(composites)} composites{wanted}")


def _within(composite: Composite, reason: str) -> Choice:
    own = composite.own_row
    if own is not None:
        return Choice(own.figi, reason)
    if len(composite.rows) == 1:
        return Choice(composite.rows[0].figi, f"{reason}, and this its only venue")
    return Choice(None, f"{len(composite.rows)} venues, without the row of their composite")
