"""Records under which tickers securities traded, from LEAN's map files."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from markets.management.identifier_reports import add_options, lines_of, report
from markets.services.ticker_histories import load_ticker_history, read_mapping


class Command(BaseCommand):
    help = (
        "Record the ticker history of a file (CSV, also .gz) with the columns symbol_file, date, mapped_symbol and "
        "exchange, as LEAN's map files have them. The asset of a symbol file is the one with its name as identifier, "
        "or what --mapping says. Loading a file again changes nothing; a later file ends what has ended."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file")
        parser.add_argument("--mapping", help="CSV with the columns symbol_file and asset_identifier")
        parser.add_argument("--source", default="lean", help="who says so (lean)")
        add_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        mapping = read_mapping(lines_of(options["mapping"])) if options["mapping"] else None
        loaded = load_ticker_history(
            lines_of(options["file"]),
            assets=mapping,
            source=options["source"],
            skip_unknown=options["skip_unknown"],
            dry_run=options["dry_run"],
        )
        report(self, loaded, as_json=options["json"])
