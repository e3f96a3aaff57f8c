"""Loads LEAN's map files: under which ticker each security traded, until which day."""

import csv
from collections.abc import Iterable, Mapping

from markets.engine.identifier_schemes import identifier_key
from markets.engine.ticker_maps import TickerSpell, read_ticker_map
from markets.exceptions import InvalidInput
from markets.models import Asset
from markets.services.identifier_histories import LoadedHistory, load_history
from markets.services.identifiers import IdentifierRow
from markets.services.values import clean_identifier

MAPPING = ("symbol_file", "asset_identifier")


def load_ticker_history(
    lines: Iterable[str],
    *,
    assets: Mapping[str, str] | None = None,
    source: str = "lean",
    skip_unknown: bool = False,
    dry_run: bool = False,
) -> LoadedHistory:
    """Record every spell of the file as a ticker of its asset, all or none. To load it again changes nothing.

    The asset of a security is what `assets` (symbol file → identifier) says, else the one whose identifier is the
    symbol file's name, in capitals or as LEAN writes it. A later file that ends a spell, or begins another, changes
    what this source recorded. Raises InvalidInput for a row that is wrong.
    """
    spells = read_ticker_map(lines)
    named = _assets_of({spell.security for spell in spells}, assets or {})
    rows = [
        IdentifierRow(
            named[spell.security],
            identifier_key("ticker", spell.ticker, spell.venue),
            spell.valid_from,
            spell.valid_to,
            _evidence(spell),
        )
        for spell in spells
    ]
    return load_history(rows, source=source, skip_unknown=skip_unknown, dry_run=dry_run)


def read_mapping(lines: Iterable[str]) -> dict[str, str]:
    """Symbol file → identifier of its asset, from a CSV file with these two columns. Raises InvalidInput."""
    reader = csv.DictReader(lines)
    if not reader.fieldnames or not set(MAPPING) <= set(reader.fieldnames):
        raise InvalidInput(f"The mapping's columns are {reader.fieldnames}; it needs {', '.join(MAPPING)}.")
    found: dict[str, str] = {}
    for number, row in enumerate(reader, start=2):
        security = (row["symbol_file"] or "").strip().upper()
        if not security:
            raise InvalidInput(f"Row {number} of the mapping: symbol_file must not be blank.")
        try:
            name = clean_identifier(row["asset_identifier"], field="asset_identifier")
        except InvalidInput as error:
            raise InvalidInput(f"Row {number} of the mapping: {error}", field=error.field) from error
        if found.setdefault(security, name) != name:
            raise InvalidInput(f"Row {number} of the mapping: {security} is {found[security]} already, not {name}.")
    return found


def _assets_of(securities: set[str], said: Mapping[str, str]) -> dict[str, str]:
    """Security → the identifier of its asset, which need not exist."""
    unsaid = securities - said.keys()
    spelt = [*unsaid, *(name.lower() for name in unsaid)]
    known = set(Asset.objects.filter(unique_identifier__in=spelt).values_list("unique_identifier", flat=True))
    found = {name: name.lower() if name not in known and name.lower() in known else name for name in unsaid}
    return found | {name: said[name] for name in securities & said.keys()}


def _evidence(spell: TickerSpell) -> dict[str, str]:
    return {"symbol_file": spell.security.lower()}
