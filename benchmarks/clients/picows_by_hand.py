"""The limit: picows and msgspec on asyncio with uvloop, by hand, for these calls only, with no regard to failures."""

from __future__ import annotations

import asyncio
import importlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

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

LOOP: Final = "uvloop"
picows: Any = importlib.import_module("picows")


class Listener(picows.WSListener):  # type: ignore[misc]  # an optional extra, whose types are not there
    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[Message]] = {}
        self.events: asyncio.Queue[object] = asyncio.Queue()

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if frame.msg_type != picows.WSMsgType.TEXT:
            return
        message = read_message(frame.get_payload_as_memoryview())
        if message.event:
            self.events.put_nowait(read_report(message.event))
        else:
            message.result = message.result.copy()
            self.waiting.pop(message.id).set_result(message)


class PicowsClient(Client, Events):
    def __init__(self, transport: Any, listener: Listener) -> None:
        self._transport = transport
        self._listener = listener
        self._number = 0

    async def order(self, client_order_id: str | None = None) -> object:
        return read_order((await self._call(order_request)).result)

    async def depth(self) -> object:
        return read_book((await self._call(depth_request)).result)

    async def subscribe(self, subscribers: int) -> Events:
        await self._call(subscribe_request)
        return self

    async def receive(self, count: int) -> None:
        for _ in range(count):
            await self._listener.events.get()

    def _call(self, request: Callable[[int], bytes]) -> asyncio.Future[Message]:
        self._number += 1
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._listener.waiting[self._number] = future
        self._transport.send(picows.WSMsgType.TEXT, request(self._number))
        return future


@asynccontextmanager
async def open_client(url: str) -> AsyncGenerator[Client]:
    transport, listener = await picows.ws_connect(Listener, url)
    yield PicowsClient(transport, listener)
    transport.disconnect()
