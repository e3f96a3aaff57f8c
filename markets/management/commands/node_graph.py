"""Prints the graph of DataNodes."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from markets.services import lineage, node_runs


class Command(BaseCommand):
    help = "Print which DataNode reads which, with how fresh each is: for Graphviz, or as one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=["dot", "json"], default="dot")
        parser.add_argument(
            "--json", action="store_const", const="json", dest="format", help="the same as --format json"
        )
        parser.add_argument("--node", metavar="NAME", help="only what feeds this node and what rests on it")

    def handle(self, *args: Any, **options: Any) -> None:
        found = lineage.graph()
        if options["node"]:
            found = found.around(node_runs.find_node_update(options["node"]))
        if options["format"] == "json":
            self.stdout.write(json.dumps(lineage.as_json(found)))
            return
        self.stdout.write(lineage.as_dot(found), ending="")
        self.stderr.write(f"{len(found.nodes):,} nodes, {len(found.edges):,} edges")
