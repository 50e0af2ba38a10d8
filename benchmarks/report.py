"""What was measured, as Markdown, JSON and SVG, and held against what must hold."""

from __future__ import annotations

import importlib
import json
import platform
import statistics
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Figures = dict[str, float]
Measured = dict[str, dict[str, list[Figures]]]
"""By client and row: one set of figures for each round."""


class Conditions(NamedTuple):
    """How it was measured: so many rounds, each row for so many seconds, on what day (as ISO 8601 has it)."""

    rounds: int
    seconds: float
    tls: bool = False
    day: str = ""


OURS: Final = "bintrio"
PEERS: Final = ("binance-sdk-spot", "python-binance", "ccxt.pro", "unicorn-binance-websocket-api")
PLAIN: Final = "trio-websocket, plainly"
LIMIT: Final = "picows + msgspec, by hand"
FLOOR: Final = "trio TCP, the floor"
PACKAGES: Final = (
    *("trio", "trio-websocket", "websockets", "msgspec", "picows", "uvloop"),
    *("binance-sdk-spot", "python-binance", "ccxt", "unicorn-binance-websocket-api"),
)

MORE_IS_BETTER: Final = frozenset({"calls/s", "events/s"})
UNITS: Final = {
    "p50": "p50, us",
    "p99": "p99, us",
    "CPU": "CPU, us each",
    "seconds": "s",
    "milliseconds": "ms",
    "megabytes": "MB resident",
    "on the wire": "on the wire, ms",
    "answered": "answered, ms",
}
CALLS_SCALE: Final = "CPU per call, by calls in flight"
SYMBOLS_SCALE: Final = "CPU per symbol, by symbols in exchangeInfo"
SUBSCRIBERS_SCALE: Final = "CPU per event and subscriber, by subscribers"
SCALES: Final = (CALLS_SCALE, SYMBOLS_SCALE, SUBSCRIBERS_SCALE)
"""Rows whose figures are microseconds by a number."""

BARS: Final = {
    ("order, 32 in flight", "calls/s"): "signed orders a second, 32 in flight",
    ("order, 1 in flight", "p50"): "median latency of an order, 1 in flight, us",
    ("order, 32 in flight", "CPU"): "CPU time for an order, 32 in flight, us",
    ("events to 1", "events/s"): "user-data events a second, one subscriber",
}
COLOURS: Final = {"bar": "#9aa4b2", "ours": "#d97706", "text": "#1f2937"}


# What must hold


class Bound(NamedTuple):
    """What bintrio's figure must be, as a multiple of another client's: at least if more is better, else at most."""

    row: str
    figure: str
    other: str
    factor: float


BOUNDS: Final = (
    *(Bound("order, 32 in flight", "calls/s", peer, 5) for peer in PEERS[:3]),
    Bound("order, 32 in flight", "calls/s", PLAIN, 4),
    Bound("order, 32 in flight", "CPU", LIMIT, 1.8),
    *(Bound("order, 1 in flight", "p50", peer, 1 / 3) for peer in PEERS),
    Bound("order, 1 in flight", "p50", FLOOR, 1.5),
    *(Bound("order, 32 in flight", "p99", peer, 1) for peer in PEERS),
    *(Bound("events to 1", "events/s", peer, 5) for peer in PEERS),
    Bound("start", "seconds", PEERS[0], 1 / 3),
    *(Bound("start", "megabytes", peer, 1) for peer in PEERS),
)
ROTATION_FAILURES: Final = 0
ROTATION_EXTRA: Final = 20.0  # milliseconds
GROWTH: Final = 1.0  # megabytes


def verdicts(measured: Measured) -> Iterator[tuple[str, str, bool]]:
    """What must hold, what was measured, and whether it holds; without what was not measured."""
    for bound in BOUNDS:
        ours, theirs = (median(measured, client, bound.row, bound.figure) for client in (OURS, bound.other))
        if ours is not None and theirs is not None:
            ratio, is_more = ours / theirs, bound.figure in MORE_IS_BETTER
            holds = ratio >= bound.factor if is_more else ratio <= bound.factor
            sense = "at least" if is_more else "at most"
            yield f"{bound.row}, {bound.figure}: {sense} {bound.factor:.2g} x {bound.other}", f"{ratio:.2f} x", holds
    if measured[OURS].get("rotation"):
        failures, rotating, peace = (
            statistics.median(figures[name] for figures in measured[OURS]["rotation"])
            for name in ("failures", "worst ms", "worst in peace ms")
        )
        holds = failures == ROTATION_FAILURES and rotating - peace < ROTATION_EXTRA
        expected = f"rotation under 256 calls in flight: no failure, less than {ROTATION_EXTRA:.0f} ms more"
        yield expected, f"{failures:.0f} failures, {rotating - peace:+.1f} ms", holds
    for figures in measured[OURS].get("an hour of calls", ()):
        growth = figures["MB after an hour"] - figures["megabytes"]
        expected = f"an hour of calls leaves less than {GROWTH:.0f} MB behind"
        yield expected, f"{growth:+.2f} MB", growth < GROWTH


def median(measured: Measured, client: str, row: str, figure: str) -> float | None:
    values = [figures[figure] for figures in measured.get(client, {}).get(row, ()) if figure in figures]
    return statistics.median(values) if values else None


# Markdown


def markdown(measured: Measured, conditions: Conditions) -> str:
    parts = [_preface(conditions), _verdict_table(measured)]
    parts += [_table(row, measured) for row in _rows(measured)]
    return "\n\n".join(parts) + "\n"


def _preface(conditions: Conditions) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in _versions().items())
    return (
        f"# Measured over {'TLS' if conditions.tls else 'plain TCP'}{conditions.day and f', {conditions.day}'}\n\n"
        f"Medians of {conditions.rounds} interleaved rounds of {conditions.seconds:g} s a row, with the lowest "
        f"and the highest; ratios are to {OURS} in the same run. {platform.machine()}, "
        f"Python {platform.python_version()}; {versions}."
    )


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _verdict_table(measured: Measured) -> str:
    lines = ["| must hold | measured | holds |", "|---|---|---|"]
    lines += [f"| {text} | {found} | {'yes' if holds else '**no**'} |" for text, found, holds in verdicts(measured)]
    return "\n".join(lines)


def _rows(measured: Measured) -> list[str]:
    return list(dict.fromkeys(row for rows in measured.values() for row in rows))


def _table(row: str, measured: Measured) -> str:
    names = list(next(rows[row][0] for rows in measured.values() if rows.get(row)))
    if row in SCALES:
        return _scale_table(row, names, measured)
    lines = [f"## {row}", "", f"| | {' | '.join(f'{UNITS.get(name, name)} | ratio' for name in names)} |"]
    lines.append("|---|" + "---:|---:|" * len(names))
    for client, rows in measured.items():
        if rows.get(row):
            cells = " | ".join(_cell(measured, client, row, name) for name in names)
            lines.append(f"| {client} | {cells} |")
    return "\n".join(lines)


def _scale_table(row: str, names: Sequence[str], measured: Measured) -> str:
    lines = [f"## {row}", "", f"| us | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    for client, rows in measured.items():
        if rows.get(row):
            cells = " | ".join(_short(median(measured, client, row, name) or 0.0) for name in names)
            lines.append(f"| {client} | {cells} |")
    return "\n".join(lines)


def _cell(measured: Measured, client: str, row: str, figure: str) -> str:
    values = [figures[figure] for figures in measured[client][row]]
    middle, ours = statistics.median(values), median(measured, OURS, row, figure)
    ratio = f"{middle / ours:.2f}" if ours else ""
    return f"{_short(middle)} ({_short(min(values))} to {_short(max(values))}) | {ratio}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# Files


def write(measured: Measured, conditions: Conditions, folder: Path) -> None:
    """Write ``plain`` or ``tls``, as .md, .json and .svg; without matplotlib there is no .svg."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ("tls" if conditions.tls else "plain")
    path.with_suffix(".md").write_text(markdown(measured, conditions), encoding="utf-8")
    data = {"conditions": conditions._asdict(), "versions": _versions(), "measured": measured}
    path.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    with suppress(ImportError):
        plot(measured, path)


def plot(measured: Measured, path: Path) -> None:
    """Bars of `BARS` in the file of that name as .svg, and lines of `SCALES` in another one.

    Raises:
        ImportError: matplotlib is not installed.
    """
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    # Text stays text, which keeps the file small; the ground is white, on a dark page as well.
    matplotlib.rcParams.update(
        {
            "svg.hashsalt": "bintrio",
            "svg.fonttype": "none",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            **{f"{part}.color": COLOURS["text"] for part in ("text", "xtick", "ytick")},
        }
    )
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    bars = {title: chart for chart, title in BARS.items() if median(measured, OURS, *chart) is not None}
    if bars:
        figure, grid = pyplot.subplots(2, 2, figsize=(10, 6), sharey=True, squeeze=False, layout="constrained")
        for axes, (title, (row, name)) in zip(grid.flat, bars.items(), strict=False):
            _draw_bars(axes, title, {client: median(measured, client, row, name) for client in measured})
        grid[0, 0].invert_yaxis()
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    scales = [row for row in SCALES if measured.get(OURS, {}).get(row)]
    if scales:
        figure, grid = pyplot.subplots(1, len(scales), figsize=(10, 4), squeeze=False, layout="constrained")
        for axes, row in zip(grid.flat, scales, strict=True):
            _draw_lines(axes, row, {client: rows for client, rows in measured.items() if client != FLOOR})
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
        figure.savefig(path.with_name(f"{path.name}-scaling.svg"), metadata={"Date": None})


def _draw_bars(axes: Any, title: str, medians: Mapping[str, float | None]) -> None:
    ours = medians[OURS] or 1.0
    values = [value or 0.0 for value in medians.values()]
    colours = [COLOURS["ours" if client.startswith(OURS) else "bar"] for client in medians]
    bars = axes.barh(list(medians), values, color=colours)
    labels = [f"{_short(value)}  ({value / ours:.2f} x)" if value else "\N{EN DASH}" for value in values]
    axes.bar_label(bars, labels=labels, padding=3, fontsize=8)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.3)


def _draw_lines(axes: Any, row: str, measured: Measured) -> None:
    for index, (client, rows) in enumerate(measured.items()):
        numbers = [int(name) for name in rows[row][0]] if rows.get(row) else []
        costs = [median(measured, client, row, str(number)) for number in numbers]
        colour, width = (COLOURS["ours"], 2.5) if client == OURS else (f"C{index}", 1.0)
        axes.plot(numbers, costs, marker="o", markersize=3, label=client, color=colour, linewidth=width)
    for axis, set_scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        set_scale("log")
        axis.set_major_formatter("{x:,g}")
        axis.set_minor_formatter("")
    axes.set_title(f"{row}, us", fontsize=8, loc="left")
