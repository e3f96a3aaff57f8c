"""A pasted list: each line recognised, or told what is wrong with it."""

import pytest

from markets.engine.identifier_lines import read_lines, recognise
from markets.engine.identifier_schemes import IdentifierKey
from markets.exceptions import InvalidInput


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("BBG000B9XRY4", IdentifierKey("figi", "BBG000B9XRY4")),
        ("bbg000b9xry4", IdentifierKey("figi", "BBG000B9XRY4")),
        ("US0378331005", IdentifierKey("isin", "US0378331005")),
        ("037833100", IdentifierKey("cusip", "037833100")),
        ("G0176J109", IdentifierKey("cusip", "G0176J109")),
        ("B0WNLY7", IdentifierKey("sedol", "B0WNLY7")),
        ("IBM", IdentifierKey("ticker", "IBM")),
        ("brk.b@xnys", IdentifierKey("ticker", "BRK.B", "XNYS")),
        ("GOOGLEFOO", IdentifierKey("ticker", "GOOGLEFOO")),
        ("ticker:037833100", IdentifierKey("ticker", "037833100")),
        ("ISIN: US0378331005", IdentifierKey("isin", "US0378331005")),
        ("composite_figi:BBG000B9XRY4", IdentifierKey("composite_figi", "BBG000B9XRY4")),
        ("1234567", IdentifierKey("ticker", "1234567")),
    ],
)
def test_identifiers_are_recognised(text, key):
    assert recognise(text) == key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("BBG00FNFPQH5", "is no FIGI, though it looks like one: its check digit is 5 where 4 is due"),
        ("US0378331006", "is no ISIN, though it looks like one: its check digit is wrong"),
        ("037833101", "is no CUSIP, though it looks like one: its check digit is wrong"),
        ("isin:037833100", "'037833100' is no ISIN: it has 9 characters, not 12."),
        ("IBM@NYSE5", "is no market identifier code"),
    ],
)
def test_what_has_the_shape_but_not_the_check_digit_is_told(text, message):
    with pytest.raises(InvalidInput, match=message):
        recognise(text)


def test_lines_keep_their_numbers_and_their_faults():
    text = "\ufeffIBM\n\n# a comment\r\n  US0378331005  \nUS0378331006\nA\x00B\n" + "x" * 500 + "\n"
    found = list(read_lines(text.split("\n")))
    assert [(line.number, line.key, bool(line.fault)) for line in found] == [
        (1, IdentifierKey("ticker", "IBM"), False),
        (4, IdentifierKey("isin", "US0378331005"), False),
        (5, None, True),
        (6, None, True),
        (7, None, True),
    ]
