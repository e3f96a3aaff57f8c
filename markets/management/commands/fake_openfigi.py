"""Serves a faithful OpenFIGI on this machine, to try things and to test without the network."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from markets.exceptions import InvalidInput
from markets.openfigi.fake.server import FakeOpenFigi, FakeServer, FakeSettings


class Command(BaseCommand):
    help = (
        "Serve an OpenFIGI of this machine's own until Ctrl-C: the provider's rules and limits, recorded answers where "
        "they are given, and made-up instruments (SYNTHETIC in their names) for the rest."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8085, help="0 takes a free one; default: 8085")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--key", action="append", default=[], help="a key that is known; may be repeated")
        parser.add_argument("--recordings", help="a folder of recorded answers")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(options["recordings"]) if options["recordings"] else None
        if folder is not None and not folder.is_dir():
            raise InvalidInput(f"--recordings {folder} is no folder.", field="recordings")
        fake = FakeOpenFigi(FakeSettings(keys=frozenset(options["key"]), recordings=folder))
        server = FakeServer(fake, host=options["host"], port=options["port"])
        self.stdout.write(f"fake OpenFIGI at {server.url} (Ctrl-C stops it)")
        self.stdout.write(f"export MSM_OPENFIGI_BASE_URL={server.url}")
        self.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            server.server_close()
            self.stdout.write(f"{len(fake.log):,} requests were answered")
