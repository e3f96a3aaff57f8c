"""Ticker histories, to the day."""

import datetime as dt

import pytest

from markets.engine.ticker_maps import TickerSpell, read_ticker_map
from markets.exceptions import InvalidInput

HEADER = "symbol_file,date,mapped_symbol,exchange"


def test_a_symbol_holds_until_the_last_day_that_is_told():
    rows = [HEADER, "goog,20140327,goocv,Q", "goog,20140402,goocv,Q", "goog,20501231,goog,Q"]
    assert read_ticker_map(rows) == [
        TickerSpell("GOOG", "GOOCV", "XNAS", dt.date(2014, 3, 27), dt.date(2014, 4, 3)),
        TickerSpell("GOOG", "GOOG", "XNAS", dt.date(2014, 4, 3), None),
    ]


def test_rows_that_say_the_same_again_are_one_spell():
    rows = [HEADER, "tfcfa,20041112,nwsa,Q", "tfcfa,20130628,nwsa,Q", "tfcfa,20190318,foxa,Q", "tfcfa,20190320,tfcfa,Q"]
    assert [(spell.ticker, str(spell.valid_from), str(spell.valid_to)) for spell in read_ticker_map(rows)] == [
        ("NWSA", "2004-11-12", "2013-06-29"),
        ("FOXA", "2013-06-29", "2019-03-19"),
        ("TFCFA", "2019-03-19", "2019-03-21"),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,b"], "The file's columns are"),
        ([HEADER, "goog,2014-03-27,goocv,Q"], "Row 2: date='2014-03-27' is no date of eight digits"),
        ([HEADER, "goog,20140230,goocv,Q"], "Row 2: date='20140230' is no date of eight digits"),
        ([HEADER, "goog,20140327,,Q"], "Row 2: symbol_file and mapped_symbol must not be blank"),
        ([HEADER, "goog,20140327,goocv,#"], "Row 2: exchange='#' is none of A, B"),
        ([HEADER, "g,20140327,a,Q", "g,20140326,a,Q"], "Row 3: 2014-03-26 is before 2014-03-27, when A of G begins"),
    ],
)
def test_what_is_wrong_is_told_with_its_row(rows, message):
    with pytest.raises(InvalidInput, match=message):
        read_ticker_map(rows)
