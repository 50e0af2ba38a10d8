"""An hour in some seconds: a session in virtual time, so that what it leaves behind would show.

    python -m benchmarks.soak

Ten tasks place an order a second each, a subscriber hears of every one, and the server sends its pings; the session has
the defaults. What the process has resident is read after five minutes, when every pool has its size, and after the
hour. What Python allocates is counted after that, over five minutes more, for counting takes memory itself: what is
left of them is what was added to the five minutes before. The row is printed as `measure` prints its own.
"""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING, Final

import trio
import trio.testing

import bintrio

from .clients.bintrio import BintrioClient, read
from .in_memory import MemoryServer
from .measure import resident_megabytes, show
from .server import PING

if TYPE_CHECKING:
    from .report import Figures

ROW: Final = "an hour of calls"
TASKS: Final = 10
HOUR: Final = 3600
MINUTES: Final = 300  # five of them
PING_INTERVAL: Final = 20


async def soak(hour: int = HOUR, minutes: int = MINUTES) -> Figures:
    server = MemoryServer()
    key = bintrio.HmacKey("key", "secret")
    async with bintrio.open_session("ws://127.0.0.1", key=key, connect=server.connect) as session:
        resident = [await live(session, server, seconds) for seconds in (minutes, hour - minutes)]
        tracemalloc.start()
        allocated: list[int] = []
        for _ in range(2):
            await live(session, server, minutes)
            allocated.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    return {
        "calls": hour * TASKS,
        "megabytes": resident[0],
        "MB after an hour": resident[1],
        "kB allocated and kept in 5 minutes": (allocated[1] - allocated[0]) / 1e3,
    }


async def live(session: bintrio.Session, server: MemoryServer, seconds: int) -> float:
    """Resident megabytes at the end."""
    client = BintrioClient(session)

    async def call() -> None:
        for _ in range(seconds):
            await client.order()
            await trio.sleep(1)

    async def ping() -> None:
        for _ in range(seconds // PING_INTERVAL):
            await trio.sleep(PING_INTERVAL)
            for connection in server.exchange.connections:
                connection.write(PING)

    async with session.user_data() as subscriber, trio.open_nursery() as nursery:
        nursery.start_soon(ping)
        for _ in range(TASKS):
            nursery.start_soon(call)
        for _ in range(seconds):
            server.exchange.command(f"events {TASKS}")
            await read(subscriber, TASKS)
            await trio.sleep(1)
    gc.collect()
    return resident_megabytes()


if __name__ == "__main__":
    show(ROW, trio.run(soak, clock=trio.testing.MockClock(autojump_threshold=0)))
