"""100,000 assets by bulk_upsert, beside a loop of Django's update_or_create on a sample of them, in one run.

Run as `python -m benchmarks.asset_upsert [rows] [sample]`. A row is an asset with a ticker and a name; the loop makes
both of its rows. It is tried in one transaction and with a commit for each row, and the faster of the two counts. Its
time for all rows is extrapolated from the sample; the bulk calls are measured whole. Every way pays for the record of
changes; what the record costs is measured by one bulk call without its triggers.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._server import own_server, server_settings, superuser
from benchmarks.data_node_write import resident

GOAL = 20.0
KINDS = ("equity", "bond", "future", "crypto", "fund")


def made_up_rows(number: int, revision: int = 0, changed: float = 0.0) -> Iterator[dict[str, Any]]:
    """Rows in no particular order; the share `changed` of them has a name that tells the revision."""
    step = 7_919  # a prime: the rows come in an order that is not that of the keys
    for place in range(number):
        serial = place * step % number if number % step else place
        renamed = revision if serial < changed * number else 0
        yield {
            "unique_identifier": f"BENCH{serial:09d}",
            "asset_type": KINDS[serial % len(KINDS)],
            "is_custom_by_organization": True,
            "ticker": f"T{serial:06d}",
            "name": f"Asset {serial} of the benchmark, {renamed}",
        }


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    sample = int(sys.argv[2]) if len(sys.argv) > 2 else 3_000
    with own_server() as directory:
        with superuser(directory) as server:
            print(f"{rows:,} assets with ticker and name; {server_settings(server)}")
        measure(rows, min(sample, rows))


def measure(rows: int, sample: int) -> None:
    from markets.models import Asset, OpenFigiDetails
    from markets.services.assets import bulk_upsert_assets

    def bulk(**changes: Any) -> Callable[[], object]:
        data = list(made_up_rows(rows, **changes))

        def run() -> None:
            counts = bulk_upsert_assets(data).counts
            assert counts["rejected"] == 0, counts
            print(f"    {counts}")

        return run

    committing = seconds(lambda: loop(made_up_rows(sample)))
    Asset.objects.all().delete()
    together = seconds(lambda: loop_in_one_transaction(made_up_rows(sample)))
    Asset.objects.all().delete()
    loop_first = min(committing, together)
    with unrecorded():
        silent = seconds(bulk())
        Asset.objects.all().delete()
    first = seconds(bulk())
    assert (Asset.objects.count(), OpenFigiDetails.objects.count()) == (rows, rows)
    unchanged = seconds(bulk())
    changed = seconds(bulk(revision=1, changed=0.1))
    loop_again = min(
        seconds(lambda: loop(made_up_rows(sample))), seconds(lambda: loop_in_one_transaction(made_up_rows(sample)))
    )
    print(f"{'':44}{'s':>9}{'rows/s':>11}{'x the loop':>12}")
    report("bulk_upsert, all new", first, rows, loop_first / sample)
    report("bulk_upsert, all new, changes unrecorded", silent, rows, loop_first / sample)
    report("bulk_upsert, all unchanged", unchanged, rows, loop_again / sample)
    report("bulk_upsert, 10 % changed", changed, rows, loop_again / sample)
    scale = rows / sample
    report(f"loop, new, a commit a row, {sample:,} measured", committing * scale, rows, loop_first / sample)
    report(f"loop, new, one transaction, {sample:,} measured", together * scale, rows, loop_first / sample)
    report(f"loop, again, the faster, {sample:,} measured", loop_again * scale, rows, loop_again / sample)
    ratio = loop_first * scale / first
    print(f"bulk_upsert {ratio:.0f} x as fast as the loop, extrapolated from {sample:,} rows (goal {GOAL:.0f})")
    print(f"the record costs {(first - silent) / (2 * rows) * 1e6:.0f} µs a change; an asset with details is two")
    for size in (rows // 4, rows):
        print(f"peak memory added by bulk_upsert of {size:,} rows from an iterator: {child_memory(size)} MiB")


@contextmanager
def unrecorded() -> Iterator[None]:
    """Without the triggers that record changes."""
    from django.db import connection

    def switch(word: str) -> None:
        with connection.cursor() as cursor:
            for table in ("markets_asset", "markets_openfigidetails"):
                cursor.execute(f"ALTER TABLE {table} {word} TRIGGER USER")

    switch("DISABLE")
    try:
        yield
    finally:
        switch("ENABLE")


def loop(rows: Iterator[dict[str, Any]]) -> None:
    from markets.models import Asset, OpenFigiDetails

    for row in rows:
        asset, _ = Asset.objects.update_or_create(
            unique_identifier=row["unique_identifier"],
            defaults={name: row[name] for name in ("asset_type", "is_custom_by_organization")},
        )
        OpenFigiDetails.objects.update_or_create(asset=asset, defaults={name: row[name] for name in ("ticker", "name")})


def loop_in_one_transaction(rows: Iterator[dict[str, Any]]) -> None:
    from django.db import transaction

    with transaction.atomic():
        loop(rows)


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def report(label: str, spent: float, rows: int, loop_each: float) -> None:
    print(f"{label:44}{spent:9.2f}{rows / spent:11,.0f}{loop_each * rows / spent:12.1f}")


def child_memory(rows: int) -> str:
    """In a process of its own, whose peak is not that of what ran before."""
    code = f"from benchmarks.asset_upsert import memory_of_a_call; memory_of_a_call({rows})"
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=dict(os.environ)
    )
    return answer.stdout.split()[-1]


def memory_of_a_call(rows: int) -> None:
    """In a fresh process: print the growth of its memory during the call, in MiB."""
    import django

    django.setup()
    from markets.services.assets import bulk_upsert_assets

    bulk_upsert_assets(made_up_rows(100))  # imports, connection
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    bulk_upsert_assets(made_up_rows(rows, revision=rows, changed=1.0))
    print((resident("VmHWM") - before) // 2**20)


if __name__ == "__main__":
    main()
