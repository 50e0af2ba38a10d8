"""``bintrio latency``: how long a call takes, by percentile."""

from __future__ import annotations

from collections.abc import Sequence

import click
import msgspec
import trio
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from bintrio.cli._latency import Bar, Latency, RoundTrips, bars_of
from bintrio.cli._progress import progress_bar
from bintrio.cli._running import run
from bintrio.cli._target import ENVIRONMENT, Target, with_target

_METHOD = "ping"
_BARS = 10
_WIDTH = 40  # characters of the longest bar


@click.command(epilog=ENVIRONMENT)
@with_target
@click.option("--count", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many calls.")
@click.option(
    "--pause", type=click.FloatRange(0, 60), default=0.05, show_default=True, help="Seconds between two calls."
)
def latency(target: Target, count: int, pause: float) -> None:
    """Measure round trips to the exchange.

    They are pings, of weight 1 each, one after the other on a connection that is open. It prints percentiles and a
    chart, or, where the output is no terminal, the percentiles as JSON, in milliseconds.
    """

    async def measure() -> int:
        # By the facts of the session, so that the time in this loop is no part of them.
        trips = RoundTrips(count)
        async with target.settings().open_session(observer=trips) as session:
            with progress_bar(f"{count} calls") as show:
                for number in range(count):
                    await session.ping()
                    show((number + 1) / count, f"{number + 1} of {count}")
                    await trio.sleep(pause)
        _print(list(trips.by_method[_METHOD]), next(each for each in trips.latencies() if each.method == _METHOD))
        return 0

    run(measure)


def _print(seconds: Sequence[float], found: Latency) -> None:
    console = Console()
    if console.is_terminal:
        console.print(chart(found, bars_of(seconds, _BARS)))
    else:
        click.echo(msgspec.json.encode(found))


def chart(found: Latency, bars: Sequence[Bar]) -> RenderableType:
    """Percentiles, and below them how many calls took how long."""
    table = Table(box=None, header_style="dim")
    for column in ("ms", "calls", "best", "p50", "p90", "p99", "worst"):
        table.add_column(column, justify="left" if column == "ms" else "right")
    figures = (found.best, found.p50, found.p90, found.p99, found.worst)
    table.add_row(found.method, str(found.count), *(f"{each:.2f}" for each in figures))
    most = max(bar.calls for bar in bars)
    chart = Table.grid(padding=(0, 1))
    for bar in bars:
        length = -(-bar.calls * _WIDTH // most)  # rounded up, so that a single call is seen
        chart.add_row(f"{bar.first:8.2f} to {bar.end:8.2f}", Text("█" * length, "green"), str(bar.calls))
    return Group(table, Text(), chart)
