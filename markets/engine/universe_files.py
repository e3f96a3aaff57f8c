"""Reads spells of membership from a CSV or Parquet file: who, from which day, to which; every wrong row is named."""

import csv
import datetime as dt
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from markets.exceptions import InvalidInput

NAME_COLUMNS = ("ticker", "identifier", "asset_identifier", "unique_identifier", "figi")
START, END = "start_date", "end_date"
EARLIEST, LATEST = dt.date(1900, 1, 1), dt.date(2199, 12, 31)
FAULTS_IN_MESSAGE = 10


@dataclass(frozen=True)
class FileSpell:
    """One row: the asset's name in the file, and [start, end) in days; `end` None is open. `line` counts from 1."""

    line: int
    name: str
    start: dt.date
    end: dt.date | None


@dataclass(frozen=True)
class UniverseFile:
    """`name_column` is one of NAME_COLUMNS; `ignored_columns` were in the file and mean nothing here."""

    name_column: str
    spells: list[FileSpell]
    ignored_columns: list[str]


def read_universe_file(path: str | Path) -> UniverseFile:
    """Read the columns ticker (or identifier, asset_identifier, unique_identifier, figi), start_date and end_date.

    Dates are written 2026-01-31; an empty end_date is open. Raises InvalidInput naming file, lines, values and remedy.
    """
    path = Path(path)
    try:
        header, rows = _load(path)
    except FileNotFoundError:
        raise InvalidInput(
            f"{path} does not exist. Check the path on the machine that runs MSM.", field="path"
        ) from None
    except IsADirectoryError:
        raise InvalidInput(f"{path} is a directory. Name one CSV or Parquet file.", field="path") from None
    except PermissionError:
        raise InvalidInput(f"{path} cannot be read by this user. Change its permissions.", field="path") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.", field="path") from error
    except (pa.ArrowException, csv.Error, OSError, EOFError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}.", field="path") from error
    names = [str(name).strip().lower() for name in header]
    name_column = _check_header(names, path)
    places = [names.index(name) for name in (name_column, START, END)]
    spells: list[FileSpell] = []
    faults: list[str] = []
    for line, row in rows:
        try:
            if len(row) != len(names):
                raise ValueError(f"{len(row)} cells under {len(names)} columns")
            spells.append(_spell(line, *(row[place] for place in places)))
        except ValueError as error:
            faults.append(f"line {line}: {error}")
    if faults:
        more = f"; and {len(faults) - FAULTS_IN_MESSAGE:,} more" if len(faults) > FAULTS_IN_MESSAGE else ""
        raise InvalidInput(
            f"{path} has {len(faults):,} wrong row{'' if len(faults) == 1 else 's'}: "
            f"{'; '.join(faults[:FAULTS_IN_MESSAGE])}{more}. Correct the file; nothing was changed.",
            field="path",
        )
    if not spells:
        raise InvalidInput(f"{path} has a header and no rows. Check where it comes from.", field="path")
    used = {name_column, START, END}
    return UniverseFile(name_column, spells, [name for name in names if name not in used])


def _load(path: Path) -> tuple[list[str], Iterator[tuple[int, list[Any]]]]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".parquet"]:
        table = pq.read_table(path)
        columns = [column.to_pylist() for column in table.columns]
        return list(table.column_names), enumerate((list(row) for row in zip(*columns, strict=True)), start=1)
    if suffixes[-1:] == [".csv"]:
        text = path.read_bytes().decode("utf-8-sig")
    elif suffixes[-2:] == [".csv", ".gz"]:
        text = gzip.decompress(path.read_bytes()).decode("utf-8-sig")
    elif path.is_dir():
        raise IsADirectoryError
    else:
        raise InvalidInput(f"{path} is neither .csv, .csv.gz nor .parquet.", field="path")
    reader = csv.reader(text.splitlines(), strict=True)
    header = next(reader, [])
    rows = [(reader.line_num, row) for row in reader if row]
    return header, iter(rows)


def _check_header(names: list[str], path: Path) -> str:
    found = [name for name in NAME_COLUMNS if name in names]
    twice = sorted({name for name in (*found, START, END) if names.count(name) > 1})
    missing = [name for name in (START, END) if name not in names]
    if len(found) == 1 and not missing and not twice:
        return found[0]
    if twice:
        fault = f"has the column {', '.join(twice)} twice"
    elif len(found) > 1:
        fault = f"names assets by {' and by '.join(found)}: keep one"
    else:
        fault = f"lacks the column {', '.join(([] if found else ['ticker']) + missing)}"
    shown = ", ".join(names[:20]) or "none"
    raise InvalidInput(
        f"{path} {fault}. It has {shown}; needed are one of {', '.join(NAME_COLUMNS)}, and {START} and {END}.",
        field="path",
    )


def _spell(line: int, name: object, start: object, end: object) -> FileSpell:
    if not isinstance(name, str) or not name.strip():
        raise ValueError("no asset is named" if name in (None, "") or isinstance(name, str) else f"{name!r} is no text")
    first = _day(start, START)
    last = _day(end, END)
    if first is None:
        raise ValueError(f"{START} is empty")
    if last is not None and last < first:
        raise ValueError(f"{END} {last} is before {START} {first}")
    return FileSpell(line, name.strip(), first, last)


def _day(value: object, column: str) -> dt.date | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    day: dt.date | None = None
    if isinstance(value, dt.datetime):
        day = value.date() if value.time() == dt.time() else None
    elif isinstance(value, dt.date):
        day = value
    elif isinstance(value, str) and len(value.strip()) == 10:
        try:
            day = dt.date.fromisoformat(value.strip())
        except ValueError:
            day = None
    if day is None:
        raise ValueError(f"{column} {str(value)[:40]!r} is no date such as 2026-01-31")
    if not EARLIEST <= day <= LATEST:
        raise ValueError(f"{column} {day} must lie between {EARLIEST} and {LATEST}")
    return day
