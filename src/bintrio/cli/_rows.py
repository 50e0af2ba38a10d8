"""Rows of a history, written as a table, as CSV, or as lines of JSON."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol

import click
import msgspec
from rich import box
from rich.table import Table

from bintrio import to_json
from bintrio.cli._figures import short
from bintrio.columns import to_columns
from bintrio.endpoints import TimeUnit

SHOWN: Final = 20
"""Rows of a table: the newest."""


class Sink(Protocol):
    """Where rows go, in runs."""

    def take(self, rows: Sequence[msgspec.Struct]) -> None:
        """Take the next rows."""
        ...


class JsonLines:
    """A line of JSON on the standard output for each row, in the words of the exchange."""

    def take(self, rows: Sequence[msgspec.Struct]) -> None:
        """Write them."""
        for row in rows:
            click.echo(to_json(row))


class Csv:
    """A CSV file: a line for each row, with ISO dates, and a head of names.

    Args:
        file: an open file.
        kind: of the rows.
        time_unit: of their times.
    """

    def __init__(self, file: Any, kind: type[msgspec.Struct], time_unit: TimeUnit) -> None:
        self._kind = kind
        self._time_unit: TimeUnit = time_unit
        self._names: Final = list(to_columns((), kind=kind))
        self._writer = csv.writer(file)
        self._writer.writerow(self._names)

    def take(self, rows: Sequence[msgspec.Struct]) -> None:
        """Write them."""
        for cells in _cells(rows, self._names, self._time_unit):
            self._writer.writerow([_text(cell) for cell in cells])


class Kept:
    """Keeps all rows, for who wants to see them as a whole.

    Attributes:
        rows: all of them.
    """

    def __init__(self) -> None:
        self.rows: Final = list[msgspec.Struct]()

    def take(self, rows: Sequence[msgspec.Struct]) -> None:
        """Keep them."""
        self.rows.extend(rows)


@contextmanager
def open_csv(path: Path, kind: type[msgspec.Struct], time_unit: TimeUnit) -> Generator[Csv]:
    """A CSV file to write to.

    Raises:
        OSError: it cannot be written.
    """
    # The csv module ends lines by itself, so Python must not change them.
    with path.open("w", newline="", encoding="utf-8") as file:
        yield Csv(file, kind, time_unit)


def table_of(rows: Sequence[msgspec.Struct], kind: type[msgspec.Struct], time_unit: TimeUnit) -> Table:
    """The newest rows as a table; numbers stand flush right."""
    names = list(to_columns((), kind=kind))
    more = len(rows) - SHOWN
    caption = f"the newest {SHOWN} of {len(rows)}" if more > 0 else None
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", caption=caption)
    newest = rows[-SHOWN:]
    for name in names:
        # A field may be None in some rows, so one number is enough.
        is_number = any(isinstance(getattr(row, name, None), int | Decimal) for row in newest)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for cells in _cells(newest, names, time_unit):
        table.add_row(*map(_shown, cells))
    return table


def _cells(rows: Sequence[msgspec.Struct], names: Sequence[str], time_unit: TimeUnit) -> Iterator[Sequence[Any]]:
    """What stands in each row, in the order of the names."""
    # A column that no row has is not there: its cells are empty.
    columns = to_columns(rows, times="datetime", time_unit=time_unit)
    return zip(*(columns.get(name, [None] * len(rows)) for name in names), strict=True)


def _shown(cell: Any) -> str:
    """In a table, times are broken between date and time, and end with milliseconds."""
    return cell.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] if isinstance(cell, datetime) else _text(cell)


def _text(cell: Any) -> str:
    """A cell in words: times as ISO dates, numbers without zeros at their ends, nothing for what is not there."""
    if cell is None:
        return ""
    # Written as in JSON.
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, datetime):
        return cell.isoformat().replace("+00:00", "Z")
    return short(cell) if isinstance(cell, Decimal) else str(cell)
