"""Identifiers of a master: tickers cut where the exchange changes, spells joined where they touch."""

import datetime as dt
from pathlib import Path

from markets.engine.algoseek_identifiers import identifiers_of
from markets.engine.algoseek_master import COLUMNS, read_security_master
from markets.engine.algoseek_sample import SampleSecurity, master_cells, write_rows

D = dt.date
ROW = master_cells(SampleSecurity(7, ("AAA@20000103:20091231", "BBB@20100101:20991231"), "Name", "BBG000B9XRY4"))


def told(tmp_path: Path, **cells: str) -> list[tuple]:
    master = read_security_master(write_rows(tmp_path / "master.csv", COLUMNS, [{**ROW, **cells}]))
    return [
        (row.value, row.venue, row.valid_from, row.valid_to)
        for row in identifiers_of(master).rows
        if row.scheme != "algoseek_secid"
    ]


def test_a_ticker_is_cut_where_the_primary_exchange_changes(tmp_path: Path) -> None:
    exchanges = {
        "PrimaryExchange": "NYSE;Nasdaq;Pluto",
        "PrimaryExchangeStartToEndDate": "20010101:20041231;20060101:20121231;20130101:20991231",
    }
    assert told(tmp_path, **exchanges) == [
        ("AAA", "", D(2000, 1, 3), D(2001, 1, 1)),
        ("AAA", "", D(2005, 1, 1), D(2006, 1, 1)),
        ("AAA", "XNAS", D(2006, 1, 1), D(2010, 1, 1)),
        ("AAA", "XNYS", D(2001, 1, 1), D(2005, 1, 1)),
        ("BBB", "", D(2013, 1, 1), None),
        ("BBB", "XNAS", D(2010, 1, 1), D(2013, 1, 1)),
    ]


def test_spells_that_touch_are_one_and_those_with_a_hole_are_two(tmp_path: Path) -> None:
    cusips = {
        "Tickers": "AAA",
        "TickersStartToEndDate": "20000103:20991231",
        "USIdentifier": "037833100;037833100;30303M102;037833100",
        "USIdentifierStartToEndDate": "20000103:20041231;20050101:20051231;20060101:20061231;20070101:20991231",
    }
    assert told(tmp_path, **cusips) == [
        ("037833100", "", D(2000, 1, 3), D(2006, 1, 1)),
        ("037833100", "", D(2007, 1, 1), None),
        ("30303M102", "", D(2006, 1, 1), D(2007, 1, 1)),
        ("AAA", "XNAS", D(2000, 1, 3), None),
    ]
