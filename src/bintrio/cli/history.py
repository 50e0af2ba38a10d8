"""``bintrio history``: what lies beyond one page, as a table, lines of JSON, a CSV file or a chart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import click
import msgspec
from rich.console import Console

from bintrio import InvalidRequest, Request
from bintrio._text import did_you_mean
from bintrio.api._base import python_name
from bintrio.cli._arguments import texts_of, values_of
from bintrio.cli._catalogue import METHODS, needs_key, no_key
from bintrio.cli._charts import check_chart, draw
from bintrio.cli._completion import complete_method, complete_symbol_or_argument
from bintrio.cli._progress import progress_bar
from bintrio.cli._rows import JsonLines, Kept, Sink, open_csv, table_of
from bintrio.cli._running import need, run
from bintrio.cli._target import ENVIRONMENT, Target, with_target
from bintrio.endpoints import TimeUnit
from bintrio.history import History, Progress

READABLE: Final = tuple(name for name in METHODS if hasattr(History, name))
"""The methods that page, by their Python names."""

_RUN: Final = 1_000  # rows that are written at once


def _complete_readable(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The methods that page."""
    return [name for name in complete_method(context, parameter, begun) if python_name(name) in READABLE]


class _Asked(NamedTuple):
    """What is to be read, and where it is to go."""

    request_type: type[Request[Any]]
    texts: dict[str, str]
    csv: Path | None
    plot: Path | None

    @property
    def kind(self) -> type[msgspec.Struct]:
        """Of the rows."""
        kind: type[msgspec.Struct] = get_args(self.request_type.api.result)[0]
        return kind


@click.command(epilog=ENVIRONMENT)
@click.argument("method", shell_complete=_complete_readable)
@click.argument("arguments", nargs=-1, metavar="[SYMBOL] [NAME=VALUE]...", shell_complete=complete_symbol_or_argument)
@with_target
@click.option("--csv", type=click.Path(dir_okay=False, path_type=Path), help="Write a CSV file, with ISO dates.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw prices over time into a .png, .svg or .pdf."
)
def history(method: str, arguments: tuple[str, ...], target: Target, csv: Path | None, plot: Path | None) -> None:
    """Read all klines, trades or orders of a span of time.

    It asks for as many pages as it takes. METHOD is klines, trades.aggregate, myTrades, allOrders or another that
    pages, and the NAMEs are those of its parameters; start_time and end_time may be ISO dates:

        bintrio history klines BTCUSDT interval=1h start_time=2026-01-01 --plot january.svg

    It prints the newest rows as a table, or, where the output is no terminal, a line of JSON for each.
    """

    async def read() -> int:
        asked = _Asked(_readable(method), texts_of(_with_symbol(arguments)), csv, plot)
        # Before a session is opened for a picture that cannot be drawn.
        if plot is not None:
            check_chart(plot, asked.kind)
        await _read(asked, target)
        return 0

    if plot is not None:
        # Before anything is read: a long history would be read for nothing.
        need("matplotlib", "plot")
    run(read)


def _readable(method: str) -> type[Request[Any]]:
    name = python_name(method)
    if name not in READABLE:
        known = f"; these do: {', '.join(READABLE)}"
        raise InvalidRequest(f"{method!r} does not page{did_you_mean(name, READABLE) or known}", field="method")
    return METHODS[name]


def _with_symbol(arguments: Sequence[str]) -> list[str]:
    """The symbol may stand first without its name."""
    return [f"symbol={text}" if not place and "=" not in text else text for place, text in enumerate(arguments)]


async def _read(asked: _Asked, target: Target) -> None:
    settings, method = target.settings(), asked.request_type.api.name
    # Said before a session is opened for nothing.
    if settings.key is None and needs_key(asked.request_type):
        raise InvalidRequest(no_key(method))
    values = values_of(asked.request_type, asked.texts, time_unit=settings.time_unit)
    async with settings.open_session() as session:
        pages = getattr(session.history, python_name(method))(**values)
        # Files are closed before the table is printed, also where reading ends in an error.
        with progress_bar(method) as show, ExitStack() as files:

            def tell(progress: Progress) -> None:
                show(progress.part, f"{progress.rows} rows")

            kept, sinks = _sinks(asked, files, settings.time_unit)
            await _copy(pages.with_progress(tell), sinks)
    title = " ".join((method, *(text for name, text in asked.texts.items() if name in {"symbol", "interval"})))
    _show(asked, kept, title, settings.time_unit)


def _sinks(asked: _Asked, files: ExitStack, time_unit: TimeUnit) -> tuple[Kept, list[Sink]]:
    """Where the rows go. What is shown as a whole is kept meanwhile."""
    kept = Kept()
    sinks: list[Sink] = []
    if asked.csv is not None:
        sinks.append(files.enter_context(open_csv(asked.csv, asked.kind, time_unit)))
    # A chart and a table show all rows at once; CSV and JSON go out as they come.
    if asked.plot is not None or (asked.csv is None and Console().is_terminal):
        sinks.append(kept)
    return kept, sinks or [JsonLines()]


async def _copy(rows: AsyncIterator[msgspec.Struct], sinks: Sequence[Sink]) -> None:
    run = list[msgspec.Struct]()
    async for row in rows:
        run.append(row)
        if len(run) >= _RUN:
            _hand_on(run, sinks)
            run = []
    _hand_on(run, sinks)


def _hand_on(rows: Sequence[msgspec.Struct], sinks: Sequence[Sink]) -> None:
    for sink in sinks:
        sink.take(rows)


def _show(asked: _Asked, kept: Kept, title: str, time_unit: TimeUnit) -> None:
    if asked.plot is not None:
        draw(kept.rows, asked.kind, asked.plot, title, time_unit)
    elif kept.rows:
        console = Console()
        console.print(table_of(kept.rows, asked.kind, time_unit, console, "--csv FILE"))
