"""How much of the exchange's limits a fleet uses that shares them through Redis, and what that costs a call.

    python -m benchmarks.fleet                    eight processes of four sessions each on one sandbox, for each case
    python -m benchmarks.fleet --minutes 2 kill   one of them
    python -m benchmarks.fleet --orders kill      with orders for two accounts, instead of questions
    python -m benchmarks.fleet cost               a call with limits of its own and with such by Redis, in one run

It needs `redis-server`. The processes ask for as much as they can. Printed is, for each limit, how much was used of
each whole window of the exchange's clock, from the first that began when all sessions were there; and how many calls
were refused. A second after the second minute began, while the fleet takes most, nothing happens, one process is
killed, one is stopped for half a minute, or Redis is started anew and has lost everything, or stands still for 2.5 s.
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
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import trio

import bintrio
from bintrio import redis
from bintrio.requests import Depth, OrderPlace
from bintrio.sandbox import Limits, Sandbox, open_sandbox, trader

PROCESSES: Final = 8
SESSIONS: Final = 4
CALLERS: Final = 2
LIMITS: Final = Limits(weight=3_000, orders_per_10_seconds=200)
DISTURBANCES: Final = ("nothing", "kill", "stop", "restart", "freeze")
FLEET: Final = "a fleet"
CALLS: Final = 2_000
MINUTE: Final = 60_000

DEPTH: Final = Depth(symbol="BTCUSDT")
# Nobody sells for that little, so it expires at once; as it is not filled, it stays counted.
ORDER: Final = OrderPlace(
    symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="IOC", price=40_000, quantity="0.001"
)
ACCOUNTS: Final = (trader(uid=11), trader(uid=12))


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

    def restart(self) -> None:
        self.end()
        self.start()

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
    """Sessions of two accounts in turns, that share their limits with all processes."""
    async with AsyncExitStack() as stack:
        limits = await stack.enter_async_context(redis.open_limits(url, address=FLEET))
        yield [
            await stack.enter_async_context(
                bintrio.open_session(
                    endpoint, key=account.key, ledger=limits.account(str(account.uid)), request_timeout=90
                )
            )
            for account in (ACCOUNTS[number % len(ACCOUNTS)] for number in range(count))
        ]


async def work(url: str, endpoint: str, request: bintrio.Request[Any]) -> None:
    """Send a request as often as there is room for it, until told to end."""

    async def ask(session: bintrio.Session) -> None:
        while True:
            try:
                await session.send(request)
            except bintrio.BintrioError:
                await trio.sleep(0.1)  # refused, or no room: the sandbox counts what was refused

    async with sessions_of(url, endpoint, SESSIONS) as sessions, trio.open_nursery() as nursery:
        for session in sessions:
            for _ in range(CALLERS):
                nursery.start_soon(ask, session)


# The fleet


class Limit(NamedTuple):
    """Which limit a figure is about: of an account, if it has a number."""

    type: str
    window: str
    uid: int | None


class Figures:
    """What the exchange has seen of whole windows, from now on; a minute must have just begun.

    Attributes:
        used: which part was used of each limit, by the time at which its window ended.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.used: defaultdict[Limit, dict[int, float]] = defaultdict(dict)
        self._sandbox = sandbox
        self._began_at = self._now = sandbox.now()
        self._seen: Final = sandbox.witness().calls  # all of them: `calls` forgets

    async def watch(self) -> None:
        while True:
            self._now = self._sandbox.now()
            for budget in self._sandbox.budgets:
                limit = budget.limit
                # Of a day and of connections, nobody uses all.
                if limit.interval != "DAY" and limit.rate_limit_type != "CONNECTIONS":
                    window = f"{limit.interval_num} {limit.interval}"
                    used = self.used[Limit(limit.rate_limit_type, window, budget.uid)]
                    used[budget.ends_at] = max(used.get(budget.ends_at, 0), (limit.count or 0) / limit.limit)
            await trio.sleep(0.02)

    @property
    def refused(self) -> int:
        return sum(call.answer is not None and call.answer.status in {418, 429} for call in self._seen)

    def lines(self) -> Iterator[str]:
        """A line for each limit that was used, with its whole windows."""
        for limit, windows in self.used.items():
            parts = [used for end, used in sorted(windows.items()) if self._began_at < end < self._now]
            if any(parts):
                owner = "" if limit.uid is None else f" of account {limit.uid}"
                yield f"{limit.type}{owner}, each {limit.window}: {' '.join(f'{part:.1%}' for part in parts)}"


async def all_connected(sandbox: Sandbox) -> None:
    while True:
        if sandbox.connections >= PROCESSES * SESSIONS:
            return
        await trio.sleep(0.1)


async def disturb(what: str, server: Server, process: subprocess.Popen[bytes]) -> None:
    """A second after the second minute began."""
    await trio.sleep(61)
    if what == "kill":
        process.kill()
    elif what == "stop":
        process.send_signal(signal.SIGSTOP)
        await trio.sleep(30)
        process.send_signal(signal.SIGCONT)
    elif what == "restart":
        server.restart()
    elif what == "freeze":
        server.signal(signal.SIGSTOP)
        await trio.sleep(2.5)
        server.signal(signal.SIGCONT)


def processes_of(server: Server, sandbox: Sandbox, *options: str) -> list[subprocess.Popen[bytes]]:
    command = (sys.executable, "-m", "benchmarks.fleet", "work", server.url, sandbox.endpoint.urls[0], *options)
    return [subprocess.Popen(command) for _ in range(PROCESSES)]


async def run_fleet(what: str, minutes: int, *options: str) -> Figures:
    """A fleet for that many whole minutes, and what happens to it in the second of these."""
    with running() as server:
        async with open_sandbox(limits=LIMITS, accounts=ACCOUNTS) as sandbox:
            processes = processes_of(server, sandbox, *options)
            try:
                await all_connected(sandbox)
                await trio.sleep((MINUTE - sandbox.now() % MINUTE) / 1000)
                figures = Figures(sandbox)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(figures.watch)
                    nursery.start_soon(disturb, what, server, processes[0])
                    await trio.sleep(60 * minutes + 0.5)
                    nursery.cancel_scope.cancel()
            finally:
                for process in processes:
                    process.kill()
                    process.wait()
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
            open_sandbox(limits=Limits(weight=10**7), accounts=ACCOUNTS) as sandbox,
            bintrio.open_session(sandbox.endpoint, key=ACCOUNTS[0].key) as one,
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
    parser.add_argument("--orders", action="store_const", const="--orders", help="place orders")
    options = parser.parse_args()
    if options.what[0] == "work":
        url, endpoint = options.what[1:]
        trio.run(work, url, endpoint, ORDER if options.orders else DEPTH)
    elif options.what == ["cost"]:
        for name, microseconds in trio.run(cost).items():
            print(f"{name:14} {microseconds:6.0f} µs")
    else:
        for what in options.what:
            figures = trio.run(run_fleet, what, options.minutes, *filter(None, [options.orders]))
            print(f"{what}: {figures.refused} calls refused", *figures.lines(), sep="\n  ", flush=True)


if __name__ == "__main__":
    main()
