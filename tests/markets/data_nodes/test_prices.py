"""ExternalPrices: a file becomes bars, and each bad file one message and no row."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from markets.data_nodes.prices import BAR_COLUMNS, ExternalPrices, ExternalPricesConfiguration
from markets.exceptions import InvalidInput, NotFound, UnknownIdentifiers
from markets.models import Calendar, CalendarSession, NodeRun, OpenFigiDetails, RunStatus, UpdateStatistic
from tests.markets.data_nodes.nodes import DAY, UTC, exists, make_assets, recount, statistics, stored

pytestmark = pytest.mark.django_db
APPLE, IBM = "BBG000B9XRY4", "BBG000BLNNH6"
CLOSE = dt.datetime(2026, 1, 2, 21, tzinfo=UTC)
OPEN = dt.datetime(2026, 1, 2, 14, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def market():
    """Two assets with FIGIs, and a calendar with the sessions of 2, 5 and 6 January 2026."""
    for asset, figi in zip(make_assets("AAPL", "IBM"), (APPLE, IBM), strict=True):
        OpenFigiDetails.objects.create(asset=asset, figi=figi)
    make_assets("NA", "007")
    calendar = Calendar.objects.create(
        unique_identifier="XNYS", display_name="NYSE", valid_from=CLOSE.date(), valid_to=(CLOSE + 4 * DAY).date()
    )
    for offset in (0, 3, 4):
        day = CLOSE + offset * DAY
        CalendarSession.objects.create(
            calendar=calendar, local_date=day.date(), opens_at=OPEN + offset * DAY, closes_at=day
        )


def node_of(path, **options) -> ExternalPrices:
    return ExternalPrices(ExternalPricesConfiguration(dataset="prices", path=str(path), **options))


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "prices.csv") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def closes(node):
    storage_columns = ["time_index", "asset_identifier", *(column.column_name for column in BAR_COLUMNS)]
    place = storage_columns.index("close")
    return [(row[1], row[0], row[place]) for row in stored(node)]


def test_dates_become_the_sessions_of_the_calendar(write):
    # given
    path = write(f"date,figi,open,high,low,close,adj_close,volume\n2026-01-02,{APPLE},1,3,0.5,2,1.9,100\n")
    node = node_of(path, calendar_identifier="XNYS")
    # when
    frame = node.run()
    # then
    assert stored(node) == [(CLOSE, "AAPL", OPEN, 1.0, 3.0, 0.5, 2.0, 1.9, None, 100.0, None, False)]
    assert frame.index.tolist() == [(pd.Timestamp(CLOSE), "AAPL")]
    storage = node.get_storage()
    assert (storage.identifier, storage.data_frequency_id) == ("prices", "1d")
    assert statistics(node) == recount(node) == [(["AAPL"], CLOSE, CLOSE, 1)]


def test_instants_are_kept_and_open_time_may_be_missing(write):
    node = node_of(write("time_index,asset_identifier,price\n2026-01-02T16:00:00-05:00,IBM,7\n"))
    node.run()
    assert stored(node) == [(CLOSE, "IBM", None, 7.0, 7.0, 7.0, 7.0, None, None, 0.0, None, False)]


def test_identifiers_that_look_like_something_else(write):
    node = node_of(write("time_index,asset_identifier,close\n2026-01-02T21:00Z,NA,1\n2026-01-02T21:00Z,007,2\n"))
    node.run()
    assert closes(node) == [("007", CLOSE, 2.0), ("NA", CLOSE, 1.0)]


def test_a_longer_file_appends_and_the_same_file_writes_nothing(write):
    header = "date,figi,close\n"
    path = write(f"{header}2026-01-02,{APPLE},1\n")
    options = {"calendar_identifier": "XNYS"}
    node_of(path, **options).run()
    write(f"{header}2026-01-02,{APPLE},99\n2026-01-05,{APPLE},2\n2026-01-02,{IBM},3\n")
    node_of(path, **options).run()
    assert closes(node_of(path)) == [("AAPL", CLOSE, 1.0), ("AAPL", CLOSE + 3 * DAY, 2.0), ("IBM", CLOSE, 3.0)]
    again = node_of(path, **options)
    assert len(again.run()) == 0
    assert again.last_run.status == RunStatus.UP_TO_DATE


def test_only_the_assets_of_the_list_are_imported(write):
    path = write(f"date,figi,close\n2026-01-02,{APPLE},1\n2026-01-02,{IBM},3\n")
    node = node_of(path, calendar_identifier="XNYS", asset_list=["IBM"])
    node.run()
    assert closes(node) == [("IBM", CLOSE, 3.0)]
    with pytest.raises(ValidationError, match="at least 1 item"):
        node_of(path, asset_list=[])


def test_path_and_calendar_do_not_move_the_table():
    first = node_of("/a.csv")
    assert first.storage_hash == node_of("/b.csv", calendar_identifier="XNYS").storage_hash
    assert first.update_hash != node_of("/b.csv").update_hash
    assert first.storage_hash != node_of("/a.csv", data_frequency_id="1m").storage_hash


EXPECTED = (
    "A price file has one of time_index, date; one of asset_identifier, figi; one of close, price; and any of open, "
    "high, low, adjusted_close, vwap, volume, trade_count, open_time."
)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", InvalidInput, f"FILE is empty. {EXPECTED}"),
        ("date,figi,close\n", InvalidInput, "FILE has a header and no rows. Check where it comes from."),
        (
            f"date,figi,clsoe\n2026-01-02,{APPLE},1\n",
            InvalidInput,
            f"FILE has unknown columns: 'clsoe' (did you mean close?). {EXPECTED}",
        ),
        (
            f"date,figi,asset_identifier,close\n2026-01-02,{APPLE},AAPL,1\n",
            InvalidInput,
            f"FILE has both asset_identifier and figi; give exactly one. {EXPECTED}",
        ),
        (
            "date,close\n2026-01-02,1\n",
            InvalidInput,
            f"FILE has neither asset_identifier nor figi; give exactly one. {EXPECTED}",
        ),
        (
            f"date,figi,close\n2026-01-02,{APPLE},1\n2026-01-02,{APPLE},2\n",
            InvalidInput,
            "FILE, line 3: AAPL at 2026-01-02T21:00:00.000000000 was already given in line 2; 1 such rows in all. Keep "
            "one.",
        ),
        (
            "date,figi,close\n2026-01-02,BBG000000001,1\n2026-01-02,BBG000000002,1\n",
            UnknownIdentifiers,
            "2 identifiers (BBG000000001, BBG000000002) are not registered as assets. FILE names these FIGIs: register "
            "them first, each with its OpenFIGI details.",
        ),
        (
            "date,asset_identifier,close\n2026-01-02,GOOG,1\n",
            UnknownIdentifiers,
            "1 identifier (GOOG) is not registered as assets. FILE names them: register the assets first, or correct "
            "the column asset_identifier.",
        ),
        (
            f"date,figi,close\n2026-01-02,{APPLE},free\n",
            InvalidInput,
            "FILE, line 2: close is 'free', which is not a finite number. Leave the cell empty where there is none.",
        ),
        (
            f"date,figi,close\n2026-01-03,{APPLE},1\n2026-01-07,{APPLE},1\n",
            InvalidInput,
            "FILE: 2 dates (2026-01-03, 2026-01-07) are not a session of the calendar XNYS. Its stored sessions run "
            "from 2026-01-02 to 2026-01-06. Use the calendar that the assets trade on, extend it, or correct the "
            "dates.",
        ),
    ],
)
def test_a_bad_file_gets_one_message_and_writes_nothing(write, text, kind, message):
    path = write(text)
    node = node_of(path, calendar_identifier="XNYS")
    with pytest.raises(kind) as caught:
        node.run()
    wanted = message.replace("FILE", str(path))
    assert str(caught.value) == wanted
    run = NodeRun.objects.get()
    assert (run.status, run.error_message, run.rows_written) == (RunStatus.FAILED, wanted, 0)
    assert not exists(node)
    assert UpdateStatistic.objects.count() == 0


def test_dates_without_a_calendar(write):
    path = write(f"date,figi,close\n2026-01-02,{APPLE},1\n")
    with pytest.raises(InvalidInput) as caught:
        node_of(path).run()
    assert str(caught.value) == (
        f"{path} has dates, not instants. Name the calendar whose session closes they mean: calendar_identifier='XNYS'."
    )
    with pytest.raises(NotFound, match=r"^There is no calendar 'XETR'\. Calendars: XNYS\.$"):
        node_of(path, calendar_identifier="XETR").run()
    CalendarSession.objects.all().delete()
    with pytest.raises(InvalidInput, match=r"^The calendar XNYS has no sessions\. Materialise them: "):
        node_of(path, calendar_identifier="XNYS").run()


def test_a_missing_file(tmp_path):
    node = node_of(tmp_path / "no.csv")
    with pytest.raises(InvalidInput) as caught:
        node.run()
    assert str(caught.value) == (f"{tmp_path / 'no.csv'} does not exist. Check the path on the machine that runs MSM.")
    assert not exists(node)


def test_parquet_with_times_but_no_zone(tmp_path):
    path = tmp_path / "p.parquet"
    times = pd.DatetimeIndex([CLOSE]).tz_localize(None)
    pd.DataFrame({"time_index": times, "figi": APPLE, "close": 1.0}).to_parquet(path)
    with pytest.raises(InvalidInput, match=r"p\.parquet: time_index has no time zone\. Write UTC instants"):
        node_of(path).run()


def test_what_one_table_gives_another_can_take(write, tmp_path):
    # given a table's own frame, saved as it is
    node = node_of(write(f"time_index,figi,close\n2026-01-02T21:00Z,{APPLE},1.25\n"))
    node.run()
    path = tmp_path / "own.parquet"
    node.get_df_between_dates().drop(columns="interpolated").to_parquet(path)
    # when
    copy = ExternalPrices(ExternalPricesConfiguration(dataset="copy", path=str(path)))
    copy.run()
    # then
    assert stored(copy) == stored(node)


def test_many_rows_keep_every_digit(write):
    generator = np.random.default_rng(3)
    values = generator.standard_normal(5000)
    times = pd.date_range(CLOSE, periods=5000, freq="min")
    path = write("")
    pd.DataFrame(
        {"time_index": times.strftime("%Y-%m-%dT%H:%M:%SZ"), "asset_identifier": "IBM", "close": values}
    ).to_csv(path, index=False)
    node = node_of(path, data_frequency_id="1m")
    node.run()
    assert node.get_df_between_dates()["close"].to_numpy().tobytes() == values.tobytes()
