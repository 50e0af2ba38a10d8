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
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Figures = dict[str, float]
Measured = dict[str, dict[str, list[Figures]]]
"""By client and row: one set of figures for each round."""


class Conditions(NamedTuple):
    """How it was measured: so many rounds, each row for so many seconds."""

    rounds: int
    seconds: float
    tls: bool = False


OURS: Final = "bintrio"
PEERS: Final = ("binance-sdk-spot", "python-binance", "ccxt.pro", "unicorn-binance-websocket-api")
PLAIN: Final = "trio-websocket, plainly"
LIMIT: Final = "picows + msgspec, by hand"
FLOOR: Final = "trio TCP, the floor"
PACKAGES: Final = (
    *("trio", "trio-websocket", "msgspec", "picows", "uvloop"),
    *("binance-sdk-spot", "python-binance", "ccxt", "unicorn-binance-websocket-api"),
)

MORE_IS_BETTER: Final = frozenset({"calls/s", "events/s"})
UNITS: Final = {"p50": "p50, us", "p99": "p99, us", "CPU": "CPU, us each", "seconds": "s", "megabytes": "MB resident"}
PLOTS: Final = (
    ("order, 32 in flight", "calls/s"),
    ("order, 32 in flight", "CPU"),
    ("order, 1 in flight", "p50"),
    ("order, 32 in flight", "p99"),
    ("events to 1", "events/s"),
    ("start", "seconds"),
    ("start", "megabytes"),
    ("depth of 5,000", "p50"),
)


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
        f"# Measured over {'TLS' if conditions.tls else 'plain TCP'}\n\n"
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
    lines = [f"## {row}", "", f"| | {' | '.join(f'{UNITS.get(name, name)} | ratio' for name in names)} |"]
    lines.append("|---|" + "---:|---:|" * len(names))
    for client, rows in measured.items():
        if rows.get(row):
            cells = " | ".join(_cell(measured, client, row, name) for name in names)
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
        plot(measured, path.with_suffix(".svg"))


def plot(measured: Measured, path: Path) -> None:
    """One bar chart for each of `PLOTS`.

    Raises:
        ImportError: matplotlib is not installed.
    """
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "bintrio"
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    charts = [chart for chart in PLOTS if any(rows.get(chart[0]) for rows in measured.values())]
    figure, grid = pyplot.subplots(
        (len(charts) + 1) // 2, 2, figsize=(13, 2.6 * ((len(charts) + 1) // 2)), squeeze=False, layout="constrained"
    )
    for axes, (row, name) in zip(grid.flat, charts, strict=False):
        _draw(axes, row, name, {client: median(measured, client, row, name) for client in measured})
    for axes in grid.flat[len(charts) :]:
        axes.set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def _draw(axes: Any, row: str, name: str, medians: Mapping[str, float | None]) -> None:
    known = {client: value for client, value in medians.items() if value is not None}
    colours = ["tab:orange" if client.startswith(OURS) else "tab:grey" for client in known]
    bars = axes.barh(list(known), list(known.values()), color=colours)
    axes.bar_label(bars, labels=[f" {_short(value)}" for value in known.values()], fontsize=8)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    better = "more is better" if name in MORE_IS_BETTER else "less is better"
    axes.set_title(f"{row}: {UNITS.get(name, name)} ({better})", fontsize=9)
    axes.margins(x=0.15)
