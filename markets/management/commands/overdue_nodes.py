"""Tells which DataNodes are overdue; for cron, Nagios and the like."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from markets.services import freshness


class Command(BaseCommand):
    help = (
        "List the DataNodes whose data are overdue by their freshness policy, and those whose policy cannot tell. Ends "
        "with 1 when there is any, with 0 when there is none."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        found = freshness.overdue(now)
        late = sum(item.freshness.is_overdue for item in found)
        if options["json"]:
            body = {"overdue": late, "cannot_tell": len(found) - late, "nodes": [_row(item) for item in found]}
            self.stdout.write(json.dumps(body))
        else:
            for item in found:
                self.stdout.write(_line(item))
            self.stdout.write(f"{late:,} overdue, {len(found) - late:,} cannot be told")
        if found:
            sys.exit(1)


def _line(item: freshness.Overdue) -> str:
    name = f"{item.update} ({item.update.update_hash})"
    parts = [item.freshness.text]
    verdict = item.freshness.verdict
    if verdict is not None and verdict.is_overdue:
        if verdict.expected_date is not None:
            parts.append(f"expects {verdict.expected_date}")
        parts.append(f"due since {verdict.due_since:%Y-%m-%d %H:%M} UTC")
    parts += [item.freshness.problem] if item.freshness.problem else []
    parts.append(f"last run {item.update.last_status or 'never'}")
    return f"{name}: {'; '.join(parts)}"


def _row(item: freshness.Overdue) -> dict[str, Any]:
    verdict = item.freshness.verdict
    return {
        "uid": str(item.update.uid),
        "identifier": item.update.storage.identifier,
        "update_hash": item.update.update_hash,
        "is_overdue": item.freshness.is_overdue,
        "freshness": item.freshness.text,
        "problem": item.freshness.problem,
        "expected_session": str(verdict.expected_date) if verdict and verdict.expected_date else None,
        "due_at": _iso(item.freshness.due_at),
        "last_time_index": _iso(item.update.last_time),
        "last_status": item.update.last_status,
    }


def _iso(instant: Any) -> str | None:
    return None if instant is None else instant.isoformat().replace("+00:00", "Z")
