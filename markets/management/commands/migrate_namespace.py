"""Makes the schema of a namespace and brings its tables up to date."""

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from markets.services.namespaces import migrate_namespace


class Command(BaseCommand):
    help = (
        "Make a namespace (a PostgreSQL schema with MSM's tables, seen by nobody else) and bring it up to date. "
        "Doing it again changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="letters, digits, _ and - in parts joined by dots: mainsequence.examples")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        output = None if options["json"] else options.get("stdout") or sys.stdout
        done = migrate_namespace(options["name"], output=output)
        if options["json"]:
            self.stdout.write(json.dumps(asdict(done)))
            return
        made = "made" if done.created else "was there"
        self.stdout.write(
            f"{done.namespace}: schema {made}, {done.applied} migration{'' if done.applied == 1 else 's'} applied, "
            f"{done.tables} tables"
        )
