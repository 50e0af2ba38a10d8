"""One client, measured in a process of its own: each row is printed as a line of JSON as soon as it is known.

    python -m benchmarks.measure '{"module": "bintrio", "started": 0, "seconds": 1, "ports": {...}, ...}'

``started`` is the monotonic time at which the process was started, so that the first row has the whole start: the
interpreter, the imports, the connection and the first answer. ``seconds`` is how long a row of calls takes, ``rows``
are the names of those to measure, and with ``secure`` the connection is TLS.

Each row has a fresh connection. Calls in flight are that many tasks, each of which makes one call after the other. CPU
time is that of all threads of the process. What a client cannot do is not printed; what it fails at is, with the error.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .clients import Client
from .loops import LOOPS
from .report import CALLS_SCALE, SUBSCRIBERS_SCALE, SYMBOLS_SCALE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .loops import Loop, Work

IN_FLIGHT: Final = (1, 8, 32, 256)
WARM_UP: Final = 0.25  # of the time that is measured
BURST: Final = 50
BURSTS: Final = 30
EVENTS: Final = 5_000  # at once; less than what waits for a slow reader by any client's defaults
PACE: Final = 1_000  # events a second
MANY: Final = 10_000  # calls in flight
SCALE: Final = (1, 4, 16, 64, 256, 1024, 4096)
SYMBOLS: Final = (1, 10, 100, 1000, 3000)
SUBSCRIBERS: Final = (1, 4, 16, 64)
MOVES_AFTER: Final = 50  # calls between two rotations
PATIENCE: Final = 5.0  # seconds, beyond what a row should take, until it counts as failed


class Run(NamedTuple):
    module: Any
    started: float
    seconds: float
    ports: dict[str, int]
    secure: bool

    @property
    def loop(self) -> Loop:
        return LOOPS[self.module.LOOP]

    @property
    def url(self) -> str:
        scheme = "wss" if self.secure else "ws"
        return f"{scheme}://127.0.0.1:{self.ports[getattr(self.module, 'PORT', 'api')]}/ws-api/v3"

    def tell_server(self, line: str) -> None:
        answer = self.ask_server(line)
        assert answer == "done", answer

    def ask_server(self, line: str) -> str:
        with socket.create_connection(("127.0.0.1", self.ports["control"])) as connection:
            connection.sendall(line.encode())
            return connection.recv(64).decode()

    def orders_arrived(self) -> tuple[int, float]:
        """How many orders came to the server so far, and when the last one did, as `time.monotonic` has it."""
        count, at = self.ask_server("orders").split()
        return int(count), float(at)


Row = dict[str, float]
if TYPE_CHECKING:
    Measure = Callable[[Run, Client], Awaitable[Row]]


# Rows


async def start(run: Run, client: Client) -> Row:
    await client.order()
    return {"seconds": time.monotonic() - run.started, "megabytes": resident_megabytes()}


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def orders(in_flight: int) -> Measure:
    async def measure(run: Run, client: Client) -> Row:
        return await calls(run, client.order, in_flight)

    return measure


async def depth(run: Run, client: Client) -> Row:
    return await calls(run, client.depth, 1)


async def calls(run: Run, call: Work, in_flight: int) -> Row:
    await repeat(run, call, in_flight, WARM_UP * run.seconds)
    cpu, begin = time.process_time(), time.perf_counter()
    latencies = await repeat(run, call, in_flight, run.seconds)
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    latencies.sort()
    count = len(latencies)
    return {
        "calls/s": count / wall,
        "p50": latencies[count // 2] * 1e6,
        "p99": latencies[count * 99 // 100] * 1e6,
        "CPU": cpu / count * 1e6,
    }


async def repeat(run: Run, call: Work, in_flight: int, seconds: float) -> list[float]:
    """Call for so long; return how long each call took."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def work() -> None:
        now = time.perf_counter()
        while now < end:
            before = now
            await call()
            now = time.perf_counter()
            latencies.append(now - before)

    await run.loop.together(work, in_flight)
    return latencies


async def burst(run: Run, client: Client) -> Row:
    """Fifty orders at once: the time until the last has come to the server, and until the last is answered."""
    written: list[float] = []
    answered: list[float] = []
    for _ in range(BURSTS):
        begin = time.monotonic()
        await run.loop.together(client.order, BURST)
        answered.append(time.monotonic() - begin)
        written.append(run.orders_arrived()[1] - begin)
    return {"on the wire": median(written) * 1e3, "answered": median(answered) * 1e3}


def events(subscribers: int, at_once: int = EVENTS) -> Measure:
    async def measure(run: Run, client: Client) -> Row:
        """Execution reports a second to each of the subscribers, in bursts, each sent as fast as it is taken."""
        subscription = await client.subscribe(subscribers)
        count, cpu, begin = 0, time.process_time(), time.perf_counter()
        while not count or time.perf_counter() - begin < run.seconds:
            run.tell_server(f"events {at_once}")
            await subscription.receive(at_once)
            count += at_once
        wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
        return {"events/s": count / wall, "CPU": cpu / count * 1e6}

    return measure


async def paced_events(run: Run, client: Client) -> Row:
    """What an event costs if it comes by itself, and not in a burst."""
    subscription = await client.subscribe(1)
    count, cpu = int(PACE * run.seconds), time.process_time()
    run.tell_server(f"paced {PACE} {count}")
    await subscription.receive(count)
    return {"CPU": (time.process_time() - cpu) / count * 1e6}


async def rotation(run: Run, client: Client) -> Row:
    """The worst latency of 256 calls in flight: left in peace, then while moving to fresh connections."""
    if type(client).rotate is Client.rotate:
        raise NotImplementedError
    peace = await repeat(run, client.order, 256, run.seconds)
    is_over = False

    async def rotate() -> None:
        nonlocal is_over
        end = time.perf_counter() + run.seconds
        while time.perf_counter() < end:
            for _ in range(MOVES_AFTER):
                await client.order()
            await client.rotate()
        is_over = True

    latencies: list[float] = []
    failures = 0

    async def work() -> None:
        nonlocal failures
        while not is_over:
            before = time.perf_counter()
            try:
                await client.order()
            except Exception:
                failures += 1
            latencies.append(time.perf_counter() - before)

    tasks = iter([rotate, *[work] * 256])
    await run.loop.together(lambda: next(tasks)(), 257)
    return {"failures": failures, "worst ms": max(latencies) * 1e3, "worst in peace ms": max(peace) * 1e3}


async def reconnection(run: Run, client: Client) -> Row:
    """From a cut connection to the next answered order, asking again and again."""
    await client.order()
    run.tell_server("abort")
    begin = time.perf_counter()
    while True:
        try:
            await client.order()
        except Exception:
            await run.loop.pause(0.001)
        else:
            return {"milliseconds": (time.perf_counter() - begin) * 1e3}


async def silence(run: Run, client: Client) -> Row:
    """From the moment when the server falls silent, pings included, until a call comes back with an error."""
    await client.order()
    run.tell_server("mute")
    begin = time.monotonic()
    try:
        await client.order()
    except Exception:
        return {"seconds": time.monotonic() - begin}
    raise AssertionError("answered by a mute server")


async def memory_in_flight(run: Run, client: Client) -> Row:
    """How much memory 10,000 calls take that the server has, and has not answered."""
    await repeat(run, client.order, 32, WARM_UP * run.seconds)
    before, (arrived, _) = resident_megabytes(), run.orders_arrived()
    after = 0.0
    run.tell_server("hold")

    async def watch() -> None:
        nonlocal after
        while run.orders_arrived()[0] < arrived + MANY:
            await run.loop.pause(0.05)
        after = resident_megabytes()
        run.tell_server("release")

    work: list[Work] = [watch, *[client.order] * MANY]
    tasks = iter(work)
    try:
        await run.loop.together(lambda: next(tasks)(), MANY + 1)
    finally:
        # Also if they failed: a server that keeps its answers back would leave nothing of the rows that follow.
        run.tell_server("release")
    return {"megabytes": after - before}


# How costs grow: CPU time, in microseconds, by what it may grow with.


async def cost_by_calls(run: Run, client: Client) -> Row:
    """Of a call, by calls in flight."""
    return {str(number): (await calls(run, client.order, number))["CPU"] for number in SCALE}


async def cost_by_symbols(run: Run, client: Client) -> Row:
    """Of each symbol in an answer to exchangeInfo, by their number."""
    row: Row = {}
    for number in SYMBOLS:
        run.tell_server(f"symbols {number}")
        row[str(number)] = (await calls(run, client.exchange_info, 1))["CPU"] / number
    return row


async def cost_by_subscribers(run: Run, client: Client) -> Row:
    """Of an event to each subscriber, by their number."""
    row: Row = {}
    for number in SUBSCRIBERS:
        async with run.module.open_client(run.url) as fresh:
            row[str(number)] = (await events(number, EVENTS // number)(run, fresh))["CPU"] / number
    return row


if TYPE_CHECKING:
    Rows = dict[str, Measure]

ROWS: Final[Rows] = {
    "start": start,
    **{f"order, {in_flight} in flight": orders(in_flight) for in_flight in IN_FLIGHT},
    "burst of 50": burst,
    "depth of 5,000": depth,
    "events to 1": events(1),
    "events to 4": events(4),
    "1,000 events/s": paced_events,
    "rotation": rotation,
    "lost connection": reconnection,
    "mute server": silence,
    "10,000 calls in flight": memory_in_flight,
    CALLS_SCALE: cost_by_calls,
    SYMBOLS_SCALE: cost_by_symbols,
    SUBSCRIBERS_SCALE: cost_by_subscribers,
}
ALONE: Final = frozenset({"10,000 calls in flight"})
"""Rows that need a process of their own: memory that an earlier row left free would not be seen to be taken."""

LONGER: Final = {
    "10,000 calls in flight": 30.0,
    CALLS_SCALE: 30.0,
    SYMBOLS_SCALE: 20.0,
    SUBSCRIBERS_SCALE: 20.0,
}
"""Rows that take longer by themselves, and by how many seconds at most."""


async def measure(run: Run, rows: Rows) -> None:
    for name, row in rows.items():
        try:
            limit = run.seconds + PATIENCE + LONGER.get(name, 0.0)
            async with run.loop.within(limit), opener(run, row)(run.url) as client:
                show(name, await row(run, client))
        except* NotImplementedError:
            pass
        except* Exception as errors:
            show(name, {"error": repr(errors.exceptions[0])})


def opener(run: Run, row: Measure) -> Any:
    if row is not silence:
        return run.module.open_client
    if not hasattr(run.module, "open_wary_client"):
        raise NotImplementedError
    return run.module.open_wary_client


def show(name: str, figures: Mapping[str, float | str]) -> None:
    print(json.dumps([name, figures]), flush=True)


def main(plan: str) -> None:
    asked = json.loads(plan)
    module: Any = importlib.import_module(f"benchmarks.clients.{asked['module']}")
    run = Run(module, asked["started"], asked["seconds"], asked["ports"], asked["secure"])
    able = getattr(module, "ROWS", ROWS)
    rows = {name: ROWS[name] for name in asked["rows"] if name in able}

    async def measure_all() -> None:
        await measure(run, rows)
        sys.stdout.flush()
        os._exit(0)  # some clients leave tasks and threads behind that do not end

    run.loop.run(measure_all)


if __name__ == "__main__":
    main(sys.argv[1])
