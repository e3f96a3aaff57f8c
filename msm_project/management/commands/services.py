"""`services status|start|stop`: the embedded servers of this data directory."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from msm_project.embedded import servers
from msm_project.environment import without_password


class Command(BaseCommand):
    help = "Tell the state of the embedded PostgreSQL and Redis, start them or stop them."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["status", "start", "stop"])
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")

    def handle(self, *args: Any, action: str, json: bool, **options: Any) -> None:
        done = self.act(action)
        result = self.state()
        if json:
            self.stdout.write(_as_json({"action": action, "changed": done, "servers": result}))
            return
        for name, server in result.items():
            self.stdout.write(_as_line(name, server))
        if action != "status":
            verb = "started" if action == "start" else "stopped"
            self.stdout.write(f"{len(done)} {verb}{': ' + ', '.join(done) if done else ''}")

    def act(self, action: str) -> list[str]:
        """Start or stop what is embedded; the names of the servers that changed."""
        if action == "stop":
            return servers.stop_all(settings.DATA_DIR)
        if action == "status":
            return []
        starts = []
        if settings.EMBEDDED_DATABASE and servers.ensure_postgres(settings.DATA_DIR):
            starts.append("postgres")
        if settings.EMBEDDED_REDIS and servers.ensure_redis(settings.DATA_DIR):
            starts.append("redis")
        return starts

    def state(self) -> dict[str, dict[str, Any]]:
        found = {status.name: {"embedded": True, **asdict(status)} for status in servers.status(settings.DATA_DIR)}
        if not settings.EMBEDDED_DATABASE:
            found["postgres"] = {"embedded": False, "url": without_password(settings.DATABASE_URL)}
        if not settings.EMBEDDED_REDIS:
            found["redis"] = {"embedded": False, "url": without_password(settings.REDIS_URL)}
        return found


def _as_json(result: dict[str, Any]) -> str:
    return json.dumps(result)


def _as_line(name: str, server: dict[str, Any]) -> str:
    if not server["embedded"]:
        return f"{name:<9} not embedded: {server['url']}"
    if not server["running"]:
        return f"{name:<9} stopped; data in {server['data']}"
    user = f" as user {server['user']}" if server["user"] else ""
    return f"{name:<9} running (process {server['pid']}{user}) at {server['socket']}"
