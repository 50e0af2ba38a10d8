"""bintrio beside every client that would be picked instead: one run, the same work, a neutral server.

    python -m benchmarks.run            # some minutes; writes benchmarks/results/
    python -m benchmarks.run --quick    # under a minute, one round: to see that it runs

Each client is measured in processes of its own (`measure`). Rounds alternate (A B C A B C ...), so that a busy machine
slows all; what is shown are medians, with the lowest and the highest. A client that is not installed is missing from
every table, and nothing else changes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import Progress

from . import report
from .clients import CLIENTS
from .measure import ROWS
from .server import server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .report import Measured
    from .server import Ports

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = Path(__file__).parent / "results"
QUICK_ROWS: Final = ("start", "order, 1 in flight", "order, 32 in flight", "events to 1", "rotation")
SLACK: Final = 8.0  # seconds that a row may take longer than its share, until the process is killed


def measure_all(clients: Sequence[str], rows: Sequence[str], *, rounds: int, seconds: float) -> Measured:
    """Every figure of every round, by client and row."""
    measured: Measured = defaultdict(lambda: defaultdict(list))
    with server() as ports, Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=rounds * len(clients))
        for number in range(1, rounds + 1):
            for client in clients:
                progress.update(task, description=f"round {number} of {rounds}: {client}")
                for row, figures in measure(client, ports, rows, seconds):
                    measured[client][row].append(figures)
                progress.advance(task)
    return measured


def measure(client: str, ports: Ports, rows: Sequence[str], seconds: float) -> Iterator[tuple[str, report.Figures]]:
    plan = {
        "module": CLIENTS[client],
        "started": time.monotonic(),
        "seconds": seconds,
        "ports": ports._asdict(),
        "rows": list(rows),
    }
    command = [sys.executable, "-m", "benchmarks.measure", json.dumps(plan)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, timeout=len(rows) * (seconds + SLACK), check=False
        )
        output = done.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    for line in output.splitlines():
        row, figures = json.loads(line)
        if "error" in figures:
            print(f"{client}: {row}: {figures['error']}", file=sys.stderr)
        else:
            yield row, figures


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="bintrio beside every other client.")
    parser.add_argument("--quick", action="store_true", help="one short round of the rows that matter most")
    parser.add_argument("--rounds", type=int, help="default: 5, or 1 if quick")
    parser.add_argument("--seconds", type=float, help="how long each row of calls takes; default: 1, or 0.3 if quick")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS), metavar="NAME")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME")
    parser.add_argument("--output", type=Path, default=RESULTS, help="default: benchmarks/results")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    rows = options.rows or (QUICK_ROWS if options.quick else tuple(ROWS))
    rounds = options.rounds or (1 if options.quick else 5)
    seconds = options.seconds or (0.3 if options.quick else 1.0)
    measured = measure_all(options.clients, rows, rounds=rounds, seconds=seconds)
    report.write(measured, options.output, rounds=rounds, seconds=seconds)
    print(report.markdown(measured, rounds=rounds, seconds=seconds))


if __name__ == "__main__":
    main()
