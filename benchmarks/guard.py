"""The hot path may not become dearer unnoticed: how many steps Python takes for a call, held against what was recorded.

    python -m benchmarks.guard             # fails if anything takes more than a tenth more than recorded
    python -m benchmarks.guard --record    # what is measured now is what will be held against

Steps are bytecode instructions; calls of functions written in C are counted beside them. Both are counted, not timed,
and time stands still: so they do not depend on how fast or busy the machine is, and two runs differ by no more than
trio's order of tasks. They say nothing of the time that is spent within C (msgspec, HMAC, the kernel): for that there
is `benchmarks.run`.

The session is real and has everything on; the server is the neutral one, in memory, and is not counted. trio is.

Counts depend on the versions of Python, trio and msgspec, and no ratio to other work would make that good: what one
version does in two instructions, the next does in one, here and not there. So each set of versions has figures of its
own, and with versions that have none yet there is nothing to hold against: the guard says so, and ends with 2.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import trio
from trio.testing import MockClock

import bintrio

from .clients.bintrio import BintrioClient, read
from .in_memory import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    Figures = dict[str, dict[str, float]]

RECORDED: Final = Path(__file__).parent / "guard.json"
TOLERANCE: Final = 1.10
WARM_UP: Final = 64
CALLS: Final = 256
ROUNDS: Final = 5
NOT_COUNTED: Final = (
    *(str(Path(__file__).with_name(f"{name}.py")) for name in ("server", "in_memory", "guard")),
    MockClock.current_time.__code__.co_filename,
)

PACKAGES: Final = ("trio", "trio-websocket", "msgspec")


class Counter:
    """Counts what happens in Python while it is the context.

    Attributes:
        instructions: of bytecode.
        c_calls: calls of functions written in C.
    """

    def __init__(self) -> None:
        self.instructions = self.c_calls = 0
        self._before = sys.gettrace(), sys.getprofile()

    def __enter__(self) -> Counter:
        gc.collect()
        gc.disable()
        sys.setprofile(self._profile)
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        trace, profile = self._before
        sys.settrace(trace)
        sys.setprofile(profile)
        gc.enable()

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        if frame.f_code.co_filename in NOT_COUNTED:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._count

    def _count(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        if event == "opcode":
            self.instructions += 1
        return self._count

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and frame.f_code.co_filename not in NOT_COUNTED:
            self.c_calls += 1


# What is counted


async def count_orders(session: bintrio.Session, in_flight: int) -> dict[str, float]:
    client = BintrioClient(session)

    async def work(calls: int) -> None:
        for _ in range(calls):
            await client.order()

    async def together(calls: int) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(in_flight):
                nursery.start_soon(work, calls // in_flight)

    return await counted(together)


async def count_events(session: bintrio.Session, server: MemoryServer) -> dict[str, float]:
    async with session.user_data() as subscriber:

        async def receive(count: int) -> None:
            server.exchange.command(f"events {count}")
            await read(subscriber, count)

        return await counted(receive)


async def counted(work: Callable[[int], Awaitable[None]]) -> dict[str, float]:
    """The medians of some rounds, for each call or event."""
    await work(WARM_UP)
    counters: list[Counter] = []
    for _ in range(ROUNDS):
        with Counter() as counter:
            await work(CALLS)
        counters.append(counter)
    return {
        "instructions": median(counter.instructions for counter in counters) / CALLS,
        "C calls": median(counter.c_calls for counter in counters) / CALLS,
    }


async def measure() -> Figures:
    server = MemoryServer()
    key = bintrio.HmacKey("key", "secret")
    async with bintrio.open_session("ws://127.0.0.1", key=key, connect=server.connect) as session:
        return {
            "order, 1 in flight": await count_orders(session, 1),
            "order, 32 in flight": await count_orders(session, 32),
            "event to 1": await count_events(session, server),
        }


# What is held against what


def environment() -> str:
    """The versions that counts depend on."""
    python = f"{platform.python_implementation()} {sys.version_info.major}.{sys.version_info.minor}"
    return ", ".join([python, *(f"{package} {version(package)}" for package in PACKAGES)])


def compare(recorded: Mapping[str, Mapping[str, float]], found: Mapping[str, Mapping[str, float]]) -> bool:
    """Print a table; whether everything holds."""
    holds = True
    for row, figures in recorded.items():
        for name, before in figures.items():
            ratio = found[row][name] / before
            is_dearer = ratio > TOLERANCE
            holds = holds and not is_dearer
            verdict = "  TOO MUCH" if is_dearer else ""
            print(f"{row:20} {name:13} {before:9.1f} recorded {found[row][name]:9.1f} now {ratio:6.3f}{verdict}")
    return holds


def main(arguments: list[str] | None = None, path: Path = RECORDED) -> int:
    """0 if everything holds or was recorded, 1 if something is dearer, 2 if there is nothing to hold against."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description="Steps for a call, and no more.")
    parser.add_argument("--record", action="store_true", help="record what is measured now, for these versions")
    options = parser.parse_args(arguments)
    records: dict[str, Figures] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    # Time stands still, so that no window of the rate limits turns meanwhile on a slow machine.
    versions, found = environment(), trio.run(measure, clock=MockClock())
    if options.record:
        path.write_text(json.dumps(records | {versions: found}, indent=1) + "\n", encoding="utf-8")
        print(f"recorded for {versions}")
        return 0
    if versions not in records:
        print(f"nothing was recorded for {versions}; only for: {'; '.join(records) or 'nothing'}.")
        print("From a state that is known to be good, do: python -m benchmarks.guard --record")
        return 2
    return 0 if compare(records[versions], found) else 1


if __name__ == "__main__":
    sys.exit(main())
