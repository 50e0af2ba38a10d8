"""bintrio beside every client that would be picked instead: one run, the same work, a neutral server.

    python -m benchmarks.run            # some minutes; writes benchmarks/results/
    python -m benchmarks.run --quick    # under a minute, one round: to see that it runs
    python -m benchmarks.run --tls      # over TLS, but for the floor

Each client is measured in processes of its own (`measure`). Rounds alternate (A B C A B C ...), so that a busy machine
slows all; what is shown are medians, with the lowest and the highest. A client that is not installed is missing from
every table, and nothing else changes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.console import Console
from rich.progress import Progress

from . import report, soak
from .clients import CLIENTS
from .measure import ALONE, LONGER, ROWS
from .server import certificates, server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .report import Measured
    from .server import Ports

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = Path(__file__).parent / "results"
ALL_ROWS: Final = (*ROWS, soak.ROW)
QUICK_ROWS: Final = ("start", "order, 1 in flight", "order, 32 in flight", "events to 1", "rotation")
SLACK: Final = 8.0  # seconds that a row may take longer than its share, until the process is killed
SOAK_TIMEOUT: Final = 120.0  # seconds


class Plan(NamedTuple):
    """What every client is asked; ``authority`` is the file that certifies the server, None for plain TCP."""

    rows: Sequence[str]
    seconds: float
    ports: Ports
    authority: Path | None


def measure_all(
    clients: Sequence[str], rows: Sequence[str], *, rounds: int, seconds: float, tls: bool = False
) -> Measured:
    """Every figure of every round, by client and row."""
    with ExitStack() as stack:
        authority, chain = stack.enter_context(certificates()) if tls else (None, None)
        in_rounds = [row for row in rows if row != soak.ROW]
        plan = Plan(in_rounds, seconds, stack.enter_context(server(chain)), authority)
        measured = measure_rounds(clients if in_rounds else (), plan, rounds)
    if soak.ROW in rows and report.OURS in clients:
        for row, figures in lines_of(report.OURS, [sys.executable, "-m", "benchmarks.soak"], {}, SOAK_TIMEOUT):
            measured[report.OURS][row].append(figures)
    return measured


def measure_rounds(clients: Sequence[str], plan: Plan, rounds: int) -> Measured:
    measured: Measured = defaultdict(lambda: defaultdict(list))
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=rounds * len(clients))
        for number in range(1, rounds + 1):
            for client in clients:
                progress.update(task, description=f"round {number} of {rounds}: {client}")
                for row, figures in measure_apart(client, plan):
                    measured[client][row].append(figures)
                progress.advance(task)
    return measured


def measure_apart(client: str, plan: Plan) -> Iterator[tuple[str, report.Figures]]:
    """Rows that need a process of their own are measured in one, the others together."""
    together = [row for row in plan.rows if row not in ALONE]
    for rows in [together, *([row] for row in plan.rows if row in ALONE)]:
        if rows:
            yield from measure(client, plan._replace(rows=rows))


def measure(client: str, plan: Plan) -> Iterator[tuple[str, report.Figures]]:
    asked = {
        "module": CLIENTS[client],
        "started": time.monotonic(),
        "seconds": plan.seconds,
        "ports": plan.ports._asdict(),
        "secure": plan.authority is not None,
        "rows": list(plan.rows),
    }
    # The variable that OpenSSL reads: hardly a client needs an option for it.
    certificates = {"SSL_CERT_FILE": str(plan.authority)} if plan.authority else {}
    timeout = sum(plan.seconds + SLACK + LONGER.get(row, 0.0) for row in plan.rows)
    return lines_of(client, [sys.executable, "-m", "benchmarks.measure", json.dumps(asked)], certificates, timeout)


def lines_of(
    client: str, command: Sequence[str], environment: Mapping[str, str], timeout: float
) -> Iterator[tuple[str, report.Figures]]:
    """The rows that a process prints; what went wrong is printed here."""
    environment = os.environ | environment
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=timeout, check=False)
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
    parser.add_argument("--tls", action="store_true", help="over TLS instead of plain TCP")
    parser.add_argument("--rounds", type=int, help="default: 5, or 1 if quick")
    parser.add_argument("--seconds", type=float, help="how long each row of calls takes; default: 1, or 0.3 if quick")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS), metavar="NAME")
    parser.add_argument("--rows", nargs="+", choices=ALL_ROWS, metavar="NAME")
    parser.add_argument("--output", type=Path, default=RESULTS, help="default: benchmarks/results")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    rows = options.rows or (QUICK_ROWS if options.quick else ALL_ROWS)
    rounds = options.rounds or (1 if options.quick else 5)
    seconds = options.seconds or (0.3 if options.quick else 1.0)
    measured = measure_all(options.clients, rows, rounds=rounds, seconds=seconds, tls=options.tls)
    conditions = report.Conditions(rounds, seconds, options.tls, datetime.now(UTC).date().isoformat())
    report.write(measured, conditions, options.output)
    print(report.markdown(measured, conditions))


if __name__ == "__main__":
    main()
