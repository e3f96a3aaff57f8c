"""`make demo` as a user runs it: in processes of its own, on servers of its own, through a real worker."""

import re
import subprocess

import pandas as pd
import pytest
from bokeh_sampledata import stocks

pytestmark = pytest.mark.xdist_group("processes")
COUNT = """
from django.apps import apps
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    for (table,) in cursor.fetchall():
        cursor.execute(f'SELECT count(*) FROM "{table}"')
        print("count", table, cursor.fetchone()[0])
"""


def expected_close() -> float:
    """The value by the formulas, in plain Python: a quarter each, adjusted closes, from GOOG's first day on."""
    closes = pd.DataFrame(
        {
            ticker: pd.Series(getattr(stocks, ticker)["adj_close"], index=getattr(stocks, ticker)["date"])
            for ticker in ("AAPL", "GOOG", "IBM", "MSFT")
        }
    ).sort_index()
    closes = closes[closes.index >= min(stocks.GOOG["date"])]
    assert not closes.isna().any().any()
    value, before = 1 - 0.00018, None
    for row in closes.to_numpy().tolist():
        if before is not None:
            value *= 1 + sum(0.25 * (now / then - 1) for now, then in zip(row, before, strict=True))
        before = row
    return value


def counts(manage) -> dict[str, int]:
    printed = manage("shell", "--command", COUNT)
    assert printed.returncode == 0, printed.stderr
    return {table: int(number) for table, number in re.findall(r"count (\S+) (\d+)", printed.stdout)}


def test_the_demo_runs_end_to_end_and_a_second_time_adds_nothing(manage):
    # when the demo runs for the first time
    first = manage("load_demo")
    # then it ends well, with the value that the formulas give
    assert first.returncode == 0, first.stdout + first.stderr
    last_line = first.stdout.strip().splitlines()[-1]
    assert last_line == (
        "demo: ok portfolio=demo-equal-weights sessions=2148 first=2004-08-19 last=2013-03-01 "
        f"close={expected_close()!r}"
    )
    assert "queued for a Celery worker" in first.stdout
    # and every table holds what was loaded
    loaded = counts(manage)
    prices = [number for table, number in loaded.items() if table.startswith("dn_")]
    assert prices == [11_958, 11_958]
    assert (loaded["portfolios_portfoliovalue"], loaded["portfolios_portfolioweight"]) == (2_148, 4 * 2_148)
    assert (loaded["markets_asset"], loaded["markets_calendarsession"]) == (4, 3_521)
    assert (loaded["portfolios_signalweight"], loaded["markets_noderun"], loaded["markets_job"]) == (4, 4, 1)
    # when it runs again
    second = manage("load_demo")
    # then it says the same and no table has gained or lost a row
    assert second.returncode == 0
    assert second.stdout.strip().splitlines()[-1] == last_line
    assert counts(manage) == loaded
    assert "queued" not in second.stdout


def test_no_worker_of_the_demo_is_left_running(manage, data_directory):
    manage("load_demo")
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    environment_of_workers = [line for line in listed.splitlines() if "celery" in line and "demo-" in line]
    assert environment_of_workers == []
