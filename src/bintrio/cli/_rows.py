"""Rows of a history or of a result, written as a table, as CSV, or as lines of JSON."""

from __future__ import annotations

import csv
from collections.abc import Container, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from bintrio import to_json
from bintrio.api._values import times_in
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


def table_of(
    rows: Sequence[msgspec.Struct], kind: type[msgspec.Struct], time_unit: TimeUnit, console: Console, whole: str
) -> Table:
    """The newest rows as a table with as many columns as the console has room for; numbers stand flush right.

    Below it stands what is the same in each row, and which columns found no room; ``whole`` is the option that gives
    them all.
    """
    # What is looked for on a terminal is what happened last.
    newest = rows[-SHOWN:]
    columns = _columns(newest, list(to_columns((), kind=kind)), time_unit)
    cells = {name: list(map(_shown, column)) for name, column in columns.items()}
    # The symbol, say: in a column of its own it would take the room of one that tells something.
    alike = _alike(cells)
    # What no row has is no column.
    told = {name: texts for name, texts in cells.items() if name not in alike and (any(texts) or not newest)}
    times = [name for name in told if name in times_in(kind)]
    table, left_out = _fitting(told, times[:1], _numbers(columns), console)
    table.caption_justify = "left"
    table.caption = "\n".join(_below(len(rows), alike, left_out, whole)) or None
    return table


def _fitting(
    cells: Mapping[str, Sequence[str]], first: Sequence[str], numbers: Container[str], console: Console
) -> tuple[Table, list[str]]:
    """A table of as many columns as there is room for, and the names of the others."""
    # The narrowest stay, since they are the most; the first time leads, since without it the rest says little.
    cells = {name: cells[name] for name in (*first, *cells)}
    wanted = sorted(cells, key=lambda name: (name not in first, _width(name, cells)))
    table = _table(cells, list(cells), numbers)
    # Cells that are broken in the middle of a number cannot be read.
    while len(wanted) > 1 and _least_width(table, console) > console.width:
        wanted.pop()
        table = _table(cells, [name for name in cells if name in wanted], numbers)
    return table, [name for name in cells if name not in wanted]


def _numbers(columns: Mapping[str, Sequence[Any]]) -> set[str]:
    """The names of columns of numbers. A field may be None in some rows, so one number is enough."""
    return {name for name, column in columns.items() if any(isinstance(cell, int | Decimal) for cell in column)}


def _width(name: str, cells: Mapping[str, Sequence[str]]) -> int:
    return max(map(len, (name, *cells[name])))


def _least_width(table: Table, console: Console) -> int:
    """At which no word is broken: a date and its time may stand below each other."""
    # Beyond the width that it is given, a table is not measured.
    return console.measure(table, options=console.options.update(width=10_000)).minimum


def _alike(cells: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What stands in each of several rows, by the name of its column."""
    return {name: texts[0] for name, texts in cells.items() if len(texts) > 1 and len(set(texts)) == 1}


def _table(cells: Mapping[str, Sequence[str]], names: Sequence[str], numbers: Container[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for name in names:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in zip(*(cells[name] for name in names), strict=True):
        table.add_row(*row)
    return table


def _below(count: int, alike: Mapping[str, str], left_out: Sequence[str], whole: str) -> Iterator[str]:
    if count > SHOWN:
        yield f"the last {SHOWN} of {count}"
    same = ", ".join(f"{name} {text}" for name, text in alike.items() if text)
    if same:
        yield f"in each row: {same}"
    if left_out:
        yield f"no room for {', '.join(left_out)}; {whole} has them"


def _cells(rows: Sequence[msgspec.Struct], names: Sequence[str], time_unit: TimeUnit) -> Iterator[Sequence[Any]]:
    """What stands in each row, in the order of the names."""
    return zip(*_columns(rows, names, time_unit).values(), strict=True)


def _columns(rows: Sequence[msgspec.Struct], names: Sequence[str], time_unit: TimeUnit) -> dict[str, Sequence[Any]]:
    # A column that no row has is not there: its cells are empty.
    found = to_columns(rows, times="datetime", time_unit=time_unit)
    return {name: found.get(name, [None] * len(rows)) for name in names}


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
