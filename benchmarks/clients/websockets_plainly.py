"""websockets (its trio client) as its documentation shows it, with msgspec."""

from __future__ import annotations

import importlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from . import Client, Events
from ._by_hand import (
    ROWS,
    Message,
    depth_request,
    order_request,
    read_book,
    read_message,
    read_order,
    read_report,
    subscribe_request,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["LOOP", "ROWS", "open_client"]

# By name, since type checkers run where it is not installed.
websockets: Any = importlib.import_module("websockets.trio.client")

LOOP: Final = "trio"


class PlainClient(Client, Events):
    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket
        self._number = 0
        self._waiting: dict[int, trio.MemorySendChannel[Message]] = {}
        self._send_event, self._events = trio.open_memory_channel[object](10_000)

    async def read(self) -> None:
        while True:
            message = read_message(await self._websocket.recv(decode=False))
            if message.event:
                await self._send_event.send(read_report(message.event))
            else:
                self._waiting.pop(message.id).send_nowait(message)

    async def order(self) -> object:
        return read_order((await self._call(order_request)).result)

    async def depth(self) -> object:
        return read_book((await self._call(depth_request)).result)

    async def subscribe(self, subscribers: int) -> Events:
        await self._call(subscribe_request)
        return self

    async def receive(self, count: int) -> None:
        for _ in range(count):
            await self._events.receive()

    async def _call(self, request: Callable[[int], bytes]) -> Message:
        self._number += 1
        send, receive = trio.open_memory_channel[Message](1)
        self._waiting[self._number] = send
        await self._websocket.send(request(self._number), text=True)
        return await receive.receive()


@asynccontextmanager
async def open_client(url: str) -> AsyncGenerator[Client]:
    async with websockets.connect(url) as websocket, trio.open_nursery() as nursery:
        client = PlainClient(websocket)
        nursery.start_soon(client.read)
        yield client
        nursery.cancel_scope.cancel()
