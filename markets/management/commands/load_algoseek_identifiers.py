"""Records the tickers, ISINs, CUSIPs and SecIds of AlgoSeek's security master, with their days."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from markets.management.identifier_reports import add_options, report
from markets.services.algoseek_identifiers import load_algoseek_identifiers


class Command(BaseCommand):
    help = (
        "Record what AlgoSeek's security master (CSV, also .gz) tells of the assets of its FIGIs: SecId, tickers with "
        "their venue, ISINs and CUSIPs, each with its days. Loading a file again changes nothing; a later one ends "
        "what has ended. What cannot be told apart or has a wrong check digit is left out and listed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file")
        parser.add_argument("--figi-lookup", help="figi_to_secid_lookup.csv: the days of a SecId's several FIGIs")
        add_options(parser, conflicts=True)

    def handle(self, *args: Any, **options: Any) -> None:
        done = load_algoseek_identifiers(
            options["file"],
            figi_lookup_path=options["figi_lookup"],
            skip_unknown=options["skip_unknown"],
            skip_conflicts=options["skip_conflicts"],
            dry_run=options["dry_run"],
        )
        told = done.told
        notes = [
            *(("fault", text) for text in told.faults),
            *(("undated", f"SecId {secid} has several FIGIs; name --figi-lookup") for secid in told.undated),
            *(("exchange", f"{name} has no market identifier code here") for name in told.exchanges),
        ]
        report(self, done.loaded, as_json=options["json"], notes=notes)
