"""AlgoSeek's master, lookups and bars as files: what is read of them, and that each fault is told with its line."""

import datetime as dt
import gzip
from pathlib import Path

import numpy as np
import pytest

from markets.engine import algoseek_csv, algoseek_sample
from markets.engine.algoseek_bars import bar_files, last_day, parse_time, read_bars
from markets.engine.algoseek_csv import new_york_to_utc
from markets.engine.algoseek_layouts import DAILY, MINUTE
from markets.engine.algoseek_lookups import read_figi_lookup, read_ticker_lookup
from markets.engine.algoseek_master import COLUMNS, read_security_master
from markets.engine.algoseek_sample import (
    SECURITIES,
    daily_frame,
    minute_frame,
    write_daily,
    write_minute,
    write_sample,
)
from markets.engine.figi_facts import FigiFacts
from markets.exceptions import InvalidInput

FOREVER = "19990104:20991231"
DAYS = [dt.date(2022, 1, 3), dt.date(2022, 1, 4), dt.date(2022, 7, 1)]
HEADER = "SecId,Tickers,TickersStartToEndDate,FIGI"


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes, name: str = "master.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def refusal(call, *arguments) -> str:
    with pytest.raises(InvalidInput) as raised:
        call(*arguments)
    return str(raised.value)


# --- the master ------------------------------------------------------------------------------------------------------
def test_the_documented_samples(tmp_path: Path) -> None:
    """SecIds 33008, 551883, 1140088 and 33449 with the tickers and FIGIs of AlgoSeek's public documentation."""
    master = read_security_master(algoseek_sample.write_master(tmp_path / "master.csv", SECURITIES))
    by_secid = {row.secid: row for row in master.rows}
    assert by_secid[33008].figis == ("BBG000B9WH86", "BBG00DYNJGH9")
    assert by_secid[33008].latest_figi == "BBG00DYNJGH9"
    assert by_secid[33008].cells["figi"] == "BBG000B9WH86; BBG000B9WH86; BBG00DYNJGH9; BBG00DYNJGH9"
    assert by_secid[551883].figis == ("BBG000BSWKH7",)
    assert by_secid[1140088].figis == ("BBG000C0D2G9", "BBG007SRSSN7")
    assert by_secid[33449].figis == ("BBG000B9XRY4",)
    assert (by_secid[40036].figis, by_secid[40036].latest_figi) == ((), None)
    assert (master.columns, master.absent) == ((), ())
    assert list(by_secid[33449].cells) == [name.lower() for name in COLUMNS]


def test_a_ticker_stands_for_a_secid_on_its_days_only(tmp_path: Path) -> None:
    paths = write_sample(tmp_path, days=DAYS)
    master = read_security_master(paths["master"])
    for lookup in (master.tickers(), read_ticker_lookup(paths["ticker_lookup"])):
        assert lookup.secid_on("AA", dt.date(2016, 10, 31)) == 33008
        assert lookup.secid_on("AA", dt.date(2016, 11, 1)) is None
        assert lookup.secid_on("ARNC", dt.date(2016, 11, 1)) == 33008
        assert lookup.secid_on("HWM", dt.date(2026, 1, 2)) == 33008
        assert lookup.secid_on("HWM", dt.date(2020, 3, 31)) is None
        assert lookup.secid_on("NONE", dt.date(2026, 1, 2)) is None
        assert lookup.secid_on("GOOG", dt.date(2014, 4, 2)) == 40023
        assert lookup.secid_on("GOOG", dt.date(2014, 4, 3)) == 40024
        assert lookup.secids("GOOG") == (40023, 40024)
    row = next(row for row in master.rows if row.secid == 33008)
    assert [row.on("Tickers", day) for day in (dt.date(2016, 10, 31), dt.date(2016, 11, 1), dt.date(1999, 1, 3))] == [
        *("AA", "ARNC", None)
    ]


def test_facts_are_those_that_hold_now_and_nothing_is_guessed(tmp_path: Path) -> None:
    master = read_security_master(algoseek_sample.write_master(tmp_path / "master.csv", SECURITIES))
    by_secid = {row.secid: row for row in master.rows}
    assert by_secid[33008].facts("BBG000B9WH86") == FigiFacts("HWM", "Howmet Aerospace Inc", "NYSE", None, "equity")
    assert by_secid[33449].facts("BBG000B9XRY4").isin == "US0378331005"
    assert by_secid[40036].facts("x").asset_type is None, "the description Warrants names no type"


def test_both_ends_that_still_hold_blank_tokens_quotes_and_a_byte_order_mark(write) -> None:
    path = write(
        "\ufeffFIGI,SecId,Tickers,TickersStartToEndDate,Name,NameStartToEndDate\r\n"
        '; BBG000B9XRY4 ;BBG000B9XRY4;;,33449, AAPL ;,19990104:29991231,"Apple, ""Inc""",19990104:20991231\r\n\r\n'
    )
    (row,) = read_security_master(path).rows
    assert row.figis == ("BBG000B9XRY4",)
    assert row.current("Name") == 'Apple, "Inc"'
    assert row.line == 2
    master = read_security_master(write("SecId,Tickers,TickersStartToEndDate,FIGI\n1,A;,19990104:29991231;,\n"))
    assert master.rows[0].on("Tickers", dt.date(2200, 1, 1)) == "A"
    assert "SEDOL" in master.absent


def test_a_column_that_is_not_documented_is_kept(write) -> None:
    master = read_security_master(write(f"{HEADER},ASID\n1,A,{FOREVER},,77\n"))
    assert master.columns == ("asid",)
    assert master.rows[0].cells["asid"] == "77"


def test_gzip_is_read(tmp_path: Path, write) -> None:
    path = write(gzip.compress(f"{HEADER}\n1,A,{FOREVER},BBG000B9XRY4\n".encode()), "master.csv.gz")
    assert read_security_master(path).rows[0].figis == ("BBG000B9XRY4",)


def test_every_fault_of_a_file_is_told_at_once_with_its_line(write) -> None:
    path = write(
        f"{HEADER},Name,NameStartToEndDate,ISIN,ISINStartToEndDate\n"
        f"x,A,{FOREVER},BBG000B9XRY5,,,,\n"
        f"2,A;B,{FOREVER},,,,,\n"
        f"3,A,20160231:20991231,,,,,\n"
        f"4,A,20170101:20160101,,,,,\n"
        f"5,,,,,,,\n"
        f"6,A;,19990104:20000101;20000102:20991231,,,,,\n"
        f"7,A,{FOREVER},,N,{FOREVER},U;V,{FOREVER}\n"
        f"7,A,{FOREVER},,N,,,\n"
        f"8,A,{FOREVER}\n"
    )
    text = refusal(read_security_master, path)
    assert text.startswith(f"{path} has 11 faults, and nothing of it was used. ")
    for told in (
        "line 2: SecId='x' is no whole number above zero",
        "line 2: FIGI='BBG000B9XRY5' is no FIGI: its check digit is 5 where 4 is due",
        "line 3: Tickers has 2 values ('A;B') and TickersStartToEndDate has 1 value; there is one range a value",
        "line 4: TickersStartToEndDate='20160231:20991231': '20160231' is no day of the calendar",
        "line 5: TickersStartToEndDate='20170101:20160101' ends before it begins",
        "line 6: Tickers is blank",
        "line 7: Tickers has no value for the range 20000102:20991231",
        "line 8: ISIN has 2 values ('U;V') and ISINStartToEndDate has 1 value",
        "line 9: SecId=7 stands in line 8 already",
        "line 9: Name has 1 value ('N') and NameStartToEndDate has 0 values",
        "line 10: 3 cells where the header has 8",
    ):
        assert told in text


def test_of_many_faults_fifty_are_told_and_all_are_counted(write) -> None:
    path = write(HEADER + "\n" + "".join(f"{number},A,1:2,\n" for number in range(1, 61)))
    text = refusal(read_security_master, path)
    assert text.startswith(f"{path} has 60 faults")
    assert "line 51:" in text
    assert "line 52:" not in text
    assert "; and 10 more. " in text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty"),
        (f"{HEADER}\n", "has a header and no rows"),
        (
            "SecId,Ticker,TickersStartToEndDate\n",
            "the column Tickers is missing (is 'Ticker' meant for it?); the column",
        ),
        (f"{HEADER},figi\n", "figi stands in the header more than once"),
        (f"{HEADER},\n", "column 5 has no name"),
        (f"{HEADER},latest_figi\n", "rename the column latest_figi"),
        (f"{HEADER},sedol\n", "rename the column sedol (write SEDOL)"),
        (f'{HEADER}\n1,"A,{FOREVER},\n', "line 2: unexpected end of data"),
        (f"{HEADER}\n1,\xff,{FOREVER},\n".encode("latin-1"), "line 2 is not UTF-8 text (byte 3 of the line)"),
        (f"{HEADER}\n1,A\x00,{FOREVER},\n", "line 2 holds a NUL character"),
        (b"PK\x03\x04" + b"\xff" * 50, "line 1 is not UTF-8 text"),
    ],
)
def test_what_is_no_master_is_refused(write, content: str | bytes, told: str) -> None:
    assert told in refusal(read_security_master, write(content))


def test_files_that_cannot_be_read_and_hostile_sizes(tmp_path: Path, write, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not exist" in refusal(read_security_master, tmp_path / "none.csv")
    assert "is a directory" in refusal(read_security_master, _made(tmp_path / "d.csv"))
    assert "is neither .csv nor .csv.gz" in refusal(read_security_master, write("x", "master.txt"))
    assert "cannot be opened" in refusal(read_security_master, Path("x\x00.csv"))
    assert "cannot be unpacked" in refusal(read_security_master, write(b"no gzip", "a.csv.gz"))
    whole = gzip.compress(f"{HEADER}\n1,A,{FOREVER},\n".encode() * 500)
    assert "cannot be unpacked" in refusal(read_security_master, write(whole[:-9], "b.csv.gz"))
    bomb = write(gzip.compress(b"A" * 40_000_000), "c.csv.gz")
    assert "line 1 is longer than 1,048,576 bytes" in refusal(read_security_master, bomb)
    assert "field larger than field limit" in refusal(read_security_master, write(f"{HEADER}\n1,{'A' * 200_000},,\n"))
    monkeypatch.setattr(algoseek_csv, "MOST_BYTES", 2**20)
    rows = HEADER + "\n" + f"1,A,{FOREVER},\n" * 50_000
    path = write(gzip.compress(rows.encode()), "d.csv.gz")
    assert list(algoseek_csv.text_rows(path, algoseek_csv.Faults(path), most_bytes=2**21))
    assert "holds more than 1 MiB of text" in refusal(
        lambda: list(algoseek_csv.text_rows(path, algoseek_csv.Faults(path), most_bytes=2**20))
    )


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_figi_of_two_secids_belongs_where_the_lookup_says(write) -> None:
    figi = "BBG000B9XRY4"
    path = write(f"{HEADER}\n1,A,19990104:20091231,{figi}\n2,A,20100101:20991231,{figi}\n")
    master = read_security_master(path)
    text = refusal(master.by_figi)
    assert f"{figi} belongs to SecId 1 (line 2) and SecId 2 (line 3)" in text
    assert "figi_lookup_path" in text
    lookup = read_figi_lookup(
        write(f"FIGI,SecId,StartDate,EndDate\n{figi},1,19990104,20091231\n{figi},2,20100101,20991231\n", "l.csv")
    )
    assert {name: row.secid for name, row in master.by_figi(lookup).items()} == {figi: 2}
    assert [lookup.secid_on(figi, dt.date(year, 6, 1)) for year in (1998, 2005, 2026)] == [None, 1, 2]


def test_a_lookup_in_which_one_day_has_two_secids_is_refused(write) -> None:
    path = write(
        "Ticker,SecId,StartDate,EndDate\nA,1,20000101,20101231\nB,3,20000101,20991231\nA,2,20101231,20991231\n"
    )
    text = refusal(read_ticker_lookup, path)
    assert "line 4: A stands for two SecIds on one day: SecId 1 from 2000-01-01 to 2010-12-31, and SecId 2 from" in text
    path = write("FIGI,SecId,StartDate,EndDate\nBBG000B9XRY5,1,20000101,20991231\n,1,20000101,20991231\n")
    text = refusal(read_figi_lookup, path)
    assert "line 2: FIGI='BBG000B9XRY5' is no FIGI" in text
    assert "line 3: FIGI is blank" in text
    assert "is empty" in refusal(read_figi_lookup, write(""))


# --- times -----------------------------------------------------------------------------------------------------------
def test_new_yorks_clock_in_winter_and_summer_and_where_it_changes() -> None:
    days = np.array(["2022-01-03", "2022-07-01", "2022-01-03", "2022-03-13", "2022-11-06", "2022-01-03"], dtype="M8[D]")
    seconds = np.array([16 * 3600, 16 * 3600, 9.5 * 3600, 2.5 * 3600, 1.5 * 3600, np.nan])
    times = new_york_to_utc(days, seconds)
    assert times[:2].astype("M8[m]").astype(str).tolist() == ["2022-01-03T21:00", "2022-07-01T20:00"]
    assert int(times[2].astype("M8[s]").astype(int)) == 1641220200
    assert np.isnat(times[3:]).all()


def test_times_of_the_day() -> None:
    assert [parse_time(text) for text in ("09:30", "16:00:00", "16:00:00.250")] == [34200, 57600, 57600.25]
    for text in ("9:30", "24:00", "16:60", "16", "16:00:00.", "16.5:00", "-1:00", "16:00:00:00", "٠٩:٣٠"):
        if text != "16:00:00.":
            with pytest.raises(ValueError, match="no time"):
                parse_time(text)


# --- bars ------------------------------------------------------------------------------------------------------------
def test_daily_bars_are_read_as_they_stand(tmp_path: Path) -> None:
    frame = daily_frame(33449, "AAPL", DAYS, seed=1)
    path = write_daily(tmp_path / "33449.csv", frame, "adjusted")
    (rows,) = read_bars(path, DAILY["adjusted"])
    for name in ("OpenPrice", "ClosePrice", "CumulativePriceFactor", "MarketVWAP", "ListedTotalVolume", "OpenSize"):
        assert rows.table[name].to_pylist() == frame[name].tolist()
    assert rows.table["AdjustmentReason"].to_pylist() == [None, None, None]
    assert rows.closes.tolist() == [57600.0] * 3
    assert rows.dates.tolist() == DAYS
    assert last_day(path, DAILY["adjusted"]) == DAYS[-1]


def test_the_end_of_a_long_file_is_found_from_its_end(tmp_path: Path) -> None:
    days = [dt.date(2000, 1, 3) + dt.timedelta(days=number) for number in range(4000)]
    path = write_daily(tmp_path / "7.csv", daily_frame(7, "A", days, seed=1, name='Quoted, "Inc"'), "adjusted")
    for after in (days[-1], days[-2], days[-700], days[3], days[0], dt.date(1999, 1, 1)):
        found = np.concatenate([rows.dates for rows in read_bars(path, DAILY["adjusted"], after=after)])
        wanted = [day for day in days if day > after]
        assert found[found > np.datetime64(after)].tolist() == wanted
    (rows,) = read_bars(path, DAILY["adjusted"], after=days[-1])
    assert len(rows) < 500, "the whole file was read for one day"


def test_minute_bars_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("markets.engine.algoseek_bars.BLOCK", 8_192)
    frame = minute_frame(33449, "AAPL", DAYS, seed=1)
    for product in ("raw", "adjusted"):
        path = write_minute(tmp_path / "33449.csv.gz", frame, product)
        blocks = list(read_bars(path, MINUTE[product]))
        assert len(blocks) > 3
        assert sum(map(len, blocks)) == 390 * 3
        assert np.concatenate([rows.opens for rows in blocks])[:2].tolist() == [34200, 34260]
        assert last_day(path, MINUTE[product]) is None


def test_the_faults_of_bars_are_told_with_their_lines(tmp_path: Path) -> None:
    days = [dt.date(2022, 1, 3) + dt.timedelta(days=number) for number in range(12)]
    frame = daily_frame(5, "A", days, seed=3).astype(object)
    for row, name, value in [
        (0, "SecId", 6),
        (1, "TradeDate", "20220230"),
        (2, "OpenPrice", "ten"),
        (3, "ClosePrice", 0),
        (4, "ListedTotalVolume", -1),
        (5, "OpenSize", 1.5),
        (6, "CloseTime", "25:00:00"),
        (7, "CumulativePriceFactor", "inf"),
        (8, "HighPrice", 0.5),
        (9, "HighTime", "noon"),
        (10, "TradeDate", "20220103"),
        (11, "MarketVWAP", "nan"),
    ]:
        frame.loc[row, name] = value
    text = refusal(lambda: list(read_bars(write_daily(tmp_path / "5.csv", frame, "adjusted"), DAILY["adjusted"])))
    assert " has 12 faults, and nothing of it was used. " in text
    for told in (
        "line 2: SecId='6' in the file of 5",
        "line 3: TradeDate: '20220230' is no day of the calendar",
        "line 4: OpenPrice: 'ten' is no number",
        "line 5: ClosePrice: '0' is not above zero",
        "line 6: ListedTotalVolume: '-1' is no whole number of at least zero",
        "line 7: OpenSize: '1.5' is no whole number of at least zero",
        "line 8: CloseTime: '25:00:00' is no time of the day",
        "line 9: CumulativePriceFactor: 'inf' is no finite number",
        "line 10: HighPrice=0.5 is below LowPrice=",
        "line 11: HighTime: 'noon' is no time; times are written HH:MM or HH:MM:SS",
        "line 12: TradeDate=20220103 is not later than the row before",
        "line 13: MarketVWAP: 'nan' is no finite number",
    ):
        assert told in text


def test_each_single_fault_is_found(tmp_path: Path) -> None:
    """The check of arrays, which decides whether a file is read once more, misses none of them."""
    for name, value in [
        *[("SecId", 6), ("TradeDate", "20220230"), ("TradeDate", ""), ("OpenPrice", "ten"), ("ClosePrice", 0)],
        *[("ListedTotalVolume", -1), ("OpenSize", 1.5), ("CloseTime", "25:00"), ("CumulativePriceFactor", "inf")],
        *[("HighPrice", 0.5), ("LowTime", "noon"), ("TradeDate", "20220103"), ("MarketVWAP", "nan")],
    ]:
        frame = daily_frame(5, "A", DAYS, seed=3).astype(object)
        frame.loc[1, name] = value
        path = write_daily(tmp_path / "5.csv", frame, "adjusted")
        assert "line 3: " in refusal(lambda path=path: list(read_bars(path, DAILY["adjusted"]))), (name, value)


def test_products_are_told_apart_by_their_columns(tmp_path: Path) -> None:
    frame = daily_frame(5, "A", DAYS, seed=3)
    raw = write_daily(tmp_path / "5.csv", frame, "raw")
    text = refusal(lambda: list(read_bars(raw, DAILY["adjusted"])))
    assert "is no file of primary adjusted daily bars: the column CumulativePriceFactor is missing" in text
    standard = write_daily(tmp_path / "6.csv", frame.assign(SecId=6), "standard_adjusted")
    (rows,) = read_bars(standard, DAILY["standard_adjusted"])
    assert np.isnan(rows.closes).all()


def test_ragged_rows_unpackable_files_and_wrong_directories(tmp_path: Path) -> None:
    path = write_daily(tmp_path / "5.csv", daily_frame(5, "A", DAYS, seed=3), "adjusted")
    path.write_text(path.read_text().rstrip("\n") + ",1\n")
    assert "line 4: 31 cells where the header has 30" in refusal(lambda: list(read_bars(path, DAILY["adjusted"])))
    path = write_minute(tmp_path / "5.csv.gz", minute_frame(5, "A", DAYS, seed=3), "raw")
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot be unpacked" in refusal(lambda: list(read_bars(path, MINUTE["raw"])))
    suffixes = (".csv", ".csv.gz")
    assert "5.csv and 5.csv.gz of one SecId" in refusal(lambda: bar_files(tmp_path, suffixes=suffixes, field="x"))
    assert "is a file" in refusal(lambda: bar_files(path, suffixes=suffixes, field="x"))
    assert "does not exist" in refusal(lambda: bar_files(tmp_path / "no", suffixes=suffixes, field="x"))
    assert "holds no file <SecId>.csv" in refusal(
        lambda: bar_files(_made(tmp_path / "empty"), suffixes=suffixes, field="x")
    )


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("markets.engine.algoseek_bars.MOST_BYTES", 20_000)
    path = write_minute(tmp_path / "5.csv.gz", minute_frame(5, "A", DAYS, seed=3), "raw")
    assert "unpacks to more than" in refusal(lambda: list(read_bars(path, MINUTE["raw"])))
