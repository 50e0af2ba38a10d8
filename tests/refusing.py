"""A scripted exchange that refuses as a test likes, and knows when something reached it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio
from trio.testing import memory_stream_pair

import bintrio
from bintrio.errors import BintrioError
from bintrio.requests import OrderPlace
from tests.peer import START, URL, Exchange, Json

SLOW_DOWN: Json = {"code": -1003, "msg": "slow down"}
BUY = OrderPlace(symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=1, quantity=1)


class Stamped(list[Any]):
    """A list that knows when each item was appended."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def append(self, item: Any, /) -> None:
        self.times.append(trio.current_time())
        super().append(item)


class World(Exchange):
    """A scripted exchange that knows when something reached it, and refuses as the test likes.

    Attributes:
        skew: milliseconds by which its clock is ahead.
        connect_delay: seconds that opening a byte stream takes.
        refuse_handshakes: bytes that answer each opening handshake, while set.
        knocks: the times of the opening handshakes that were refused.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(nursery)
        self.log = self.messages = Stamped()
        self.peers = self.doors = Stamped()
        self.skew = 0
        self.connect_delay = 0.0
        self.refuse_handshakes = b""
        self.knocks: list[float] = []
        self.script["time"] = lambda _peer: {"serverTime": self.now()}
        self.script["ping"] = lambda _peer: {}
        self.nursery = nursery

    def now(self) -> int:
        return START + int(trio.current_time() * 1000) + self.skew

    def arrivals(self) -> list[float]:
        """When anything that counts arrived: messages, and opening handshakes."""
        return sorted([*self.messages.times, *self.doors.times, *self.knocks])

    async def connect(self, address: bintrio.endpoints.Address) -> trio.abc.Stream:
        await trio.sleep(self.connect_delay)
        if not self.refuse_handshakes:
            return await super().connect(address)
        self.addresses.append(address)
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self._refuse, theirs)
        return ours

    async def _refuse(self, stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):
            if await stream.receive_some():
                self.knocks.append(trio.current_time())
                await stream.send_all(self.refuse_handshakes)


@asynccontextmanager
async def open_world(**options: Any) -> AsyncGenerator[tuple[bintrio.Session, World]]:
    options.setdefault("pong_window", 1e6)  # nobody pings
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        async with bintrio.open_session(URL, connect=world.connect, **options) as session:
            yield session, world
        nursery.cancel_scope.cancel()


async def quietly(call: Callable[[], Any]) -> Any:
    try:
        return await call()
    except BintrioError as error:
        return error


async def held_for(session: bintrio.Session, world: World, most: float) -> float:
    """Seconds until something reaches the exchange, while somebody asks every half second."""
    begun, known = trio.current_time(), len(world.arrivals())
    while len(world.arrivals()) == known and trio.current_time() - begun < most:
        with trio.move_on_after(0.25):
            await quietly(session.ping)
        await trio.sleep(0.25)
    return world.arrivals()[known] - begun if len(world.arrivals()) > known else most
