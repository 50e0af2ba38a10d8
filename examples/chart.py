"""Draw the prices of some days, and your own trades on them.

    BINTRIO_ENDPOINT=testnet BINTRIO_API_KEY=... BINTRIO_PRIVATE_KEY_FILE=trading.pem python chart.py chart.svg

Both come by `session.history`, however many pages that takes. Needs matplotlib: ``pip install 'bintrio[plot]'``.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import trio

import bintrio
from bintrio import AccountTrade, Kline
from bintrio.columns import to_columns
from bintrio.history import Progress
from bintrio.settings import Settings

SYMBOL = "BTCUSDT"
DAYS = 3
DAY = 86_400_000  # milliseconds


def show(progress: Progress) -> None:
    """How far it is, on the standard error."""
    print(f"\r{progress.part:.0%}", end="", file=sys.stderr, flush=True)


async def read(session: bintrio.Session) -> tuple[list[Kline], list[AccountTrade]]:
    """The candlesticks and the own trades of the last days."""
    start, history = session.now() - DAYS * DAY, session.history
    pages = history.klines(symbol=SYMBOL, interval="5m", start_time=start).with_progress(show)
    klines = [kline async for kline in pages]
    return klines, [trade async for trade in history.my_trades(symbol=SYMBOL, start_time=start)]


def draw(klines: list[Kline], trades: list[AccountTrade], path: Path) -> None:
    """Closing prices as a line, buys and sells as arrows."""
    figures: Any = importlib.import_module("matplotlib.figure")
    figure = figures.Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    candles = to_columns(klines, kind=Kline, numbers="float64", times="datetime")
    axes.plot(candles["open_time"], candles["close"], color="#2a6f97", linewidth=1, label="close")
    for is_buyer, marker, color, label in ((True, "^", "#2b9348", "bought"), (False, "v", "#c1121f", "sold")):
        own = [trade for trade in trades if trade.is_buyer is is_buyer]
        points = to_columns(own, kind=AccountTrade, numbers="float64", times="datetime")
        axes.scatter(
            points["time"], points["price"], marker=marker, color=color, label=f"{label}: {len(own)}", zorder=2
        )
    axes.legend(frameon=False)
    axes.set_title(SYMBOL, loc="left")
    figure.savefig(path)


async def main(path: Path) -> None:
    async with Settings.from_env().open_session() as session:
        draw(*await read(session), path)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
