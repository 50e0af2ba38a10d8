"""Charts of histories. matplotlib, of the extra ``plot``, is imported only to draw one."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bintrio import InvalidRequest, Kline
from bintrio.columns import to_columns
from bintrio.endpoints import TimeUnit

FORMATS: Final = (".pdf", ".png", ".svg")

_SIZE: Final = (10, 5.5)  # inches
_LINE: Final = "#2a6f97"
_RANGE: Final = "#a9d6e5"


def check_chart(path: Path, kind: type[msgspec.Struct]) -> None:
    """Refuse what cannot be drawn, before anything is asked for.

    Raises:
        InvalidRequest: the rows have no price and time, or the file's name does not end as that of a picture.
    """
    if kind is not Kline and not {"price", "time"} <= set(kind.__struct_fields__):
        raise InvalidRequest(f"there is no chart of {kind.__name__}: it has no price and time", field="plot")
    if path.suffix.lower() not in FORMATS:
        raise InvalidRequest(f"--plot takes a file that ends in {', '.join(FORMATS)}, not {path.name!r}", field="plot")


def draw(
    rows: Sequence[msgspec.Struct], kind: type[msgspec.Struct], path: Path, title: str, time_unit: TimeUnit
) -> None:
    """Draw prices over time, and of candlesticks their range and volume, into a file.

    Raises:
        OSError: it cannot be written.
    """
    figures: Any = importlib.import_module("matplotlib.figure")
    columns = to_columns(rows, kind=kind, numbers="float64", times="datetime", time_unit=time_unit)
    # A figure by itself needs no window, and leaves nothing behind in the program.
    figure = figures.Figure(figsize=_SIZE, layout="constrained")
    (_draw_candles if kind is Kline else _draw_trades)(figure, columns)
    figure.axes[0].set_title(title, loc="left")
    figure.axes[0].set_ylabel("price")
    for axes in figure.axes:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def _draw_candles(figure: Any, columns: dict[str, list[Any]]) -> None:
    prices, volumes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    times = columns["open_time"]
    # A step to the right of each opening: the range holds for the whole candle.
    prices.fill_between(times, columns["low"], columns["high"], color=_RANGE, step="post", label="lowest to highest")
    prices.plot(times, columns["close"], color=_LINE, linewidth=1, drawstyle="steps-post", label="close")
    prices.legend(frameon=False, loc="upper left")
    volumes.fill_between(times, columns["volume"], color=_RANGE, step="post")
    volumes.set_ylabel("volume")


def _draw_trades(figure: Any, columns: dict[str, list[Any]]) -> None:
    axes = figure.subplots()
    axes.plot(columns["time"], columns["price"], color=_LINE, linewidth=0.8, marker=".", markersize=3)
