"""How identifiers are written and checked."""

import pytest

from markets.engine.identifier_schemes import IdentifierKey, identifier_key
from markets.engine.identifiers import cusip_fault, isin_fault, lei_fault, sedol_fault
from markets.exceptions import InvalidInput


@pytest.mark.parametrize(
    ("scheme", "value", "venue", "key"),
    [
        ("figi", "bbg000b9xry4 ", "", IdentifierKey("figi", "BBG000B9XRY4")),
        ("isin", "US0378331005", None, IdentifierKey("isin", "US0378331005")),
        ("isin", "XS2314659447", "", IdentifierKey("isin", "XS2314659447")),
        ("cusip", "037833100", "", IdentifierKey("cusip", "037833100")),
        ("cusip", "G0176J109", "", IdentifierKey("cusip", "G0176J109")),
        ("sedol", "B0WNLY7", "", IdentifierKey("sedol", "B0WNLY7")),
        ("ticker", "brk.b", "xnys", IdentifierKey("ticker", "BRK.B", "XNYS")),
        ("ticker", "RDSA LN", "", IdentifierKey("ticker", "RDSA LN")),
        ("algoseek_secid", 33449, "", IdentifierKey("algoseek_secid", "33449")),
        ("our_vendor", "aBc", "", IdentifierKey("our_vendor", "aBc")),
    ],
)
def test_identifiers_are_stored_as_their_scheme_writes_them(scheme, value, venue, key):
    assert identifier_key(scheme, value, venue) == key


@pytest.mark.parametrize(
    ("scheme", "value", "venue", "field", "message"),
    [
        ("figi", "BBG00FNFPQH5", "", "value", "'BBG00FNFPQH5' is no FIGI: its check digit is 5 where 4 is due."),
        ("figi", "KYG000000007", "", "value", "'KYG000000007' is no FIGI: the prefix KY is reserved."),
        ("isin", "US0378331006", "", "value", "'US0378331006' is no ISIN: its check digit is wrong."),
        ("isin", "US037833100", "", "value", "'US037833100' is no ISIN: it has 11 characters, not 12."),
        ("cusip", "037833101", "", "value", "'037833101' is no CUSIP: its check digit is wrong."),
        ("sedol", "B0WNLY8", "", "value", "'B0WNLY8' is no SEDOL: its check digit is wrong."),
        ("isin", "US03783 1005", "", "value",
         "'US03783 1005' is no ISIN: it has two letters, nine letters or digits, and a check digit."),
        ("isin", "US0378331005", "XNYS", "venue", "ISINs have no venue. Leave it out."),
        ("ticker", "IBM", "NYSE!", "venue",
         "venue='NYSE!' is no market identifier code. It has four letters or digits: XNYS, XNAS."),
        ("ticker", "ÄÖ", "", "value", "'ÄÖ' is no Ticker: it takes printable ASCII characters."),
        ("ticker", " ", "", "value", "value=' ' is no Ticker, or blank."),
        ("ticker", None, "", "value", "value=None is no Ticker, or blank."),
        ("ticker", True, "", "value", "value=True is no Ticker, or blank."),
        ("ticker", float("nan"), "", "value", "value=nan is no Ticker, or blank."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(scheme, value, venue, field, message):
    with pytest.raises(InvalidInput) as caught:
        identifier_key(scheme, value, venue)
    assert (caught.value.field, str(caught.value)) == (field, message)


@pytest.mark.parametrize("scheme", ["FIGI", "x", "1a", "a b", "a" * 33, None, 5, "a\x00b"])
def test_a_scheme_is_a_short_word(scheme):
    with pytest.raises(InvalidInput, match="is no scheme") as caught:
        identifier_key(scheme, "A")
    assert caught.value.field == "scheme"


def test_a_value_has_a_bound():
    assert identifier_key("vendor", "x" * 64).value == "x" * 64
    with pytest.raises(InvalidInput, match="at most 64 printable characters"):
        identifier_key("vendor", "x" * 65)
    with pytest.raises(InvalidInput, match="at most 64 printable characters"):
        identifier_key("vendor", "a\x00b")


def test_check_digits_of_the_specification():
    assert isin_fault("US0378331005") is None
    assert isin_fault("EZ1234567890") is None
    assert isin_fault("EZ1234567893") == "its check digit is 3 where 0 is due"
    assert cusip_fault("91282CQQ7") is None
    assert sedol_fault("0263494") is None
    assert lei_fault("213800KUD8LAJWSQ9D15") is None
    assert lei_fault("213800KUD8LAJWSQ9D16") == "its check digit is wrong"
