"""`manage.py create_token USER`: a token for the REST API, shown once."""

import datetime as dt
import json
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from markets.services import access


class Command(BaseCommand):
    help = "Make an access token for the REST API. It is shown once and cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="the user in whose name it acts")
        parser.add_argument("--name", default="", help="what will use it")
        parser.add_argument("--read-only", action="store_true", help="it writes nothing, whatever the user may")
        parser.add_argument("--expires-in-days", type=int, metavar="DAYS", help="never, when left out")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model()
        try:
            user = users.objects.get_by_natural_key(options["user"])
        except (users.DoesNotExist, ValueError):
            known = ", ".join(users.objects.order_by("pk").values_list(users.USERNAME_FIELD, flat=True)[:10]) or "none"
            raise CommandError(f"There is no user {options['user']!r}. Users: {known}.") from None
        name, days = options["name"].strip(), options["expires_in_days"]
        if days is not None and abs(days) > access.LONGEST_DAYS:
            raise CommandError(f"--expires-in-days must be from 1 to {access.LONGEST_DAYS}, not {days}.")
        made = access.create_token(
            owner=user,
            made_by=None,
            name=name,
            is_read_only=options["read_only"],
            lasts=None if days is None else dt.timedelta(days=days),
        )
        row, token = made.row, made.text
        if options["json"]:
            shown = None if row.expiry is None else row.expiry.isoformat().replace("+00:00", "Z")
            body = {"token": token, "user": options["user"], "name": name, "read_only": row.is_read_only}
            self.stdout.write(json.dumps({**body, "expires": shown}))
            return
        self.stderr.write(
            f"1 {'read-only ' if row.is_read_only else ''}token for {options['user']}, "
            f"{'without expiry' if row.expiry is None else f'until {row.expiry:%Y-%m-%d %H:%M} UTC'}. Keep it: it is "
            "not shown again. Use it as the header  Authorization: Token …"
        )
        self.stdout.write(token)
