"""Seals, proves and opens the history of DataNodes' tables by hand; every night a worker seals it by itself."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet

from markets.data_nodes import sealing
from markets.models import StorageNode
from markets.services import sealing as service


class Command(BaseCommand):
    help = (
        "Seal the history of tables that no longer changes, so that it is read at many times the speed. Without names "
        "all tables. The rows stay where they are: a block is a second form of them, and is removed when they change."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tables", nargs="*", metavar="IDENTIFIER", help="published identifiers or table names")
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--verify", action="store_true", help="compare each block with its rows; ends with 1 if any differs"
        )
        how.add_argument("--open", action="store_true", help="remove the blocks, and with them the room that they take")

    def handle(self, *args: Any, **options: Any) -> None:
        differing = 0
        for storage in _tables(options["tables"]):
            if options["verify"]:
                found = service.differing_blocks(storage)
                differing += len(found)
                self.stdout.write(f"{storage}: {_listed(found) or 'every block holds what the table holds'}")
            elif options["open"]:
                self.stdout.write(f"{storage}: {service.open_history(storage):,} blocks removed")
            else:
                sealed = sealing.seal_history(storage)
                until = f"sealed up to {sealed.until:%Y-%m-%d %H:%M} UTC" if sealed.until else "nothing to seal"
                self.stdout.write(f"{storage}: {until}; {sealed.blocks:,} new blocks with {sealed.rows:,} rows")
        if differing:
            sys.exit(1)


def _tables(names: list[str]) -> QuerySet[StorageNode] | list[StorageNode]:
    tables = StorageNode.objects.filter(is_engine_table=True).order_by("identifier", "table_name")
    if not names:
        return tables
    chosen = []
    for name in names:
        found = tables.filter(identifier=name).first() or tables.filter(table_name=name).first()
        if found is None:
            raise CommandError(f"No table of a DataNode is called {name}. The back-office lists them under Storage.")
        chosen.append(found)
    return chosen


def _listed(blocks: list[Any]) -> str:
    spans = [f"{block.covers_from:%Y-%m-%d} to {block.covers_until:%Y-%m-%d}" for block in blocks]
    return f"{', '.join(spans)} differed from the table and is removed; who wrote past MSM?" if spans else ""
