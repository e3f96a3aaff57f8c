"""FIGI syntax and check digits, on FIGIs that exist."""

import pytest

from markets.engine.identifiers import figi_check_digit, figi_fault

REAL = [
    "BBG00FNFPQH4",
    "BBG0013HGRV5",
    "BBG01SWCTHK4",
    "BBG000KKFC45",
    "BBG0221YLR31",
    "BBG000B9XRY4",
    "BBG001S5N8V8",
    "BBG000BVPV84",
    "BBG009S39JX6",
    "BBG000BLNNH6",
    "BBG000BPH459",
]


@pytest.mark.parametrize("figi", REAL)
def test_real_figis(figi: str) -> None:
    assert figi_fault(figi) is None
    assert figi_check_digit(figi[:11]) == figi[11]


@pytest.mark.parametrize("figi", REAL)
def test_every_wrong_check_digit_is_found(figi: str) -> None:
    for digit in set("0123456789") - {figi[11]}:
        assert figi_fault(figi[:11] + digit) == f"its check digit is {digit} where {figi[11]} is due"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "it has 0 characters, not 12"),
        ("BBG000B9XRY", "it has 11 characters, not 12"),
        ("bbg000b9xry4", "it may hold upper-case consonants and digits only"),
        ("BBG000A9XRY4", "it may hold upper-case consonants and digits only"),
        ("KYG000B9XRY4", "the prefix KY is reserved"),
        ("B1G000B9XRY4", "it begins with two consonants"),
        ("BBB000B9XRY4", "its third character is G"),
        ("BBG000B9XRYX", "it ends with a digit"),
        ("BBG000B9XRY٤", "it ends with a digit"),
    ],
)
def test_faults(text: str, fault: str) -> None:
    assert figi_fault(text) == fault
