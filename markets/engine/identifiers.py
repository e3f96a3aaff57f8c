"""Check digits of public identifiers, and how each is written."""

from stdnum import cusip, isin, lei
from stdnum.exceptions import InvalidChecksum, ValidationError
from stdnum.gb import sedol

_CONSONANTS = frozenset("BCDFGHJKLMNPQRSTVWXYZ")
_DIGITS = frozenset("0123456789")
_RESERVED_FIGI_PREFIXES = frozenset({"BS", "BM", "GG", "GB", "GH", "KY", "VG"})


def figi_check_digit(body: str) -> str:
    """The last character of the FIGI that begins with these 11 characters.

    Letters count A=10 … Z=35; every second value is doubled; the decimal digits are summed; modulus 10 (OMG FIGI 1.0).
    """
    values = [int(character, 36) * (1 + position % 2) for position, character in enumerate(body)]
    return str(-sum(sum(divmod(value, 10)) for value in values) % 10)


def figi_fault(text: str) -> str | None:
    """What is wrong with a FIGI, None when its syntax and check digit are right."""
    if len(text) != 12:
        return f"it has {len(text)} characters, not 12"
    if not set(text[:11]) <= _CONSONANTS | _DIGITS:
        return "it may hold upper-case consonants and digits only"
    if text[:2] in _RESERVED_FIGI_PREFIXES:
        return f"the prefix {text[:2]} is reserved"
    if not set(text[:2]) <= _CONSONANTS:
        return "it begins with two consonants"
    if text[2] != "G":
        return "its third character is G"
    if text[11] not in _DIGITS:
        return "it ends with a digit"
    expected = figi_check_digit(text[:11])
    if text[11] != expected:
        return f"its check digit is {text[11]} where {expected} is due"
    return None


def isin_fault(text: str) -> str | None:
    """What is wrong with an ISIN; the prefix EZ of OTC derivatives is one of its countries."""
    if text.startswith("EZ"):  # stdnum does not know it
        if len(text) != 12 or not (text.isascii() and text.isalnum()):
            return "it has 12 letters and digits"
        expected = isin.calc_check_digit(text[:-1])
        return None if text[-1] == expected else f"its check digit is {text[-1]} where {expected} is due"
    return _fault(isin, text, 12, "it has two letters, nine letters or digits, and a check digit")


def cusip_fault(text: str) -> str | None:
    """What is wrong with a CUSIP or a CINS."""
    return _fault(cusip, text, 9, "it has eight letters or digits and a check digit")


def sedol_fault(text: str) -> str | None:
    return _fault(sedol, text, 7, "it has six digits or consonants and a check digit")


def lei_fault(text: str) -> str | None:
    return _fault(lei, text, 20, "it has 18 letters or digits and two check digits")


def _fault(module: object, text: str, length: int, shape: str) -> str | None:
    """The library strips blanks and folds case; here the text has to be right as it stands."""
    if len(text) != length or not text.isascii() or not text.isprintable() or text != text.upper() or " " in text:
        return shape if len(text) == length else f"it has {len(text)} characters, not {length}"
    try:
        module.validate(text)  # type: ignore[attr-defined]
    except InvalidChecksum:
        return "its check digit is wrong"
    except ValidationError:
        return shape
    return None
