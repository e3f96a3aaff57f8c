"""Which asset was it on that day: 1,000,000 identifiers of 300,000 assets, resolved one by one and 500 at once.

Run as `python -m benchmarks.identifier_resolution [identifiers] [assets]`. Beside each time stands its floor: the one
statement that finds the same rows, on the same connection, in the same run. Questions are of four kinds: identifiers
that hold, tickers on a day before and after they went to another asset, and values that nobody has. Then the lists of
all identifiers, over REST and in the back-office, as `asset_list` asks for those of assets.
"""

import datetime as dt
import random
import statistics
import string
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks._server import own_server, server_settings, superuser

SINGLE_GOAL, BATCH_GOAL, LIST_GOAL = 50.0, 300.0, 300.0  # ms, p95
QUESTIONS, BATCH, BATCHES = 2_000, 500, 40
FIRST_DAY, RENAMED, TODAY = dt.date(2000, 1, 3), dt.date(2016, 5, 2), dt.date(2026, 5, 26)
VENUES = ("XNYS", "XNAS", "ARCX", "XLON")
CONSONANTS = "BCDFGHJKLMNPQRSTVWXYZ"
COLUMNS = "uid, created_at, updated_at, asset_id, scheme, value, venue, valid_from, valid_to, source"
Identifier = tuple[int, str, str, str, dt.date | None, dt.date | None]


def letters(serial: int, length: int, alphabet: str) -> str:
    """A number in letters, spread over the whole range so that neighbours do not look alike."""
    spread = serial * 2_654_435_761 % len(alphabet) ** length
    found = []
    for _ in range(length):
        spread, place = divmod(spread, len(alphabet))
        found.append(alphabet[place])
    return "".join(found)


def figi(serial: int) -> str:
    from markets.engine.identifiers import figi_check_digit

    body = f"BBG{letters(serial, 8, CONSONANTS + string.digits)}"
    return body + figi_check_digit(body)


def isin(serial: int) -> str:
    from stdnum import isin as checks

    body = f"US{letters(serial, 9, string.digits)}"
    return body + checks.calc_check_digit(body)


def ticker(serial: int) -> str:
    return letters(serial, 5, string.ascii_uppercase)


def identifiers(number: int, assets: int) -> Iterator[Identifier]:
    """FIGI and ISIN of each asset; the others are tickers, which a second asset has from `RENAMED` on."""
    for asset in range(assets):
        yield asset + 1, "figi", figi(asset), "", None, None
        yield asset + 1, "isin", isin(asset), "", FIRST_DAY, None
    for place in range(max(0, number - 2 * assets)):
        serial = place // 2
        if place % 2 == 0:
            yield serial % assets + 1, "ticker", ticker(serial), VENUES[serial % 4], FIRST_DAY, RENAMED
        else:
            yield (serial + 7) % assets + 1, "ticker", ticker(serial), VENUES[serial % 4], RENAMED, None


def load(number: int, assets: int) -> tuple[float, float]:
    """Seconds that COPY takes for the identifiers, with both exclusion constraints and the record of changes."""
    from django.db import connection

    from markets.models.base import new_uid

    stamp = "2026-01-01 00:00:00+00"
    with connection.cursor() as cursor:
        with cursor.copy(
            "COPY markets_asset (id, uid, unique_identifier, is_custom_by_organization, created_at, updated_at) "
            "FROM STDIN"
        ) as copy:
            for asset in range(assets):
                copy.write_row((asset + 1, new_uid(), figi(asset), False, stamp, stamp))
        with cursor.copy("COPY markets_openfigidetails (asset_id, figi, isin, ticker, updated_at) FROM STDIN") as copy:
            for asset in range(assets):
                copy.write_row((asset + 1, figi(asset), isin(asset), ticker(asset), stamp))
        rows = [(new_uid(), stamp, stamp, *row, "benchmark") for row in identifiers(number, assets)]
        start = time.perf_counter()
        with cursor.copy(f"COPY markets_assetidentifier ({COLUMNS}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        taken = time.perf_counter() - start
        cursor.execute("VACUUM ANALYZE markets_asset, markets_openfigidetails, markets_assetidentifier")
    return taken, len(rows)


def question(chance: random.Random, number: int, assets: int) -> tuple[str, str, str, dt.date, str]:
    """(scheme, value, venue, day, the outcome that is due)."""
    kind = chance.randrange(4)
    day = FIRST_DAY + dt.timedelta(days=chance.randrange((TODAY - FIRST_DAY).days))
    if kind == 0:
        return "figi", figi(chance.randrange(assets)), "", day, "found"
    if kind == 1:
        return "isin", isin(chance.randrange(assets)), "", day, "found"
    serial = chance.randrange((number - 2 * assets) // 2)
    if kind == 2:
        return "ticker", ticker(serial), VENUES[serial % 4], day, "found"
    return "ticker", f"{ticker(serial)}Z", "", day, "not_found"


BARE = """
    SELECT a.uid, a.unique_identifier, i.venue, i.valid_from, i.valid_to, i.source
    FROM markets_assetidentifier AS i JOIN markets_asset AS a ON a.id = i.asset_id
    WHERE i.scheme = %s AND i.value = %s AND (%s = '' OR i.venue = %s)
        AND (i.valid_from IS NULL OR i.valid_from <= %s) AND (i.valid_to IS NULL OR i.valid_to > %s)
"""
BARE_MANY = """
    SELECT i.value, a.uid, a.unique_identifier, i.venue, i.valid_from, i.valid_to, i.source
    FROM markets_assetidentifier AS i JOIN markets_asset AS a ON a.id = i.asset_id
    WHERE i.scheme = 'figi' AND i.value = ANY(%s)
        AND (i.valid_from IS NULL OR i.valid_from <= %s) AND (i.valid_to IS NULL OR i.valid_to > %s)
"""


def timed(ask: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    answer = ask()
    return (time.perf_counter() - start) * 1000, answer


def rows_of(statement: str, parameters: Sequence[Any]) -> list[Any]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def singles(number: int, assets: int) -> tuple[list[float], list[float]]:
    """ms of `resolve` and of the bare statement, question by question, in turn."""
    from markets.services.identifier_resolution import resolve

    chance = random.Random(5)
    ours, bare = [], []
    for place in range(QUESTIONS + 20):
        scheme, value, venue, day, due = question(chance, number, assets)
        spent, answer = timed(lambda q=(scheme, value, day, venue): resolve(q[0], q[1], q[2], venue=q[3]))
        floor, rows = timed(lambda q=[scheme, value, venue, venue, day, day]: rows_of(BARE, q))
        assert answer.outcome == due, (scheme, value, venue, day, answer)
        assert len(rows) == (due == "found"), (scheme, value, venue, day, rows)
        if place >= 20:  # the first ones warm the caches
            ours.append(spent)
            bare.append(floor)
    return ours, bare


def batches(assets: int) -> tuple[list[float], list[float]]:
    from markets.engine.identifier_schemes import IdentifierKey
    from markets.services.identifier_resolution import Outcome, resolve_many

    chance = random.Random(6)
    ours, bare = [], []
    for place in range(BATCHES + 2):
        values = [figi(serial) for serial in chance.sample(range(assets), min(BATCH, assets))]
        keys = [IdentifierKey("figi", value) for value in values]
        spent, answers = timed(lambda keys=keys: resolve_many(keys, TODAY))
        floor, rows = timed(lambda values=values: rows_of(BARE_MANY, [values, TODAY, TODAY]))
        assert all(answer.outcome == Outcome.FOUND for answer in answers)
        assert len(rows) == len(values)
        if place >= 2:
            ours.append(spent)
            bare.append(floor)
    return ours, bare


def lists(number: int, assets: int) -> dict[str, tuple[list[float], float, float]]:
    """Label → ms of each request, in process, processor time of one, and the goal: the lists of all identifiers."""
    from benchmarks.asset_list import client_of_a_superuser, processor
    from markets.models import Asset

    client = client_of_a_superuser()
    uids = list(Asset.objects.filter(pk__in=range(1, assets, assets // 200)).values_list("uid", flat=True))
    rest, admin = "/api/v1/asset-identifier/", "/admin/markets/assetidentifier/"
    serials = (number - 2 * assets) // 2
    kinds: list[tuple[str, float, Callable[[random.Random], str]]] = [
        ("REST: list", SINGLE_GOAL, lambda chance: rest),
        ("REST: a scheme", SINGLE_GOAL, lambda chance: f"{rest}?scheme={chance.choice(('figi', 'isin', 'ticker'))}"),
        ("REST: a value", SINGLE_GOAL, lambda chance: f"{rest}?value={figi(chance.randrange(assets))}"),
        ("REST: of an asset", SINGLE_GOAL, lambda chance: f"{rest}?asset_uid={chance.choice(uids)}"),
        ("REST: all begin so", SINGLE_GOAL, lambda chance: f"{rest}?search=BBG"),
        ("REST: begin so, a scheme", SINGLE_GOAL, lambda chance: f"{rest}?scheme=ticker&search=U"),
        ("REST: hold on a day", SINGLE_GOAL, lambda chance: f"{rest}?valid_on=2010-01-0{chance.randrange(1, 9)}"),
        ("REST: resolve", SINGLE_GOAL, lambda chance: f"{rest}resolve/?scheme=ticker&value="
         f"{ticker(chance.randrange(serials))}&as_of=2010-01-04"),
        ("admin: list", LIST_GOAL, lambda chance: admin),
        ("admin: page 100", LIST_GOAL, lambda chance: f"{admin}?p=100"),
        ("admin: a scheme", LIST_GOAL, lambda chance: f"{admin}?scheme={chance.choice(('figi', 'isin', 'ticker'))}"),
        ("admin: beginning", LIST_GOAL, lambda chance: f"{admin}?q={ticker(chance.randrange(serials))[:3]}"),
        ("admin: who was it", LIST_GOAL, lambda chance: f"{admin}resolve/?scheme=ticker&value="
         f"{ticker(chance.randrange(serials))}&day=2010-01-04"),
    ]  # fmt: skip
    chance = random.Random(7)
    found = {}
    for label, goal, path in kinds:
        client.get(path(chance))
        times, before = [], processor()
        for _ in range(BATCHES):
            address = path(chance)
            spent, response = timed(lambda address=address: client.get(address))
            assert response.status_code == 200, (label, response.content[:300])
            times.append(spent)
        found[label] = (times, (processor() - before) / len(times), goal)
    return found


def p95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def explained() -> str:
    """The plan of the statement by which 500 are found."""
    from markets.engine.identifier_schemes import IdentifierKey
    from markets.services.identifier_resolution import RECORDED, arrays_of

    keys = [IdentifierKey("figi", figi(serial)) for serial in range(BATCH)]
    plan = rows_of(
        f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {RECORDED}", [*arrays_of(keys), TODAY, TODAY]
    )
    return "\n".join(f"  {line}" for (line,) in plan)


def main() -> int:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    assets = int(sys.argv[2]) if len(sys.argv) > 2 else 300_000
    with own_server() as directory:
        with superuser(directory) as server:
            print(f"{number:,} identifiers of {assets:,} assets; {server_settings(server)}")
        seconds, loaded = load(number, assets)
        print(f"{loaded:,} identifiers loaded by COPY in {seconds:.0f} s, constraints and record of changes included")
        one, one_bare = singles(number, assets)
        many, many_bare = batches(assets)
        listed = lists(number, assets)
        print(f"plan of {BATCH} at once:\n{explained()}")
    print(f"{'ms':34}{'median':>9}{'p95':>9}{'floor p95':>11}{'ratio':>7}{'goal':>7}")
    over = 0
    for label, ours, bare, goal in (
        (f"resolve, {QUESTIONS:,} as-of questions", one, one_bare, SINGLE_GOAL),
        (f"resolve_many, {BATCH} FIGIs", many, many_bare, BATCH_GOAL),
    ):
        is_over = p95(ours) > goal
        over += is_over
        print(
            f"{label:34}{statistics.median(ours):9.2f}{p95(ours):9.2f}{p95(bare):11.2f}"
            f"{statistics.median(ours) / statistics.median(bare):7.1f}{goal:7.0f}{'  over' if is_over else ''}"
        )
    print(f"{'':34}{'median':>9}{'p95':>9}{'CPU':>11}{'':7}{'goal':>7}")
    for label, (times, spent, goal) in listed.items():
        is_over = p95(times) > goal
        over += is_over
        print(
            f"{label:34}{statistics.median(times):9.2f}{p95(times):9.2f}{spent:11.2f}{'':7}{goal:7.0f}"
            f"{'  over' if is_over else ''}"
        )
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
