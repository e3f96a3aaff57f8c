"""Reads AlgoSeek's small CSV files line by line within bounds, and gathers every fault of a file before it is refused.

Bars, of which there are millions, are read by `algoseek_bars`.
"""

import csv
import datetime as dt
import difflib
import functools
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from markets.exceptions import InvalidInput, clipped

MOST_FAULTS = 50  # a person mends the first ones and looks again
LONGEST_LINE = 2**20  # bytes: a thousand times what a security with a long history takes
MOST_BYTES = 2**29  # unpacked: a master of every US security that ever was takes a tenth of it
NEW_YORK = "America/New_York"
ONGOING = ("20991231", "29991231")  # both are used as the end of what still holds


class Faults:
    """The faults of one file, each with its line; raised together."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.count = 0
        self.texts: list[str] = []

    def add(self, line: int, problem: str) -> None:
        self.count += 1
        if len(self.texts) < MOST_FAULTS:
            self.texts.append(f"line {line}: {problem}")

    def raise_any(self) -> None:
        """Raise InvalidInput telling all of them, the first fifty by line."""
        if not self.count:
            return
        more = f"; and {self.count - len(self.texts):,} more" if self.count > len(self.texts) else ""
        raise InvalidInput(
            f"{self.path} has {self.count:,} fault{'' if self.count == 1 else 's'}, and nothing of it was used. "
            f"{'; '.join(self.texts)}{more}. Correct the file, or ask its vendor to.",
            field="path",
        )


@dataclass(frozen=True)
class Header:
    """The columns of a file in their order, as it spells them; `places` maps each to its position."""

    names: tuple[str, ...]

    @property
    def places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}


def checked_header(
    names: Sequence[str], path: str | Path, *, required: Sequence[str], known: Sequence[str], what: str
) -> Header:
    """The header with its names stripped. Raises InvalidInput for blank, repeated and missing columns, all at once."""
    stripped = tuple(name.strip() for name in names)
    lowered = [name.lower() for name in stripped]
    problems = []
    if "" in stripped:
        problems.append(f"column {stripped.index('') + 1} has no name")
    twice = sorted({name for name in stripped if lowered.count(name.lower()) > 1})
    if twice:
        problems.append(f"{', '.join(map(clipped, twice))} stands in the header more than once")
    missing = [name for name in required if name not in stripped]
    for name in missing:
        strangers = [other for other in stripped if other not in known]
        near = difflib.get_close_matches(name, strangers, n=1)
        problems.append(f"the column {name} is missing" + (f" (is {near[0]!r} meant for it?)" if near else ""))
    if problems:
        raise InvalidInput(f"{path} is no {what}: {'; '.join(problems)}. It needs {', '.join(required)}.", field="path")
    return Header(stripped)


def text_rows(path: str | Path, faults: Faults, *, most_bytes: int = MOST_BYTES) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each row, the header first; a line is that on which the row begins. Blank lines are passed over.

    `path` ends with .csv or .csv.gz. Rows with more or fewer cells than the header are faults and left out. Raises
    InvalidInput for a file that cannot be read or is too large.
    """
    path = Path(path)
    with open_csv(path) as stream:
        lines = _lines(stream, path, most_bytes)
        reader = csv.reader(lines, strict=True)
        width, begins = 0, 1
        try:
            for cells in reader:
                line, begins = begins, reader.line_num + 1
                if not cells or not any(cell.strip() for cell in cells):
                    continue
                if not width:
                    width = len(cells)
                if len(cells) != width:
                    faults.add(line, f"{len(cells)} cells where the header has {width}")
                    continue
                yield line, cells
        except csv.Error as error:
            raise InvalidInput(
                f"{path}, line {begins}: {str(error).rstrip('.')}. Check its quotes: a cell with a comma, a quote or a "
                "line break stands in double quotes.",
                field="path",
            ) from error
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidInput(f"{path} cannot be unpacked: {error}. Fetch it again.", field="path") from error


def open_csv(path: Path) -> BinaryIO:
    """The file's unpacked bytes. Raises InvalidInput for one that is not there, may not be read or is no .csv."""
    name = path.name.lower()
    if not name.endswith((".csv", ".csv.gz")):
        raise InvalidInput(f"{path} is neither .csv nor .csv.gz.", field="path")
    try:
        if path.is_dir():
            raise InvalidInput(f"{path} is a directory. Name one CSV file.", field="path")
        return gzip.open(path, "rb") if name.endswith(".gz") else path.open("rb")  # type: ignore[return-value]
    except FileNotFoundError:
        raise InvalidInput(
            f"{path} does not exist. Check the path on the machine that runs MSM.", field="path"
        ) from None
    except PermissionError:
        raise InvalidInput(f"{path} cannot be read by this user. Change its permissions.", field="path") from None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{clipped(str(path))} cannot be opened: {error}.", field="path") from error


def _lines(stream: BinaryIO, path: Path, most_bytes: int) -> Iterator[str]:
    size = 0
    number = 0
    while True:
        data = stream.readline(LONGEST_LINE + 1)
        if not data:
            return
        number += 1
        size += len(data)
        if len(data) > LONGEST_LINE:
            raise InvalidInput(
                f"{path}, line {number} is longer than {LONGEST_LINE:,} bytes. It is no file of AlgoSeek.", field="path"
            )
        if size > most_bytes:
            raise InvalidInput(
                f"{path} holds more than {most_bytes // 2**20:,} MiB of text. Split it, or check where it comes from.",
                field="path",
            )
        if number == 1:
            data = data.removeprefix(b"\xef\xbb\xbf")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"{path}, line {number} is not UTF-8 text (byte {error.start + 1} of the line). Save it as UTF-8.",
                field="path",
            ) from error
        if "\x00" in text:
            raise InvalidInput(f"{path}, line {number} holds a NUL character. Fetch the file again.", field="path")
        yield text


def tokens(cell: str) -> list[str]:
    """The parts of a `;`-list, blank ones too; nothing for a blank cell."""
    return [part.strip() for part in cell.split(";")] if cell.strip() else []


def distinct_tokens(cell: str) -> tuple[str, ...]:
    """The parts of a `;`-list in their order, each once, without blank ones."""
    return tuple(dict.fromkeys(part for part in tokens(cell) if part))


@functools.lru_cache(maxsize=50_000)
def parse_date(text: str) -> dt.date:
    """A date written yyyymmdd. Raises ValueError with the reason."""
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        raise ValueError(f"{clipped(text)!r} is no date; dates are written yyyymmdd")
    try:
        return dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise ValueError(f"{text!r} is no day of the calendar") from None


def parse_end(text: str) -> dt.date | None:
    """The last day of a range, None for one that still holds."""
    return None if text in ONGOING else parse_date(text)


def parse_secid(text: str) -> int:
    """A SecId. Raises ValueError with the reason."""
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or int(text) == 0:
        raise ValueError(f"SecId={clipped(text)!r} is no whole number above zero")
    return int(text)


def new_york_to_utc(dates: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """(n,) datetime64[ns] UTC of New York's wall clock.

    `dates` (n,) datetime64[D]; `seconds` (n,) float64 since midnight, NaN where unknown. NaT where the time is unknown,
    and in the hour that a change of the clock leaves out or repeats.
    """
    known = ~np.isnan(seconds)
    nanoseconds = np.where(known, np.round(np.where(known, seconds, 0.0) * 1e6), 0).astype(np.int64) * 1_000
    local = dates.astype("M8[ns]") + nanoseconds.astype("m8[ns]")
    local[~known] = np.datetime64("NaT")
    there = pd.DatetimeIndex(local).tz_localize(NEW_YORK, ambiguous="NaT", nonexistent="NaT")
    return (
        there.tz_convert("UTC").tz_localize(None).to_numpy(dtype="M8[ns]").copy()
    )  # pandas keeps its own from writers


def named_lines(lines: Iterable[int], shown: int = 5) -> str:
    """'line 3' or 'lines 3, 5, …', for a message."""
    listed = list(lines)
    text = ", ".join(map(str, listed[:shown])) + (", …" if len(listed) > shown else "")
    return f"line{'' if len(listed) == 1 else 's'} {text}"
