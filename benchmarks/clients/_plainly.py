"""What somebody writes around a WebSocket library of trio who needs little: answers to their callers, by their ids."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from . import Client, Events
from ._by_hand import (
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
    from collections.abc import AsyncGenerator

Send = Callable[[bytes], Awaitable[object]]
Receive = Callable[[], Awaitable[str | bytes]]


class PlainClient(Client, Events):
    """A client of what sends and receives messages."""

    def __init__(self, send: Send, receive: Receive) -> None:
        self._send = send
        self._receive = receive
        self._number = 0
        self._waiting: dict[int, trio.MemorySendChannel[Message]] = {}
        self._send_event, self._events = trio.open_memory_channel[object](10_000)

    async def read(self) -> None:
        while True:
            message = read_message(await self._receive())
            if message.event:
                await self._send_event.send(read_report(message.event))
            else:
                self._waiting.pop(message.id).send_nowait(message)

    async def order(self, client_order_id: str | None = None) -> object:
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
        await self._send(request(self._number))
        return await receive.receive()


@asynccontextmanager
async def running(send: Send, receive: Receive) -> AsyncGenerator[Client]:
    """A client that reads in the background."""
    async with trio.open_nursery() as nursery:
        client = PlainClient(send, receive)
        nursery.start_soon(client.read)
        yield client
        nursery.cancel_scope.cancel()
