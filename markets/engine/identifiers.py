"""Check digits of public identifiers."""

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
