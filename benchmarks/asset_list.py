"""The lists of assets at 10,000 and at 1,000,000 assets: the same requests, p95 of each, in one run.

Run as `python -m benchmarks.asset_list [few] [many]`. Requests are made in process, as Django's test client makes them:
middleware, session, permission, filters, queries and JSON are in the time, the network is not. Each kind of request is
repeated with other values each time, so that no answer comes from the request before. Beside p95 stands the processor
time of a request, here and in the server: on a machine that others use it says more, and the ratio is of it.
"""

import random
import statistics
import string
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks._server import own_server, server_settings, superuser

REST_GOAL, ADMIN_GOAL = 50.0, 300.0  # ms, p95, at a million
REPEATS = 40
BATCH = 100_000
KINDS = ("equity", "equity", "equity", "bond", "bond", "option", "fund")
FIRST = ("Alpine", "Baltic", "Cobalt", "Delta", "Eastern", "First", "Global", "Harbor", "Ionic", "Juniper", "Northern")
SECOND = ("Machines", "Energy", "Foods", "Capital", "Motors", "Pharma", "Software", "Metals", "Airlines", "Timber")
LAST = ("Inc", "Corp", "PLC", "AG", "Holdings", "Group", "SA", "Trust")
ALPHABET = string.digits + string.ascii_uppercase


def code(serial: int, length: int) -> str:
    """A number in digits and capitals, spread over the whole range so that neighbours do not look alike."""
    spread = serial * 2_654_435_761 % 36**length
    letters = []
    for _ in range(length):
        spread, place = divmod(spread, 36)
        letters.append(ALPHABET[place])
    return "".join(letters)


def company(serial: int) -> str:
    pick = random.Random(serial)
    return f"{pick.choice(FIRST)} {pick.choice(SECOND)} {code(serial // 3, 4).title()} {pick.choice(LAST)}"


def load(first: int, last: int) -> None:
    """Assets `first` to `last` with OpenFIGI details, through COPY."""
    from django.db import connection

    from markets.models.base import new_uid

    for start in range(first, last, BATCH):
        serials = range(start, min(start + BATCH, last))
        with connection.cursor() as cursor:
            with cursor.copy(
                "COPY markets_asset (id, uid, unique_identifier, asset_type, is_custom_by_organization, created_at, "
                "updated_at) FROM STDIN"
            ) as copy:
                for serial in serials:
                    kind = "rare" if serial % 50_000 == 17 else KINDS[serial % len(KINDS)]
                    stamp = f"2026-01-01 00:00:{serial // BATCH % 60:02d}+00"
                    copy.write_row(
                        (serial + 1, new_uid(), f"BBG{code(serial, 9)}", kind, serial % 20_000 == 5, stamp, stamp)
                    )
            with cursor.copy(
                "COPY markets_openfigidetails (asset_id, figi, isin, ticker, name, exchange_code, updated_at) "
                "FROM STDIN"
            ) as copy:
                for serial in serials:
                    ticker = code(serial // 2, 4).translate(str.maketrans(string.digits, "ABCDEFGHIJ"))
                    row = (f"BBG{code(serial, 9)}", f"US{code(serial, 10)}", ticker, company(serial), "US")
                    copy.write_row((serial + 1, *row, "2026-01-01 00:00:00+00"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('markets_asset', 'id'), %s)", [last])
        # as autovacuum does in time: counts, the visibility map, and the pending entries of the word index
        cursor.execute("VACUUM ANALYZE markets_asset, markets_openfigidetails")


def categories(assets: int) -> dict[str, Any]:
    """A category of 500 assets and one of a tenth of all, spread over them."""
    from django.db import connection

    from markets.models import AssetCategory

    made = {}
    for name, step in (("small", assets // 500), ("large", 10)):
        category, _ = AssetCategory.objects.get_or_create(
            unique_identifier=f"{name}-{assets}", defaults={"display_name": f"{name} {assets}"}
        )
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO markets_assetcategorymembership (uid, created_at, updated_at, valid_from, category_id, "
                "asset_id) SELECT gen_random_uuid(), now(), now(), '2026-01-01Z', %s, id FROM markets_asset "
                "WHERE mod(abs(hashint8(id)), %s) = 0",
                [category.pk, step],
            )
        made[name] = category.uid
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE markets_assetcategorymembership")
    return made


def requests(assets: int, members: dict[str, Any]) -> list[tuple[str, float | None, Callable[[random.Random], str]]]:
    """Label, goal in ms (the largest page has none: what it costs is its JSON), and the path of one such request."""
    from django.urls import reverse

    from markets.models import Asset

    uids = list(Asset.objects.filter(pk__in=range(1, assets, assets // 500)).values_list("uid", flat=True))
    asset, admin = "/api/v1/asset/", reverse("admin:markets_asset_changelist")
    pick = reverse("admin:autocomplete")
    field = "app_label=markets&model_name=assetcategorymembership&field_name=asset"

    def serial(chance: random.Random) -> int:
        return chance.randrange(assets)

    rest: list[tuple[str, Callable[[random.Random], str]]] = [
        ("list", lambda chance: asset),
        ("list, 500 rows", lambda chance: f"{asset}?limit=500"),
        ("list, deep offset", lambda chance: f"{asset}?offset={chance.randrange(9_000, 10_000)}"),
        ("detail", lambda chance: f"{asset}{chance.choice(uids)}/"),
        ("search: identifier", lambda chance: f"{asset}?search=bbg{code(serial(chance), 9)[:4].lower()}"),
        ("search: identifiers all begin so", lambda chance: f"{asset}?search=bbg"),
        (
            "search: ticker",
            lambda chance: f"{asset}?search={chance.choice(string.ascii_lowercase)}{'abcd'[chance.randrange(4)]}",
        ),
        ("search: one letter", lambda chance: f"{asset}?search={chance.choice(string.ascii_lowercase)}"),
        (
            "search: beginning of a name",
            lambda chance: f"{asset}?search={chance.choice(FIRST)}+{chance.choice(SECOND)}",
        ),
        (
            "search: words in the middle",
            lambda chance: f"{asset}?search={chance.choice(SECOND)}+{code(serial(chance) // 3, 4)}",
        ),
        ("search: a frequent word", lambda chance: f"{asset}?search={chance.choice(LAST)}"),
        ("search: a FIGI", lambda chance: f"{asset}?search=BBG{code(serial(chance), 9)}"),
        ("search: nothing", lambda chance: f"{asset}?search=nothing+like+{chance.randrange(10**6)}"),
        ("search in a type", lambda chance: f"{asset}?asset_type=rare&search={chance.choice(FIRST)}"),
        ("filter: type", lambda chance: f"{asset}?asset_type={chance.choice(KINDS)}"),
        ("filter: rare type", lambda chance: f"{asset}?asset_type=rare"),
        ("filter: custom", lambda chance: f"{asset}?is_custom_by_organization=true"),
        ("filter: ticker", lambda chance: f"{asset}?ticker=ABCD"),
        ("filter: ISIN", lambda chance: f"{asset}?isin=US{code(serial(chance), 10)}"),
        ("filter: FIGI", lambda chance: f"{asset}?figi=BBG{code(serial(chance), 9)}"),
        ("filter: category of 500", lambda chance: f"{asset}?categories__uid={members['small']}"),
        ("filter: category of a tenth", lambda chance: f"{asset}?categories__uid={members['large']}"),
        *[
            (f"ordering: {order}", lambda chance, order=order: f"{asset}?ordering={order}")
            for order in ("-unique_identifier", "asset_type", "-created_at", "updated_at")
        ],
    ]
    back_office: list[tuple[str, Callable[[random.Random], str]]] = [
        ("admin: list", lambda chance: admin),
        ("admin: page 100", lambda chance: f"{admin}?p=100"),
        ("admin: search", lambda chance: f"{admin}?q={chance.choice(FIRST)}"),
        ("admin: type", lambda chance: f"{admin}?type={chance.choice(KINDS)}"),
        ("admin: category", lambda chance: f"{admin}?category=large-{assets}"),
        ("autocomplete", lambda chance: f"{pick}?{field}&term={chance.choice(SECOND)}"),
        ("autocomplete, two letters", lambda chance: f"{pick}?{field}&term=bb"),
    ]
    return [(label, None if "500 rows" in label else REST_GOAL, path) for label, path in rest] + [
        (label, ADMIN_GOAL, path) for label, path in back_office
    ]


def walk(client: Any, pages: int) -> Iterator[float]:
    """The times of the pages of a cursor walk."""
    path: str | None = "/api/v1/asset/?limit=500&cursor="
    for _ in range(pages):
        if path is None:
            return
        start = time.perf_counter()
        response = client.get(path)
        yield (time.perf_counter() - start) * 1000
        assert response.status_code == 200, response.content[:300]
        path = response.json()["next"]


def processor() -> float:
    """Milliseconds of processor time that this process and its server's backend have used."""
    from django.db import connection

    backend = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat").read_text()
    return time.process_time() * 1000 + int(backend.split()[0]) / 1e6


def summary(times: list[float], spent: float, goal: float | None) -> tuple[float, float, float | None]:
    return spent / len(times), statistics.quantiles(times, n=20)[-1], goal


def measure(client: Any, assets: int) -> dict[str, tuple[float, float, float | None]]:
    """Label → (processor time a request and p95 of the time, in ms; goal)."""
    chance = random.Random(assets)
    found = {}
    for label, goal, path in requests(assets, categories(assets)):
        client.get(path(chance))
        times, before = [], processor()
        for _ in range(REPEATS):
            address = path(chance)
            start = time.perf_counter()
            response = client.get(address)
            times.append((time.perf_counter() - start) * 1000)
            assert response.status_code == 200, (address, response.content[:300])
        found[label] = summary(times, processor() - before, goal)
    before = processor()
    times = list(walk(client, REPEATS))
    found["cursor walk, 500 rows a page"] = summary(times, processor() - before, None)
    return found


def client_of_a_superuser() -> Any:
    from django.contrib.auth import get_user_model
    from django.test import Client

    client = Client(SERVER_NAME="localhost")
    client.force_login(get_user_model().objects.create_superuser("benchmark"))
    return client


def main() -> int:
    few = max(10_000, int(sys.argv[1])) if len(sys.argv) > 1 else 10_000  # what an offset reaches
    many = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    with own_server() as directory:
        with superuser(directory) as server:
            print(f"{few:,} and {many:,} assets with OpenFIGI details; {server_settings(server)}")
        client = client_of_a_superuser()
        load(0, few)
        small = measure(client, few)
        start = time.perf_counter()
        load(few, many)
        print(f"{many - few:,} assets loaded in {time.perf_counter() - start:.0f} s")
        large = measure(client, many)
    print(f"{'ms':38}{'CPU':>10}{'CPU':>10}{'ratio':>7}{'p95':>9}{'p95':>10}{'goal':>7}")
    print(f"{'assets':38}{few:>10,}{many:>10,}{'':7}{few:>9,}{many:>10,}")
    over = 0
    for label, (spent, p95, goal) in large.items():
        few_spent, few_p95, _ = small[label]
        is_over = goal is not None and p95 > goal
        over += is_over
        print(
            f"{label:38}{few_spent:10.1f}{spent:10.1f}{spent / few_spent:7.1f}{few_p95:9.1f}{p95:10.1f}"
            f"{'' if goal is None else f'{goal:.0f}':>7}{'  over' if is_over else ''}"
        )
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
