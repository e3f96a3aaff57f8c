"""Records what AlgoSeek's master tells of the FIGIs' assets: SecIds, tickers, ISINs and CUSIPs with their days."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from markets.engine.algoseek_identifiers import MasterIdentifiers, identifiers_of
from markets.engine.algoseek_lookups import read_figi_lookup
from markets.engine.algoseek_master import read_security_master
from markets.engine.identifier_schemes import identifier_key
from markets.models import OpenFigiDetails
from markets.services.identifier_histories import LoadedHistory, load_history
from markets.services.identifiers import IdentifierRow

SOURCE = "algoseek"


@dataclass(frozen=True)
class LoadedMaster:
    """What was loaded, and what the file told that could not be: see `MasterIdentifiers`."""

    told: MasterIdentifiers
    loaded: LoadedHistory


def load_algoseek_identifiers(
    path: str | Path,
    *,
    figi_lookup_path: str | Path | None = None,
    skip_unknown: bool = False,
    skip_conflicts: bool = False,
    dry_run: bool = False,
) -> LoadedMaster:
    """Record the identifiers of a master's FIGIs, all or none; to load it again changes nothing.

    The asset of a FIGI has it as its identifier or in its OpenFIGI details. Values with a wrong check digit, and what
    a SecId with several FIGIs dates without a lookup, are left out and told. Raises InvalidInput for a file that is
    wrong, a ticker of two SecIds on one day among that.
    """
    master = read_security_master(path)
    master.tickers()
    told = identifiers_of(master, read_figi_lookup(figi_lookup_path) if figi_lookup_path else None)
    names = _assets_of({row.figi for row in told.rows})
    rows = [
        IdentifierRow(
            names.get(row.figi, row.figi),
            identifier_key(row.scheme, row.value, row.venue),
            row.valid_from,
            row.valid_to,
            {"file": Path(path).name, "line": row.line, "figi": row.figi},
        )
        for row in told.rows
    ]
    loaded = load_history(
        rows, source=SOURCE, skip_unknown=skip_unknown, skip_conflicts=skip_conflicts, dry_run=dry_run
    )
    return LoadedMaster(told, loaded)


def _assets_of(figis: Iterable[str]) -> dict[str, str]:
    """FIGI → the identifier of the asset whose OpenFIGI details have it; others go by the FIGI itself."""
    details = OpenFigiDetails.objects.filter(figi__in=list(figis)).values_list("figi", "asset__unique_identifier")
    return {str(figi): name for figi, name in details}
