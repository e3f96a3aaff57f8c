"""What one cell of an uploaded file says: identifiers stay text, and text that a spreadsheet has changed is refused."""

import datetime as dt
import math
import re
from decimal import Decimal
from typing import Literal

Kind = Literal["identifier", "text", "flag"]
REMEDY = "Format the column as text in the spreadsheet and enter the value anew."
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d+)?E[+-]\d+", re.IGNORECASE)
_SPREADSHEET_ERRORS = {"#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!"}
_YES, _NO = {"true", "yes", "y", "t", "1"}, {"false", "no", "n", "f", "0"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets take these too


def read_cell(value: object, kind: Kind) -> str | bool | None:
    """The value of a cell, None where there is nothing. Raises ValueError with the reason and the remedy."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    if kind == "flag":
        return _flag(value)
    if isinstance(value, str):
        text = value.strip()
        if text in _SPREADSHEET_ERRORS:
            raise ValueError(f"The cell holds the spreadsheet's error {text}. Correct the cell, or leave it empty.")
        if kind == "identifier" and _SCIENTIFIC.fullmatch(text):
            raise ValueError(
                f"{text} is a number in scientific notation: the spreadsheet has replaced the identifier. {REMEDY}"
            )
        return text
    if kind == "identifier":
        raise ValueError(_lost(value))
    return _plain_text(value)


def shown_cell(value: object) -> str | None:
    """The cell as text, for a person to recognise it; what no text can hold is replaced."""
    if value is None:
        return None
    text = value if isinstance(value, str) else _isoformat(value)
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def harmless_cell(value: object) -> str:
    """The text of a cell in a file meant for spreadsheets: one that would begin a formula is preceded by `'`."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    if word in _YES or word in _NO:
        return word in _YES
    raise ValueError(f"{_quoted(value)} is neither yes nor no. Write true or false.")


def _lost(value: object) -> str:
    if isinstance(value, bool):
        return f"The cell is the truth value {value}, not text. {REMEDY}"
    if isinstance(value, int | float | Decimal):
        return f"The cell is the number {_quoted(value)}, so leading zeros and digits may be lost. {REMEDY}"
    if isinstance(value, dt.date | dt.datetime | dt.time):
        return f"The cell is the date {_quoted(value)}: the spreadsheet has replaced the identifier. {REMEDY}"
    return f"The cell is no text but {_quoted(value)}. {REMEDY}"


def _plain_text(value: object) -> str:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        try:
            return str(value)
        except ValueError:  # an integer of thousands of digits
            pass
    raise ValueError(_lost(value))


def _quoted(value: object) -> str:
    return _isoformat(value)[:60]


def _isoformat(value: object) -> str:
    if isinstance(value, dt.date | dt.datetime | dt.time):
        return value.isoformat()
    try:
        return str(value)
    except ValueError:  # an integer of thousands of digits
        return f"a {type(value).__name__}"
