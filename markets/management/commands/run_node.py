"""Runs a DataNode in this process."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from markets.data_nodes import runs
from markets.exceptions import InvalidInput
from markets.services import node_runs


class Command(BaseCommand):
    help = "Run the DataNode that an identifier, update hash or uid names, its dependencies first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("identifier")
        parser.add_argument("--no-tree", action="store_true", help="leave the dependencies as they are")
        parser.add_argument("--tree-only", action="store_true", help="run the dependencies only")
        parser.add_argument("--force", action="store_true", help="compute again what is stale")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["no_tree"] and options["tree_only"]:
            raise InvalidInput("--no-tree and --tree-only exclude each other.")
        update = node_runs.find_node_update(options["identifier"])
        watcher = _Watcher(None if options["json"] else self.stdout)
        node_runs.run_in_process(
            update,
            update_tree=not options["no_tree"],
            update_only_tree=options["tree_only"],
            recompute_stale=options["force"],
            observer=watcher,
        )
        if options["json"]:
            self.stdout.write(json.dumps({"runs": watcher.results}))
        else:
            total = sum(result["rows_written"] for result in watcher.results)
            self.stdout.write(f"{len(watcher.results)} nodes run, {total:,} rows written")


class _Watcher(runs.Observer):
    """Prints a line for each node that ran."""

    def __init__(self, stdout: Any) -> None:
        self.stdout = stdout
        self.results: list[dict[str, Any]] = []

    def node_finished(self, node: Any, result: Any) -> None:
        self.results.append(
            {
                "node": node_runs.name_of(node),
                "update_hash": node.update_hash,
                "status": str(result.status),
                "rows_written": result.rows_written,
                "seconds": result.timings["total"],
            }
        )
        if self.stdout is not None:
            line = self.results[-1]
            self.stdout.write(
                f"{line['node']}: {line['status']}, {line['rows_written']:,} rows written in {line['seconds']:.2f} s"
            )
