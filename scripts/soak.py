"""Worlds by seed, many at a time: ``make soak SEEDS=10000 FROM=0``.

Every core lives through one world after the other (`bintrio.storm`). What was untrue is printed with its seed and plan,
and the exit code says whether anything was. A summary says what the worlds had in them.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bintrio.storm import draw_plan, run

DAY = 86_400


class Result(msgspec.Struct):
    """What is told of one world.

    Attributes:
        seed: of it.
        untruths: what was untrue.
        counts: seconds, calls, orders and events.
        faults: that struck, by kind.
        blows: that were played, by kind.
        cpu: seconds that it took one core.
    """

    seed: int
    untruths: list[str]
    counts: Counter[str]
    faults: Counter[str]
    blows: Counter[str]
    cpu: float


def live(seed: int) -> Result:
    """One world."""
    began = time.process_time()
    # What a world makes fits into memory, and to look through it for garbage meanwhile takes a tenth of the time.
    gc.disable()
    try:
        report = run(draw_plan(seed))
    except BaseException:  # a world that ends with an error says the most
        return Result(seed, [traceback.format_exc()], Counter(), Counter(), Counter(), time.process_time() - began)
    finally:
        gc.enable()
        gc.collect()
    counts = Counter(seconds=round(report.seconds), calls=report.calls, orders=report.orders, events=report.events)
    return Result(seed, report.untruths, counts, report.faults, report.blows, time.process_time() - began)


class Summary:
    """What many worlds had in them.

    Attributes:
        failing: the seeds of those in which something was untrue.
    """

    def __init__(self) -> None:
        self.failing: list[int] = []
        self.worlds = 0
        self.cpu = 0.0
        self.counts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.blows: Counter[str] = Counter()

    def add(self, result: Result) -> None:
        """One more."""
        self.worlds += 1
        self.cpu += result.cpu
        self.counts += result.counts
        self.faults += result.faults
        self.blows += result.blows
        if result.untruths:
            self.failing.append(result.seed)

    def lines(self, seconds: float) -> Iterable[str]:
        """In words."""
        counts = self.counts
        yield (
            f"{self.worlds:,} worlds, {counts['seconds'] / DAY:,.1f} virtual days, {counts['calls']:,} calls, "
            f"{counts['orders']:,} orders, {counts['events']:,} events in {seconds:,.0f} s: "
            f"{self.worlds / max(self.cpu, 0.001):.2f} worlds per second of a core"
        )
        yield "faults that struck a request or a handshake: " + _by_kind(self.faults)
        yield "blows that were played, faults that waited for somebody among them: " + _by_kind(self.blows)
        found = f"{len(self.failing)} with an untruth: {self.failing}" if self.failing else "no untruth"
        yield found


def _by_kind(counts: Counter[str]) -> str:
    """How many there were of each kind, the most first."""
    return ", ".join(f"{kind} {count:,}" for kind, count in counts.most_common())


def tell(console: Console, result: Result) -> None:
    """What was untrue in a world, and its plan."""
    console.print(f"[bold red]seed {result.seed}")
    for untruth in result.untruths:
        console.print("  " + untruth, markup=False, soft_wrap=True)
    console.print("  plan: " + draw_plan(result.seed).to_json(), markup=False, soft_wrap=True)


def soak(seeds: range, console: Console, processes: int | None = None) -> int:
    """Live through the worlds of these seeds. Returns the exit code."""
    summary, began = Summary(), time.monotonic()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # Each process begins by itself: nothing is inherited that could differ from one run to the next.
    pool = multiprocessing.get_context("spawn").Pool(processes or os.cpu_count(), initializer=gc.freeze)
    with pool, Progress(*columns, console=console) as progress:
        task = progress.add_task("worlds", total=len(seeds))
        for result in pool.imap_unordered(live, seeds):
            summary.add(result)
            if result.untruths:
                tell(console, result)
            progress.advance(task)
    for line in summary.lines(time.monotonic() - began):
        console.print(line, soft_wrap=True)
    return 1 if summary.failing else 0


if __name__ == "__main__":
    start = int(os.environ.get("FROM", "0"))
    sys.exit(soak(range(start, start + int(os.environ.get("SEEDS", "10000"))), Console()))
