"""From SecIds to assets: which assets have the bars of a SecId, and on which days."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from markets.data_nodes.algoseek.master import AlgoSeekSecurityMaster, identifiers_of_figis
from markets.engine.algoseek_lookups import DatedLookup
from markets.engine.quality import QualityCheck, QualityOutcome, QualityRows
from markets.exceptions import InvalidInput, NotFound

FigiPolicy = Literal["all", "latest"]
EXAMPLES = 10


@dataclass(frozen=True)
class Listing:
    """An asset that has the bars of a SecId, from `start` to `end` (both included); None: without a bound."""

    identifier: str
    start: dt.date | None = None
    end: dt.date | None = None


def listings_of(
    master: AlgoSeekSecurityMaster, policy: FigiPolicy, lookup: DatedLookup | None
) -> dict[str, list[Listing]]:
    """SecId → the assets that have its bars, from the stored master.

    With "all", those of every FIGI of the SecId, each with the whole history; with "latest", that of the last FIGI. A
    FIGI of several SecIds in the lookup has the bars of each on its days. Raises InvalidInput for a master that never
    ran.
    """
    try:
        frame = master.get_df_between_dates(columns=["secid", "latest_figi"])
    except NotFound:
        frame = None
    if frame is None or frame.empty:
        raise InvalidInput("The security master has no rows. Run it first, or run this node with its dependencies.")
    frame = frame.reset_index()
    names = frame.columns[1]  # the index level of the assets, in the spelling of the node
    if policy == "latest":
        latest = identifiers_of_figis(frame["latest_figi"].unique().tolist())
        frame = frame[frame[names] == frame["latest_figi"].map(latest)]
    listings: dict[str, list[Listing]] = {}
    dated = _dated_listings(lookup, frame[names].tolist()) if lookup is not None else {}
    replaced = {listing.identifier for items in dated.values() for listing in items}
    for identifier, secid in zip(frame[names], frame["secid"], strict=True):
        if identifier not in replaced:
            listings.setdefault(secid, []).append(Listing(identifier))
    for secid, items in dated.items():
        listings.setdefault(secid, []).extend(items)
    return listings


def _dated_listings(lookup: DatedLookup, identifiers: Sequence[str]) -> dict[str, list[Listing]]:
    shared = [figi for figi in lookup.spells if len(lookup.secids(figi)) > 1]
    known, wanted = identifiers_of_figis(shared), set(identifiers)
    found: dict[str, list[Listing]] = {}
    for figi in shared:
        identifier = known.get(figi)
        if identifier in wanted and identifier is not None:
            for spell in lookup.spells[figi]:
                found.setdefault(str(spell.secid), []).append(Listing(identifier, spell.start, spell.end))
    return found


class SourceReport(QualityCheck):
    """What a node found in its files and left out or kept all the same; always a warning, told with the run."""

    severity: Literal["warning", "critical"] = "warning"
    what: str
    failed: int
    checked: int
    message: str

    @property
    def name(self) -> str:
        return self.what

    def judge(self, rows: QualityRows) -> QualityOutcome:
        return QualityOutcome(self.what, "", self.severity, not self.failed, self.checked, self.failed, self.message)


def unknown_secids(secids: Sequence[str], listings: Mapping[str, object]) -> SourceReport | None:
    """The report of files whose SecId the master does not know, None when it knows all."""
    unknown = [secid for secid in secids if secid not in listings]
    if not unknown:
        return None
    shown = ", ".join(unknown[:EXAMPLES]) + (", …" if len(unknown) > EXAMPLES else "")
    return SourceReport(
        what="files of known SecIds",
        failed=len(unknown),
        checked=len(secids),
        message=f"{len(unknown):,} of {len(secids):,} files are of SecIds without an asset in the security master and "
        f"were passed over: {shown}",
    )
