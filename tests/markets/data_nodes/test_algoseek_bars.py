"""AlgoSeek's bars as nodes, on generated files over real FIGIs: stored as they stand, read again as far as needed."""

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from markets.data_nodes.algoseek.daily import AlgoSeekDailyBars
from markets.data_nodes.algoseek.master import (
    AlgoSeekSecurityMaster,
)
from markets.data_nodes.algoseek.minute import AlgoSeekMinuteBars
from markets.data_nodes.interpolated_prices import InterpolatedPrices, InterpolatedPricesConfiguration
from markets.engine import algoseek_bars
from markets.engine.algoseek_sample import (
    SECURITIES,
    SampleSecurity,
    daily_frame,
    minute_frame,
    write_daily,
    write_master,
    write_minute,
    write_rows,
)
from markets.exceptions import InvalidInput, NotFound
from markets.models import Asset, NodeRun
from markets.services.calendars import create_from_pandas_calendar
from tests.markets.data_nodes.algoseek_files import (
    ALCOA,
    APPLE,
    DAYS,
    HOWMET,
    QQQ,
    SAMPLES,
    STAMP,
    add_daily,
    identifiers,
    log_of,
)
from tests.markets.data_nodes.nodes import exists, recount, statistics, stored

pytestmark = pytest.mark.django_db


@pytest.fixture
def master(tmp_path: Path) -> Path:
    return write_master(tmp_path / "master.csv", SAMPLES)


@pytest.fixture
def daily(tmp_path: Path) -> Path:
    for secid in (33008, 33449):
        add_daily(tmp_path, secid, DAYS)
    return tmp_path / "daily"


def test_daily_bars_run_the_master_first_and_are_replicated_for_every_figi(
    master: Path, daily: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = AlgoSeekDailyBars(daily_dir=str(daily), security_master_path=str(master), is_demo=False)
    # when
    frame = node.run()
    # then
    assert len(frame) == 9
    assert statistics(node) == recount(node)
    source = daily_frame(33008, "T33008", DAYS, seed=33008)
    for name in (ALCOA, HOWMET):
        rows = node.get_df_between_dates(unique_identifier_list=[name]).droplevel(1)
        assert rows.index.tolist() == [
            pd.Timestamp(text) for text in ("2022-01-03T21:00Z", "2022-01-04T21:00Z", "2022-07-01T20:00Z")
        ]
        assert rows["close"].tolist() == source["ClosePrice"].tolist()
        assert rows["volume"].tolist() == source["ListedTotalVolume"].tolist()
        assert rows["vwap"].tolist() == source["MarketVWAP"].tolist()
        assert rows["finratotalvolume"].tolist() == source["FinraTotalVolume"].tolist()
        assert rows["cumulativepricefactor"].tolist() == source["CumulativePriceFactor"].tolist()
        assert rows["hightime"].tolist() == source["HighTime"].tolist()
        assert rows["tradedate"].tolist() == DAYS
        assert rows["secid"].tolist() == ["33008"] * 3
        assert rows["adjustmentreason"].isna().all()
    assert frame["volume"].dtype == "int64"
    opens = node.get_df_between_dates(unique_identifier_list=[ALCOA])["open_time"]
    assert opens.iloc[0] == pd.Timestamp(f"2022-01-03T{source['OpenTime'][0]}", tz="America/New_York")
    tokens = {column["column_name"]: column["dtype"] for column in node.get_storage().columns}
    assert tokens["volume"] == tokens["opensize"] == "int64"
    assert tokens["adjustmentfactor"] == tokens["cumulativepricefactor"] == "float64"
    assert (tokens["adjustmentreason"], tokens["open_time"]) == ("string", "timestamp with time zone")
    storage = node.get_storage()
    assert (storage.identifier, storage.data_frequency_id) == ("algoseek_daily_ohlc", "1d")
    assert "price_adjustment=adjusted: prices as traded, with the factors that adjust them" in storage.description
    assert list(node.dependencies()) == ["security_master_node"]
    assert NodeRun.objects.count() == 2


def test_a_second_run_writes_nothing_and_reads_no_file(
    master: Path, daily: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    AlgoSeekDailyBars(daily, master).run()
    opened: list[str] = []
    blocks = algoseek_bars._blocks
    monkeypatch.setattr(
        algoseek_bars, "_blocks", lambda path, *rest: [opened.append(path.name), *blocks(path, *rest)][1:]
    )
    node = AlgoSeekDailyBars(daily, master)
    node.run()
    assert (node.last_run.status, node.last_run.rows_written, opened) == ("up_to_date", 0, [])
    # a day more in one file
    add_daily(daily.parent, 33449, [*DAYS, dt.date(2022, 7, 5)])
    frame = AlgoSeekDailyBars(daily, master).run()
    assert list(frame.index) == [(pd.Timestamp("2022-07-05T20:00Z"), APPLE)]
    assert opened == ["33449.csv"]
    assert statistics(node) == recount(node)


def test_a_close_that_is_corrected_by_a_second_makes_no_second_bar(master: Path, daily: Path) -> None:
    AlgoSeekDailyBars(daily, master).run()
    add_daily(daily.parent, 33449, DAYS, CloseTime="16:00:01")
    node = AlgoSeekDailyBars(daily, master)
    assert node.run().empty


def test_the_latest_figi_alone(master: Path, daily: Path) -> None:
    node = AlgoSeekDailyBars(daily, master, figi_policy="latest")
    node.run()
    assert identifiers(node) == sorted([HOWMET] * 3 + [APPLE] * 3)
    assert node.get_storage().identifier == "algoseek_daily_ohlc_latest"
    everyone = AlgoSeekDailyBars(daily, master)
    assert node.storage_hash != everyone.storage_hash
    everyone.run()
    assert len(stored(everyone)) == 9


def test_secids_that_the_master_does_not_know_are_passed_over_and_told(master: Path, daily: Path) -> None:
    add_daily(daily.parent, 99, DAYS)
    (daily / "notes.csv").write_text("not a SecId\n")
    node = AlgoSeekDailyBars(daily, master)
    node.run()
    assert len(stored(node)) == 9
    told = "1 of 3 files are of SecIds without an asset in the security master and were passed over: 99"
    assert told in log_of(node)
    (outcome,) = node.last_run.run.quality
    assert (outcome["severity"], outcome["passed"], outcome["failed"], outcome["message"]) == (
        "warning",
        False,
        1,
        told,
    )


def test_a_day_without_close_time_closes_with_its_session(master: Path, tmp_path: Path) -> None:
    early = dt.date(2022, 11, 25)  # the day after Thanksgiving: 13:00
    add_daily(tmp_path, 33449, [dt.date(2022, 11, 23), early], CloseTime=["16:00:00", ""], OpenTime=["", "09:30:00"])
    node = AlgoSeekDailyBars(tmp_path / "daily", master)
    with pytest.raises(NotFound, match="There is no calendar 'XNYS'"):
        node.run()
    assert not exists(node)
    create_from_pandas_calendar(
        source_identifier="XNYS", unique_identifier="XNYS", display_name="NYSE",
        valid_from="2022-11-01", valid_to="2022-11-30",
    )  # fmt: skip
    frame = AlgoSeekDailyBars(tmp_path / "daily", master).run()
    assert [time for time, _ in frame.index] == [pd.Timestamp("2022-11-23T21:00Z"), pd.Timestamp("2022-11-25T18:00Z")]
    assert frame["open_time"].isna().tolist() == [True, False]
    add_daily(tmp_path, 40021, [dt.date(2022, 11, 24)], CloseTime="")
    write_master(master, [*SAMPLES, SECURITIES[4]])
    with pytest.raises(InvalidInput, match=r"40021.csv tells no CloseTime, and 1 date \(2022-11-24\) is not a session"):
        AlgoSeekDailyBars(tmp_path / "daily", master).run()


def test_the_products_are_tables_apart(master: Path, tmp_path: Path) -> None:
    create_from_pandas_calendar(
        source_identifier="XNYS", unique_identifier="XNYS", display_name="NYSE",
        valid_from="2022-01-01", valid_to="2022-12-31",
    )  # fmt: skip
    frame = daily_frame(33449, "AAPL", DAYS, seed=1)
    write_daily(tmp_path / "raw" / "33449.csv", frame, "raw")
    write_daily(tmp_path / "standard" / "33449.csv", frame, "standard_adjusted")
    raw = AlgoSeekDailyBars(tmp_path / "raw", master, price_adjustment="raw")
    standard = AlgoSeekDailyBars(tmp_path / "standard", master, price_adjustment="standard_adjusted")
    adjusted = AlgoSeekDailyBars(tmp_path / "raw", master)
    assert len({node.storage_hash for node in (raw, standard, adjusted)}) == 3
    assert "cumulativepricefactor" not in raw.run()
    rows = standard.run().droplevel(1)
    assert rows.index[0] == pd.Timestamp("2022-01-03T21:00Z")
    assert rows["open_time"].iloc[0] == pd.Timestamp("2022-01-03T14:30Z")
    assert rows["volume"].tolist() == frame["ListedMarketHoursVolume"].tolist()
    with pytest.raises(InvalidInput, match="the column CumulativePriceFactor is missing"):
        adjusted.run()
    assert {raw.get_storage().identifier, standard.get_storage().identifier} == {
        "algoseek_daily_ohlc_raw",
        "algoseek_daily_ohlc_standard",
    }


def test_a_figi_of_two_secids_has_the_bars_of_each_on_its_days(tmp_path: Path) -> None:
    securities = [
        SampleSecurity(1, ("A@19990104:20220103",), "A", APPLE),
        SampleSecurity(2, ("A@20220104:20991231",), "A", APPLE),
    ]
    master = write_master(tmp_path / "master.csv", securities)
    first, second = add_daily(tmp_path, 1, DAYS[:2]), add_daily(tmp_path, 2, DAYS)
    with pytest.raises(InvalidInput, match=f"{APPLE} belongs to SecId 1 .line 2. and SecId 2 .line 3."):
        AlgoSeekDailyBars(tmp_path / "daily", master).run()
    assert not Asset.objects.exists()
    lookup = write_rows(
        tmp_path / "lookup.csv", ("FIGI", "SecId", "StartDate", "EndDate"),
        [{"FIGI": APPLE, "SecId": "1", "StartDate": "19990104", "EndDate": "20220103"},
         {"FIGI": APPLE, "SecId": "2", "StartDate": "20220104", "EndDate": "20991231"}],
    )  # fmt: skip
    node = AlgoSeekDailyBars(tmp_path / "daily", master, figi_lookup_path=lookup)
    node.run()
    rows = node.get_df_between_dates()
    assert rows["secid"].tolist() == ["1", "2", "2"]
    assert rows["close"].tolist() == [first["ClosePrice"][0], *second["ClosePrice"][1:]]
    assert node.security_master_node.get_df_between_dates()["secid"].tolist() == ["2"]


def test_a_run_of_bounded_size_goes_on_where_the_last_one_ended(master: Path, daily: Path) -> None:
    node = AlgoSeekDailyBars(daily, master, rows_per_run=4)
    assert len(node.run()) == 6, "a block of a file is written whole"
    told = "6 rows are enough for one run (rows_per_run); what SecId 33008 and 1 more files still have waits"
    assert told in log_of(node)
    assert len(AlgoSeekDailyBars(daily, master, rows_per_run=4).run()) == 3
    assert AlgoSeekDailyBars(daily, master).run().empty
    assert len(stored(node)) == 9
    assert statistics(node) == recount(node)


def test_gaps_in_counts_and_prices_stay_gaps(master: Path, tmp_path: Path) -> None:
    add_daily(
        tmp_path, 33449, DAYS, ListedTotalVolume=[1, "", 2**53 + 1], OpenPrice=["", 5.5, ""], Ticker=["", "A", ""]
    )
    node = AlgoSeekDailyBars(tmp_path / "daily", master)
    node.run()
    rows = node.get_df_between_dates()
    assert rows["volume"].astype(object).where(rows["volume"].notna(), None).tolist() == [1, None, 2**53 + 1]
    assert rows["open"].isna().tolist() == [True, False, True]
    assert rows["ticker"].isna().tolist() == [True, False, True]
    assert "2 rows" not in log_of(node)


def test_prices_outside_of_the_bar_are_kept_and_told(master: Path, tmp_path: Path) -> None:
    add_daily(tmp_path, 33449, DAYS, HighPrice=50.0, LowPrice=49.0, OpenPrice=51.0, ClosePrice=[49.5, 48.0, 50.0])
    node = AlgoSeekDailyBars(tmp_path / "daily", master)
    node.run()
    assert node.get_df_between_dates()["open"].tolist() == [51.0] * 3
    (outcome,) = node.last_run.run.quality
    assert outcome["message"] == "3 rows have a first or last price outside of lowest to highest; kept as they are"


def test_a_wrong_file_stops_the_run_and_nothing_is_written(master: Path, daily: Path) -> None:
    add_daily(daily.parent, 33449, DAYS, ClosePrice=[1.0, -1.0, 1.0])
    node = AlgoSeekDailyBars(daily, master)
    with pytest.raises(InvalidInput, match=r"33449.csv has \d fault.* line 3: ClosePrice: '-1' is not above zero"):
        node.run()
    assert not exists(node)


def test_bars_without_a_master_say_so(master: Path, daily: Path) -> None:
    with pytest.raises(InvalidInput, match=r"The security master has no rows\. Run it first"):
        AlgoSeekDailyBars(daily, master).run(update_tree=False)
    with pytest.raises(InvalidInput, match="does not exist"):
        AlgoSeekDailyBars(daily / "none", master).run()


def stale_from(node) -> dt.datetime | None:
    return node.get_node_update().stale_from


def test_a_corrected_master_makes_bars_stale_where_they_rest_on_it(master: Path, daily: Path) -> None:
    node = AlgoSeekDailyBars(daily, master)
    node.run()
    # a name, a FIGI more, and a SecId without bars: no bar rests on these
    write_master(
        master, [SAMPLES[0], SampleSecurity(33449, ("AAPL",), "Renamed", f"{APPLE};BBG000BPH459"), *SAMPLES[2:]]
    )
    AlgoSeekSecurityMaster(master).run()
    assert stale_from(node) is None
    node.run()
    assert identifiers(node).count("BBG000BPH459") == 3, "a new FIGI gets the whole history"
    # the FIGI of a SecId that has no file moves to another
    write_master(master, [SAMPLES[0], SampleSecurity(33449, ("AAPL",), "Renamed", f"{APPLE};BBG000BPH459"),
                          SampleSecurity(7, ("Q",), "Q", QQQ), SAMPLES[3]])  # fmt: skip
    AlgoSeekSecurityMaster(master).run()
    assert stale_from(node) is None
    # Apple's bars turn out to be those of another SecId
    write_master(master, [SAMPLES[0], SampleSecurity(8, ("AAPL",), "Renamed", f"{APPLE};BBG000BPH459"), SAMPLES[3]])
    add_daily(daily.parent, 8, DAYS)
    AlgoSeekSecurityMaster(master).run()
    assert stale_from(node) == STAMP
    fresh = AlgoSeekDailyBars(daily, master)
    fresh.run(force_update=True)
    rows = fresh.get_df_between_dates(unique_identifier_list=[APPLE])
    assert rows["secid"].tolist() == ["8"] * 3
    assert stale_from(node) is None
    assert statistics(node) == recount(node)


def test_assets_that_the_master_no_longer_has_are_told(master: Path, daily: Path) -> None:
    node = AlgoSeekDailyBars(daily, master)
    node.run()
    write_master(master, [SAMPLES[1], SampleSecurity(33008, ("HWM",), "Howmet", HOWMET)])
    node = AlgoSeekDailyBars(daily, master)
    node.run()
    assert f"1 asset ({ALCOA}) is in the table and no longer in the security master. Their bars stay" in log_of(node)
    assert identifiers(node).count(ALCOA) == 3


def test_interpolated_prices_read_daily_bars(master: Path, daily: Path) -> None:
    create_from_pandas_calendar(
        source_identifier="XNYS", unique_identifier="XNYS", display_name="NYSE",
        valid_from="2022-01-01", valid_to="2022-12-31",
    )  # fmt: skip
    add_daily(daily.parent, 33449, DAYS, ListedTotalVolume=[1, "", 3])
    source = AlgoSeekDailyBars(daily, master)
    node = InterpolatedPrices(
        InterpolatedPricesConfiguration(dataset="filled", calendar_identifier="XNYS", asset_list=[APPLE]), source
    )
    frame = node.run()
    assert frame["close"].notna().sum() >= 3
    assert frame["volume"].iloc[0] == 1.0


# --- minute bars -----------------------------------------------------------------------------------------------------
def test_minute_bars_are_stamped_at_their_right_edge(master: Path, tmp_path: Path) -> None:
    source = minute_frame(33008, "HWM", DAYS, seed=1)
    write_minute(tmp_path / "minute" / "33008.csv.gz", source, "adjusted")
    node = AlgoSeekMinuteBars(tmp_path / "minute", master, price_adjustment="adjusted")
    # when
    frame = node.run()
    # then
    assert len(frame) == 2 * 3 * 390
    rows = node.get_df_between_dates(unique_identifier_list=[HOWMET]).droplevel(1)
    assert rows.index[[0, 389, -1]].tolist() == [
        pd.Timestamp(text) for text in ("2022-01-03T14:31Z", "2022-01-03T21:00Z", "2022-07-01T20:00Z")
    ]
    assert (rows.index.to_series() - rows["open_time"]).unique() == [pd.Timedelta(minutes=1)]
    for name, column in (("open", "First"), ("high", "High"), ("low", "Low"), ("close", "Last")):
        assert rows[name].tolist() == pytest.approx(source[f"{column}TradePrice"].tolist())
    assert rows["volume"].tolist() == source["Volume"].tolist()
    assert rows["trade_count"].tolist() == source["TotalTrades"].tolist()
    assert rows["lasttradepriceadjusted"].tolist() == source["LastTradePriceAdjusted"].tolist()
    storage = node.get_storage()
    assert (storage.identifier, storage.data_frequency_id) == ("algoseek_minute_bars_adjusted", "1m")


def test_minute_bars_go_on_asset_by_asset(master: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algoseek_bars, "BLOCK", 8_192)
    directory = tmp_path / "minute"
    write_minute(directory / "33449.csv.gz", minute_frame(33449, "AAPL", DAYS[:1], seed=1), "raw")
    node = AlgoSeekMinuteBars(directory, master)
    assert len(node.run()) == 390
    write_minute(directory / "33449.csv.gz", minute_frame(33449, "AAPL", DAYS, seed=1), "raw")
    write_minute(directory / "33008.csv.gz", minute_frame(33008, "HWM", DAYS[:1], seed=1), "raw")
    seen = []
    while True:
        frame = AlgoSeekMinuteBars(directory, master, rows_per_run=200).run()
        if frame.empty:
            break
        seen.append(len(frame))
    assert sum(seen) == 2 * 390 + 2 * 390
    assert len(seen) > 3
    assert max(seen) < 600, "a run holds little more than it may"
    assert statistics(node) == recount(node)
    assert len(stored(node)) == 5 * 390


def test_a_bar_in_the_hour_that_the_clock_repeats_is_refused(master: Path, tmp_path: Path) -> None:
    frame = minute_frame(33449, "AAPL", [dt.date(2022, 11, 6)], seed=1).head(1).assign(TimeBarStart="01:30")
    write_minute(tmp_path / "minute" / "33449.csv.gz", frame, "raw")
    node = AlgoSeekMinuteBars(tmp_path / "minute", master)
    with pytest.raises(InvalidInput, match="on 2022-11-06 a bar has a time in the hour that New York's clock skipped"):
        node.run()
    assert not exists(node)
