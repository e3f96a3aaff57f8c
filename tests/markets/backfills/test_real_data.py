"""Gaps and backfills of real prices: what was taken out comes back bit for bit, and real gaps are counted exactly."""

import csv
import datetime as dt
import gzip
import random
from pathlib import Path

import pytest
from django.db import connection

from markets.data_nodes.interpolated_prices import InterpolatedPrices, InterpolatedPricesConfiguration
from markets.data_nodes.prices import ExternalPrices, ExternalPricesConfiguration
from markets.services.calendars import create_from_pandas_calendar
from markets.services.gaps import gap_report
from tests.markets.data_nodes.nodes import make_assets, recount, statistics, stored, table_of

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
pytestmark = pytest.mark.django_db
SYMBOLS = ("aapl", "ibm", "spy")


def shared(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip(f"../shared/data/{name} is not there")
    return SHARED / name


def at(day: str) -> dt.datetime:
    return dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)


def take_out(node, keys):
    """Delete these rows as an accident would, with the counts that the statistics keep."""
    with connection.cursor() as cursor:
        cursor.executemany(
            f'DELETE FROM "{table_of(node)}" WHERE asset_identifier = %s AND time_index = %s', list(keys)
        )
        assert cursor.rowcount == len(keys)
        cursor.execute(
            f"""UPDATE markets_updatestatistic AS s SET row_count = c.number, last_time_index = c.last
            FROM (SELECT asset_identifier, count(*) AS number, max(time_index) AS last
                  FROM "{table_of(node)}" GROUP BY 1) AS c
            WHERE s.storage_id = %s AND s.identity[1] = c.asset_identifier""",
            [node.get_storage().pk],
        )


@pytest.fixture
def equities(tmp_path):
    """Three real stocks from 2015 on, stored by session close, and their interpolated prices."""
    path = tmp_path / "bars.csv"
    with gzip.open(shared("lean_equity_daily_raw.csv.gz"), "rt") as source, path.open("w") as target:
        writer = csv.writer(target)
        writer.writerow(["asset_identifier", "date", "open", "high", "low", "close", "volume"])
        for row in csv.reader(source):
            if row[0] in SYMBOLS and row[1] >= "2015":
                writer.writerow(row)
    make_assets(*SYMBOLS)
    create_from_pandas_calendar(
        source_identifier="XNYS",
        unique_identifier="XNYS",
        display_name="NYSE",
        valid_from="2015-01-01",
        valid_to="2021-12-31",
    )
    node = ExternalPrices(ExternalPricesConfiguration(dataset="real", path=str(path), calendar_identifier="XNYS"))
    node.run()
    return node


def test_sessions_that_are_taken_out_come_back_bit_for_bit(equities):
    # given a hundred sessions at random, a month of one stock and its last days, gone
    before = stored(equities)
    keys = {(row[1], row[0]) for row in before}
    gone = set(random.Random(11).sample(sorted(keys), 100))
    gone |= {key for key in keys if key[0] == "ibm" and at("2018-03-01") <= key[1] < at("2018-04-01")}
    gone |= set(sorted(key for key in keys if key[0] == "spy")[-3:])
    gone -= {min(key for key in keys if key[0] == symbol) for symbol in SYMBOLS}
    end = max(key[1] for key in keys)
    take_out(equities, gone)
    report = gap_report(equities.get_node_update(), end=end)
    assert (report.expected, report.missing, report.off_session) == (len(keys), len(gone), 0)
    assert {(asset, spell.start) for asset, spell in report.spells() if spell.count == 1} <= gone
    # when
    outcome = equities.backfill("2015-01-01", end, failed_only=True)
    # then
    assert (outcome.rows_written, outcome.parts, outcome.failed) == (len(gone), 1, [])
    assert stored(equities) == before
    assert statistics(equities) == recount(equities)
    assert gap_report(equities.get_node_update(), end=end).missing == 0
    assert equities.backfill("2015-01-01", end, failed_only=True).parts == 0
    assert equities.backfill("2016-01-01", "2016-12-31").text.endswith("nothing was missing or different.")


def test_what_rests_on_it_is_backfilled_from_the_bars_around_the_window(equities):
    node = InterpolatedPrices(
        InterpolatedPricesConfiguration(dataset="real-sessions", calendar_identifier="XNYS"), equities
    )
    take_out(equities, [row[1::-1] for row in stored(equities) if at("2017-05-08") <= row[0] < at("2017-05-10")])
    node.run()
    before = stored(node)
    filled = [row for row in before if row[-1]]
    assert len(filled) == 6
    take_out(node, [row[1::-1] for row in before if at("2017-05-01") <= row[0] < at("2017-06-01")])
    outcome = node.backfill("2017-05-01", "2017-05-31", failed_only=True)
    assert outcome.rows_written == 66
    assert stored(node) == before
    assert statistics(node) == recount(node)
    # when the bars come, the sessions that they had been carried over are written over
    assert node.backfill("2017-05-01", "2017-05-31", update_tree=True, dry_run=True).rows == 132
    assert node.backfill("2017-05-01", "2017-05-31", update_tree=True).rows_written == 6 + 6
    assert not [row for row in stored(node) if row[-1]]


def test_the_real_gaps_of_a_market_that_never_closes_are_counted_exactly(tmp_path):
    path = tmp_path / "btc.csv"
    with shared("lean_btcusd_daily.csv").open() as source, path.open("w") as target:
        writer = csv.writer(target)
        writer.writerow(["asset_identifier", "date", "close"])
        for row in csv.DictReader(source):
            day = dt.datetime.strptime(row["date"], "%Y%m%d %H:%M").replace(tzinfo=dt.UTC)
            writer.writerow(["BTC", f"{day:%Y-%m-%d}", row["close"]])
    make_assets("BTC")
    create_from_pandas_calendar(
        source_identifier="24/7",
        unique_identifier="24/7",
        display_name="Always",
        valid_from="2014-12-01",
        valid_to="2018-08-13",
    )
    node = ExternalPrices(ExternalPricesConfiguration(dataset="btc", path=str(path), calendar_identifier="24/7"))
    node.run()
    (row,) = gap_report(node.get_node_update(), "2014-01-01", "2018-08-14").rows()
    assert (row.expected, row.stored, row.missing, row.off_session) == (1352, 1318, 34, 0)
    assert (row.longest, row.spells) == (20, 8)
    spells = gap_report(node.get_node_update(), "2014-01-01", "2018-08-14").spells_of("BTC")
    # the bar of a day closes at the next midnight
    assert [(f"{spell.start:%Y-%m-%d}", f"{spell.end:%Y-%m-%d}", spell.count) for spell in spells] == [
        ("2014-12-06", "2014-12-06", 1),
        ("2014-12-08", "2014-12-08", 1),
        ("2014-12-10", "2014-12-10", 1),
        ("2014-12-12", "2014-12-12", 1),
        ("2014-12-14", "2014-12-18", 5),
        ("2014-12-20", "2015-01-08", 20),
        ("2015-01-10", "2015-01-13", 4),
        ("2015-01-19", "2015-01-19", 1),
    ]
    # the source never had them
    outcome = node.backfill("2014-12-01", "2018-08-14", failed_only=True)
    assert (outcome.done, outcome.rows_written) == (1, 0)
