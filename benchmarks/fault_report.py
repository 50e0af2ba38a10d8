"""What was seen of clients under faults, as Markdown, JSON and SVG."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec


class Seen(msgspec.Struct):
    """What was seen of a client in one scenario.

    Attributes:
        doubled: orders that came to the exchange once more.
        never_ended: calls that had not ended in time.
        wrong: calls that ended in a word that is not so: a result of no or another order; a refusal, or "not sent", of
            one that was executed.
        silent: calls that ended in an error which does not say whether the order may have been executed.
        forbidden: requests that came during the time for which the exchange had asked for none.
        noticed_after: seconds until a call over a dead connection ended; None if it did not, or if there was none.
        through_after: seconds from the death of a connection until an order went through; None if none did.
        goes_on: whether an order went through afterwards; None if it was not tried.
        follows: whether user data came before anything happened.
        lost: events that did not come.
        signs: what said that events may be missing.
        is_back: whether user data came afterwards; None if it was not tried.
        said: what was said of each order, and what had happened.
        failure: what went wrong with the scenario itself.
    """

    doubled: int = 0
    never_ended: int = 0
    wrong: int = 0
    silent: int = 0
    forbidden: int = 0
    noticed_after: float | None = None
    through_after: float | None = None
    goes_on: bool | None = None
    follows: bool | None = None
    lost: int = 0
    signs: list[str] = []
    is_back: bool | None = None
    said: list[str] = []
    failure: str = ""

    @property
    def lost_silently(self) -> int:
        """Events that did not come while nothing said so."""
        return 0 if self.signs else self.lost


Results = dict[str, dict[str, Seen]]
"""By client and scenario."""


class Column(NamedTuple):
    """A figure of all scenarios of a client together."""

    words: str
    of: Callable[[Mapping[str, Seen]], object]


def total(field: str) -> Callable[[Mapping[str, Seen]], object]:
    return lambda seen: sum(getattr(each, field) for each in seen.values())


def share(field: str) -> Callable[[Mapping[str, Seen]], object]:
    """In how many of the scenarios where it was tried."""

    def text(seen: Mapping[str, Seen]) -> str:
        tried = [getattr(each, field) for each in seen.values() if getattr(each, field) is not None]
        return f"{sum(tried)} of {len(tried)}"

    return text


def seconds(field: str) -> Callable[[Mapping[str, Seen]], object]:
    """In each of the scenarios in which a connection dies under orders."""

    def text(seen: Mapping[str, Seen]) -> str:
        found = [getattr(each, field) for name, each in seen.items() if name.startswith("dead")]
        return ", ".join("never" if each is None else f"{each:.0f}" for each in found)

    return text


COLUMNS: Final = (
    Column("orders sent twice", total("doubled")),
    Column("calls that never ended", total("never_ended")),
    Column("calls that ended in a wrong result or error", total("wrong")),
    Column("errors that do not say whether it happened", total("silent")),
    Column("requests while forbidden", total("forbidden")),
    Column("events lost without a sign", total("lost_silently")),
    Column("s until a call over a dead connection ended", seconds("noticed_after")),
    Column("s until orders went through after it had died", seconds("through_after")),
    Column("went on afterwards", share("goes_on")),
    Column("user data came back", share("is_back")),
)

PACKAGES: Final = ("binance-sdk-spot", "python-binance", "ccxt", "unicorn-binance-websocket-api")
BAD: Final = {
    "doubled": "sent twice",
    "never_ended": "never ended",
    "wrong": "wrong result or error",
    "forbidden": "sent while forbidden",
    "lost_silently": "lost without a sign",
}
GOOD, VAGUE, WORSE = "good", "vague", "bad"
COLOURS: Final = {GOOD: "#a7d7a9", VAGUE: "#f4dc8c", WORSE: "#eba39b", "text": "#1f2937"}


def verdict(seen: Seen) -> tuple[str, list[str]]:
    """How a client came through a scenario, and what there is to say of it."""
    bad = [words for field, words in BAD.items() if getattr(seen, field)]
    bad += ["did not go on"] * (seen.goes_on is False) + ["no user data any more"] * (seen.is_back is False)
    bad += ["no user data at all"] * (seen.follows is False) + [seen.failure] * bool(seen.failure)
    if bad:
        return WORSE, bad
    vague = ["does not say what happened"] * bool(seen.silent) + ["lost, and said so"] * bool(seen.lost)
    return (VAGUE, vague) if vague else (GOOD, ["as it should be"])


def markdown(results: Results, words: Mapping[str, str]) -> str:
    """The tables."""
    return "\n".join(_lines(results, words)) + "\n"


def _lines(results: Results, words: Mapping[str, str]) -> Iterator[str]:
    yield "# Clients under the same faults\n"
    yield f"{conditions()}. What each figure counts is in the README of the benchmarks.\n"
    yield f"| | {' | '.join(column.words for column in COLUMNS)} |"
    yield f"|---|{'---:|' * len(COLUMNS)}"
    for client, seen in results.items():
        yield f"| {client} | {' | '.join(str(column.of(seen)) for column in COLUMNS)} |"
    yield f"\n| scenario | what happens | {' | '.join(results)} |"
    yield f"|---|---|{'---|' * len(results)}"
    for name in next(iter(results.values())):
        cells = [", ".join(verdict(seen[name])[1]) for seen in results.values()]
        yield f"| {name} | {words[name]} | {' | '.join(cells)} |"


def conditions() -> str:
    """When and with what it was seen."""
    found: list[str] = []
    for package in ("bintrio", *PACKAGES):
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return f"Seen on {datetime.now(UTC):%Y-%m-%d} with {', '.join(found)}, Python {platform.python_version()}"


def write(results: Results, words: Mapping[str, str], folder: Path) -> None:
    """Write ``faults.md``, ``faults.json`` and, where matplotlib is installed, ``faults.svg``."""
    folder.mkdir(exist_ok=True)
    (folder / "faults.md").write_text(markdown(results, words), "utf-8")
    content = {"conditions": conditions(), "results": results}
    (folder / "faults.json").write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
    with suppress(ImportError):
        draw(results, folder / "faults.svg")


def draw(results: Results, file: Path) -> None:
    """A field for each client and scenario."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "faults"}  # text as text, the same each time
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    names = list(next(iter(results.values())))
    figure, axes = pyplot.subplots(figsize=(3 + 1.9 * len(results), 0.8 + 0.3 * len(names)))
    for column, seen in enumerate(results.values()):
        for line, name in enumerate(names):
            colour, said = verdict(seen[name])
            axes.add_patch(pyplot.Rectangle((column, line), 0.96, 0.9, color=COLOURS[colour]))
            short = said[0] if len(said) == 1 else f"{said[0]} +{len(said) - 1}"
            axes.text(column + 0.48, line + 0.45, short[:34], ha="center", va="center", size=6, color=COLOURS["text"])
    axes.set(xlim=(0, len(results)), ylim=(len(names), 0))
    axes.set_xticks([column + 0.48 for column in range(len(results))], list(results), size=7)
    axes.set_yticks([line + 0.45 for line in range(len(names))], names, size=7)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None})
