"""Price files: what is read from them, and the one message that each bad file gets."""

import datetime as dt
import gzip
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from markets.engine import price_files
from markets.engine.price_files import check_duplicates, read_price_file, unknown_dates
from markets.exceptions import InvalidInput

HEADER = "time_index,asset_identifier,close\n"
STAMP = "2026-01-02T21:00:00Z"
EXPECTED = (
    "A price file has one of time_index, date; one of asset_identifier, figi; one of close, price; and any of open, "
    "high, low, adjusted_close, vwap, volume, trade_count, open_time."
)


@pytest.fixture
def write(tmp_path):
    def write(content, name="prices.csv"):
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content.to_parquet(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refused(path, message):
    with pytest.raises(InvalidInput) as caught:
        read_price_file(path)
    assert str(caught.value) == message.replace("FILE", str(path))


# --- what is read ----------------------------------------------------------------------------------------------------
def test_a_csv_with_every_column(write):
    # given names in any case, with spaces, under their aliases; an offset; a missing cell
    file = read_price_file(
        write(
            "Time_Index, Unique_Identifier ,open,high,low,CLOSE,adj_close,vwap,volume,trade_count,open_time\n"
            "2026-01-02T16:00:00-05:00,A,1,2,0.5,1.5,1.25,1.4,1e3,7,2026-01-02T14:30:00Z\n"
            "2026-01-02 21:00:00+0000,B,1,2,0.5,1.5,,N/A,0,,\n"
        )
    )
    assert file.identifier_column == "asset_identifier"
    assert file.identifiers.tolist() == ["A", "B"]
    assert file.dates is None
    assert file.times.equals(pd.DatetimeIndex([STAMP, STAMP]))
    assert file.open_times.tolist() == [pd.Timestamp("2026-01-02T14:30Z"), pd.NaT]
    expected = {
        "open": [1, 1],
        "high": [2, 2],
        "low": [0.5, 0.5],
        "close": [1.5, 1.5],
        "adjusted_close": [1.25, np.nan],
        "vwap": [1.4, np.nan],
        "volume": [1000, 0],
        "trade_count": [7, np.nan],
    }
    assert set(file.numbers) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(file.numbers[name], np.array(values, dtype=np.float64))


@pytest.mark.parametrize("identifier", ["NA", "nan", "null", "007", "1e5", "TRUE", "2026-01-02", " padded "])
def test_identifiers_stay_text(write, identifier):
    file = read_price_file(write(f"{HEADER}{STAMP},{identifier},1\n"))
    assert file.identifiers.tolist() == [identifier.strip()]


def test_a_lone_price_is_the_whole_bar(write):
    numbers = read_price_file(write("date,figi,price\n2026-01-02,BBG000B9XRY4,5\n")).numbers
    assert {name: values.tolist() for name, values in numbers.items() if not np.isnan(values).any()} == {
        "open": [5.0],
        "high": [5.0],
        "low": [5.0],
        "close": [5.0],
        "volume": [0.0],
    }


def test_a_lone_price_keeps_the_volume_of_the_file(write):
    # regression: the volume was replaced by 0
    assert read_price_file(write("date,figi,price,volume\n2026-01-02,B,5,9\n")).numbers["volume"].tolist() == [9.0]


def test_dates(write):
    file = read_price_file(write("date,figi,close\n2026-01-02,B,5\n"))
    assert file.times is None
    assert file.dates.tolist() == [dt.date(2026, 1, 2)]


def test_only_the_header_of_a_good_csv_is_decoded(write, monkeypatch):
    # regression: the whole file was decoded a second time
    decoded = []
    original = price_files._utf8
    monkeypatch.setattr(price_files, "_utf8", lambda data, path: decoded.append(data) or original(data, path))
    read_price_file(write(f"{HEADER}{STAMP},A,1\n"))
    assert decoded == [HEADER.strip().encode()]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (f"\ufeff{HEADER}{STAMP},A,1\n".encode(), "bom.csv"),
        (f"{HEADER}{STAMP},A,1".replace("\n", "\r\n").encode(), "windows.CSV"),
        (gzip.compress(f"{HEADER}{STAMP},A,1\n\n\n".encode(), mtime=0), "packed.csv.gz"),
        (f'"time_index","asset_identifier","close"\n{STAMP},"A","1"\n'.encode(), "quoted.csv"),
        (f"{HEADER}2026-01-02T16:00:00-05,A,1\n".encode(), "offset-in-hours.csv"),
    ],
)
def test_csv_as_programs_write_it(write, content, name):
    file = read_price_file(write(content, name))
    assert (file.identifiers.tolist(), file.times[0], file.numbers["close"].tolist()) == (
        ["A"],
        pd.Timestamp(STAMP),
        [1.0],
    )


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parquet(write, unit):
    times = pd.DatetimeIndex([STAMP]).tz_convert("America/New_York").as_unit(unit)
    file = read_price_file(write(pd.DataFrame({"time_index": times, "asset_identifier": "A", "close": 1}), "p.parquet"))
    assert file.times.equals(pd.DatetimeIndex([STAMP]).as_unit("ns"))
    assert file.numbers["close"].tolist() == [1.0]


def test_a_frame_saved_with_its_index(write):
    # regression: the keys of a frame as MSM itself returns it were not found
    index = pd.MultiIndex.from_tuples([(pd.Timestamp(STAMP), "A")], names=["time_index", "asset_identifier"])
    file = read_price_file(write(pd.DataFrame({"close": [1.0]}, index=index), "p.parquet"))
    assert (file.identifiers.tolist(), file.times.tolist()) == (["A"], [pd.Timestamp(STAMP)])


@pytest.mark.parametrize(
    "dates", [pd.to_datetime(["2026-01-02"]), [dt.date(2026, 1, 2)], ["2026-01-02"]], ids=["midnight", "date", "text"]
)
def test_dates_in_parquet(write, dates):
    file = read_price_file(
        write(pd.DataFrame({"date": dates, "figi": pd.Categorical(["B"]), "close": [Decimal("1.5")]}), "p.parquet")
    )
    assert (file.dates.tolist(), file.identifiers.tolist()) == ([dt.date(2026, 1, 2)], ["B"])
    assert file.numbers["close"].tolist() == [1.5]


# --- what is refused -------------------------------------------------------------------------------------------------
def test_files_that_are_none(tmp_path, write):
    refused(tmp_path / "no.csv", "FILE does not exist. Check the path on the machine that runs MSM.")
    refused(tmp_path, "FILE is a directory. Name one CSV or Parquet file.")
    (tmp_path / "parts.parquet").mkdir()
    refused(tmp_path / "parts.parquet", "FILE is a directory. Name one CSV or Parquet file.")
    refused(write("x", "prices.xlsx"), "FILE is neither .csv, .csv.gz nor .parquet.")
    refused(write("", "empty.csv"), f"FILE is empty. {EXPECTED}")
    refused(write("\n \n", "blank.csv"), f"FILE is empty. {EXPECTED}")
    refused(write(HEADER, "header.csv"), "FILE has a header and no rows. Check where it comes from.")
    refused(write(HEADER.strip(), "header2.csv"), "FILE has a header and no rows. Check where it comes from.")
    refused(
        write(HEADER.encode() + b"2026-01-02T21:00:00Z,\xe9,1\n", "latin.csv"),
        "FILE is not UTF-8 text (byte 55). Save it as UTF-8.",
    )


def test_a_truncated_archive(write):
    # regression: the end of the stream was no error that anyone caught
    whole = gzip.compress((HEADER + f"{STAMP},A,1\n" * 500).encode())
    refused(write(whole[:-20], "cut.csv.gz"), "FILE cannot be parsed: Truncated compressed stream. Save it anew.")


def test_a_parquet_file_that_is_none(write):
    with pytest.raises(InvalidInput, match=r"p\.parquet cannot be parsed: .*Parquet magic bytes not found"):
        read_price_file(write("no parquet at all", "p.parquet"))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "time_index,asset_identifier,clsoe",
            f"FILE has unknown columns: 'clsoe' (did you mean close?). {EXPECTED}",
        ),
        (
            "time_index,asset_identifier,close,color,volumes",
            f"FILE has unknown columns: 'color' (did you mean close?), 'volumes' (did you mean volume?). {EXPECTED}",
        ),
        (
            "time_index,close",
            f"FILE has neither asset_identifier nor figi; give exactly one. {EXPECTED}",
        ),
        (
            "time_index,figi,asset_identifier,close",
            f"FILE has both asset_identifier and figi; give exactly one. {EXPECTED}",
        ),
        ("figi,close", f"FILE has neither time_index nor date; give exactly one. {EXPECTED}"),
        ("date,time_index,figi,close", f"FILE has both time_index and date; give exactly one. {EXPECTED}"),
        ("date,figi,open", f"FILE has neither close nor price; give exactly one. {EXPECTED}"),
        ("date,figi,price,open", "FILE has price beside open, high or low; name the price close."),
        ("date,figi,close,Close,figi", "FILE has the columns close, figi twice."),
        ("date,asset_identifier,unique_identifier,close", "FILE has the columns asset_identifier twice."),
        (
            "time_index;asset_identifier;close",
            "FILE is separated by ';': its first line is 'time_index;asset_identifier;close'. Save it with commas and "
            "decimal points.",
        ),
    ],
)
def test_wrong_columns(write, header, message):
    cells = header.count(",") * ","
    refused(write(f"{header}\n{cells or 'x'}\n"), message)


def test_a_thousand_columns_make_a_short_message(write):
    names = [f"factor_{number}" for number in range(1_000)]
    path = write(",".join(["date", "figi", "close", *names]) + "\n2026-01-02,B,1" + ",1" * 1_000 + "\n")
    with pytest.raises(InvalidInput) as caught:
        read_price_file(path)
    assert "'factor_9', and 990 more. " in str(caught.value)
    assert len(str(caught.value)) < 600 + len(str(path))


NOT_A_NUMBER = "which is not a finite number. Leave the cell empty where there is none."
ZONE = "Write UTC instants (2026-01-31T21:00:00Z) or offsets (2026-01-31T16:00:00-05:00)"
DATE = "; or, where the bars are daily, a column date (2026-01-31) together with a calendar."


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{STAMP},A,abc", f"FILE, line 3: close is 'abc', {NOT_A_NUMBER}"),
        (f'{STAMP},A,"1,000"', f"FILE, line 3: close is '1,000', {NOT_A_NUMBER}"),
        (f"{STAMP},A,true", f"FILE, line 3: close is 'true', {NOT_A_NUMBER}"),
        (f"{STAMP},A,inf", f"FILE, line 3: close is inf, {NOT_A_NUMBER}"),
        (f"{STAMP},A,1e999", f"FILE, line 3: close is inf, {NOT_A_NUMBER}"),
        (f"{STAMP},,1", "FILE, line 3: asset_identifier is ''; it must name an asset."),
        (
            "2026-01-02T21:00:00,A,1",
            f"FILE, line 3: time_index is '2026-01-02T21:00:00', without a time zone. {ZONE}{DATE}",
        ),
        ("2026-01-02,A,1", f"FILE, line 3: time_index is '2026-01-02', without a time zone. {ZONE}{DATE}"),
        (
            "yesterday,A,1",
            "FILE, line 3: time_index is 'yesterday', which is not an ISO 8601 time such as 2026-01-31T21:00:00Z.",
        ),
        (
            "2026-02-30T21:00:00Z,A,1",
            "FILE, line 3: time_index is '2026-02-30T21:00:00Z', which is not an ISO 8601 time such as "
            "2026-01-31T21:00:00Z.",
        ),
        (",A,1", "FILE, line 3: time_index is empty. Each row needs the time of its bar."),
        (
            "9999-12-31T00:00:00Z,A,1",
            "FILE, line 3: time_index is 9999-12-31T00:00:00+00:00, outside the years 1678 to 2260. Correct it.",
        ),
        (
            f"{STAMP},A",
            f"FILE has 2 cells in line 3 ('{STAMP},A') where its header has 3. Give each line all of them.",
        ),
        # regression: pandas took a trailing comma for an index and moved every column by one
        (
            f"{STAMP},A,1,",
            f"FILE has 4 cells in line 3 ('{STAMP},A,1,') where its header has 3. Give each line all of them.",
        ),
    ],
)
def test_wrong_cells_are_named_with_line_and_remedy(write, line, message):
    refused(write(f"{HEADER}{STAMP},A,1\n{line}\n"), message)


def test_lines_are_counted_as_an_editor_counts_them(write):
    # regression: a blank line was skipped and not counted
    refused(write(f"{HEADER}\n{STAMP},A,x\n"), "FILE, line 2: asset_identifier is ''; it must name an asset.")


@pytest.mark.parametrize("name", ["volume", "trade_count"])
def test_negative_flows(write, name):
    refused(
        write(f"date,figi,close,{name}\n2026-01-02,B,1,-5\n"), f"FILE, line 2: {name} is -5.0; it cannot be negative."
    )


@pytest.mark.parametrize("text", ["2026-1-2", "02/01/2026", "2026-02-30", "", "2026-01-02T00:00:00Z"])
def test_wrong_dates(write, text):
    refused(
        write(f"date,figi,close\n{text},B,1\n"),
        f"FILE, line 2: date is {text!r}, which is not a date such as 2026-01-31.",
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"time_index": pd.to_datetime(["2026-01-02T21:00"]), "figi": "B", "close": 1.0},
            f"FILE: time_index has no time zone. {ZONE}{DATE}",
        ),
        # regression: the time of day was dropped without a word
        (
            {"date": pd.to_datetime(["2026-01-02T21:00"]), "figi": "B", "close": 1.0},
            "FILE, row 1: date is '2026-01-02 21:00:00', which is not a date such as 2026-01-31.",
        ),
        (
            {"time_index": [1_767_387_600], "figi": "B", "close": 1.0},
            "FILE, row 1: time_index is '1767387600', which is not an ISO 8601 time such as 2026-01-31T21:00:00Z.",
        ),
        # regression: an instant was taken for a price of 1.7e18
        (
            {"date": ["2026-01-02"], "figi": "B", "close": pd.to_datetime(["2026-01-02"])},
            f"FILE, row 1: close is Timestamp('2026-01-02 00:00:00'), {NOT_A_NUMBER}",
        ),
        (
            {"date": ["2026-01-02"], "figi": "B", "close": [True]},
            f"FILE, row 1: close is True, {NOT_A_NUMBER}",
        ),
        (
            {"date": ["2026-01-02"], "figi": "B", "close": [np.inf]},
            f"FILE, row 1: close is inf, {NOT_A_NUMBER}",
        ),
        ({"date": ["2026-01-02"], "figi": [7], "close": 1.0}, "FILE, row 1: figi is 7; it must name an asset."),
    ],
)
def test_wrong_parquet(write, columns, message):
    refused(write(pd.DataFrame(columns), "p.parquet"), message)


# --- duplicates and sessions -----------------------------------------------------------------------------------------
def test_the_first_duplicate_is_named_with_both_lines():
    identifiers = np.array(["A", "B", "A", "A"], dtype=object)
    stamps = np.array(["2026-01-02", "2026-01-02", "2026-01-02", "2026-01-02"], dtype="M8[ns]")
    with pytest.raises(InvalidInput) as caught:
        check_duplicates(identifiers, stamps, "p.csv")
    assert str(caught.value) == (
        "p.csv, line 4: A at 2026-01-02T00:00:00.000000000 was already given in line 2; 2 such rows in all. Keep one."
    )


def test_dates_outside_the_sessions_are_named():
    sessions = np.array(["2026-01-02", "2026-01-05"], dtype="M8[D]")
    dates = np.array(["2026-01-02", "2026-01-03", "2026-01-06", "2026-01-03"], dtype="M8[D]")
    assert unknown_dates(dates[:1], sessions, "XNYS") is None
    assert unknown_dates(dates, sessions, "XNYS") == (
        "2 dates (2026-01-03, 2026-01-06) are not a session of the calendar XNYS"
    )
