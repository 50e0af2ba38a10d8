"""How much of the exchange's limits a fleet uses that shares them through Redis, and what that costs a call.

    python -m benchmarks.fleet                    eight processes of four sessions each on one sandbox, for each case
    python -m benchmarks.fleet --minutes 2 kill   one of them
    python -m benchmarks.fleet cost               a call with limits of its own and with such by Redis, in one run

It needs `redis-server`. The processes ask for as much as they can. Printed is, for each whole minute of the exchange's
clock, how much of the weight was used, and how many calls were refused. In the second minute nothing happens, one
process is killed, or Redis is started anew and has lost everything.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import Final

import trio

import bintrio
from bintrio import redis
from bintrio.sandbox import Limits, Sandbox, open_sandbox

PROCESSES: Final = 8
SESSIONS: Final = 4
CALLERS: Final = 2
WEIGHT: Final = 3_000
DISTURBANCES: Final = ("nothing", "kill", "restart", "freeze")
FLEET: Final = "a fleet"
CALLS: Final = 2_000


class Server:
    """A Redis on a socket of its own, in a folder that is gone with it.

    Attributes:
        url: of it.
    """

    def __init__(self, folder: str) -> None:
        self._socket = Path(folder, "socket")
        self._command = (
            *(shutil.which("redis-server") or "redis-server", "--port", "0", "--unixsocket", str(self._socket)),
            *("--save", "", "--dir", folder),
        )
        self.url = f"unix://{self._socket}"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        while not self._socket.exists():
            time.sleep(0.01)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.unlink(missing_ok=True)

    def signal(self, number: int) -> None:
        os.kill(self._process.pid, number)


@contextmanager
def running() -> Generator[Server]:
    with tempfile.TemporaryDirectory(prefix="redis") as folder:
        server = Server(folder)
        try:
            yield server
        finally:
            server.end()


# One process of the fleet


@asynccontextmanager
async def sessions_of(url: str, endpoint: str, count: int) -> AsyncGenerator[list[bintrio.Session]]:
    """Sessions that share their limits with all processes."""
    async with AsyncExitStack() as stack:
        limits = await stack.enter_async_context(redis.open_limits(url, address=FLEET))
        ledger = limits.account("nobody")
        yield [
            await stack.enter_async_context(bintrio.open_session(endpoint, ledger=ledger, request_timeout=90))
            for _ in range(count)
        ]


async def work(url: str, endpoint: str) -> None:
    """Ask for as much as there is room for, until told to end."""

    async def ask(session: bintrio.Session) -> None:
        while True:
            try:
                await session.depth(symbol="BTCUSDT")
            except bintrio.BintrioError:
                await trio.sleep(0.1)  # refused, or no room: the sandbox counts what was refused

    async with sessions_of(url, endpoint, SESSIONS) as sessions, trio.open_nursery() as nursery:
        for session in sessions:
            for _ in range(CALLERS):
                nursery.start_soon(ask, session)


# The fleet


class Figures:
    """What the exchange has seen, minute by minute.

    Attributes:
        used: the weight that was used of each minute.
        refused: how many calls were.
    """

    def __init__(self) -> None:
        self.used: Counter[int] = Counter()
        self.refused = 0
        self._first = int(time.time() // 60) + 1

    async def watch(self, sandbox: Sandbox) -> None:
        while True:
            for budget in sandbox.budgets:
                if budget.limit.rate_limit_type == "REQUEST_WEIGHT":
                    minute = int(time.time() // 60)
                    self.used[minute] = max(self.used[minute], budget.limit.count or 0)
            await trio.sleep(0.02)

    def lines(self) -> list[str]:
        """Of the minutes that were whole: not the one in which it began, and not the last."""
        minutes = range(self._first, max(self.used, default=self._first))
        return [f"{self.used[minute] / WEIGHT:6.1%}" for minute in minutes]


async def disturb(what: str, server: Server, processes: list[subprocess.Popen[bytes]]) -> None:
    if what == "kill":
        processes[0].kill()
    elif what == "restart":
        server.end()
        server.start()
    elif what == "freeze":
        server.signal(signal.SIGSTOP)
        await trio.sleep(2.5)
        server.signal(signal.SIGCONT)


def processes_of(server: Server, sandbox: Sandbox) -> list[subprocess.Popen[bytes]]:
    command = (sys.executable, "-m", "benchmarks.fleet", "work", server.url, sandbox.endpoint.urls[0])
    return [subprocess.Popen(command) for _ in range(PROCESSES)]


async def run_fleet(what: str, minutes: int) -> Figures:
    """A fleet for that many whole minutes, and what happens to it in the second of these."""
    figures = Figures()
    with running() as server:
        async with open_sandbox(limits=Limits(weight=WEIGHT)) as sandbox, trio.open_nursery() as nursery:
            nursery.start_soon(figures.watch, sandbox)
            processes = processes_of(server, sandbox)
            try:
                await trio.sleep(60 - time.time() % 60 + 60)
                await trio.sleep(5)
                await disturb(what, server, processes)
                await trio.sleep(60 * (minutes - 1))
            finally:
                for process in processes:
                    process.kill()
                    process.wait()
                nursery.cancel_scope.cancel()
            figures.refused = sum(call.status in {418, 429} for call in sandbox.calls)
    return figures


# What it costs


async def latency(call: Callable[[], Awaitable[object]], seconds: list[float]) -> None:
    began = time.perf_counter()
    await call()
    seconds.append(time.perf_counter() - began)


async def cost(calls: int = CALLS) -> dict[str, float]:
    """Microseconds at the median, with limits of the session's own and with such by Redis, call by call in turns."""
    alone: list[float] = []
    shared: list[float] = []
    with running() as server:
        async with (
            open_sandbox(limits=Limits(weight=10**7)) as sandbox,
            bintrio.open_session(sandbox.endpoint) as one,
            sessions_of(server.url, sandbox.endpoint.urls[0], 1) as (other,),
        ):
            for _ in range(calls):
                await latency(one.ping, alone)
                await latency(other.ping, shared)
    return {"by itself": median(alone) * 1e6, "through Redis": median(shared) * 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", nargs="*", default=DISTURBANCES, help=f"of {', '.join(DISTURBANCES)}, or cost")
    parser.add_argument("--minutes", type=int, default=3)
    options = parser.parse_args()
    if options.what[0] == "work":
        trio.run(work, *options.what[1:])
    elif options.what == ["cost"]:
        for name, microseconds in trio.run(cost).items():
            print(f"{name:14} {microseconds:6.0f} µs")
    else:
        for what in options.what:
            figures = trio.run(run_fleet, what, options.minutes)
            print(f"{what:8} {'  '.join(figures.lines())}   refused: {figures.refused}", flush=True)


if __name__ == "__main__":
    main()
